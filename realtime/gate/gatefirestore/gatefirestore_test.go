package gatefirestore

import (
	"fmt"
	"os"
	"testing"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
)

func TestFromDocument(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		data map[string]any
		want gate.Gate
	}{
		"empty": {map[string]any{}, gate.Gate{Exists: true}},
		"all": {map[string]any{"disabled": true, "valid_after": at.UnixMicro(), "blocked": []any{"eve", "mal"}},
			gate.Gate{Exists: true, Disabled: true, ValidAfter: at, Blocked: []string{"eve", "mal"}}},
		"ended": {map[string]any{"ended": []any{at.UnixMicro(), "x"}},
			gate.Gate{Exists: true, Ended: []time.Time{at}}},
		"push":                 {map[string]any{"push": true}, gate.Gate{Exists: true, Push: true}},
		"push of another type": {map[string]any{"push": "yes"}, gate.Gate{Exists: true}},
		"limited": {map[string]any{"limited_until": at.UnixMicro()},
			gate.Gate{Exists: true, LimitedUntil: at}},
		"limited of another type":  {map[string]any{"limited_until": "x"}, gate.Gate{Exists: true}},
		"timestamp":                {map[string]any{"valid_after": at}, gate.Gate{Exists: true, ValidAfter: at}},
		"never":                    {map[string]any{"valid_after": int64(0)}, gate.Gate{Exists: true}},
		"disabled of another type": {map[string]any{"disabled": "yes"}, gate.Gate{Exists: true, Disabled: true}},
		"blocked with another type": {map[string]any{"blocked": []any{"eve", int64(3)}},
			gate.Gate{Exists: true, Blocked: []string{"eve"}}},
		"privacy": {map[string]any{"privacy": map[string]any{"last_seen": "chats", "read_receipts": false,
			"writers": "known", "findable": "username"}},
			gate.Gate{Exists: true, Privacy: chat.Privacy{LastSeen: chat.Chats, NoReceipts: true, OnlyKnown: true}}},
		"privacy of a later version": {map[string]any{"privacy": map[string]any{"last_seen": "friends",
			"read_receipts": false, "writers": 7, "new": true}},
			gate.Gate{Exists: true, Privacy: chat.Privacy{LastSeen: chat.Nobody, NoReceipts: true}}},
		"privacy of another type": {map[string]any{"privacy": "none"}, gate.Gate{Exists: true}},
		"not verified":            {map[string]any{"email_verified": false}, gate.Gate{Exists: true, Unverified: true}},
		"verified":                {map[string]any{"email_verified": true}, gate.Gate{Exists: true}},
		"other fields":            {map[string]any{"username": "ann"}, gate.Gate{Exists: true}},
	} {
		if got, want := fmt.Sprintf("%+v", fromDocument(c.data)), fmt.Sprintf("%+v", c.want); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestAgainstTheEmulator(t *testing.T) {
	host := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if host == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set; set it to the address of a Firestore emulator (host:port)")
	}
	t.Setenv("FIRESTORE_EMULATOR_HOST", host)
	client, err := firestore.NewClient(t.Context(), fmt.Sprintf("gate-%d", time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Collection("users").Doc("ann").Set(t.Context(), map[string]any{
		"username": "ann", "disabled": true, "valid_after": int64(5_000_000), "ended": []int64{7_000_000},
		"blocked": []string{"eve"}, "email_verified": false}); err != nil {
		t.Fatal(err)
	}
	s := New(client)
	for uid, want := range map[string]gate.Gate{
		"ann": {Exists: true, Disabled: true, ValidAfter: time.Unix(5, 0).UTC(),
			Ended: []time.Time{time.Unix(7, 0).UTC()}, Blocked: []string{"eve"}, Unverified: true},
		"nobody": {}, "no/path": {}, "": {},
	} {
		got, err := s.Gate(t.Context(), uid)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q: %+v, %v; want %+v", uid, got, err, want)
		}
	}
	for conversation, data := range map[string]map[string]any{
		"ann~ben": {"writers": []any{"ben", int64(1)}},
		"ann~dan": {"writers": []any{"dan"}, "accepted": []any{"ann", "dan", "eve"}},
		"ann~eve": {"accepted": []any{"ann"}}, // nobody has written
	} {
		if _, err := client.Collection("conversations").Doc(conversation).Set(t.Context(), data); err != nil {
			t.Fatal(err)
		}
	}
	for conversation, want := range map[string]string{
		"ann~ben": "[ben]", "ann~cat": "[]", "ann~dan": "[dan ann]", "ann~eve": "[]",
	} {
		got, err := NewArchive(client).Writers(t.Context(), conversation)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("writers of %s: %v, %v; want %s", conversation, got, err, want)
		}
	}
}
