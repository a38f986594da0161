package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// awaitResync waits for a Resync with the given NewEpoch.
func (s *setup) awaitResync(t testing.TB, newEpoch bool) {
	t.Helper()
	for deadline := time.After(15 * time.Second); ; {
		select {
		case r := <-s.Resyncs():
			if r.NewEpoch == newEpoch {
				return
			}
		case <-deadline:
			t.Fatal("no Resync arrived after Redis came back")
		}
	}
}

func TestWipedRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{Probe: 20 * time.Millisecond, Compare: 30 * time.Millisecond}))
		f, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if b.Kind != "cluster" {
			s.probes.wait(t)
		}
		m := s.send(t, "ann", "ben", "one")
		before := s.end(t, "ben")
		u := s.Unsettled(t.Context(), []inbox.Claim{{UID: "ben", To: before.ID}}, 10)[0]
		testwait.Until(t, "the feed knows the old epoch", func() bool { return s.Counters().Compared.Load() > 0 })
		f.ReadWakes()

		b.Nodes(t, func(c *redis.Client) { c.FlushAll(t.Context()) })
		if b.Kind != "cluster" { // on a cluster only the nonce of each inbox reveals the wipe
			s.awaitResync(t, true)
		}
		select {
		case <-f.Ready():
		case <-time.After(10 * time.Second):
			t.Fatal("the live feed has no wake")
		}
		if a := s.attach(t, "ben", before.String()); a.Resumed || a.Epoch == before.Epoch {
			t.Errorf("resumed %v in %s, was %s", a.Resumed, a.Epoch, before.Epoch)
		}
		// The outbox sends again. An ack of the old epoch, whose settlement began before the wipe, has no effect.
		if _, err := s.Enqueue(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		r := s.settleList(t, "ben", before.Epoch, u)
		same(t, "ack of the old epoch", r.Outcome, inbox.SettleEpoch)
		same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 1)
	})
}

// A position of another epoch says nothing about this one, however high its id is: the events that Redis accepted since
// the wipe may have smaller ids.
func TestReadFromAnotherEpochReturnsEverything(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "one")
		s.send(t, "ann", "ben", "two")
		end := s.end(t, "ben")
		page, err := s.Read(t.Context(), "ben", inbox.Position{Cursor: inbox.Cursor{Epoch: "0.other", ID: end.ID}}, 10)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "events", len(page.Events), 2)
		same(t, "new epoch", page.NewEpoch, true)
		same(t, "gap", page.Gap, true)
		same(t, "epoch of the next position", page.Next.Epoch, end.Epoch)
	})
}

func TestRestartedRedisKeepsItsDataAndHasAnotherEpoch(t *testing.T) {
	srv := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	b := srv.Redis()
	s := open(t, b, inbox.Tuned(inbox.Tuning{Probe: 50 * time.Millisecond}))
	s.send(t, "ann", "ben", "one")
	before := s.end(t, "ben")
	s.probes.wait(t)
	srv.Kill()
	if _, err := s.Enqueue(t.Context(), message("ann", "ben", "two")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("enqueue while Redis is down: %v", err)
	}
	srv.Restart(t)
	s.awaitResync(t, true)
	a := s.attach(t, "ben", before.String())
	if a.Resumed || a.Epoch == before.Epoch {
		t.Errorf("resumed %v in %s, was %s", a.Resumed, a.Epoch, before.Epoch)
	}
	events, _, _ := s.all(t, "ben", a.From)
	same(t, "events kept", bodies(t, events), "[message one]")
}

func TestBrokenConnectionKeepsTheEpoch(t *testing.T) {
	b := redistest.Single(t)
	s := open(t, b, inbox.Tuned(inbox.Tuning{Probe: time.Hour}))
	before := s.end(t, "ben")
	f, err := s.Subscribe(t.Context(), "ben")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.probes.wait(t)
	same(t, "subscribers killed", b.KillSubscribers(t) > 0, true)
	s.awaitResync(t, false)
	if a := s.attach(t, "ben", before.String()); !a.Resumed {
		t.Error("not resumed in the same epoch")
	}
}

// After a failover that loses the last writes, the new primary has an earlier state of the same inbox, with the same
// nonce.
func TestFailoverLosesTheLastWrites(t *testing.T) {
	p := redistest.StartPair(t)
	s := openWith(t, p.Client(t), inbox.Tuned(inbox.Tuning{Probe: 50 * time.Millisecond}))
	s.probes.wait(t)
	s.send(t, "ann", "ben", "kept")
	p.WaitForReplica()
	p.CutReplica()
	lost := s.send(t, "ann", "ben", "lost")
	// One device has stored and acknowledged both messages. Its cursor is of the old epoch.
	cursor := s.end(t, "ben")
	u := s.Unsettled(t.Context(), []inbox.Claim{{UID: "ben", To: cursor.ID}}, 10)[0]
	same(t, "unsettled events", len(u.Events), 2)
	p.Failover()
	s.awaitResync(t, true)

	// The new primary assigns ids that the old one has assigned to other events.
	s.send(t, "cat", "ben", "new")
	a := s.attach(t, "ben", cursor.String())
	if a.Resumed {
		t.Error("resumed at an id that now denotes another event")
	}
	events, _, _ := s.all(t, "ben", a.From)
	same(t, "events", bodies(t, events), "[message kept message new]")
	// A settlement that began before the failover ends after it.
	r := s.settleList(t, "ben", cursor.Epoch, u)
	same(t, "ack of the old epoch", r.Outcome, inbox.SettleEpoch)
	same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 2)
	// The sender's outbox still has the lost message.
	if _, err := s.Enqueue(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	same(t, "events", bodies(t, s.retained(t, "ben")), "[message kept message new message lost]")
}

func TestFullRedisRefusesMessagesAndDrains(t *testing.T) {
	srv := redistest.Start(t, "--save", "", "--maxmemory-policy", "noeviction")
	s := open(t, srv.Redis(), inbox.Options{})
	s.send(t, "ann", "ben", "one")
	s.attach(t, "cat", "")
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []chat.Message{message("ann", "ben", "two"), message("ann", "new", "three")} {
		_, err := s.Enqueue(t.Context(), m)
		if p := problem.Of(err); !errors.Is(err, problem.ErrUnavailable) || p.RetryAfter <= 0 {
			t.Errorf("enqueue in a full Redis: %v", err)
		}
	}
	// Reading, and whatever lets Redis drain, still works.
	events := s.retained(t, "ben")
	same(t, "events", bodies(t, events), "[message one]")
	s.attach(t, "eve", "")
	s.receipts(t, "ann", 1)
	s.settle(t, "ben", s.end(t, "ben"))
	same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 0)
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	s.send(t, "ann", "ben", "two")
}

// A Redis that refuses writes, because its disk failed or its replicas are unreachable, still answers reads.
func TestReadingNeedsNoWrites(t *testing.T) {
	srv := redistest.Start(t, "--save", "")
	s := open(t, srv.Redis(), inbox.Options{})
	a := s.attach(t, "ben", "")
	s.send(t, "ann", "ben", "one")
	if err := s.rdb.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enqueue(t.Context(), message("ann", "ben", "two")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("enqueue: %v", err)
	}
	events, _, _ := s.all(t, "ben", a.From)
	same(t, "events", bodies(t, events), "[message one]")
}

// During traffic, one slot moves to another master and the subscribers' connections break. No message is lost, and all
// arrive in order.
func TestSlotMovesDuringTraffic(t *testing.T) {
	b := redistest.Cluster(t)
	s := open(t, b, inbox.Tuned(inbox.Tuning{Compare: 200 * time.Millisecond}))
	other := open(t, b, inbox.Options{})
	f, err := s.Subscribe(t.Context(), "ben")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := s.attach(t, "ben", "")

	const messages, moves, moveEvery = 300, 3, 40 // a move after each 40th message
	due := make(chan struct{}, moves)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(due)
		for i := range messages {
			m := message("ann", "ben", fmt.Sprint(i))
			for { // like an outbox: repeat the send, unchanged, until it is accepted
				if _, err := other.Enqueue(context.Background(), m); err == nil {
					break
				} else if !errors.Is(err, problem.ErrUnavailable) {
					t.Errorf("enqueue: %v", err)
					return
				}
			}
			if n := i + 1; n%moveEvery == 0 && n/moveEvery <= moves {
				due <- struct{}{}
			}
		}
	})
	wg.Go(func() {
		for range due {
			if n := b.MoveSlot(t, "inbox:{ben}"); n == 0 {
				t.Error("MoveSlot moved no key")
			}
			b.KillSubscribers(t)
		}
	})

	p, seen, newEpochs := a.From, map[string]bool{}, 0
	var got []string
	read := func() {
		for {
			page, err := s.Read(t.Context(), "ben", p, 50)
			if err != nil {
				if errors.Is(err, problem.ErrUnavailable) {
					continue
				}
				t.Fatalf("read: %v", err)
			}
			if page.NewEpoch {
				newEpochs++
			}
			for _, e := range page.Events {
				m, err := e.Message()
				if err != nil {
					t.Fatal(err)
				}
				if !seen[m.ID] { // in a new epoch everything is sent again
					seen[m.ID] = true
					got = append(got, m.Body)
				}
			}
			if p = page.Next; !page.More {
				return
			}
		}
	}
	read()
	for deadline := time.After(40 * time.Second); len(got) < messages; {
		select {
		case <-f.Ready():
		case <-deadline:
			t.Fatalf("got %d of %d messages; lost feeds: %d", len(got), messages, s.Counters().FeedsLost.Load())
		}
		wakes, lost := f.ReadWakes()
		for _, w := range wakes {
			switch p.RelationTo(w) {
			case inbox.Detached:
				lost = true
			case inbox.Next:
				m, err := w.Event.Message()
				if err != nil {
					t.Fatal(err)
				}
				if !lost {
					p = p.AdvanceTo(w.Event)
					if !seen[m.ID] {
						seen[m.ID] = true
						got = append(got, m.Body)
					}
				}
			}
		}
		if lost {
			read()
			f.ReadUpTo(p.Cursor)
		}
	}
	wg.Wait()
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("message %d has the body %s", i, body)
		}
	}
	if newEpochs == 0 {
		t.Error("the inbox moved to another primary, but Read reported no new epoch")
	}
	same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), messages)
}
