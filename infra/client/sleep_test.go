package client

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// isAsleep reports whether the device has no socket and plans none.
func (w *world) isAsleep() bool {
	return len(w.openRequest) == 0 && len(w.m.sockets) == 0 && w.m.retryAt.IsZero()
}

func TestSleep(t *testing.T) {
	w, n := connected(t)
	now := chat.MicrosOf(w.now)
	w.serve(n, event("e:2-0", incoming(1, now)))
	w.m.markSeen(w.now, conv, now)
	if w.m.sleep(w.now) {
		t.Error("it sleeps before its read mark is confirmed")
	}
	if got := w.framesOfType(n, wire.TypeAck); len(got) != 1 || got[0]["cursor"] != "e:2-0" {
		t.Errorf("acknowledged before it sleeps: %v", got)
	}
	w.serve(n, event("e:3-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: me, At: now}))
	id := w.m.write(w.now, other, "hello", "")
	w.settle()
	w.advance(time.Second, nil)
	if w.m.sleep(w.now) {
		t.Error("it sleeps before its send is answered")
	}
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": now + 1})
	w.advance(time.Second, nil)
	if !w.m.sleep(w.now) || !w.isAsleep() {
		t.Fatal("it does not sleep although nothing is pending")
	}
	if w.advance(time.Hour, func() bool { return len(w.dials) > 0 }) {
		t.Error("it connects while it sleeps")
	}

	// A visit fetches, acknowledges, and leaves.
	w.m.visit(w.now)
	n = w.up("e:3-0", true)
	if hello := w.framesOfType(n, wire.TypeHello)[0]; hello["background"] != true || hello["looking"] != nil {
		t.Errorf("hello of a visit: %v", hello)
	}
	w.serve(n, event("e:4-0", incoming(2, now+2)))
	if w.m.sleep(w.now) {
		t.Error("a visit ends at once although an acknowledgment may be on its way")
	}
	w.advance(time.Second, nil)
	if acks := w.framesOfType(n, wire.TypeAck); len(acks) != 1 || acks[0]["cursor"] != "e:4-0" {
		t.Errorf("acknowledged by a visit: %v", acks)
	}
	if w.count(NoteShown) != 2 {
		t.Errorf("%d messages are shown, want 2", w.count(NoteShown))
	}

	// Somebody looks while the visit goes on.
	w.m.wake(w.now)
	n = w.up("e:4-0", true)
	if hello := w.framesOfType(n, wire.TypeHello)[0]; hello["background"] != nil {
		t.Errorf("hello of a device that is awake: %v", hello)
	}
	w.m.wake(w.now)
	w.m.visit(w.now)
	w.settle()
	if len(w.m.sockets) != 1 || w.m.background {
		t.Error("a device that is awake has made a visit or another socket")
	}
}

// A device that looks in history stays awake.
func TestNoSleepWithAGap(t *testing.T) {
	w := newWorld(t, me)
	w.arch.down = true
	w.up("e:1-0", false)
	w.advance(10*time.Second, nil)
	if w.m.sleep(w.now) {
		t.Error("it sleeps with a gap")
	}
	w.arch.down = false
	if !w.advance(2*time.Minute, func() bool { return w.m.sleep(w.now) }) {
		t.Error("it does not sleep after the gap is filled")
	}
}
