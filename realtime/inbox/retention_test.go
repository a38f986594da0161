package inbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// receipts appends n events that are not messages.
func (s *setup) receipts(t testing.TB, uid string, n int) {
	t.Helper()
	for i := range n {
		e := inbox.Entry{UID: uid, Type: "read", Event: map[string]any{"type": "read", "at": i}}
		if err := s.Append(t.Context(), []inbox.Entry{e})[0]; err != nil {
			t.Fatal(err)
		}
	}
}

func (s *setup) length(t testing.TB, uid string) int {
	t.Helper()
	n, err := s.rdb.XLen(t.Context(), "inbox:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// outlive waits until everything written so far is older than keep, according to the clock of Redis.
func (s *setup) outlive(t testing.TB, keep time.Duration) {
	t.Helper()
	written := s.clock(t)
	testwait.Until(t, "everything is old enough to be trimmed", func() bool {
		return s.clock(t).Sub(written) > keep+time.Millisecond
	})
}

func TestTrimKeepsTheNewest(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 10, KeepFor: time.Millisecond}))
		first := s.attach(t, "ben", "")
		s.receipts(t, "ben", 40)
		s.outlive(t, time.Millisecond)
		s.receipts(t, "ben", 2)
		if n := s.length(t, "ben"); n < 10 || n > 13 {
			t.Errorf("%d events kept", n)
		}
		// A device below the floor learns that events are missing.
		a := s.attach(t, "ben", first.From.Cursor.String())
		if a.Resumed {
			t.Error("resumed below the floor")
		}
		events, gap, _ := s.all(t, "ben", a.From)
		same(t, "events", len(events), s.length(t, "ben"))
		same(t, "gap reported twice", gap, false)
	})
}

func TestTrimKeepsTheLastHour(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 5, KeepAtMost: 30}))
		s.receipts(t, "ben", 25)
		same(t, "events of the last hour", s.length(t, "ben"), 25)
		s.receipts(t, "ben", 25)
		same(t, "events after KeepAtMost was reached", s.length(t, "ben"), 30)
	})
}

func TestTrimStopsAtTheFirstUnsettledMessage(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 5, KeepFor: time.Millisecond}))
		s.receipts(t, "ben", 3)
		m := s.send(t, "ann", "ben", "waits")
		s.receipts(t, "ben", 30)
		s.outlive(t, time.Millisecond)
		s.receipts(t, "ben", 2)
		same(t, "events from the message on", s.length(t, "ben"), 1+32)
		events := s.retained(t, "ben")
		got, err := events[0].Message()
		same(t, "first message", got, m)
		if err != nil {
			t.Error(err)
		}
		s.settle(t, "ben", s.end(t, "ben"))
		same(t, "events after the message was settled", s.length(t, "ben"), 5)
	})
}

func (s *setup) ttl(t testing.TB, key string) time.Duration {
	t.Helper()
	d, err := s.rdb.PTTL(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return d // -1: does not expire; -2: does not exist
}

func TestThreeKeysExpireAndPersistTogether(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		expires := func(what string, want bool) {
			t.Helper()
			var ttls []time.Duration
			for _, key := range []string{"inbox:{ben}", "meta:{ben}", "pending:{ben}"} {
				d := s.ttl(t, key)
				if d == -2 {
					continue // an empty hash does not exist
				}
				ttls = append(ttls, d)
				if want && (d < 24*time.Hour || d > 25*time.Hour) || !want && d != -1 {
					t.Errorf("%s: %s expires in %v", what, key, d)
				}
			}
			if want && len(ttls) == 2 && (ttls[0]-ttls[1]).Abs() > 50*time.Millisecond {
				t.Errorf("%s: the keys expire at different times: %v", what, ttls)
			}
		}
		s.receipts(t, "ben", 1)
		expires("receipts only", true)
		s.send(t, "ann", "ben", "one")
		expires("a message waits", false)
		s.receipts(t, "ben", 1)
		s.attach(t, "ben", "")
		expires("a message still waits", false)
		s.settle(t, "ben", s.end(t, "ben"))
		expires("settled", true)
		// An hour of its life is left.
		s.rdb.HSet(t.Context(), "meta:{ben}", "expires", time.Now().Add(time.Hour).UnixMilli())
		s.rdb.PExpire(t.Context(), "inbox:{ben}", time.Hour)
		s.rdb.PExpire(t.Context(), "meta:{ben}", time.Hour)
		s.attach(t, "ben", "")
		expires("after a hello", true)
	})
}

func TestExpiredInboxHasAnotherEpoch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.receipts(t, "ben", 3)
		before := s.end(t, "ben")
		s.rdb.Del(t.Context(), "inbox:{ben}", "meta:{ben}", "pending:{ben}")
		a := s.attach(t, "ben", before.String())
		if a.Resumed || a.Epoch == before.Epoch {
			t.Errorf("resumed %v in epoch %s, was %s", a.Resumed, a.Epoch, before.Epoch)
		}
		// A live reader learns it too, whichever script runs first.
		page, err := s.Read(t.Context(), "ben", inbox.Position{Cursor: before}, 10)
		if err != nil || !page.Gap || !page.NewEpoch || page.Next.Epoch != a.Epoch {
			t.Errorf("read: %+v, %v", page, err)
		}
		again, err := s.Read(t.Context(), "ben", page.Next, 10)
		if err != nil || again.Gap {
			t.Errorf("the gap was reported twice: %+v, %v", again, err)
		}
	})
}

func TestStreamIsLostButMetaIsNot(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := s.send(t, "ann", "ben", "one")
		start := s.end(t, "ben")
		early := s.attach(t, "ben", "")
		s.send(t, "ann", "ben", "two")
		s.rdb.Del(t.Context(), "inbox:{ben}")
		if a := s.attach(t, "ben", start.String()); a.Resumed {
			t.Error("resumed although events are lost")
		}
		page, err := s.Read(t.Context(), "ben", early.From, 10)
		if err != nil || !page.Gap || page.NewEpoch {
			t.Errorf("read: %+v, %v", page, err)
		}
		// The sender's repeat must not get the answer that the message is queued already.
		repeat := m
		if _, err := s.Enqueue(t.Context(), repeat); err != nil {
			t.Fatal(err)
		}
		same(t, "ben", bodies(t, s.retained(t, "ben")), "[message one]")
		if id := s.retained(t, "ben")[0].ID; !id.After(start.ID) {
			t.Errorf("id %v after %v", id, start.ID)
		}
	})
}

func TestMetaIsLostButStreamIsNot(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "one")
		cursor := s.end(t, "ben")
		s.rdb.Del(t.Context(), "meta:{ben}")
		a := s.attach(t, "ben", cursor.String())
		if a.Resumed {
			t.Error("resumed in another epoch")
		}
		// The waiting message is still sent, counts as unsettled, and can be settled.
		events, _, end := s.all(t, "ben", a.From)
		same(t, "events", bodies(t, events), "[message one]")
		r := s.settle(t, "ben", end.Cursor)
		same(t, "outcome", r.Outcome, inbox.SettleDone)
		same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 0)
	})
}

// A pending record whose message no longer exists must not suppress the sender's repeat.
func TestPendingRecordWithoutItsMessage(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{Limits: inbox.Limits{PairMessages: 2}})
		m := s.send(t, "ann", "ben", "one")
		s.send(t, "ann", "ben", "two")
		id := s.retained(t, "ben")[0].ID
		s.rdb.XDel(t.Context(), "inbox:{ben}", id.String())
		if _, err := s.Enqueue(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		same(t, "ben", bodies(t, s.retained(t, "ben")), "[message two message one]")
		same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 2)
	})
}

func TestReaderBelowTheFloorGetsAGap(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 5, KeepFor: time.Millisecond}))
		a := s.attach(t, "ben", "")
		s.receipts(t, "ben", 20)
		s.outlive(t, time.Millisecond)
		s.receipts(t, "ben", 1)
		events, gap, end := s.all(t, "ben", a.From) // a socket that was too slow
		if !gap {
			t.Error("Read reported no gap")
		}
		same(t, "events", len(events), s.length(t, "ben"))
		_, gap, _ = s.all(t, "ben", end)
		same(t, "gap reported twice", gap, false)
	})
}

// Behind a waiting message nothing may be trimmed. Receipts are then shed, so that the size of an inbox is bounded.
func TestReceiptsAreShedWhenNothingMayBeTrimmed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 5, KeepFor: time.Millisecond, MaxEntries: 20}))
		f, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s.send(t, "ann", "ben", "one")
		s.receipts(t, "ben", 30)
		s.send(t, "ann", "ben", "two")
		s.receipts(t, "ben", 3)
		same(t, "entries", s.length(t, "ben"), 21)
		same(t, "receipts shed", s.Counters().Shed.Load(), 11+3)
		// A live reader gets all of them.
		live := 0
		for deadline := time.After(10 * time.Second); live < 35; {
			select {
			case <-f.Ready():
				wakes, lost := f.ReadWakes()
				if live += len(wakes); lost {
					t.Fatal("the feed is marked lost")
				}
			case <-deadline:
				t.Fatalf("got %d of 35 live events", live)
			}
		}
		// A later reader gets all messages, and learns once that events are missing.
		a := s.attach(t, "ben", "")
		events, gap, _ := s.all(t, "ben", a.From)
		same(t, "events", len(events), 21)
		same(t, "gap reported twice", gap, false)
		got, _ := events[len(events)-1].Message()
		same(t, "last message", got.Body, "two")
		s.settle(t, "ben", s.end(t, "ben"))
		same(t, "events after the message was settled", s.length(t, "ben"), 5)
	})
}

func TestIDsGrowEvenIfTheClockGoesBack(t *testing.T) {
	b := redistest.Mini(t)
	s := open(t, b, inbox.Options{})
	var ids []inbox.ID
	for _, minutes := range []int{0, 0, 10, -60, -60, 5, 11} {
		b.Mini.SetTime(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute))
		s.send(t, "ann", "ben", "x")
		ids = append(ids, s.end(t, "ben").ID)
	}
	for i := 1; i < len(ids); i++ {
		if !ids[i].After(ids[i-1]) {
			t.Errorf("id %v after %v", ids[i], ids[i-1])
		}
	}
	same(t, "events", len(s.retained(t, "ben")), 7)
}

func TestPoisonEntriesAreSkippedAndCounted(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		a := s.attach(t, "ben", "")
		s.send(t, "ann", "ben", "one")
		for _, values := range [][]string{
			{"t", "message", "e", "{not json"}, {"t", "message", "e", `["not an object"]`}, {"x", "y"}, {"t", "message"},
			{"t", "message", "e", `{"big":"` + fmt.Sprint(string(make([]byte, 200_000))) + `"}`},
		} {
			if err := s.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "inbox:{ben}", Values: values}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		s.send(t, "ann", "ben", "two") // even in the millisecond of the last entry
		events, gap, end := s.all(t, "ben", a.From)
		same(t, "events", bodies(t, events), "[message one message two]")
		same(t, "gap", gap, false)
		same(t, "counted", s.Counters().PoisonEntries.Load(), 5)
		if r := s.settle(t, "ben", end.Cursor); r.Outcome != inbox.SettleDone {
			t.Errorf("settle: %+v", r)
		}
		same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 0)
	})
}

func TestPoisonWakesMarkTheFeedLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		f, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range []string{"", "E", "E 0.x 1-1 0-0 message {", "E 0.x nonsense 0-0 message {}", "X y", "H {"} {
			s.rdb.Publish(t.Context(), "wake:{ben}", p)
		}
		testwait.Until(t, "all poison wakes are counted", func() bool { return s.Counters().PoisonWakes.Load() == 6 })
		if wakes, lost := f.ReadWakes(); len(wakes) != 0 || !lost {
			t.Errorf("%d wakes, lost %v", len(wakes), lost)
		}
	})
}

func TestOverflowMarksTheFeedLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		f, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		a := s.attach(t, "ben", "")
		for i := range 100 {
			s.send(t, "ann", "ben", fmt.Sprint(i))
		}
		testwait.Until(t, "all wakes are received", func() bool { return s.subscriber.Counters().Received.Load() == 100 })
		wakes, lost := f.ReadWakes()
		if len(wakes) >= 64 || !lost || s.Counters().FeedOverflows.Load() != 1 {
			t.Errorf("%d wakes, lost %v, %d overflows", len(wakes), lost, s.Counters().FeedOverflows.Load())
		}
		events, gap, p := s.all(t, "ben", a.From)
		same(t, "events", len(events), 100)
		same(t, "gap", gap, false)
		for _, w := range wakes {
			same(t, "relation", p.RelationTo(w), inbox.Seen)
		}
	})
}

func TestPagesAreBounded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		a := s.attach(t, "ben", "")
		body := strings.Repeat("x", 7000)
		for range 100 {
			s.send(t, "ann", "ben", body)
		}
		pages := 0
		total := 0
		for p, more := a.From, true; more; pages++ {
			page, err := s.Read(t.Context(), "ben", p, 500)
			if err != nil {
				t.Fatal(err)
			}
			bytes := 0
			for _, e := range page.Events {
				bytes += len(e.Data)
			}
			if bytes > 512<<10 {
				t.Errorf("a page has %d bytes of events", bytes)
			}
			total += len(page.Events)
			p, more = page.Next, page.More
		}
		same(t, "events", total, 100)
		same(t, "pages", pages, 2)
	})
}

func TestSilentlyLostWakesAreFound(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{Compare: 30 * time.Millisecond}))
		f, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s.send(t, "ann", "ben", "one")
		a := s.attach(t, "ben", "")
		_, _, end := s.all(t, "ben", a.From)
		f.ReadUpTo(end.Cursor)
		testwait.Until(t, "the wake of the message arrives", func() bool {
			wakes, _ := f.ReadWakes()
			return len(wakes) > 0
		})
		compare := func(times int64) {
			n := s.Counters().Compared.Load()
			testwait.Until(t, "the inbox is compared again", func() bool { return s.Counters().Compared.Load() >= n+times })
		}
		// A comparison that overtook the wake, or began before the inbox existed, marks the feed lost. Let it end.
		compare(2)
		f.ReadWakes()
		diverged := s.Counters().Diverged.Load()
		compare(3)
		if _, lost := f.ReadWakes(); lost {
			t.Error("the feed is marked lost, but no wake was lost")
		}
		select {
		case <-f.Ready(): // of the wakes that were read above
		default:
		}
		// An event whose wake was lost.
		id := inbox.ID{Ms: end.ID.Ms + 1}
		s.rdb.XAdd(t.Context(),
			&redis.XAddArgs{Stream: "inbox:{ben}", ID: id.String(), Values: []string{"t", "read", "e", "{}"}})
		s.rdb.HSet(t.Context(), "meta:{ben}", "last", id.String())
		testwait.Until(t, "the comparison marks the feed lost", func() bool {
			_, lost := f.ReadWakes()
			return lost
		})
		select {
		case <-f.Ready():
		default:
			t.Error("the reader is not notified")
		}
		same(t, "counted", s.Counters().Diverged.Load(), diverged+1)
	})
}

func TestQueued(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		began := time.Now().Add(-time.Second)
		for i := range 5 {
			s.send(t, "ann", fmt.Sprint("user", i), "one")
			s.send(t, "ann", fmt.Sprint("user", i), "two")
		}
		s.settle(t, "user0", s.end(t, "user0"))
		q, err := s.Queued(t.Context())
		if err != nil || q.Messages != 8 || q.Inboxes != 4 || !q.Complete ||
			q.Oldest.Before(began) || q.Oldest.After(time.Now()) {
			t.Errorf("%+v, %v", q, err)
		}
	})
}

// The oldest that waits is a message. A receipt may lie before it in the stream, and it waits for nobody.
func TestQueuedReceiptsAreNotTheOldest(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.receipts(t, "ben", 150) // more than the script reads at once
		s.outlive(t, time.Millisecond)
		s.send(t, "ann", "ben", "one")
		events := s.retained(t, "ben")
		want := time.UnixMilli(int64(events[len(events)-1].ID.Ms))
		if q, err := s.Queued(t.Context()); err != nil || q.Messages != 1 || !q.Oldest.Equal(want) {
			t.Errorf("%+v, %v; the message is of %v", q, err, want)
		}
	})
}
