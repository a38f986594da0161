package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// archive is an inbox.Archive.
type archive struct {
	mu      sync.Mutex
	writers map[string][]string // by conversation
	down    bool
	asked   int
}

func (a *archive) Writers(_ context.Context, conversation string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.down {
		return nil, errors.New("the archive is down")
	}
	return a.writers[conversation], nil
}

func (a *archive) save(from, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writers == nil {
		a.writers = map[string][]string{}
	}
	id := chat.ConversationID(from, to)
	a.writers[id] = append(a.writers[id], from)
}

func (a *archive) set(down bool) (asked int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
	return a.asked
}

// wipe empties Redis.
func (s *setup) wipe(t testing.TB, b *redistest.Redis) {
	t.Helper()
	keys := 0
	for _, key := range allKeys(t, s, b) {
		s.rdb.Del(t.Context(), key)
		keys++
	}
	if keys == 0 {
		t.Fatal("there was nothing to wipe")
	}
}

// until sends messages until one is refused, at most most, and returns the number that was accepted.
func (s *setup) until(t testing.TB, most int, next func(i int) chat.Message) (accepted int, refused error) {
	t.Helper()
	for i := range most {
		if _, err := s.Enqueue(t.Context(), next(i)); err != nil {
			return i, err
		}
	}
	return most, nil
}

func toBen(int) chat.Message { return message("ann", "ben", "hello") }

// The answer of the recipient ends the limit on strangers, on every instance, and also if Redis was wiped.
func TestAnswer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		o := inbox.Options{Archive: saved, Limits: inbox.Limits{SendsPerMinute: 1 << 30}}.WithTuning(inbox.Tuning{Ask: 1})
		s, other := open(t, b, o), open(t, b, o)
		n, err := s.until(t, 10, toBen)
		if n != 5 || !errors.Is(err, inbox.ErrAnswerAwaited) {
			t.Fatalf("%d messages to a stranger were accepted, then %v", n, err)
		}
		// Acknowledged messages do not count.
		s.deliver(t, "ben")
		if n, err := s.until(t, 10, toBen); n != 5 || !errors.Is(err, inbox.ErrAnswerAwaited) {
			t.Fatalf("%d messages were accepted after the first five were delivered, then %v", n, err)
		}
		// Ann's own messages are no answer.
		saved.save("ann", "ben")
		if n, err := s.until(t, 10, toBen); n != 0 || !errors.Is(err, inbox.ErrAnswerAwaited) {
			t.Fatalf("%d messages were accepted without an answer, then %v", n, err)
		}
		other.send(t, "ben", "ann", "hello to you")
		for _, on := range []*setup{s, other} {
			if n, err := on.until(t, 10, toBen); n != 10 {
				t.Fatalf("%d messages were accepted after the answer, then %v", n, err)
			}
		}
		before := saved.set(false)
		saved.save("ben", "ann")
		fresh := open(t, b, o)
		for _, on := range []*setup{s, fresh} {
			s.wipe(t, b)
			if n, err := on.until(t, 10, toBen); n != 10 {
				t.Fatalf("%d messages were accepted after a wipe, then %v", n, err)
			}
		}
		if asked := saved.set(false) - before; asked > 2 {
			t.Errorf("the archive was asked %d times, want once by each instance", asked)
		}
	})
}

// The archive is asked only before a refusal, not again about the same pair, and a limited number of times because of
// one user. If it does not answer, the refusal is for now.
func TestArchiveIsAskedRarely(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		o := inbox.Options{Archive: saved,
			Limits: inbox.Limits{SendsPerMinute: 1 << 30, NewPeople: 1 << 30, StrangerMessages: 1}}
		s := open(t, b, o)
		if n, _ := s.until(t, 1, toBen); n != 1 {
			t.Fatalf("%d messages were accepted", n)
		}
		same(t, "questions while nothing is refused", saved.set(false), 0)
		for range 20 {
			if _, err := s.Enqueue(t.Context(), toBen(0)); !errors.Is(err, inbox.ErrAnswerAwaited) {
				t.Fatal(err)
			}
		}
		same(t, "questions about one pair within a minute", saved.set(false), 1)
		for i := range 70 {
			uid := fmt.Sprint("person", i)
			for range 2 {
				if _, err := s.Enqueue(t.Context(), message("eve", uid, "x")); err != nil &&
					!errors.Is(err, inbox.ErrAnswerAwaited) {
					t.Fatal(err)
				}
			}
		}
		if n := saved.set(false); n > 1+60 || n < 30 {
			t.Errorf("the archive was asked %d times because of one user", n)
		}
		same(t, "counted", s.Counters().Asked.Load(), saved.set(true))

		down := open(t, b, o.WithTuning(inbox.Tuning{Ask: 1}))
		_, err := down.Enqueue(t.Context(), toBen(0))
		if p := problem.Of(err); !errors.Is(err, inbox.ErrAnswerAwaited) || p.RetryAfter <= 0 {
			t.Errorf("while the archive is down: %v", err)
		}
		if _, err := down.HasWritten(t.Context(), "cat", "ann"); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("HasWritten while the archive is down: %v", err)
		}
		saved.save("ben", "ann")
		saved.set(false)
		if _, err := down.Enqueue(t.Context(), toBen(0)); err != nil {
			t.Errorf("when the archive is back: %v", err)
		}
	})
}

// People to whom a user has written before, or who have written to the user, are not new, also after a wipe.
func TestNewPeopleAfterAWipe(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		o := inbox.Options{Archive: saved, Limits: inbox.Limits{NewPeople: 3}}.WithTuning(inbox.Tuning{Ask: 1})
		s := open(t, b, o)
		toNew := func(i int) chat.Message { return message("ann", fmt.Sprint("new", i), "hello") }
		if n, err := s.until(t, 10, toNew); n != 3 || !errors.Is(err, inbox.ErrTooManyNewPeople) {
			t.Fatalf("%d new people, then %v", n, err)
		}
		saved.save("ann", "old1")
		saved.save("old2", "ann")
		for _, uid := range []string{"old1", "old2", "new0", "new1", "new2"} {
			if _, err := s.Enqueue(t.Context(), message("ann", uid, "hello")); err != nil {
				t.Errorf("to %s: %v", uid, err)
			}
		}
		for i := range 3 {
			saved.save("ann", fmt.Sprint("new", i))
		}
		s.wipe(t, b)
		fresh := open(t, b, o)
		// Messages that an outbox sends again are accepted and counted. The archive is asked only before a refusal.
		if n, err := fresh.until(t, 3, toNew); n != 3 {
			t.Fatalf("%d messages were accepted again, then %v", n, err)
		}
		for _, uid := range []string{"old1", "old2"} {
			if _, err := fresh.Enqueue(t.Context(), message("ann", uid, "hello")); err != nil {
				t.Errorf("to %s after a wipe: %v", uid, err)
			}
		}
		_, err := fresh.Enqueue(t.Context(), toNew(9))
		if p := problem.Of(err); !errors.Is(err, inbox.ErrTooManyNewPeople) || p.RetryAfter <= 0 {
			t.Errorf("to a new person after a wipe: %v", err)
		}
		if b.Mini != nil { // the next day
			b.Mini.FastForward(24 * time.Hour)
			if _, err := fresh.Enqueue(t.Context(), toNew(9)); err != nil {
				t.Errorf("to a new person on the next day: %v", err)
			}
		}
	})
}

func TestHasWritten(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		o := inbox.Options{Archive: saved}.WithTuning(inbox.Tuning{Ask: 1})
		s, other := open(t, b, o), open(t, b, o)
		check := func(from, to string, want bool) {
			t.Helper()
			for _, on := range []*setup{s, other} {
				if got, err := on.HasWritten(t.Context(), from, to); got != want || err != nil {
					t.Errorf("%s has written to %s: %v, %v", from, to, got, err)
				}
			}
		}
		check("ann", "ben", false)
		s.send(t, "ann", "ben", "hello")
		check("ann", "ben", true)
		check("ben", "ann", false)
		saved.save("ben", "ann")
		check("ben", "ann", true)
		asked := saved.set(true)
		s.wipe(t, b)
		check("ben", "ann", true) // remembered
		same(t, "asked again", saved.set(false), asked)
		// Only one of the two hashes says it, between the two steps of a send.
		s.rdb.HSet(t.Context(), "peers:{dan}", "cat", 2)
		s.rdb.HSet(t.Context(), "peers:{fay}", "eve", 1)
		check("cat", "dan", true)
		check("fay", "eve", true)
		check("dan", "cat", false)
	})
}

// peers is bounded, and expires.
func TestPeersAreBounded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{MaxPeers: 10}))
		for i := range 30 {
			s.send(t, "ann", fmt.Sprint("user", i), "hello")
			s.send(t, fmt.Sprint("user", i), "ben", "hello")
		}
		for _, uid := range []string{"ann", "ben"} {
			same(t, "peers of "+uid, s.rdb.HLen(t.Context(), "peers:{"+uid+"}").Val(), 10)
			if d := s.ttl(t, "peers:{"+uid+"}"); d < 29*24*time.Hour || d > 30*24*time.Hour {
				t.Errorf("the peers of %s expire in %v", uid, d)
			}
		}
	})
}

// A sender whose address is not confirmed reaches fewer new people a day. They count toward the larger limit, too.
// Answers are not limited.
func TestUnverifiedSenders(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{Limits: inbox.Limits{NewPeople: 4, NewPeopleUnverified: 2}})
		n := 0
		reach := func(as inbox.Standing) int {
			t.Helper()
			for before := n; ; n++ {
				_, err := s.EnqueueAs(t.Context(), as, inbox.OfMessage(message("ann", fmt.Sprint("new", n), "hello")), "")
				if errors.Is(err, inbox.ErrTooManyNewPeople) {
					return n - before
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		same(t, "reached before the address is confirmed", reach(inbox.Unverified), 2)
		s.send(t, "ben", "ann", "hello")
		answer := inbox.OfMessage(message("ann", "ben", "an answer"))
		if _, err := s.EnqueueAs(t.Context(), inbox.Unverified, answer, ""); err != nil {
			t.Errorf("an answer: %v", err)
		}
		same(t, "reached afterwards", reach(inbox.Verified), 2)
		same(t, "reached when it is not confirmed again", reach(inbox.Unverified), 0)
	})
	same(t, "the default", inbox.Limits{}.WithDefaults().NewPeopleUnverified, 3)
	same(t, "with a smaller limit of all", inbox.Limits{NewPeople: 1}.WithDefaults().NewPeopleUnverified, 1)
}

// A sender who may not write to new people can write to those with whom they have exchanged a message, also after Redis
// was wiped. If nobody knows that, the refusal is not final.
func TestOnlyKnownPeople(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		o := inbox.Options{Archive: saved}.WithTuning(inbox.Tuning{Ask: 1})
		s := open(t, b, o)
		known := func(to string) error {
			_, err := s.EnqueueAs(t.Context(), inbox.Confined, inbox.OfMessage(message("ann", to, "hello")), "")
			return err
		}
		if err := known("ben"); !errors.Is(err, inbox.ErrContactsForbidden) {
			t.Errorf("a message to a stranger: %v", err)
		}
		if n := s.Counters().Forbidden.Load(); n != 1 {
			t.Errorf("%d refusals are counted, want 1", n)
		}
		waits := s.send(t, "ann", "ben", "before it was forbidden")
		waits.AcceptedAt = 0
		if _, err := s.EnqueueAs(t.Context(), inbox.Confined, inbox.OfMessage(waits), ""); err != nil {
			t.Errorf("a message that waits already: %v", err)
		}
		s.send(t, "cat", "ann", "hello")
		saved.save("ann", "ben")
		saved.save("cat", "ann")
		for range 2 {
			for _, to := range []string{"ben", "cat"} {
				if err := known(to); err != nil {
					t.Errorf("a message to %s: %v", to, err)
				}
			}
			s.wipe(t, b)
			s = open(t, b, o)
		}
		saved.set(true)
		if err := known("cat"); problem.Of(err).RetryAfter <= 0 {
			t.Errorf("while the archive is down: %v", err)
		}
	})
}
