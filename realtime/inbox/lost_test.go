package inbox_test

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// If receipts are not stored, the server reports a gap to the devices that lack them.
func TestShedReceiptsAreAGap(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 5, KeepFor: time.Millisecond, MaxEntries: 20}))
		s.send(t, "ann", "ben", "one")
		s.receipts(t, "ben", 30)
		end := s.end(t, "ben")
		if a := s.attach(t, "ben", end.String()); !a.Resumed {
			t.Error("a device that has everything was not resumed")
		}
		s.receipts(t, "ben", 3)
		if a := s.attach(t, "ben", end.String()); a.Resumed {
			t.Error("a device was resumed, although it lacks three receipts")
		}
	})
}

// New events come after those of a lost stream, even if the clock went back.
func TestIDsGrowAfterTheStreamIsLost(t *testing.T) {
	b := redistest.Mini(t)
	s := open(t, b, inbox.Options{})
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	b.Mini.SetTime(now)
	s.send(t, "ann", "ben", "one")
	before := s.end(t, "ben")
	b.Mini.Del("inbox:{ben}")
	b.Mini.SetTime(now.Add(-time.Hour))
	s.send(t, "ann", "ben", "two")
	if after := s.end(t, "ben"); after.Epoch != before.Epoch || !after.ID.After(before.ID) {
		t.Errorf("id %v after %v", after, before)
	}
}

// The inbox of a deleted user stays as long as a message waits in it whose sender was not told.
func TestRemoveKeepsWaitingMessages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "one")
		end := s.end(t, "ben")
		if removed, err := s.Remove(t.Context(), "ben", end.Epoch, end.ID); removed || err != nil {
			t.Errorf("removed %v, %v", removed, err)
		}
		s.settle(t, "ben", end)
		if removed, err := s.Remove(t.Context(), "ben", end.Epoch, end.ID); !removed || err != nil {
			t.Errorf("after the message was settled: removed %v, %v", removed, err)
		}
	})
}
