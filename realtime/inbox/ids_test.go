package inbox_test

import (
	"errors"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// An id belongs to its sender and its conversation. Two people may send one user messages with the same id, and a user
// may send messages with the same id to two people. Each of them waits, is reported and is settled without the others.
func TestIDsBelongToTheirSender(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := s.send(t, "ann", "ben", "ann's")
		sendSame := func(from, to, body string) chat.Message {
			t.Helper()
			other := message(from, to, body)
			other.ID = m.ID
			for range 2 { // the repeat is recognized as one
				if _, err := s.Enqueue(t.Context(), other); err != nil {
					t.Fatalf("send of %s to %s: %v", from, to, err)
				}
			}
			return other
		}
		theirs := sendSame("eve", "ben", "eve's")
		sendSame("ann", "cat", "ann's to cat")
		same(t, "ben", bodies(t, s.retained(t, "ben")), "[message ann's message eve's]")
		same(t, "cat", bodies(t, s.retained(t, "cat")), "[message ann's to cat]")
		same(t, "ann", bodies(t, s.retained(t, "ann")), "[sent ann's sent ann's to cat]")
		same(t, "eve", bodies(t, s.retained(t, "eve")), "[sent eve's]")
		same(t, "repeats", s.Counters().Repeated.Load(), 2)
		if totals, fields := s.totals(t, "ann"); totals != fields || totals[:2] != "2 " {
			t.Errorf("ann's totals are %s, and her messages %s", totals, fields)
		}

		// Ben's device acknowledges only Ann's.
		s.settle(t, "ben", inbox.Cursor{Epoch: s.end(t, "ben").Epoch, ID: s.retained(t, "ben")[0].ID})
		same(t, "waiting for ben", s.rdb.HKeys(t.Context(), "pending:{ben}").Val(), "[eve/"+m.ID+"]")
		meta, records := s.sums(t, "ben")
		same(t, "sums of what waits", meta, records)
		theirs.Body = "another"
		if _, err := s.Enqueue(t.Context(), theirs); !errors.Is(err, inbox.ErrIDReused) {
			t.Errorf("eve's message is not known any more: %v", err)
		}
		s.settle(t, "ben", s.end(t, "ben"))
		same(t, "waiting for ben, after both", s.rdb.HKeys(t.Context(), "pending:{ben}").Val(), "[]")
	})
}
