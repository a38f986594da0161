package inbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// edit returns a new edit of a message.
func edit(m chat.Message, body string) chat.Change {
	return chat.Change{ID: uuid.Must(uuid.NewV7()).String(), Conversation: m.Conversation, From: m.From, To: m.To,
		At: m.At + 1, Of: chat.Target{ID: m.ID, From: m.From, At: m.At}, Kind: chat.KindEdit, Body: body}
}

func (s *setup) change(t testing.TB, c chat.Change) chat.Micros {
	t.Helper()
	at, err := s.EnqueueItem(t.Context(), inbox.OfChange(c), "")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A change is queued once, and its id has one content while it waits.
func TestChangeIsQueuedOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := s.send(t, "ann", "ben", "1")
		c := edit(m, "two")
		first := s.change(t, c)
		same(t, "accepted again", s.change(t, c), first)
		other := c
		other.At++
		if _, err := s.EnqueueItem(t.Context(), inbox.OfChange(other), ""); !errors.Is(err, inbox.ErrIDReused) {
			t.Errorf("with another time: %v", err)
		}
		events := s.retained(t, "ben")
		same(t, "events", len(events), 2)
		item, err := events[1].Item()
		c.AcceptedAt = first
		if err != nil || *item.Change != c {
			t.Errorf("the event has %+v, %v, want %+v", item, err, c)
		}
		echo := s.retained(t, "ann")
		same(t, "type of the sender's event", echo[len(echo)-1].Type, wire.EventChanged)
	})
}

// A change that waits is neither trimmed nor shed, and a cursor that covers it makes the inbox forget it.
func TestChangesAreKept(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 4, KeepFor: time.Millisecond, MaxEntries: 8}))
		m := chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: "ann~ben", From: "ann", To: "ben",
			At: chat.MicrosOf(time.Now())}
		c := edit(m, "kept")
		s.change(t, c)
		s.receipts(t, "ben", 20)
		s.outlive(t, time.Millisecond)
		s.receipts(t, "ben", 20)
		for range 3 { // the inbox has as many entries as it may: receipts are shed, changes are not
			s.change(t, edit(m, "more"))
		}
		changes := 0
		events := s.retained(t, "ben")
		for _, e := range events {
			if e.Type == wire.EventChange {
				changes++
			}
		}
		same(t, "changes that wait", changes, 4)
		last := events[len(events)-1].ID
		u := s.Unsettled(t.Context(), []inbox.Claim{{UID: "ben", To: last}}, 100)[0]
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		r := s.Settle(t.Context(), []inbox.Settlement{{UID: "ben", Epoch: u.Epoch, Expected: u.Settled, To: last}})[0]
		same(t, "outcome", r.Outcome, inbox.SettleDone)
		same(t, "waiting", s.waiting(t, "ben", "ann"), `0 records, from "", 0 bytes`)
	})
}

// What is withdrawn is named in the list of its kind.
func TestWithdrawChanges(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := s.send(t, "ann", "ben", "1")
		c := edit(m, "two")
		s.change(t, c)
		same(t, "withdrawn", s.withdraw(t, "ann", "ben").Messages, int64(2))
		events := s.retained(t, "ann")
		var refused wire.RefusedEvent
		if err := json.Unmarshal(events[len(events)-1].Data, &refused); err != nil {
			t.Fatal(err)
		}
		same(t, "messages", fmt.Sprint(refused.Messages), fmt.Sprint([]wire.MessageRef{{ID: m.ID, At: m.At}}))
		same(t, "changes", fmt.Sprint(refused.Changes), fmt.Sprint([]wire.MessageRef{{ID: c.ID, At: c.At}}))
		same(t, "waiting", s.waiting(t, "ben", "ann"), `0 records, from "", 0 bytes`)
	})
}
