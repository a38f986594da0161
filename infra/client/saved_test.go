package client

import (
	"testing"

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
