package store_test

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestQuiet(t *testing.T) {
	at := func(text string) chat.Micros {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return chat.MicrosOf(parsed)
	}
	night := store.Quiet{From: 22 * 60, To: 7 * 60, Zone: "Europe/Berlin"}
	noon := store.Quiet{From: 12 * 60, To: 13 * 60}
	until := store.Quiet{Until: at("2026-03-01T10:00:00Z")}
	for _, tt := range []struct {
		quiet store.Quiet
		now   string
		want  bool
	}{
		{store.Quiet{}, "2026-03-01T00:00:00Z", false},
		{night, "2026-01-10T20:59:59Z", false}, // 21:59 in Berlin
		{night, "2026-01-10T21:00:00Z", true},
		{night, "2026-01-11T05:59:59Z", true},
		{night, "2026-01-11T06:00:00Z", false},
		{night, "2026-07-10T20:00:00Z", true}, // 22:00 in summer
		{night, "2026-07-11T05:00:00Z", false},
		{noon, "2026-01-10T11:59:59Z", false},
		{noon, "2026-01-10T12:00:00Z", true},
		{noon, "2026-01-10T13:00:00Z", false},
		{until, "2026-03-01T09:59:59Z", true},
		{until, "2026-03-01T10:00:00Z", false},
		{store.Quiet{From: 0, To: 1439, Zone: "Nowhere/Else"}, "2026-03-01T09:00:00Z", false},
	} {
		if got := tt.quiet.Now(at(tt.now)); got != tt.want {
			t.Errorf("%+v at %s: %v, want %v", tt.quiet, tt.now, got, tt.want)
		}
	}
}

func TestBadQuiet(t *testing.T) {
	now := chat.MicrosOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	year := chat.Micros((366 * 24 * time.Hour).Microseconds())
	for _, q := range []store.Quiet{{}, {From: 1439, To: 0, Zone: "America/New_York"}, {Until: now + year}} {
		if err := q.Check(now); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, q := range []store.Quiet{{From: -1}, {From: 1440}, {To: -1}, {To: 1440}, {Until: -1}, {Until: now + year + 1},
		{Zone: "Local"}, {Zone: "../etc/passwd"}, {Zone: "/etc/localtime"}, {Zone: "Nowhere/Else"}} {
		if q.Check(now) == nil {
			t.Errorf("%+v is accepted", q)
		}
	}
}
