package client

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// welcomeAt returns a welcome by a server whose clock is ahead of the true time.
func welcomeAt(w *world, ahead time.Duration) frame {
	f := welcome(w, true)
	f["now"] = w.now.Add(ahead).UnixMicro()
	return f
}

func (w *world) refuseAsAhead(n int, id any, retryAfter time.Duration) {
	w.serve(n, frame{"type": "error", "code": "at_ahead", "message": "m", "id": id,
		"retry_after_ms": retryAfter.Milliseconds()})
}

// The wall clock is put right while the device is connected: the server's time on it does not move.
func TestWallClockJumpsWhileConnected(t *testing.T) {
	w := newWorld(t, me)
	w.wrong = -24 * time.Hour
	n := w.up("e:1-0", true)
	for _, wrong := range []time.Duration{0, 400 * 24 * time.Hour, -time.Hour} {
		w.wrong = wrong
		w.advance(time.Second, nil)
		id := w.m.write(w.now, other, "hello", "")
		sends := w.framesOfType(n, wire.TypeSend)
		if got := number(sends[len(sends)-1]["at"]); got != w.now.UnixMicro() {
			t.Errorf("wall clock off by %v: at is off by %v", wrong, time.UnixMicro(got).Sub(w.now))
		}
		w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	}
}

// A server's clock was a day ahead when it greeted the device. No instance accepts the at that followed from it, so all
// messages of that conversation get another one, in their order, and those of others keep theirs.
func TestAtThatNoServerCanAcceptIsFrozenAgain(t *testing.T) {
	const third = "carlUid00003"
	w := newWorld(t, me)
	n, err := w.accept(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(n, welcomeAt(w, 24*time.Hour))
	w.serve(n, caughtUp("e:1-0"))
	w.m.write(w.now, third, "elsewhere", "")
	for _, body := range []string{"one", "two"} {
		w.m.write(w.now, other, body, "")
	}
	sends := w.framesOfType(n, wire.TypeSend)
	equal(t, "sent", w.bodies(n), []string{"elsewhere", "one"})
	w.serve(n, frame{"type": "sent", "id": sends[0]["id"], "accepted_at": at(w)})
	w.refuseAsAhead(n, sends[1]["id"], time.Hour)
	if w.openRequest[n] {
		t.Error("kept the socket whose welcome was wrong")
	}
	n = w.up("e:1-0", true)
	sends = w.framesOfType(n, wire.TypeSend)
	equal(t, "sent again", w.bodies(n), []string{"elsewhere", "one"})
	if got := number(sends[1]["at"]); got != w.now.UnixMicro() {
		t.Errorf("at is off by %v", time.UnixMicro(got).Sub(w.now))
	}
	if got := time.UnixMicro(number(sends[0]["at"])).Sub(w.now); got < 23*time.Hour {
		t.Errorf("an accepted message has another at, %v ahead", got)
	}
	w.serve(n, frame{"type": "sent", "id": sends[1]["id"], "accepted_at": at(w)})
	sends = w.framesOfType(n, wire.TypeSend)
	if got := number(sends[2]["at"]); sends[2]["body"] != "two" || got != w.now.UnixMicro()+1 {
		t.Errorf("then sent %v; the old at still counts", sends[2])
	}
	equal(t, "states", w.states(), []string{"one sent", "two waiting"})
}

// The device knows the right time again, but messages of its outbox have an at from before.
func TestAtFromBeforeTheClockWasRightIsFrozenAgain(t *testing.T) {
	w := newWorld(t, me)
	n, err := w.accept(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(n, welcomeAt(w, 24*time.Hour))
	w.serve(n, caughtUp("e:1-0"))
	id := w.m.write(w.now, other, "one", "")
	w.end(n, 1006)
	n = w.up("e:1-0", true)
	w.refuseAsAhead(n, id, time.Hour)
	sends := w.framesOfType(n, wire.TypeSend)
	if len(sends) != 2 || number(sends[1]["at"]) != w.now.UnixMicro() || sends[1]["id"] != id {
		t.Fatalf("sent %v", sends)
	}
	if w.count(NoteFrozen) != 2 {
		t.Errorf("frozen %d times", w.count(NoteFrozen))
	}
}

// Another instance, whose clock is ahead, may have accepted an at that is ahead by a few seconds. It stays as it is.
func TestAtThatAnotherInstanceMayHaveAcceptedStays(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "one", "")
	w.refuseAsAhead(n, id, maxClockDifference)
	if got := len(w.framesOfType(n, wire.TypeSend)); got != 1 {
		t.Fatalf("sent %d times at once", got)
	}
	w.advance(time.Minute, nil)
	sends := w.framesOfType(n, wire.TypeSend)
	if len(sends) < 2 {
		t.Fatal("not sent again")
	}
	equal(t, "sent again", sends[1:2], sends[:1])
}

// An accepted message keeps its at whatever a server says of it later.
func TestAcceptedMessageKeepsItsAt(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "one", "")
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	w.end(n, 1006)
	first := w.framesOfType(n, wire.TypeSend)
	n = w.up("e:1-0", true)
	w.refuseAsAhead(n, id, time.Hour)
	w.advance(3*time.Hour, nil)
	equal(t, "sent again", w.framesOfType(n, wire.TypeSend)[:1], first)
	if w.count(NoteFrozen) != 1 {
		t.Errorf("frozen %d times", w.count(NoteFrozen))
	}
}

// A test chooses ids through Options.NewID.
func TestChosenIDs(t *testing.T) {
	w, n := connected(t)
	id := incoming(1, 0).ID
	w.m.newID = func(string, string) string { return id }
	w.m.write(w.now, other, "mine", "")
	if f := w.framesOfType(n, wire.TypeSend); len(f) != 1 || f[0]["id"] != id {
		t.Errorf("sent %v", f)
	}
}
