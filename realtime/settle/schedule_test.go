package settle

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// stopped returns a Settler that does not run, for tests of what it would do next.
func stopped(o Options) *Settler {
	o.Log = slog.New(slog.DiscardHandler)
	return New(nil, newTopic(), o)
}

const epoch = "0.e"

func at(id uint64) inbox.Cursor { return inbox.Cursor{Epoch: epoch, ID: inbox.ID{Ms: id}} }

// sent opens a window of a user and records events of ten bytes as sent, with the ids 1, 2, ….
func (s *Settler) sent(uid string, types ...string) *Window {
	w := s.Open(uid, inbox.Attachment{Epoch: epoch})
	for i, kind := range types {
		id := uint64(i + 1)
		w.Sent(at(id), inbox.Event{ID: inbox.ID{Ms: id}, Type: kind, Data: []byte(`{"a":"bc"}`)})
	}
	return w
}

// Acks are gathered before a flush, unless enough wait for a full Pub/Sub message.
func TestAcksAreGathered(t *testing.T) {
	const message, receipt = wire.EventMessage, wire.EventDelivered
	for name, c := range map[string]struct {
		types []string
		acks  []uint64
		read  bool
		want  time.Duration // 0: at once; an hour: nothing is to be flushed
	}{
		"a message":                  {[]string{message}, []uint64{1}, false, 250 * time.Millisecond},
		"a receipt":                  {[]string{receipt}, []uint64{1}, false, time.Hour},
		"a receipt, then a message":  {[]string{receipt, message}, []uint64{1, 2}, false, 250 * time.Millisecond},
		"a message, then a receipt":  {[]string{message, receipt}, []uint64{1, 2}, false, 250 * time.Millisecond},
		"a message behind a receipt": {[]string{receipt, message}, []uint64{2}, false, 250 * time.Millisecond},
		"a read mark":                {nil, nil, true, 250 * time.Millisecond},
		"almost enough messages":     {[]string{message, message, receipt}, []uint64{2, 3}, false, 250 * time.Millisecond},
		"enough messages":            {[]string{message, message, message}, []uint64{2, 3}, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := stopped(Options{maxMessages: 3})
			w := s.sent("ben", c.types...)
			for _, id := range c.acks {
				w.Ack(at(id))
			}
			if c.read {
				if err := w.Read(delivery.Read{Conversation: chat.ConversationID("ann", "ben"), By: "ben", At: 5}); err != nil {
					t.Fatal(err)
				}
			}
			batch, wait := s.nextBatch(false)
			same(t, name+": wait", wait, c.want)
			same(t, name+": flushed at once", len(batch) == 1, c.want == 0)
			testwait.Advance(wait)
			if len(batch) == 0 {
				batch, _ = s.nextBatch(false)
				same(t, name+": flushed after the wait", len(batch) == 1, c.want < time.Hour)
			}
		})
	}
}

func TestEnoughBytesAreFlushedAtOnce(t *testing.T) {
	for bytes, want := range map[int]int{31: 0, 30: 1} {
		s := stopped(Options{maxBytes: bytes})
		s.sent("ann", wire.EventMessage).Ack(at(1))
		s.sent("ben", wire.EventMessage, wire.EventMessage).Ack(at(2))
		batch, _ := s.nextBatch(false)
		same(t, fmt.Sprintf("flushed with 30 of %d bytes", bytes), len(batch) > 0, want > 0)
	}
}

// releaseBatch ends the flush of a batch. If err is not nil, every state has failed.
func (s *Settler) releaseBatch(batch []*inboxState, err error) {
	items := make([]*item, len(batch))
	for i, st := range batch {
		items[i] = &item{state: st, err: err}
	}
	s.release(items)
	s.endFlush()
}

func TestFlushesAtOnceAreBounded(t *testing.T) {
	s := stopped(Options{})
	var first []*inboxState
	for i := range maxFlushes {
		s.sent(fmt.Sprint("user", i), wire.EventMessage).Ack(at(1))
		batch, _ := s.nextBatch(true)
		same(t, "states in a flush", len(batch), 1)
		if i == 0 {
			first = batch
		}
	}
	s.sent("ben", wire.EventMessage).Ack(at(1))
	batch, _ := s.nextBatch(true)
	same(t, "states in one flush too many", len(batch), 0)
	s.releaseBatch(first, nil)
	batch, _ = s.nextBatch(true)
	same(t, "states in the flush after one has ended", len(batch), 2) // the first is not settled
}

func TestOneFlushIsBounded(t *testing.T) {
	s := stopped(Options{})
	for i := range maxStates + 1 {
		s.sent(fmt.Sprint("user", i), wire.EventMessage).Ack(at(1))
	}
	for _, want := range []int{maxStates, 1} {
		batch, _ := s.nextBatch(true)
		same(t, "states in a flush", len(batch), want)
	}
}

// While Pub/Sub cannot be reached, there is one attempt at a time, and only after a wait.
func TestOneAttemptAtATimeWhilePubSubIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stopped(Options{Jitter: func(time.Duration) time.Duration { return 0 }})
		s.sent("ann", wire.EventMessage).Ack(at(1))
		first, _ := s.nextBatch(true)
		s.mu.Lock()
		s.publishFailures, s.publishAfter = 1, time.Now().Add(time.Second)
		s.mu.Unlock()
		s.sent("ben", wire.EventMessage).Ack(at(1))
		batch, wait := s.nextBatch(true)
		same(t, "states in a flush before the wait ends", len(batch), 0)
		same(t, "wait", wait, time.Second)
		testwait.Advance(wait)
		batch, _ = s.nextBatch(true)
		same(t, "states in a second flush at once", len(batch), 0)
		s.releaseBatch(first, nil)
		batch, _ = s.nextBatch(true)
		same(t, "states in the next flush", len(batch), 2)
	})
}

// A user whose flush failed waits. Others do not.
func TestFailedUserWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stopped(Options{Jitter: func(time.Duration) time.Duration { return 0 }})
		s.sent("ann", wire.EventMessage).Ack(at(1))
		ann, _ := s.nextBatch(true)
		s.releaseBatch(ann, errors.New("redis is down"))
		s.sent("ben", wire.EventMessage).Ack(at(1))
		batch, _ := s.nextBatch(true)
		same(t, "flushed", len(batch) == 1 && batch[0].uid == "ben", true)
		s.releaseBatch(batch, nil)
		s.mu.Lock()
		batch[0].raiseSettled(inbox.ID{Ms: 1})
		s.mu.Unlock()
		batch, wait := s.nextBatch(true)
		same(t, "states in a flush before the wait ends", len(batch), 0)
		same(t, "wait", wait, 125*time.Millisecond)
		testwait.Advance(wait)
		batch, _ = s.nextBatch(true)
		same(t, "flushed after the wait", len(batch) == 1 && batch[0].uid == "ann", true)
		s.releaseBatch(batch, nil)
		same(t, "failures in a row after a success", batch[0].failures, 0)
	})
}

// The wait doubles from 250 ms to 15 s. A random half of it keeps instances apart.
func TestBackoff(t *testing.T) {
	least := stopped(Options{Jitter: func(time.Duration) time.Duration { return 0 }})
	most := stopped(Options{Jitter: func(below time.Duration) time.Duration { return below - 1 }})
	for failures, want := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond,
		6: 8 * time.Second, 7: 15 * time.Second, 11: 15 * time.Second, 1000: 15 * time.Second} {
		same(t, fmt.Sprint("least after ", failures), least.backoff(failures), want/2)
		same(t, fmt.Sprint("most after ", failures), most.backoff(failures), want)
	}
}
