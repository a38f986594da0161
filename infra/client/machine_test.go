package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Frames as a server writes them.

type frame map[string]any

func welcome(w *world, resumed bool) frame {
	return frame{"type": "welcome", "uid": w.store.uid, "now": w.now.UnixMicro(), "resumed": resumed, "limits": wire.DefaultLimits()}
}

func event(cursor string, e any) frame {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return frame{"type": "event", "cursor": cursor, "event": json.RawMessage(b)}
}

func caughtUp(cursor string) frame { return frame{"type": "caught_up", "cursor": cursor} }

func incoming(n int, at chat.Micros) wire.MessageEvent {
	return wire.MessageEvent{Type: wire.EventMessage, Message: chat.Message{
		ID: fmt.Sprintf("0199f3a2-7c1e-7abc-8def-%012d", n), Conversation: conv, From: other, To: me,
		Body: fmt.Sprintf("incoming %d", n), At: at, AcceptedAt: at}}
}

func delivered(refs ...wire.MessageRef) wire.DeliveredEvent {
	return wire.DeliveredEvent{Type: wire.EventDelivered, Conversation: conv, Messages: refs, DeliveredAt: 1795348800000000}
}

// connected returns a world whose machine has a caught-up socket.
func connected(t *testing.T) (*world, int) {
	w := newWorld(t, me)
	return w, w.up("e:1-0", true)
}

// up accepts the next dial and serves it until it is caught up.
func (w *world) up(cursor string, resumed bool) int {
	w.t.Helper()
	n, err := w.accept(true, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	w.serve(n, welcome(w, resumed))
	w.serve(n, caughtUp(cursor))
	return n
}

// of returns the frames of a type that the machine wrote on a socket.
func (w *world) framesOfType(n int, kind string) (out []map[string]any) {
	for _, f := range w.frames[n] {
		if f["type"] == kind {
			out = append(out, f)
		}
	}
	return out
}

func (w *world) bodies(n int) (out []string) {
	for _, f := range w.framesOfType(n, wire.TypeSend) {
		out = append(out, f["body"].(string))
	}
	return out
}

func (w *world) states() (out []string) {
	for _, l := range w.store.Conversation(conv) {
		out = append(out, l.Body+" "+l.State.String())
	}
	return out
}

func (w *world) count(what NoteKind) (n int) {
	for _, note := range w.notes {
		if note.NoteKind == what {
			n++
		}
	}
	return n
}

func equal[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func at(w *world) chat.Micros { return chat.MicrosOf(w.now) }

func TestAcknowledgesWhatIsStored(t *testing.T) {
	w, n := connected(t)
	for i := range 5 {
		w.serve(n, event(fmt.Sprintf("e:2-%d", i), incoming(i, at(w)+chat.Micros(i))))
		w.advance(10*time.Millisecond, nil)
	}
	w.advance(time.Second, nil)
	var cursors []any
	for _, f := range w.framesOfType(n, wire.TypeAck) {
		cursors = append(cursors, f["cursor"])
	}
	equal(t, "acks at most every 50 ms, cumulative", cursors, []any{"e:2-0", "e:2-4"})
	if c := w.store.Cursor(); c != "e:2-4" {
		t.Errorf("cursor %s", c)
	}
	// Receipts ride along: they are stored, and nobody waits for their ack.
	w.serve(n, event("e:3-0", delivered(wire.MessageRef{ID: "unknown", At: at(w)})))
	w.advance(time.Second, nil)
	if got := len(w.framesOfType(n, wire.TypeAck)); got != 2 {
		t.Errorf("%d acks, want 2", got)
	}
}

// An acknowledgement goes out on the socket that brought the event, or not at
// all: the next hello says the same.
func TestAcksOnTheSocketThatBroughtIt(t *testing.T) {
	w, old := connected(t)
	w.serve(old, event("e:2-0", incoming(1, at(w))))
	w.serve(old, event("e:2-1", incoming(2, at(w)+1)))
	w.serve(old, frame{"type": "goaway", "reason": "rotate", "within_ms": 60000})
	n, err := w.accept(true, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(n, welcome(w, true))
	w.serve(old, event("e:2-2", incoming(3, at(w)+2)))
	w.serve(n, event("e:2-2", incoming(3, at(w)+2)))
	w.serve(n, caughtUp("e:2-2"))
	if w.openRequest[old] {
		t.Error("the old socket is still open")
	}
	if a := w.framesOfType(old, wire.TypeAck); len(a) == 0 || a[len(a)-1]["cursor"] != "e:2-2" {
		t.Errorf("acks on the old socket: %v", a)
	}
	if w.count(NoteDown) != 0 || w.count(NoteMoved) != 1 {
		t.Errorf("%d gaps, %d moves", w.count(NoteDown), w.count(NoteMoved))
	}
	if got := len(w.store.Conversation(conv)); got != 3 {
		t.Errorf("%d messages, want 3", got)
	}
}

// Between the new socket's welcome and its caught_up the old one, which may
// speak of an epoch that is over, brings events and moves no cursor.
func TestOldSocketMovesNoCursor(t *testing.T) {
	w, old := connected(t)
	w.serve(old, frame{"type": "goaway", "reason": "resync", "within_ms": 60000})
	n, _ := w.accept(true, 0)
	w.serve(n, welcome(w, false))
	w.serve(n, event("f:1-0", incoming(1, at(w))))
	w.serve(old, event("e:9-0", incoming(2, at(w)+1)))
	if c := w.store.Cursor(); c != "f:1-0" {
		t.Errorf("cursor %s", c)
	}
	if got := len(w.store.Conversation(conv)); got != 2 {
		t.Errorf("%d messages, want 2", got)
	}
}

// A new socket that cannot be had leaves the old one serving.
func TestKeepsTheOldSocketUntilThereIsAnother(t *testing.T) {
	w, old := connected(t)
	w.serve(old, frame{"type": "goaway", "reason": "drain", "within_ms": 4000})
	for range 3 {
		if _, err := w.accept(false, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	w.m.write(w.now, other, "still here", "")
	equal(t, "sent on the old socket", w.bodies(old), []string{"still here"})
	n := w.up("e:1-0", true)
	equal(t, "repeated on the new one", w.bodies(n), []string{"still here"})
	if w.count(NoteDown) != 0 {
		t.Error("there was a gap")
	}
}

// The place of a message is fixed when it is first sent, and repeated word for
// word ever after, also by the next life of the app.
func TestFrozenPlace(t *testing.T) {
	w := newWorld(t, me)
	w.m.write(w.now, other, "hello", "")
	if l := w.store.Conversation(conv); l[0].At != 0 {
		t.Fatalf("placed at %d before it was sent", l[0].At)
	}
	w.advance(time.Hour, nil)
	n := w.up("e:1-0", true)
	first := w.framesOfType(n, wire.TypeSend)[0]
	w.end(n, 1006)
	w.advance(time.Hour, nil)
	w.restart()
	n = w.up("e:1-0", true)
	equal(t, "sent again", w.framesOfType(n, wire.TypeSend), []map[string]any{first})
	if w.count(NoteFrozen) != 1 {
		t.Errorf("frozen %d times", w.count(NoteFrozen))
	}
}

// A reply stands behind what its sender had seen, however wrong the clocks.
func TestPlaceFollowsWhatWasSeen(t *testing.T) {
	w, n := connected(t)
	ahead := at(w) + 4_000_000
	w.serve(n, event("e:2-0", incoming(1, ahead)))
	w.m.write(w.now, other, "reply", incoming(1, 0).ID)
	w.m.write(w.now, other, "and more", "")
	f := w.framesOfType(n, wire.TypeSend)[0]
	if number(f["at"]) != int64(ahead)+1 || f["reply_to"] != incoming(1, 0).ID {
		t.Errorf("%v, want at %d", f, ahead+1)
	}
	w.serve(n, frame{"type": "sent", "id": f["id"], "accepted_at": at(w)})
	if f := w.framesOfType(n, wire.TypeSend)[1]; number(f["at"]) != int64(ahead)+2 {
		t.Errorf("%v, want at %d", f, ahead+2)
	}
}

// The server's clock counts, not the device's.
func TestPlaceByTheServersClock(t *testing.T) {
	w := newWorld(t, me)
	n, _ := w.accept(true, 0)
	f := welcome(w, true)
	f["now"] = w.now.Add(-time.Hour).UnixMicro()
	w.serve(n, f)
	w.serve(n, caughtUp("e:1-0"))
	w.m.write(w.now, other, "hello", "")
	if got := number(w.framesOfType(n, wire.TypeSend)[0]["at"]); got != w.now.Add(-time.Hour).UnixMicro() {
		t.Errorf("at %d", got)
	}
}

func TestOutboxGoesOutInOrder(t *testing.T) {
	w, n := connected(t)
	const third = "carlUid00003"
	for _, body := range []string{"1", "2", "3"} {
		w.m.write(w.now, other, body, "")
	}
	w.m.write(w.now, third, "elsewhere", "")
	equal(t, "one at a time, conversations apart", w.bodies(n), []string{"1", "elsewhere"})
	f := w.framesOfType(n, wire.TypeSend)
	w.serve(n, frame{"type": "error", "code": "unavailable", "message": "m", "id": f[0]["id"], "retry_after_ms": 2000})
	w.advance(1900*time.Millisecond, nil)
	equal(t, "a refusal holds back what follows", w.bodies(n), []string{"1", "elsewhere"})
	w.advance(3*time.Second, nil)
	equal(t, "then the same again", w.bodies(n), []string{"1", "elsewhere", "1"})
	w.serve(n, frame{"type": "sent", "id": f[0]["id"], "accepted_at": at(w)})
	f = w.framesOfType(n, wire.TypeSend)
	w.serve(n, frame{"type": "error", "code": "body_too_long", "message": "m", "id": f[3]["id"]})
	equal(t, "a final refusal holds nothing back", w.bodies(n)[3:], []string{"2", "3"})
	equal(t, "states", w.states(), []string{"1 sent", "2 refused", "3 waiting"})
	if l := w.store.Conversation(conv)[1]; l.Refusal != "body_too_long" || w.store.Outbox() != 3 {
		t.Errorf("refusal %q, outbox %d", l.Refusal, w.store.Outbox())
	}
}

// Sent is not delivered: every new socket brings it again, until it is.
func TestRepeatsUntilDelivered(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "hello", "")
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	w.advance(time.Minute, nil)
	equal(t, "not on the same socket", w.bodies(n), []string{"hello"})
	w.end(n, 1006)
	n = w.up("e:1-0", true)
	equal(t, "but on the next", w.bodies(n), []string{"hello"})
	w.serve(n, event("e:2-0", delivered(wire.MessageRef{ID: id, At: at(w)})))
	w.end(n, 1006)
	n = w.up("e:2-0", true)
	equal(t, "and not after it was delivered", w.bodies(n), nil)
	equal(t, "states", w.states(), []string{"hello delivered"})
}

// A crash before `sent`, with the message already answered: the receipt, and
// even the read mark, come before the sent frame.
func TestDeliveredBeforeSent(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "question", "")
	place := w.store.Conversation(conv)[0].At
	w.serve(n, event("e:2-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: other, At: place}))
	equal(t, "a read mark alone", w.states(), []string{"question waiting"})
	w.serve(n, event("e:2-1", delivered(wire.MessageRef{ID: id, At: place})))
	w.serve(n, event("e:2-2", incoming(1, place+1)))
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	w.serve(n, frame{"type": "error", "code": "id_reused", "message": "m", "id": id})
	equal(t, "states", w.states(), []string{"question read", "incoming 1 waiting"})
	if w.store.Outbox() != 0 {
		t.Error("it would be sent again")
	}
}

// Receipts for a message of another own device that is not here yet are
// remembered, and the message is loaded.
func TestReceiptBeforeTheMessage(t *testing.T) {
	w, n := connected(t)
	m := chat.Message{ID: "0199f3a2-7c1e-7abc-8def-0123456789ab", Conversation: conv, From: me, To: other, Body: "from the phone", At: at(w), AcceptedAt: at(w)}
	w.serve(n, event("e:2-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: other, At: m.At}))
	w.serve(n, event("e:2-1", delivered(wire.MessageRef{ID: m.ID, At: m.At})))
	if w.store.Backfills() != 2 {
		t.Fatalf("%d debts, want 2", w.store.Backfills())
	}
	w.advance(3*time.Second, nil) // not saved yet: tried in vain
	w.restart()
	w.up("e:2-1", true)
	w.arch.messages = append(w.arch.messages, m)
	w.advance(2*time.Minute, nil)
	equal(t, "states", w.states(), []string{"from the phone read"})
	if w.store.Backfills() != 0 {
		t.Errorf("%d debts, want 0", w.store.Backfills())
	}
}

// A message that a receipt spoke of and that nobody has any more is not asked for without end.
func TestDebtThatNobodyCanPay(t *testing.T) {
	w, n := connected(t)
	w.serve(n, event("e:2-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: other, At: at(w)}))
	w.advance(w.m.pace.BackfillFor-time.Hour, nil)
	if w.store.Backfills() != 1 {
		t.Errorf("%d debts an hour before it is forgotten, want 1", w.store.Backfills())
	}
	w.advance(2*time.Hour, nil)
	if w.store.Backfills() != 0 {
		t.Errorf("%d debts afterwards, want 0", w.store.Backfills())
	}
}

func TestShowsOnceInOneOrder(t *testing.T) {
	w, n := connected(t)
	for i, k := range []int{3, 1, 2, 3, 1} {
		w.serve(n, event(fmt.Sprintf("e:2-%d", i), incoming(k, at(w)+chat.Micros(k))))
	}
	w.serve(n, event("e:2-9", incoming(0, at(w)+2))) // the same time as 2: the id decides
	var got []string
	for _, l := range w.store.Conversation(conv) {
		got = append(got, l.Body)
	}
	equal(t, "order", got, []string{"incoming 1", "incoming 0", "incoming 2", "incoming 3"})
	if w.count(NoteShown) != 4 {
		t.Errorf("shown %d times, want 4", w.count(NoteShown))
	}
}

// A reload with history still to load: the debt survives it, and what was sent
// before waits until it is paid.
func TestHistoryDebt(t *testing.T) {
	w, n := connected(t)
	old := w.m.write(w.now, other, "sent before", "")
	w.serve(n, frame{"type": "sent", "id": old, "accepted_at": at(w)})
	w.m.write(w.now, other, "delivered, and the receipt was lost", "")
	archived := w.store.Conversation(conv)[1].Message
	w.arch.down = true
	w.end(n, 1006)
	n = w.up("f:1-0", false)
	w.advance(10*time.Second, nil)
	equal(t, "held back", w.bodies(n), nil)
	w.restart()
	n = w.up("f:1-0", true)
	equal(t, "held back by the next life too", w.bodies(n), nil)
	archived.AcceptedAt = at(w)
	w.arch.messages, w.arch.down = append(w.arch.messages, archived), false
	w.advance(2*time.Minute, nil)
	equal(t, "sent again but for what history holds", w.bodies(n), []string{"sent before"})
	equal(t, "states", w.states(), []string{"sent before sent", "delivered, and the receipt was lost delivered"})

	// What was not saved yet at the first load comes with one of the next three.
	late := incoming(7, at(w)).Message
	w.arch.messages = append(w.arch.messages, late)
	w.advance(5*time.Minute, nil)
	if l := w.store.Conversation(conv); len(l) != 3 || !slices.ContainsFunc(l, func(l Line) bool { return l.ID == late.ID }) {
		t.Errorf("shown: %v", l)
	}
	w.advance(20*time.Minute, nil)
	if len(w.store.d.reloads) != 0 {
		t.Errorf("still to load at %v", w.store.d.reloads)
	}
}

// History that is gone for a while does not hold back what was never sent.
func TestNewMessagesDoNotWaitForHistory(t *testing.T) {
	w := newWorld(t, me)
	w.arch.down = true
	n := w.up("e:1-0", false)
	w.m.write(w.now, other, "new", "")
	equal(t, "sent", w.bodies(n), []string{"new"})
}

func TestReadMarks(t *testing.T) {
	w, n := connected(t)
	w.serve(n, event("e:2-0", incoming(1, at(w))))
	place, unseen := w.store.Unseen(conv)
	if !unseen || place != at(w) {
		t.Fatalf("unseen up to %d, %v", place, unseen)
	}
	w.m.markSeen(w.now, conv, place)
	w.m.markSeen(w.now, conv, place-1) // never back
	if got := w.framesOfType(n, wire.TypeRead); len(got) != 1 || number(got[0]["at"]) != int64(place) {
		t.Fatalf("sent %v", got)
	}
	w.end(n, 1006)
	w.restart()
	n = w.up("e:2-0", true)
	if got := w.framesOfType(n, wire.TypeRead); len(got) != 1 {
		t.Fatalf("sent %v, want the mark again", got)
	}
	w.serve(n, event("e:3-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: me, At: place}))
	w.advance(time.Minute, nil)
	if got := w.framesOfType(n, wire.TypeRead); len(got) != 1 {
		t.Errorf("sent %v after it was confirmed", got)
	}
}

// Reconnects are spread over 0–500 ms first, the bound doubling to 30 s.
func TestFullJitter(t *testing.T) {
	w, n := connected(t)
	w.advance(time.Minute, nil)
	w.end(n, 1006)
	var waits []time.Duration
	for range 12 {
		before := w.now
		if _, err := w.accept(false, time.Minute); err != nil {
			t.Fatal(err)
		}
		waits = append(waits, w.now.Sub(before))
	}
	bound := 500 * time.Millisecond
	distinct := map[time.Duration]bool{}
	for i, d := range waits {
		if d > bound {
			t.Errorf("attempt %d after %v, bound %v", i, d, bound)
		}
		bound = min(2*bound, 30*time.Second)
		distinct[d] = true
	}
	if len(distinct) < len(waits)-1 {
		t.Errorf("no chance in %v", waits)
	}
}

// A link that says nothing is asked, and given up when it does not answer.
func TestDoubtsASilentLink(t *testing.T) {
	w, n := connected(t)
	w.advance(51*time.Second, nil)
	if got := len(w.framesOfType(n, wire.TypePing)); got != 1 {
		t.Fatalf("%d pings, want 1", got)
	}
	w.serve(n, frame{"type": "pong"})
	w.advance(30*time.Second, nil)
	if !w.openRequest[n] {
		t.Fatal("given up although it answered")
	}
	w.m.write(w.now, other, "anybody there", "")
	w.advance(21*time.Second, nil)
	if w.openRequest[n] {
		t.Error("a message without an answer, a ping without a pong: still open")
	}
	n = w.up("e:1-0", true)
	equal(t, "sent again elsewhere", w.bodies(n), []string{"anybody there"})
}

// A hold whose message was delivered meanwhile leaves nothing to wake for.
// (Its end lay in the past for ever, and the timer ran without a pause.)
func TestHoldOfWhatWasDeliveredEnds(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "hello", "")
	w.serve(n, frame{"type": "error", "code": "unavailable", "message": "m", "id": id, "retry_after_ms": 2000})
	w.serve(n, event("e:2-0", delivered(wire.MessageRef{ID: id, At: w.store.Conversation(conv)[0].At})))
	w.advance(10*time.Second, nil)
	if next := w.m.next(); !next.After(w.now) {
		t.Errorf("due at %v, and it is %v", next, w.now)
	}
}
