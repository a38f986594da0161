package settle

import (
	"encoding/json"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// change queues an edit of a message.
func (x *instance) change(t testing.TB, m chat.Message) chat.Change {
	t.Helper()
	c := chat.Change{ID: message("x", "y", "z").ID, Conversation: m.Conversation, From: m.From, To: m.To, At: m.At + 1,
		Of: chat.Target{ID: m.ID, From: m.From, At: m.At}, Kind: chat.KindEdit, Body: "edited"}
	at, err := x.in.EnqueueItem(t.Context(), inbox.OfChange(c), "")
	if err != nil {
		t.Fatal(err)
	}
	c.AcceptedAt = at
	return c
}

// Changes are published beside messages and reported in one receipt, whether the list comes from memory or the stream.
func TestChangesAreSettled(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		for _, fromMemory := range []bool{true, false} {
			ben := x.attach(t, "ben", "")
			m := x.send(t, "ann", "ben", "one")
			c := x.change(t, m)
			if !fromMemory {
				ben.close()
				ben = x.attach(t, "ben", "")
			}
			ben.receive()
			ben.ack()
			ben.close()
			last := pub.batches[len(pub.batches)-1]
			if len(last.Delivered) != 1 || len(last.Changed) != 1 || last.Changed[0].Change != c ||
				last.Changed[0].DeliveredAt == 0 {
				t.Errorf("published %+v, want the change %+v", last, c)
			}
			events := x.events(t, "ann")
			var d wire.DeliveredEvent
			if err := json.Unmarshal(events[len(events)-1].Data, &d); err != nil {
				t.Fatal(err)
			}
			same(t, "messages", d.Messages, []wire.MessageRef{{ID: m.ID, At: m.At}})
			same(t, "changes", d.Changes, []wire.MessageRef{{ID: c.ID, At: c.At}})
		}
	})
}

func TestGoneRefusesChanges(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x := start(t, b, newTopic(), Options{})
		m := message("ann", "ben", "before")
		c := x.change(t, m)
		if err := x.Gone(t.Context(), "ben"); err != nil {
			t.Fatal(err)
		}
		var e wire.RefusedEvent
		events := x.events(t, "ann")
		if err := json.Unmarshal(events[len(events)-1].Data, &e); err != nil {
			t.Fatal(err)
		}
		same(t, "refused", e, wire.RefusedEvent{Type: "refused", Conversation: m.Conversation,
			Messages: []wire.MessageRef{}, Changes: []wire.MessageRef{{ID: c.ID, At: c.At}},
			Code: inbox.ErrRecipientUnknown.Code, Message: inbox.ErrRecipientUnknown.Message})
		x.wantNoInbox(t, "ben")
	})
}
