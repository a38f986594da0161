package inbox_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// notices receives what is published about a user's presence.
type notices struct {
	t  *testing.T
	s  *setup
	ch chan string
}

func (n *notices) Receive(payload string) { n.ch <- payload }
func (n *notices) Lost()                  {}

func (s *setup) notices(t *testing.T, uid string) *notices {
	t.Helper()
	n := &notices{t, s, make(chan string, 100)}
	stop, err := s.subscriber.Subscribe(t.Context(), "seen:{"+uid+"}", n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return n
}

// next checks all notices since the last call.
func (n *notices) next(what, uid string, want ...string) {
	n.t.Helper()
	if err := n.s.rdb.Publish(n.t.Context(), "seen:{"+uid+"}", "end").Err(); err != nil {
		n.t.Fatal(err)
	}
	var got []string
	for {
		select {
		case payload := <-n.ch:
			if payload == "end" {
				same(n.t, what, fmt.Sprint(got), fmt.Sprint(want))
				return
			}
			got = append(got, payload)
		case <-time.After(10 * time.Second):
			n.t.Fatalf("%s: no notice arrived", what)
		}
	}
}

// Watchers of the recipient of a first message learn that its sender may not see the recipient, and that they may after
// the answer. The sender's first message may show the sender to the recipient. Nothing else is published.
func TestFirstMessagesAreNoticed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s, other := open(t, b, inbox.Options{}), open(t, b, inbox.Options{})
		ann, ben := s.notices(t, "ann"), s.notices(t, "ben")
		s.send(t, "ann", "ben", "hello")
		other.send(t, "ann", "ben", "hello again")
		ben.next("a first message", "ben", "peer ann")
		s.send(t, "ben", "ann", "an answer")
		other.send(t, "ben", "ann", "another")
		other.send(t, "ann", "ben", "thanks")
		ben.next("an answer", "ben", "peer ann")
		ann.next("a first message of ann, and its answer", "ann", "peer ben")
		s.send(t, "cat", "ben", "hello")
		ben.next("another first message", "ben", "peer cat")
		for range 2 {
			if err := other.Accept(t.Context(), "ben", "cat"); err != nil {
				t.Fatal(err)
			}
		}
		ben.next("an acceptance", "ben", "peer cat")
	})
}

// An accepted request is answered, on every instance. Only a request can be accepted.
func TestAccept(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		o := inbox.Options{Archive: saved, Limits: inbox.Limits{NewPeople: 1, SendsPerMinute: 1 << 30}}
		s, other := open(t, b, o.WithTuning(inbox.Tuning{Ask: 1})), open(t, b, o.WithTuning(inbox.Tuning{Ask: 1}))
		answered := func(want bool) {
			t.Helper()
			for _, on := range []*setup{s, other} {
				got, err := on.HasAnswered(t.Context(), "ben", "ann")
				if got != want || err != nil {
					t.Errorf("ben has answered ann: %v, %v; want %v", got, err, want)
				}
			}
		}
		for _, other := range []string{"ann", "ben", "nobody"} {
			if err := s.Accept(t.Context(), "ben", other); !errors.Is(err, chat.ErrRequestUnknown) {
				t.Errorf("a request of %s that was not made: %v", other, err)
			}
		}
		if n, err := s.until(t, 10, toBen); n != 5 || !errors.Is(err, inbox.ErrAnswerAwaited) {
			t.Fatalf("%d messages to a stranger were accepted, then %v", n, err)
		}
		if err := s.Accept(t.Context(), "ann", "ben"); !errors.Is(err, chat.ErrRequestUnknown) {
			t.Errorf("ann's own request: %v", err)
		}
		answered(false)
		saved.set(true)
		if err := s.Accept(t.Context(), "ben", "dan"); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("while the archive is down: %v", err)
		}
		saved.set(false)
		if err := other.Accept(t.Context(), "ben", "ann"); err != nil {
			t.Fatal(err)
		}
		answered(true)
		for _, on := range []*setup{s, other} {
			if n, err := on.until(t, 10, toBen); n != 10 {
				t.Fatalf("%d messages were accepted after the acceptance, then %v", n, err)
			}
		}
		// Ann is not new to ben, who may write to one new person today.
		for _, to := range []string{"ann", "eve"} {
			if _, err := other.Enqueue(t.Context(), message("ben", to, "hello")); err != nil {
				t.Errorf("to %s: %v", to, err)
			}
		}
		saved.save("fay", "ben") // long ago
		s.wipe(t, b)
		if err := s.Accept(t.Context(), "ben", "fay"); err != nil {
			t.Errorf("a request that only the archive has: %v", err)
		}
	})
}

// Questions to the archive about whom a user has answered are those of this user, so that nobody else runs out of them.
func TestQuestionsBelongToWhoCausesThem(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{Archive: &archive{}})
		ask := func(what string, want error, f func(i int) (bool, error)) {
			t.Helper()
			var err error
			for i := 0; i < 100 && err == nil; i++ {
				_, err = f(i)
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		ask("ann asks about everybody", inbox.ErrRateLimited, func(i int) (bool, error) {
			return s.HasAnswered(t.Context(), "ann", fmt.Sprint("user", i))
		})
		for i := range 100 {
			if _, err := s.HasAnswered(t.Context(), fmt.Sprint("asker", i), "ben"); err != nil {
				t.Fatalf("others ask about ben: %v", err)
			}
		}
		ask("ben asks", nil, func(i int) (bool, error) { return s.HasAnswered(t.Context(), "ben", fmt.Sprint("user", i%60)) })
	})
}

// Somebody who wants messages only of people they know gets none of others: nothing is queued or counted, and the
// refusal is final. What waits already gets its first answer. If nobody knows, the refusal is for now.
func TestOnlyKnown(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		saved := &archive{}
		s := openGated(t, b, inbox.Options{Archive: saved}.WithTuning(inbox.Tuning{Ask: 1}))
		before := s.send(t, "ann", "ben", "before the choice")
		s.gate(t, "ben", "1", "0")
		if err := s.rdb.HSet(t.Context(), "gate:{ben}", "privacy", "chats known no_receipts").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Enqueue(t.Context(), before); err != nil {
			t.Errorf("a repetition: %v", err)
		}
		for _, from := range []string{"ann", "cat"} {
			_, err := s.Enqueue(t.Context(), message(from, "ben", "hello"))
			if p := problem.Of(err); !errors.Is(err, inbox.ErrWritersLimited) || p.RetryAfter != 0 {
				t.Errorf("from %s: %v", from, err)
			}
		}
		same(t, "people whom cat has written to", s.rdb.Exists(t.Context(), "reach:{cat}").Val(), 0)
		same(t, "messages that wait", s.rdb.HLen(t.Context(), "pending:{ben}").Val(), 1)
		saved.set(true)
		_, err := s.Enqueue(t.Context(), message("dan", "ben", "hello"))
		if p := problem.Of(err); !errors.Is(err, problem.ErrUnavailable) || p.RetryAfter == 0 {
			t.Errorf("while the archive is down: %v", err)
		}
		saved.set(false)
		saved.save("ben", "dan")
		if _, err := s.Enqueue(t.Context(), message("dan", "ben", "hello")); err != nil {
			t.Errorf("the archive knows that ben has answered: %v", err)
		}
		if err := s.Accept(t.Context(), "ben", "ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Enqueue(t.Context(), message("ann", "ben", "accepted")); err != nil {
			t.Errorf("an accepted request: %v", err)
		}
		s.send(t, "ben", "cat", "ben writes first")
		if _, err := s.Enqueue(t.Context(), message("cat", "ben", "answered")); err != nil {
			t.Errorf("an answer: %v", err)
		}
	})
}
