package inbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// mark marks the messages of uid up to the n-th retained event, as the settle package does after a flush.
func (s *setup) mark(t testing.TB, uid string, n int) inbox.SettleResult {
	t.Helper()
	u := s.listed(t, uid)
	r := s.Mark(t.Context(), []inbox.Settlement{{UID: uid, Epoch: u.Epoch, To: u.Events[n-1].ID,
		Messages: settledMessages(t, u.Events[:n])}})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r
}

// listed returns what is not settled in the inbox of uid.
func (s *setup) listed(t testing.TB, uid string) inbox.Unsettled {
	t.Helper()
	u := s.Unsettled(t.Context(), []inbox.Claim{{UID: uid, To: inbox.ID{Ms: 1 << 50}}}, 200)[0]
	if u.Err != nil {
		t.Fatal(u.Err)
	}
	return u
}

// records returns the number of records of waiting messages, with those that are marked and not forgotten yet.
func (s *setup) records(t testing.TB, uid string) int64 {
	t.Helper()
	n, err := s.rdb.HLen(t.Context(), "pending:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A mark changes nothing in the inbox. Every script that looks at what waits forgets what is marked, with its record,
// its bytes and the counts of its sender.
func TestMarkedMessagesAreForgotten(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, s *setup){
		"attach":    func(t *testing.T, s *setup) { s.attach(t, "ben", "") },
		"unsettled": func(t *testing.T, s *setup) { s.listed(t, "ben") },
		"peek":      func(t *testing.T, s *setup) { _ = s.Peek(t.Context(), "ben") },
		"waiting": func(t *testing.T, s *setup) {
			if q, err := s.Queued(t.Context()); err != nil || q.Messages != 1 {
				t.Errorf("queued: %+v, %v", q, err)
			}
		},
		"withdraw": func(t *testing.T, s *setup) {
			_, err := s.Withdraw(t.Context(), inbox.Withdrawal{UID: "ben", From: "nobody", Reason: inbox.ErrWithdrawn})
			if err != nil {
				t.Error(err)
			}
		},
		"settle": func(t *testing.T, s *setup) {
			epoch := s.rdb.ZRange(t.Context(), "marked:{ben}", 0, 0).Val()[0]
			if r := s.Settle(t.Context(), []inbox.Settlement{{UID: "ben", Epoch: epoch}})[0]; r.Outcome != inbox.SettleDone {
				t.Errorf("settle: %+v", r)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
				s := open(t, b, inbox.Options{})
				for _, body := range []string{"one", "two", "three"} {
					s.send(t, "ann", "ben", body)
				}
				r := s.mark(t, "ben", 2)
				same(t, "outcome", r.Outcome, inbox.SettleDone)
				same(t, "records after the mark", s.records(t, "ben"), 3)
				look(t, s)
				same(t, "records", s.records(t, "ben"), 1)
				same(t, "keys of marks", s.rdb.Exists(t.Context(), "marked:{ben}").Val(), 0)
				meta := s.rdb.HGetAll(t.Context(), "meta:{ben}").Val()
				same(t, "settled", meta["settled"], r.Settled)
				u := s.listed(t, "ben")
				same(t, "list", bodies(t, u.Events), "[message three]")
				same(t, "of ann", meta["from:ann"], "1 "+meta["waiting_bytes"])
				same(t, "retained", len(s.retained(t, "ben")), 3)
			})
		})
	}
}

// A mark that comes late does not undo a higher one. One of another epoch means nothing.
func TestMarksOnlyRise(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		for _, body := range []string{"one", "two", "three"} {
			s.send(t, "ann", "ben", body)
		}
		u := s.listed(t, "ben")
		at := func(epoch string, n int) inbox.Settlement {
			return inbox.Settlement{UID: "ben", Epoch: epoch, To: u.Events[n].ID}
		}
		s.Mark(t.Context(), []inbox.Settlement{at("other"+u.Epoch, 2), at(u.Epoch, 1), at(u.Epoch, 0)})
		same(t, "list", bodies(t, s.listed(t, "ben").Events), "[message three]")
	})
}

// A mark reports that messages were removed before it, and that the inbox was created anew.
func TestMarkReportsWhatChanged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "one")
		s.send(t, "cat", "ben", "two")
		u := s.listed(t, "ben")
		all := []inbox.Settlement{{UID: "ben", Epoch: u.Epoch, To: u.To}}
		all[0].To = u.Last
		w := inbox.Withdrawal{UID: "ben", From: "ann", Reason: inbox.ErrWithdrawn}
		if _, err := s.Withdraw(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		r := s.Mark(t.Context(), all)[0]
		same(t, "after a removal", []any{r.Outcome, r.Removals, r.Err}, []any{inbox.SettleDone, 1, nil})
		s.rdb.Del(t.Context(), "inbox:{ben}", "meta:{ben}", "pending:{ben}", "marked:{ben}")
		s.send(t, "ann", "ben", "three")
		r = s.Mark(t.Context(), all)[0]
		same(t, "of an inbox that was lost", []any{r.Outcome, r.Err}, []any{inbox.SettleEpoch, nil})
		same(t, "list", bodies(t, s.listed(t, "ben").Events), "[message three]")
	})
}

// A delivered message that is not forgotten yet counts toward no limit, and is not withdrawn.
func TestMarkedMessagesDoNotWait(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := inbox.Options{Limits: inbox.Generous()}
		o.Limits.StrangerMessages, o.Limits.PairMessages = 1, 2
		s := open(t, b, o)
		for range 10 { // a stranger's message that is delivered makes room for another
			s.send(t, "ann", "ben", "x")
			s.mark(t, "ben", len(s.listed(t, "ben").Events))
		}
		s.send(t, "ann", "ben", "waits")
		if _, err := s.Enqueue(t.Context(), message("ann", "ben", "x")); !errors.Is(err, inbox.ErrAnswerAwaited) {
			t.Errorf("a second message that waits: %v", err)
		}
		s.send(t, "ben", "ann", "answer")
		s.send(t, "ann", "ben", "waits")
		if _, err := s.Enqueue(t.Context(), message("ann", "ben", "x")); !errors.Is(err, inbox.ErrInboxFull) {
			t.Errorf("a third message that waits: %v", err)
		}
		s.mark(t, "ben", len(s.listed(t, "ben").Events))
		s.send(t, "ann", "ben", "after the mark")
		s.mark(t, "ben", len(s.listed(t, "ben").Events))
		w, err := s.Withdraw(t.Context(), inbox.Withdrawal{UID: "ben", From: "ann", Reason: inbox.ErrWithdrawn})
		same(t, "withdrawn", []any{w.Messages, err}, []any{0, nil})
		for _, e := range s.retained(t, "ann") {
			if e.Type == wire.EventRefused {
				t.Errorf("a delivered message is refused: %s", e.Data)
			}
		}
	})
}

// An instance dies after it has marked messages, and their recipient never returns. The inbox still ends.
func TestMarkedInboxExpires(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "x")
		s.mark(t, "ben", 1)
		if d := s.ttl(t, "marked:{ben}"); d < 30*24*time.Hour || d > 31*24*time.Hour {
			t.Errorf("the mark expires in %v", d)
		}
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"inbox:{ben}", "meta:{ben}"} {
			if d := s.ttl(t, key); d <= 0 || d > 26*time.Hour {
				t.Errorf("%s expires in %v", key, d)
			}
		}
		same(t, "records", s.records(t, "ben"), 0)
	})
}

// A clock that is far behind makes many ids of one millisecond. A mark that cannot tell them apart is not set.
func TestCanMark(t *testing.T) {
	for id, want := range map[inbox.ID]bool{
		{Ms: 1_800_000_000_000, Seq: 1023}: true,
		{Ms: 1_800_000_000_000, Seq: 1024}: false,
		{Ms: 1 << 43, Seq: 1}:              false,
	} {
		same(t, id.String(), inbox.CanMark(id), want)
	}
}

// The script finds the sender and the id of a message in its event, which it does not decode.
func TestForgettingReadsEvents(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := message("ann", "ben", `"},{"from":"cat","id":"x`)
		m.ReplyTo = chat.KeyOf(m.ID, "ben")
		if _, err := s.Enqueue(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		// An entry that no script wrote does not keep the others from being forgotten.
		s.rdb.Do(t.Context(), "XADD", "inbox:{ben}", "*", "t", "message", "e", "poison")
		s.send(t, "ann", "ben", "x")
		last := s.listed(t, "ben").Last
		s.Mark(t.Context(), []inbox.Settlement{{UID: "ben", Epoch: s.listed(t, "ben").Epoch, To: last}})
		if err := s.Peek(t.Context(), "ben"); err != nil {
			t.Fatal(err)
		}
		same(t, "records", s.records(t, "ben"), 0)
	})
}
