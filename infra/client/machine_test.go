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

// Frames of a server.

type frame map[string]any

func welcome(w *world, resumed bool) frame {
	return frame{
		"type": "welcome", "uid": w.store.uid, "now": w.now.UnixMicro(), "resumed": resumed,
		"limits": wire.DefaultLimits(), "changes": true,
	}
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
	return wire.DeliveredEvent{
		Type: wire.EventDelivered, Conversation: conv, Messages: refs, DeliveredAt: 1795348800000000,
	}
}

// connected returns a world whose machine has a socket that is caught up.
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

// framesOfType returns the frames of a type that the machine has written on a socket.
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

func TestAcknowledgesStoredMessages(t *testing.T) {
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
	// Receipts are stored, and cause no acknowledgment.
	w.serve(n, event("e:3-0", delivered(wire.MessageRef{ID: "unknown", At: at(w)})))
	w.advance(time.Second, nil)
	if got := len(w.framesOfType(n, wire.TypeAck)); got != 2 {
		t.Errorf("%d acks, want 2", got)
	}
}

// An acknowledgment is sent on the socket that delivered the event, or not sent: the next hello has the same effect.
func TestAcksOnTheSocketThatDelivered(t *testing.T) {
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

// Between the welcome and the caught_up of a new socket, events of the old one are shown but do not move the cursor.
// They may belong to an epoch that has ended.
func TestOldSocketDoesNotMoveTheCursor(t *testing.T) {
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

// After a goaway, the old socket serves until another one is caught up.
func TestKeepsTheOldSocketUntilAnotherIsCaughtUp(t *testing.T) {
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

// A message gets its at when it is first sent. Every repetition is identical, also after a restart of the app.
func TestFrozenMessageIsRepeatedUnchanged(t *testing.T) {
	w := newWorld(t, me)
	w.m.write(w.now, other, "hello", "")
	if l := w.store.Conversation(conv); l[0].At != 0 {
		t.Fatalf("has at %d before it was sent", l[0].At)
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

// A reply sorts after the messages that its sender had seen, even if clocks are wrong.
func TestReplySortsAfterWhatItAnswers(t *testing.T) {
	w, n := connected(t)
	ahead := at(w) + 4_000_000
	w.serve(n, event("e:2-0", incoming(1, ahead)))
	w.m.write(w.now, other, "reply", incoming(1, 0).Key())
	w.m.write(w.now, other, "and more", "")
	f := w.framesOfType(n, wire.TypeSend)[0]
	if number(f["at"]) != int64(ahead)+1 || f["reply_to"] != incoming(1, 0).Key() {
		t.Errorf("%v, want at %d", f, ahead+1)
	}
	w.serve(n, frame{"type": "sent", "id": f["id"], "accepted_at": at(w)})
	if f := w.framesOfType(n, wire.TypeSend)[1]; number(f["at"]) != int64(ahead)+2 {
		t.Errorf("%v, want at %d", f, ahead+2)
	}
}

// A message's at follows the server's clock, not the device's.
func TestAtFollowsTheServersClock(t *testing.T) {
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

func TestOutboxIsSentInOrder(t *testing.T) {
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

// Every new socket repeats a message until it is delivered. "Sent" is not enough.
func TestRepeatsUntilDelivered(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "hello", "")
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	w.advance(time.Minute, nil)
	equal(t, "not repeated on the same socket", w.bodies(n), []string{"hello"})
	w.end(n, 1006)
	n = w.up("e:1-0", true)
	equal(t, "repeated on the next socket", w.bodies(n), []string{"hello"})
	w.serve(n, event("e:2-0", delivered(wire.MessageRef{ID: id, At: at(w)})))
	w.end(n, 1006)
	n = w.up("e:2-0", true)
	equal(t, "not repeated after it was delivered", w.bodies(n), nil)
	equal(t, "states", w.states(), []string{"hello delivered"})
}

// An instance crashes before `sent`, and the message is answered meanwhile: the receipt, and even the read mark,
// arrive before the sent frame.
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

// Receipts for a message of another own device that is not here yet are stored, and the message is loaded from
// history.
func TestReceiptBeforeTheMessage(t *testing.T) {
	w, n := connected(t)
	m := chat.Message{
		ID: "0199f3a2-7c1e-7abc-8def-0123456789ab", Conversation: conv, From: me, To: other,
		Body: "from the phone", At: at(w), AcceptedAt: at(w),
	}
	w.serve(n, event("e:2-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: other, At: m.At}))
	w.serve(n, event("e:2-1", delivered(wire.MessageRef{ID: m.ID, At: m.At})))
	if w.store.Backfills() != 2 {
		t.Fatalf("%d backfills, want 2", w.store.Backfills())
	}
	w.advance(3*time.Second, nil) // not saved yet: the first loads do not find it
	w.restart()
	w.up("e:2-1", true)
	w.arch.messages = append(w.arch.messages, m)
	w.advance(2*time.Minute, nil)
	equal(t, "states", w.states(), []string{"from the phone read"})
	if w.store.Backfills() != 0 {
		t.Errorf("%d backfills, want 0", w.store.Backfills())
	}
}

// A backfill of a message that no longer exists is given up after Pace.BackfillFor.
func TestBackfillIsGivenUp(t *testing.T) {
	w, n := connected(t)
	w.serve(n, event("e:2-0", wire.ReadEvent{Type: wire.EventRead, Conversation: conv, By: other, At: at(w)}))
	w.advance(w.m.pace.BackfillFor-time.Hour, nil)
	if w.store.Backfills() != 1 {
		t.Errorf("%d backfills an hour before it is given up, want 1", w.store.Backfills())
	}
	w.advance(2*time.Hour, nil)
	if w.store.Backfills() != 0 {
		t.Errorf("%d backfills afterwards, want 0", w.store.Backfills())
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

// The app restarts while history is still to be loaded. The gap survives, and messages that were sent before wait
// until history is loaded.
func TestGapSurvivesARestart(t *testing.T) {
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
	equal(t, "held back after a restart too", w.bodies(n), nil)
	archived.AcceptedAt = at(w)
	w.arch.messages, w.arch.down = append(w.arch.messages, archived), false
	w.advance(2*time.Minute, nil)
	equal(t, "sent again, except for what history has", w.bodies(n), []string{"sent before"})
	equal(t, "states", w.states(), []string{"sent before sent", "delivered, and the receipt was lost delivered"})

	// A message that was not saved yet at the first load is found by one of the next three.
	late := incoming(7, at(w)).Message
	w.arch.messages = append(w.arch.messages, late)
	w.advance(5*time.Minute, nil)
	isLate := func(l Line) bool { return l.ID == late.ID }
	if lines := w.store.Conversation(conv); len(lines) != 3 || !slices.ContainsFunc(lines, isLate) {
		t.Errorf("shown: %v", lines)
	}
	w.advance(20*time.Minute, nil)
	if len(w.store.d.reloads) != 0 {
		t.Errorf("still to load at %v", w.store.d.reloads)
	}
}

// Messages that were never sent do not wait while history is unavailable.
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

// The delay of reconnects is random: below 500 ms first, with a bound that doubles up to 30 s.
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
		t.Errorf("delays are not random: %v", waits)
	}
}

// A silent socket is pinged, and dropped if it does not answer.
func TestPingsASilentSocket(t *testing.T) {
	w, n := connected(t)
	w.advance(51*time.Second, nil)
	if got := len(w.framesOfType(n, wire.TypePing)); got != 1 {
		t.Fatalf("%d pings, want 1", got)
	}
	w.serve(n, frame{"type": "pong"})
	w.advance(30*time.Second, nil)
	if !w.openRequest[n] {
		t.Fatal("dropped although it answered")
	}
	w.m.write(w.now, other, "hello?", "")
	w.advance(21*time.Second, nil)
	if w.openRequest[n] {
		t.Error("the socket is open after a message without an answer and a ping without a pong")
	}
	n = w.up("e:1-0", true)
	equal(t, "sent again elsewhere", w.bodies(n), []string{"hello?"})
}

// A hold whose message was delivered in the meantime leaves no wakeup. (Once its end stayed in the past, and the
// timer fired without a pause.)
func TestHoldEndsWhenItsMessageIsDelivered(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "hello", "")
	w.serve(n, frame{"type": "error", "code": "unavailable", "message": "m", "id": id, "retry_after_ms": 2000})
	w.serve(n, event("e:2-0", delivered(wire.MessageRef{ID: id, At: w.store.Conversation(conv)[0].At})))
	w.advance(10*time.Second, nil)
	if next := w.m.next(); !next.After(w.now) {
		t.Errorf("due at %v, and it is %v", next, w.now)
	}
}

// A device whose socket was replaced stays away for some minutes, so that two devices do not replace each other in
// turn.
// The user can reconnect at once.
func TestReplacedSocketWaits(t *testing.T) {
	w, n := connected(t)
	var waits []time.Duration
	for range 20 {
		began := w.now
		w.end(n, 4409)
		next, err := w.accept(true, 15*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, w.now.Sub(began))
		w.serve(next, welcome(w, true))
		w.serve(next, caughtUp("e:1-0"))
		n = next
	}
	slices.Sort(waits)
	if waits[0] < 5*time.Minute || waits[19] > 10*time.Minute || waits[19]-waits[0] < 2*time.Minute {
		t.Errorf("waited %v", waits)
	}
	w.end(n, 4409)
	w.m.reconnect(w.now)
	if _, err := w.accept(true, 0); err != nil {
		t.Errorf("the user reconnects: %v", err)
	}
}

// An error that does not end the socket does not delay a later reconnect.
func TestErrorOfAnOpenSocketDelaysNothing(t *testing.T) {
	w, n := connected(t)
	w.serve(n, frame{"type": "error", "code": "rate_limited", "message": "x", "retry_after_ms": 600_000})
	w.advance(10*time.Second, nil)
	w.end(n, 1006)
	began := w.now
	n, err := w.accept(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if took := w.now.Sub(began); took > time.Second {
		t.Errorf("dialed after %v", took)
	}
	w.serve(n, frame{"type": "error", "code": "rate_limited", "message": "x", "retry_after_ms": 30_000})
	began = w.now
	w.end(n, 1008)
	if _, err := w.accept(true, time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := w.now.Sub(began); took < 30*time.Second {
		t.Errorf("dialed %v after an error that ended the socket", took)
	}
}

// A message to a stranger who has not answered waits alone, and goes out as soon as they write.
func TestAnswerEndsThePauseForAStranger(t *testing.T) {
	for _, code := range []string{"answer_awaited", "too_many_new_people", "inbox_full"} {
		w, n := connected(t)
		id := w.m.write(w.now, other, "sixth", "")
		w.serve(n, frame{"type": "error", "code": code, "message": "x", "id": id, "retry_after_ms": 3_600_000})
		w.m.write(w.now, "carolUid0003", "to somebody else", "")
		w.advance(5*time.Second, nil)
		equal(t, code, w.bodies(n), []string{"sixth", "to somebody else"})
		w.serve(n, event("e:2-0", incoming(1, at(w))))
		want := []string{"sixth", "to somebody else"}
		if code != "inbox_full" {
			want = append(want, "sixth")
		}
		equal(t, code+", after an answer", w.bodies(n), want)
	}
}
