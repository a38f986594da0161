package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attacks {
		if seen[a.name] || a.limit == "" || a.run == nil {
			t.Errorf("the attack %q is not complete, or exists twice", a.name)
		}
		seen[a.name] = true
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(attacks) {
		t.Errorf("%d attacks, %v; want all %d", len(all), err, len(attacks))
	}
	two, err := choose("pings, pongs")
	if err != nil || len(two) != 2 || two[0].name != "pings" || two[1].name != "pongs" {
		t.Errorf("%v, %v", two, err)
	}
	if _, err := choose("pings,none"); err == nil {
		t.Error("an unknown name is accepted")
	}
}

func TestConclude(t *testing.T) {
	held := &row{attack: attack{name: "held"}, result: result{tried: 9}}
	for name, bad := range map[string]*row{
		"got through": {attack: attack{name: "bad"}, result: result{tried: 9, through: 1}},
		"harmed":      {attack: attack{name: "bad"}, err: errors.New("a bystander's message is lost")},
	} {
		var out bytes.Buffer
		if err := conclude(&out, []*row{held, bad}); !errors.Is(err, errThrough) {
			t.Errorf("%s: %v", name, err)
		}
		if got := out.String(); !strings.Contains(got, "1 passed, 1 failed") || !strings.Contains(got, "failed: bad") {
			t.Errorf("%s: %q", name, got)
		}
	}
	var out bytes.Buffer
	if err := conclude(&out, []*row{held}); err != nil {
		t.Error(err)
	}
}

// rawFrame writes frames that gorilla/websocket reads.
func TestRawFrame(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65_535, 65_536} {
		frame := rawFrame(final|opText, bytes.Repeat([]byte("x"), n))
		if frame[0] != 0x80|websocket.TextMessage || frame[1]&0x80 == 0 || len(frame) < n+6 {
			t.Errorf("a frame of %d bytes begins with %x and has %d bytes", n, frame[:2], len(frame))
		}
	}
}
