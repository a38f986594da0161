package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// changed is an event of a change of the message with a number that the other user wrote (see incoming).
func changed(
	n int, from string, of chat.Message, kind chat.ChangeKind, content string, at chat.Micros,
) wire.ChangeEvent {
	c := chat.Change{ID: fmt.Sprintf("0199f3a2-7c1e-7abc-9def-%012d", n), Conversation: conv, From: from, To: me, At: at,
		AcceptedAt: at, Of: chat.Target{ID: of.ID, From: of.From, At: of.At}, Kind: kind}
	e := wire.ChangeEvent{Type: wire.EventChange, Change: c}
	if from == me {
		e.Type, e.To = wire.EventChanged, other
	}
	if kind == chat.KindEdit {
		e.Body = content
	} else {
		e.Emoji = content
	}
	return e
}

func settledChanges(kind string, refs ...wire.MessageRef) frame {
	return frame{"type": kind, "conversation": conv, "messages": []wire.MessageRef{}, "changes": refs,
		"delivered_at": 1795348800000000, "code": "withdrawn", "message": "Withdrawn."}
}

// shown describes what the device shows: body, state, and the reactions of both.
func (w *world) shown() (out []string) {
	for _, l := range w.store.Conversation(conv) {
		line := fmt.Sprintf("%q", l.Body)
		if l.Changes.Deleted != nil {
			line = "deleted"
		}
		for _, uid := range []string{me, other} {
			if r := l.Changes.Reactions[uid]; r.Emoji != "" {
				line += " " + r.Emoji
			}
		}
		out = append(out, line)
	}
	return out
}

// sentMessage writes a message that a server accepts.
func sentMessage(t *testing.T, w *world, n int) chat.Message {
	t.Helper()
	id := w.m.write(w.now, other, "mine", "")
	w.settle()
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	return w.store.Conversation(conv)[0].Message
}

func refOf(f map[string]any) wire.MessageRef {
	return wire.MessageRef{ID: f["id"].(string), At: chat.Micros(number(f["at"]))}
}

func TestChangeTakesThePathOfAMessage(t *testing.T) {
	w, n := connected(t)
	m := sentMessage(t, w, n)
	w.serve(n, event("e:2-0", changed(7, other, m, chat.KindReact, "👍", at(w)+5_000_000))) // ahead of the clock
	id := w.m.change(w.now, conv, m.Key(), chat.KindEdit, "mine, edited")
	w.settle()
	frames := w.framesOfType(n, wire.TypeChange)
	if len(frames) != 1 || frames[0]["id"] != id || number(frames[0]["at"]) != int64(at(w))+5_000_001 {
		t.Fatalf("sent %v, want one change above the reaction", frames)
	}
	equal(t, "shown while the edit waits", w.shown(), []string{`"mine, edited" 👍`})

	w.end(n, 1006) // the answer is lost
	n = w.up("e:2-0", true)
	if again := w.framesOfType(n, wire.TypeChange); len(again) != 1 || again[0]["id"] != id ||
		again[0]["at"] != frames[0]["at"] {
		t.Errorf("sent again as %v, want it unchanged", again)
	}
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	w.m.write(w.now, other, "next", "")
	w.settle()
	if sends := w.framesOfType(n, wire.TypeSend); len(sends) != 2 ||
		number(sends[1]["at"]) <= number(frames[0]["at"]) {
		t.Errorf("sent %v, want the next message above the change", sends)
	}
	w.serve(n, event("e:3-0", settledChanges(wire.EventDelivered, refOf(frames[0]))))
	if w.store.Outbox() != 2 {
		t.Errorf("%d left to send, want only both messages", w.store.Outbox())
	}
	equal(t, "shown", w.shown(), []string{`"mine, edited" 👍`, `"next"`})
}

func TestChangesAreAcknowledged(t *testing.T) {
	w, n := connected(t)
	w.serve(n, event("e:2-0", incoming(1, at(w))))
	w.advance(time.Second, nil)
	w.serve(n, event("e:3-0", changed(1, other, incoming(1, at(w)).Message, chat.KindReact, "👍", at(w))))
	w.advance(time.Second, nil)
	acks := w.framesOfType(n, wire.TypeAck)
	if len(acks) != 2 || acks[1]["cursor"] != "e:3-0" {
		t.Errorf("acknowledged %v, want the change as well", acks)
	}
}

func TestChangeWaitsForItsMessageAndEndsWithIt(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "mine", "")
	w.settle()
	m := w.store.Conversation(conv)[0].Message
	w.m.change(w.now, conv, m.Key(), chat.KindEdit, "edited")
	w.m.change(w.now, conv, m.Key(), chat.KindReact, "👍")
	w.settle()
	if f := w.framesOfType(n, wire.TypeChange); len(f) > 0 {
		t.Errorf("sent %v before the message was accepted", f)
	}
	equal(t, "shown", w.shown(), []string{`"edited" 👍`})
	w.serve(n, frame{"type": "error", "id": id, "code": "recipient_unknown", "message": "No."})
	if w.store.Outbox() != 0 || len(w.framesOfType(n, wire.TypeChange)) > 0 {
		t.Errorf("%d left to send after the message was refused", w.store.Outbox())
	}
	equal(t, "shown after the refusal", w.shown(), []string{`"mine"`})
}

func TestMessageThatWasNeverTransmittedIsChangedDirectly(t *testing.T) {
	w, n := connected(t)
	w.end(n, 1006)
	w.m.write(w.now, other, "one", "")
	w.m.write(w.now, other, "two", "")
	lines := w.store.Conversation(conv)
	w.m.change(w.now, conv, lines[0].Key(), chat.KindReact, "👍")
	if id := w.m.change(w.now, conv, lines[0].Key(), chat.KindDelete, ""); id != "" {
		t.Errorf("the deletion became a change of its own")
	}
	w.m.change(w.now, conv, lines[1].Key(), chat.KindEdit, "two, edited")
	n = w.up("e:1-0", true)
	equal(t, "sent", w.bodies(n), []string{"two, edited"})
	if f := w.framesOfType(n, wire.TypeChange); len(f) > 0 {
		t.Errorf("sent the changes %v", f)
	}
}

func TestUntransmittedChangesOfOneKindCollapse(t *testing.T) {
	w, n := connected(t)
	w.serve(n, event("e:2-0", incoming(1, at(w))))
	sentMessage(t, w, n)
	m := w.store.Conversation(conv)[len(w.store.Conversation(conv))-1].Message
	w.end(n, 1006)
	w.m.change(w.now, conv, m.Key(), chat.KindEdit, "a")
	w.m.change(w.now, conv, m.Key(), chat.KindReact, "👍")
	w.m.change(w.now, conv, m.Key(), chat.KindEdit, "b")
	w.restart()
	n = w.up("e:2-0", true)
	sent := func(i int) map[string]any {
		t.Helper()
		f := w.framesOfType(n, wire.TypeChange)
		if len(f) != i+1 {
			t.Fatalf("sent %v, want %d changes", f, i+1)
		}
		w.serve(n, frame{"type": "sent", "id": f[i]["id"], "accepted_at": at(w)})
		return f[i]
	}
	first, second := sent(0), sent(1)
	if first["emoji"] != "👍" || second["body"] != "b" || number(second["at"]) <= number(first["at"]) {
		t.Errorf("sent %v and %v", first, second)
	}
	if w.store.Outbox() != 3 {
		t.Errorf("%d to send, want the message and both changes", w.store.Outbox())
	}
}

func TestNobodyChangesTheMessagesOfOthers(t *testing.T) {
	w, n := connected(t)
	theirs := incoming(1, at(w)).Message
	w.serve(n, event("e:2-0", incoming(1, at(w))))
	for _, kind := range []chat.ChangeKind{chat.KindEdit, chat.KindDelete} {
		if id := w.m.change(w.now, conv, theirs.Key(), kind, "x"); id != "" {
			t.Errorf("%s of another person's message has the id %s", kind, id)
		}
	}
	mine := sentMessage(t, w, n)
	for _, l := range w.store.Conversation(conv) {
		if l.From == me {
			mine = l.Message
		}
	}
	w.serve(n, event("e:3-0", changed(1, other, mine, chat.KindEdit, "theirs", at(w)+100)))
	w.serve(n, event("e:4-0", changed(2, other, mine, chat.KindDelete, "", at(w)+101)))
	equal(t, "shown", w.shown(), []string{`"incoming 1"`, `"mine"`})
}

func TestRefusedChangeIsReverted(t *testing.T) {
	w, n := connected(t)
	m := sentMessage(t, w, n)
	id := w.m.change(w.now, conv, m.Key(), chat.KindDelete, "")
	w.settle()
	equal(t, "shown while it waits", w.shown(), []string{"deleted"})
	w.serve(n, frame{"type": "error", "id": id, "code": "recipient_unavailable", "message": "No."})
	equal(t, "shown after the refusal", w.shown(), []string{`"mine"`})

	// One that another device of the user has made.
	echo := changed(3, me, m, chat.KindEdit, "edited there", at(w)+100)
	w.serve(n, event("e:2-0", echo))
	equal(t, "shown while the other device's waits", w.shown(), []string{`"edited there"`})
	w.serve(n, event("e:3-0", settledChanges(wire.EventRefused, wire.MessageRef{ID: echo.ID, At: echo.At})))
	equal(t, "shown after it was withdrawn", w.shown(), []string{`"mine"`})
	w.serve(n, event("e:4-0", echo))
	equal(t, "shown after a repetition", w.shown(), []string{`"mine"`})
}

func TestChangeBeforeItsMessage(t *testing.T) {
	w, n := connected(t)
	m := incoming(1, at(w))
	w.serve(n, event("e:2-0", changed(1, other, m.Message, chat.KindDelete, "", at(w)+1)))
	equal(t, "shown before", w.shown(), nil)
	if w.store.Backfills() != 1 {
		t.Errorf("%d backfills, want one for the message", w.store.Backfills())
	}
	w.restart()
	n = w.up("e:2-0", true)
	w.serve(n, event("e:3-0", m))
	equal(t, "shown", w.shown(), []string{"deleted"})
	for _, note := range w.notes {
		if note.NoteKind == NoteShown && note.Message.Body != "" {
			t.Errorf("showed the text %q of a deleted message", note.Message.Body)
		}
	}
	if k := w.store.d.messages[rowOf(m.Message)]; k.Body != "" {
		t.Errorf("stores the text %q of a deleted message", k.Body)
	}
	if w.store.Backfills() != 0 {
		t.Errorf("%d backfills are left", w.store.Backfills())
	}
}

func TestFetchedStateEndsOwnChanges(t *testing.T) {
	for name, fetched := range map[string]func(c chat.Change) chat.Changes{
		"equal": func(c chat.Change) chat.Changes { return c.Changes() },
		"superseded": func(c chat.Change) chat.Changes {
			c.ID, c.Body = "0199f3a2-7c1e-7abc-9def-000000000009", "later"
			c.At++
			return c.Changes()
		},
		"deleted": func(c chat.Change) chat.Changes {
			return chat.Changes{Deleted: &chat.Place{At: c.At - 1, ID: c.ID}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, n := connected(t)
			m := sentMessage(t, w, n)
			w.serve(n, event("e:2-0", delivered(wire.MessageRef{ID: m.ID, At: m.At})))
			w.m.change(w.now, conv, m.Key(), chat.KindEdit, "edited")
			w.settle()
			f := w.framesOfType(n, wire.TypeChange)[0]
			w.arch.messages = []chat.Message{m}
			w.arch.changes = map[string]chat.Changes{m.Key(): fetched(chat.Change{ID: f["id"].(string), Conversation: conv,
				From: me, To: other, At: chat.Micros(number(f["at"])), Of: chat.Target{ID: m.ID, From: me, At: m.At},
				Kind: chat.KindEdit, Body: "edited"})}
			if w.store.Outbox() != 1 {
				t.Fatalf("%d in the outbox, want the edit", w.store.Outbox())
			}
			w.m.openConversation(w.now, conv, false, nil)
			w.settle()
			if w.store.Outbox() != 0 {
				t.Error("the edit is still in the outbox")
			}
			w.serve(n, event("e:3-0", settledChanges(wire.EventDelivered, refOf(f))))
			if len(w.arch.since) > 0 || w.store.Backfills() > 0 {
				t.Error("the receipt of a change that the device has makes it load changes")
			}
		})
	}
}

// Of a gap, changes are loaded from a margin before the last event, and again after 1, 5 and 15 min.
func TestChangesAreLoadedAfterAGap(t *testing.T) {
	w, n := connected(t)
	m := incoming(1, at(w))
	w.serve(n, event("e:2-0", m))
	knew := at(w)
	w.end(n, 1006)
	w.now = w.now.Add(2 * time.Hour)
	n, err := w.accept(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	w.arch.messages, w.arch.down = []chat.Message{m.Message}, true
	w.serve(n, welcome(w, false))
	w.serve(n, caughtUp("other:1-0"))
	w.restart()
	w.arch.down = false
	w.up("other:1-0", true)
	w.advance(2*time.Minute, nil)
	if w.store.Backfills() != 0 {
		t.Errorf("left to do: %v", w.store.PendingBackfills())
	}
	sum := chat.Changes{Edited: &chat.Edited{Place: chat.Place{At: m.At + 1, ID: "x"}, Body: "saved late"}}
	w.arch.changes = map[string]chat.Changes{m.Key(): sum}
	w.advance(3*time.Minute, nil)
	equal(t, "shown before the second repetition", w.shown(), []string{`"incoming 1"`})
	w.advance(2*time.Minute, nil)
	equal(t, "shown after it", w.shown(), []string{`"saved late"`})
	w.advance(time.Hour, nil)
	want := knew - chat.Micros(DefaultPace().Margin.Microseconds())
	if len(w.arch.since) != 4 || w.arch.since[3] != want {
		t.Errorf("loaded changes since %v, want 4 times since %v", w.arch.since, want)
	}
}

// A change was delivered of which the device has no event.
func TestUnknownDeliveredChangeIsLoaded(t *testing.T) {
	w, n := connected(t)
	m := sentMessage(t, w, n)
	w.arch.messages = []chat.Message{m}
	sum := chat.Changes{Edited: &chat.Edited{Place: chat.Place{At: m.At + 1, ID: "x"}, Body: "edited there"}}
	w.arch.changes = map[string]chat.Changes{m.Key(): sum}
	w.serve(n, event("e:2-0", settledChanges(wire.EventDelivered, wire.MessageRef{ID: "unknown", At: m.At + 1})))
	if w.store.Backfills() != 1 {
		t.Errorf("%d backfills, want the load of changes", w.store.Backfills())
	}
	w.restart()
	w.up("e:2-0", true)
	w.advance(time.Minute, nil)
	equal(t, "shown", w.shown(), []string{`"edited there"`})
	w.advance(time.Hour, nil)
	if len(w.arch.since) != 4 {
		t.Errorf("loaded changes %d times, want 4", len(w.arch.since))
	}
}

// A device remembers only the newest finished changes. A receipt of a forgotten one costs a load.
func TestFinishedChangesAreBounded(t *testing.T) {
	w, n := connected(t)
	refs := make([]wire.MessageRef, 500)
	for batch := range 3 {
		for i := range refs {
			refs[i] = wire.MessageRef{ID: fmt.Sprintf("0199f3a2-7c1e-7abc-9def-%012d", 500*batch+i), At: at(w)}
		}
		w.serve(n, event(fmt.Sprintf("e:%d-0", 2+batch), settledChanges(wire.EventDelivered, refs...)))
	}
	if f := w.store.d.finished; len(f.states) != maxFinished || len(f.order) != maxFinished {
		t.Errorf("%d finished changes are stored, in an order of %d, want %d", len(f.states), len(f.order), maxFinished)
	}
	w.advance(10*time.Second, nil) // loads what was changed
	for _, again := range []struct{ number, loads int }{{1499, 0}, {0, 1}} {
		ref := wire.MessageRef{ID: fmt.Sprintf("0199f3a2-7c1e-7abc-9def-%012d", again.number), At: at(w)}
		w.serve(n, event(fmt.Sprintf("e:%d-0", 9000-again.number), settledChanges(wire.EventDelivered, ref)))
		if got := w.store.Backfills(); got != again.loads {
			t.Errorf("the repeated receipt of change %d left %d loads to do, want %d", again.number, got, again.loads)
		}
	}
}

// If too much was changed, the device loads its pages of a conversation again when it is opened.
func TestReloadsWhatItHasAfterTooManyChanges(t *testing.T) {
	w, n := connected(t)
	for i := range 3 * pageSize {
		w.now = w.now.Add(time.Minute)
		m := incoming(i, at(w))
		w.serve(n, event(fmt.Sprintf("e:%d-0", 2+i), m))
		w.arch.messages = append(w.arch.messages, m.Message)
	}
	first := w.arch.messages[0]
	w.arch.changes = map[string]chat.Changes{first.Key(): {Deleted: &chat.Place{At: at(w) + 1_000_000, ID: "x"}}}
	w.arch.tooMany = true
	w.end(n, 1006)
	w.up("other:1-0", false)
	w.advance(time.Hour, nil)
	if w.shown()[0] == "deleted" {
		t.Fatal("the gap alone made the device load everything")
	}
	w.m.openConversation(w.now, conv, false, nil)
	w.settle()
	if w.shown()[0] != "deleted" {
		t.Error("opening the conversation did not load all of its stored pages")
	}
}

func TestChangesAreSentOnlyIfTheServerOffersThem(t *testing.T) {
	w, n := connected(t)
	m := sentMessage(t, w, n)
	w.end(n, 1006)
	w.m.change(w.now, conv, m.Key(), chat.KindEdit, "edited")
	n, err := w.accept(true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	old := welcome(w, true)
	delete(old, "changes")
	w.serve(n, old)
	w.serve(n, caughtUp("e:1-0"))
	w.m.write(w.now, other, "next", "")
	w.settle()
	if f := w.framesOfType(n, wire.TypeChange); len(f) > 0 {
		t.Errorf("sent %v", f)
	}
	equal(t, "sent", w.bodies(n), []string{"mine", "next"})
	w.end(n, 1006)
	n = w.up("e:1-0", true)
	if f := w.framesOfType(n, wire.TypeChange); len(f) != 1 {
		t.Errorf("sent %v, want the change", f)
	}
}
