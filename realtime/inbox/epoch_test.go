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

// resync waits for a Resync.
func (s *setup) resync(t testing.TB, epoch bool) {
	t.Helper()
	for deadline := time.After(15 * time.Second); ; {
		select {
		case r := <-s.Resyncs():
			if r.NewEpoch == epoch {
				return
			}
		case <-deadline:
			t.Fatal("nobody was told that redis came back")
		}
	}
}

func TestWipedRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{Probe: 20 * time.Millisecond, Compare: 30 * time.Millisecond})
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
		testwait.Until(t, "the feed has seen the old life", func() bool { return s.Snapshot().Compared > 0 })
		f.ReadWakes()

		b.Nodes(t, func(c *redis.Client) { c.FlushAll(t.Context()) })
		if b.Kind != "cluster" { // there each inbox tells by itself
			s.resync(t, true)
		}
		select {
		case <-f.Ready():
		case <-time.After(10 * time.Second):
			t.Fatal("a live feed was not told")
		}
		if a := s.attach(t, "ben", before.String()); a.Resumed || a.Epoch == before.Epoch {
			t.Errorf("resumed %v in %s, was %s", a.Resumed, a.Epoch, before.Epoch)
		}
		// The outbox sends again, and the ack of the old life, begun before, means nothing.
		if _, err := s.Enqueue(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		r := s.Settle(t.Context(), []inbox.Settlement{{UID: "ben", Epoch: before.Epoch, Expected: u.Settled, To: u.To, Messages: settled(t, u.Events)}})[0]
		same(t, "old ack", r.Outcome, inbox.SettleEpoch)
		same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 1)
	})
}

func TestRestartedRedisKeepsWhatItHadAndIsAnotherEpoch(t *testing.T) {
	srv := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	b := srv.Redis()
	s := open(t, b, inbox.Options{Probe: 50 * time.Millisecond})
	s.send(t, "ann", "ben", "one")
	before := s.end(t, "ben")
	s.probes.wait(t)
	srv.Kill()
	if _, err := s.Enqueue(t.Context(), message("ann", "ben", "two")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("without redis: %v", err)
	}
	srv.Restart(t)
	s.resync(t, true)
	a := s.attach(t, "ben", before.String())
	if a.Resumed || a.Epoch == before.Epoch {
		t.Errorf("resumed %v in %s, was %s", a.Resumed, a.Epoch, before.Epoch)
	}
	events, _, _ := s.all(t, "ben", a.From)
	same(t, "kept", bodies(t, events), "[message one]")
}

func TestBrokenConnectionOfTheSameLife(t *testing.T) {
	b := redistest.Single(t)
	s := open(t, b, inbox.Options{Probe: time.Hour})
	before := s.end(t, "ben")
	f, err := s.Subscribe(t.Context(), "ben")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.probes.wait(t)
	same(t, "killed", b.KillSubscribers(t) > 0, true)
	s.resync(t, false)
	if a := s.attach(t, "ben", before.String()); !a.Resumed {
		t.Error("not resumed in the same life")
	}
}

// A failover that loses the last writes: the new primary knows an earlier
// state of the same inbox, under the same stored life.
func TestFailoverLosesTheLastWrites(t *testing.T) {
	p := redistest.Primary(t)
	s := openOn(t, p.Redis, p.Client(t), inbox.Options{Probe: 50 * time.Millisecond})
	s.probes.wait(t)
	s.send(t, "ann", "ben", "kept")
	p.InStep()
	p.Part()
	lost := s.send(t, "ann", "ben", "lost")
	// One device has stored and acknowledged both; its cursor is of the old life.
	cursor := s.end(t, "ben")
	u := s.Unsettled(t.Context(), []inbox.Claim{{UID: "ben", To: cursor.ID}}, 10)[0]
	same(t, "list", len(u.Events), 2)
	p.Failover()
	s.resync(t, true)

	// The new primary gives ids that the old one has given to other events.
	s.send(t, "cat", "ben", "new")
	a := s.attach(t, "ben", cursor.String())
	if a.Resumed {
		t.Error("resumed at an id that now means another event")
	}
	events, _, _ := s.all(t, "ben", a.From)
	same(t, "events", bodies(t, events), "[message kept message new]")
	// An acknowledgement begun before the failover and finished after it.
	r := s.Settle(t.Context(), []inbox.Settlement{{UID: "ben", Epoch: cursor.Epoch, Expected: u.Settled, To: u.To, Messages: settled(t, u.Events)}})[0]
	same(t, "old ack", r.Outcome, inbox.SettleEpoch)
	same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 2)
	// The outbox of the sender has the lost one still.
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
			t.Errorf("enqueue: %v", err)
		}
	}
	// All that lets it drain, and reading, goes on.
	events := s.retained(t, "ben")
	same(t, "events", bodies(t, events), "[message one]")
	s.attach(t, "nobody yet", "")
	s.receipts(t, "ann", 1)
	s.settle(t, "ben", s.end(t, "ben"))
	same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 0)
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	s.send(t, "ann", "ben", "two")
}

// A Redis that takes no writes (its disk failed, its replicas are away) still answers readers.
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

// One slot moves to another master and the subscribers' connections are cut,
// in the midst of traffic: nothing is lost, and nothing comes out of order.
func TestSlotMovesDuringTraffic(t *testing.T) {
	b := redistest.Cluster(t)
	s, other := open(t, b, inbox.Options{Compare: 200 * time.Millisecond}), open(t, b, inbox.Options{})
	const messages, moves, apart = 300, 3, 40 // a move after each 40th message
	due := make(chan struct{}, moves)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(due)
		for i := range messages {
			m := message("ann", "ben", fmt.Sprint(i))
			for { // like an outbox: again until it is accepted, unchanged
				if _, err := other.Enqueue(context.Background(), m); err == nil {
					break
				} else if !errors.Is(err, problem.ErrUnavailable) {
					t.Errorf("enqueue: %v", err)
					return
				}
			}
			if n := i + 1; n%apart == 0 && n/apart <= moves {
				due <- struct{}{}
			}
		}
	})
	wg.Go(func() {
		for range due {
			if n := b.MoveSlot(t, "inbox:{ben}"); n == 0 {
				t.Error("no key was moved")
			}
			b.KillSubscribers(t)
		}
	})

	f, err := s.Subscribe(t.Context(), "ben")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := s.attach(t, "ben", "")
	p, seen, lives := a.From, map[string]bool{}, 0
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
				lives++
			}
			for _, e := range page.Events {
				m, err := e.Message()
				if err != nil {
					t.Fatal(err)
				}
				if !seen[m.ID] { // another epoch sends everything again
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
			t.Fatalf("%d of %d messages; %+v", len(got), messages, s.Snapshot())
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
			t.Fatalf("message %d is %s", i, body)
		}
	}
	if lives == 0 {
		t.Error("the inbox lives on another shard, and the reader was not told")
	}
	same(t, "waiting", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), messages)
}
