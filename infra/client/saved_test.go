package client

import (
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

func corrected(m chat.Message) wire.CorrectedEvent {
	return wire.CorrectedEvent{Type: wire.EventCorrected, Message: m, DeliveredAt: m.AcceptedAt}
}

// variant returns a message event with the key of incoming(1) and another content.
func variant(body string, at chat.Micros) wire.MessageEvent {
	e := incoming(1, at)
	e.Body = body
	return e
}

func (w *world) bodiesShown() (out []string) {
	for _, l := range w.store.Conversation(conv) {
		out = append(out, l.Body)
	}
	return out
}

// A device ends with the saved content of an id that its sender has used twice, in whatever order it gets the two.
func TestSavedContentWins(t *testing.T) {
	at := chat.Micros(1795348799000000)
	original, changed := variant("original", at), variant("changed", at+10)
	type step func(w *world, n int)
	receive := func(cursor string, e any) step { return func(w *world, n int) { w.serve(n, event(cursor, e)) } }
	load := func(w *world, _ int) {
		w.arch.messages = []chat.Message{original.Message}
		w.m.openConversation(w.now, conv, false, nil)
		w.settle()
	}
	correct := receive("e:9-0", corrected(original.Message))
	for name, steps := range map[string][]step{
		"live, corrected":              {receive("e:2-0", changed), correct},
		"both live, corrected":         {receive("e:2-0", changed), receive("e:3-0", original), correct},
		"corrected, then live":         {correct, receive("e:9-1", changed)},
		"corrected twice":              {receive("e:2-0", changed), correct, correct},
		"live, from history":           {receive("e:2-0", changed), load},
		"from history, then live":      {load, receive("e:2-0", changed)},
		"the original first, then all": {receive("e:2-0", original), receive("e:3-0", changed), correct, load},
	} {
		t.Run(name, func(t *testing.T) {
			w, n := connected(t)
			w.serve(n, event("e:1-1", incoming(2, at+5)))
			for _, s := range steps {
				s(w, n)
			}
			equal(t, "shown", w.bodiesShown(), []string{"original", "incoming 2"})
			l := w.store.Conversation(conv)[0]
			if !chat.SameContent(l.Message, original.Message) || l.AcceptedAt != original.AcceptedAt {
				t.Errorf("shown %+v", l.Message)
			}
			if newest := w.store.d.conversations[conv].newest; newest != at+5 {
				t.Errorf("newest at %d, want %d: the other content still counts", newest, at+5)
			}
			if got := w.count(NoteShown); got != 2 {
				t.Errorf("shown %d times, want 2", got)
			}
		})
	}
}

// A correction of an own message says that it was delivered, and that it need not be sent again.
func TestCorrectionOfAnOwnMessage(t *testing.T) {
	w, n := connected(t)
	w.m.write(w.now, other, "typed", "")
	m := w.store.Conversation(conv)[0].Message
	m.Body, m.AcceptedAt = "saved", at(w)
	w.serve(n, event("e:2-0", corrected(m)))
	equal(t, "states", w.states(), []string{"saved delivered"})
	if w.store.Outbox() != 0 || w.store.Cursor() != "e:2-0" {
		t.Errorf("outbox %d, cursor %s", w.store.Outbox(), w.store.Cursor())
	}
	stranger := m
	stranger.From, stranger.To = "carlUid00003", "daraUid00004"
	stranger.Conversation = chat.ConversationID(stranger.From, stranger.To)
	w.serve(n, event("e:3-0", corrected(stranger)))
	equal(t, "conversations", w.store.Conversations(), []string{conv})
}

// Receipts name own messages. They do not apply to a message of another with the same id, and `sent` and errors belong
// to the message that this device has sent.
func TestReceiptsAreForOwnMessages(t *testing.T) {
	w, n := connected(t)
	id := w.m.write(w.now, other, "mine", "")
	theirs := incoming(0, at(w)-1)
	theirs.ID = id
	third := theirs
	third.From, third.Conversation, third.Body = "carlUid00003", chat.ConversationID(me, "carlUid00003"), "third"
	w.serve(n, event("e:2-0", theirs))
	w.serve(n, event("e:2-1", third))
	w.serve(n, frame{"type": "sent", "id": id, "accepted_at": at(w)})
	equal(t, "states", w.states(), []string{"incoming 0 waiting", "mine sent"})
	w.end(n, 1006)
	n = w.up("e:2-1", true)
	equal(t, "repeated", w.bodies(n), []string{"mine"})
	w.arch.messages = []chat.Message{theirs.Message} // saved, while the own one still waits
	w.m.openConversation(w.now, conv, true, nil)
	w.settle()
	equal(t, "states", w.states(), []string{"incoming 0 waiting", "mine sent"})
	w.serve(n, event("e:3-0", delivered(wire.MessageRef{ID: id, At: w.store.Conversation(conv)[1].At})))
	equal(t, "states", w.states(), []string{"incoming 0 waiting", "mine delivered"})
	if l := w.store.Conversation(third.Conversation); len(l) != 1 || l[0].Body != "third" {
		t.Errorf("with the third person: %v", l)
	}
	copied := w.store.Snapshot()
	if got := len(copied.Conversation(conv)); got != 2 || copied.Conversation(conv)[0].Body != "incoming 0" {
		t.Errorf("the copy shows %d messages", got)
	}
}

// A device that missed a correction shows what is saved after its gap, wherever history has the message.
func TestMissedCorrection(t *testing.T) {
	w, n := connected(t)
	w.ponging = true
	now := at(w)
	changed := variant("changed", now)
	original := variant("original", now-60*24*3600*1e6)
	w.serve(n, event("e:2-0", incoming(2, now-1)))
	w.advance(w.m.pace.Margin+time.Second, nil)
	w.serve(n, event("e:3-0", changed))
	for i := range 3 {
		w.serve(n, event(fmt.Sprintf("e:4-%d", i), incoming(10+i, at(w)+chat.Micros(i))))
	}
	w.end(n, 1006)
	w.arch.messages = []chat.Message{incoming(10, at(w)).Message}
	for i := range 2 * pageSize { // so that no page has the original
		w.arch.messages = append(w.arch.messages, incoming(100+i, now-1e9-chat.Micros(i)).Message)
	}
	n = w.up("e2:1-0", false)
	if w.arch.lookups != 3 {
		t.Errorf("%d messages were looked up, want the 3 that history does not show", w.arch.lookups)
	}
	equal(t, "shown before it is saved", w.bodiesOf(changed.Key()), []string{"changed"})
	w.arch.messages = append(w.arch.messages, original.Message, incoming(12, at(w)+2).Message)
	w.advance(time.Second, nil)
	w.serve(n, event("e2:2-0", incoming(20, at(w)+9)))
	w.advance(w.m.pace.Reload[0]+time.Second, nil)
	equal(t, "shown", w.bodiesOf(changed.Key()), []string{"original"})
	if w.arch.lookups != 3+2 {
		t.Errorf("%d messages were looked up, want 2 more: not those that came after the gap", w.arch.lookups)
	}
	w.advance(time.Hour, nil)
	if w.arch.lookups != 3+2+2 || w.store.Backfills() != 0 {
		t.Errorf("%d lookups, want one more by each load for the message that is not saved; %d backfills", w.arch.lookups,
			w.store.Backfills())
	}
}

// bodiesOf returns what the device shows under a key.
func (w *world) bodiesOf(key string) (out []string) {
	for _, l := range w.store.Conversation(conv) {
		if l.Key() == key {
			out = append(out, l.Body)
		}
	}
	return out
}
