package inbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

func TestMessageReachesBothInboxes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		before := time.Now().Add(-time.Millisecond)
		m := s.send(t, "ann", "ben", "one")
		s.send(t, "ann", "ben", "two")
		if at := m.AcceptedAt.Time(); at.Before(before) || at.After(time.Now()) {
			t.Errorf("accepted at %v", at)
		}
		same(t, "ben", bodies(t, s.retained(t, "ben")), "[message one message two]")
		same(t, "ann", bodies(t, s.retained(t, "ann")), "[sent one sent two]")
		got, _ := s.retained(t, "ben")[0].Message()
		same(t, "message", got, m)
	})
}

func TestRepeatedSendGetsTheFirstAnswer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		now := time.Now()
		s := open(t, b, inbox.Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
		m := s.send(t, "ann", "ben", "one")
		again := m
		again.AcceptedAt = 0
		at, err := s.Enqueue(t.Context(), again)
		if err != nil || at != m.AcceptedAt {
			t.Errorf("repeated send: got %v, %v; the first send got %v", at, err, m.AcceptedAt)
		}
		same(t, "ben", bodies(t, s.retained(t, "ben")), "[message one]")

		other := again
		other.Body = "another"
		if _, err := s.Enqueue(t.Context(), other); !errors.Is(err, inbox.ErrIDReused) {
			t.Errorf("reused id: %v", err)
		}
		// The same id from another sender denotes another message.
		stranger := message("eve", "ben", "mine")
		stranger.ID = m.ID
		if _, err := s.Enqueue(t.Context(), stranger); err != nil {
			t.Errorf("id of another sender: %v", err)
		}
		// Once the message is settled, its id is forgotten, and a late repeat is queued again.
		s.settle(t, "ben", s.end(t, "ben"))
		if at, err := s.Enqueue(t.Context(), again); err != nil || at == m.AcceptedAt {
			t.Errorf("after the message was settled: %v, %v", at, err)
		}
	})
}

// end returns the cursor of the newest event.
func (s *setup) end(t testing.TB, uid string) inbox.Cursor {
	t.Helper()
	a := s.attach(t, uid, "")
	return inbox.Cursor{Epoch: a.Epoch, ID: a.Last}
}

func TestFullInbox(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{Limits: inbox.Limits{PairMessages: 3, Messages: 5}})
		first := s.send(t, "ann", "ben", "1")
		s.send(t, "ann", "ben", "2")
		s.send(t, "ann", "ben", "3")
		full := func(from string) {
			t.Helper()
			_, err := s.Enqueue(t.Context(), message(from, "ben", "x"))
			if p := problem.Of(err); !errors.Is(err, inbox.ErrInboxFull) || p.RetryAfter <= 0 {
				t.Errorf("send from %s to a full inbox: %v, retry after %v", from, err, p.RetryAfter)
			}
		}
		full("ann")
		if _, err := s.Enqueue(t.Context(), first); err != nil {
			t.Errorf("a repeated send in a full inbox: %v", err)
		}
		s.send(t, "cat", "ben", "4")
		s.send(t, "dan", "ben", "5")
		full("eve")
		same(t, "counted as full", s.Counters().Full.Load(), 2)

		// Each settled message makes room for exactly one.
		events := s.retained(t, "ben")
		s.settle(t, "ben", inbox.Cursor{Epoch: s.end(t, "ben").Epoch, ID: events[0].ID})
		s.send(t, "ann", "ben", "6")
		full("ann")
		s.settle(t, "ben", s.end(t, "ben"))
		for i := range 3 {
			s.send(t, "ann", "ben", fmt.Sprint("again ", i))
		}
		full("ann")
	})
}

func TestAttach(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		fresh := s.attach(t, "ben", "")
		if fresh.Resumed || fresh.Epoch == "" || strings.ContainsAny(fresh.Epoch, ": ") {
			t.Errorf("first visit: %+v", fresh)
		}
		s.send(t, "ann", "ben", "one")
		s.send(t, "ann", "ben", "two")
		events := s.retained(t, "ben")
		at := func(id inbox.ID) string { return inbox.Cursor{Epoch: fresh.Epoch, ID: id}.String() }
		of := func(epoch string) string { return inbox.Cursor{Epoch: epoch, ID: events[0].ID}.String() }
		aboveLast := inbox.ID{Ms: events[1].ID.Ms, Seq: events[1].ID.Seq + 1}

		for name, c := range map[string]struct {
			cursor  string
			resumed bool
			bodies  string
		}{
			"the first event":      {at(events[0].ID), true, "[message two]"},
			"the last event":       {at(events[1].ID), true, "[]"},
			"before all events":    {at(fresh.From.ID), true, "[message one message two]"},
			"above the last event": {at(aboveLast), false, "[message one message two]"},
			"the far future":       {at(inbox.ID{Ms: 1 << 63, Seq: 1<<64 - 1}), false, "[message one message two]"},
			"below the floor":      {at(inbox.ID{Ms: 5}), false, "[message one message two]"},
			"another epoch":        {of("0.0"), false, "[message one message two]"},
			"unreadable":           {"not a cursor", false, "[message one message two]"},
			"empty":                {"", false, "[message one message two]"},
			"another user's epoch": {of(s.end(t, "ann").Epoch), false, "[message one message two]"},
		} {
			a := s.attach(t, "ben", c.cursor)
			if a.Resumed != c.resumed {
				t.Errorf("%s: resumed %v", name, a.Resumed)
			}
			got, gap, end := s.all(t, "ben", a.From)
			same(t, name, fmt.Sprint(bodies(t, got)), c.bodies)
			if gap {
				t.Errorf("%s: Read reports a gap that Resumed has reported already", name)
			}
			same(t, name+": end", end.ID, events[1].ID)
		}
	})
}

func TestFeed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s, other := open(t, b, inbox.Options{}), open(t, b, inbox.Options{})
		f, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		a := s.attach(t, "ben", "")
		p := a.From
		other.send(t, "ann", "ben", "one") // through another instance
		other.send(t, "ann", "ben", "two")
		if err := other.PublishHint(t.Context(), "ben", []byte(`{"typing":"ann"}`)); err != nil {
			t.Fatal(err)
		}
		var got []inbox.Event
		hints := 0
		for len(got) < 2 || hints == 0 {
			select {
			case <-f.Ready():
			case <-time.After(10 * time.Second):
				t.Fatalf("no wake arrived after %v", bodies(t, got))
			}
			wakes, lost := f.ReadWakes()
			if lost {
				t.Error("the feed is marked lost, but no wake was lost")
			}
			for _, w := range wakes {
				if w.Hint != nil {
					same(t, "hint", string(w.Hint), `{"typing":"ann"}`)
					hints++
					continue
				}
				same(t, "relation", p.RelationTo(w), inbox.Next)
				p = p.AdvanceTo(w.Event)
				same(t, "relation of a repeat", p.RelationTo(w), inbox.Seen)
				got = append(got, w.Event)
			}
		}
		same(t, "events of the wakes", fmt.Sprint(got), fmt.Sprint(s.retained(t, "ben")))
		later := inbox.Event{ID: inbox.ID{Ms: p.ID.Ms + 6}}
		afterGap := inbox.Wake{Epoch: p.Epoch, Prev: inbox.ID{Ms: p.ID.Ms + 5}, Event: later}
		same(t, "relation of a wake after a gap", p.RelationTo(afterGap), inbox.Detached)
		otherEpoch := inbox.Wake{Epoch: "x", Event: later}
		same(t, "relation of a wake of another epoch", p.RelationTo(otherEpoch), inbox.Detached)
	})
}
