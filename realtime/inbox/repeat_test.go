package inbox_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// types returns the types of all events that are retained for uid.
func (s *setup) types(t testing.TB, uid string) (out []string) {
	t.Helper()
	for _, e := range s.retained(t, uid) {
		out = append(out, e.Type)
	}
	return out
}

// A client sends everything again after each reconnect. Other devices get the sent event once, but once more after the
// inbox was lost.
func TestRepeatedSendAppendsOneSentEvent(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := s.send(t, "ann", "ben", "one")
		for range 3 {
			if at, err := s.Enqueue(t.Context(), m); err != nil || at != m.AcceptedAt {
				t.Fatalf("%d, %v; want %d", at, err, m.AcceptedAt)
			}
		}
		same(t, "ann", s.types(t, "ann"), "[sent]")
		same(t, "ben", s.types(t, "ben"), "[message]")
		same(t, "repeats", s.Counters().Repeated.Load(), 3)
		same(t, "appends", s.Counters().Appended.Load(), 1)
		same(t, "repeated appends", s.Counters().AppendedAgain.Load(), 3)
		for _, key := range []string{"inbox:{ann}", "meta:{ann}"} {
			if err := s.rdb.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Enqueue(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		same(t, "ann, after her inbox was lost", s.types(t, "ann"), "[sent]")
	})
}

// The second step of a send fails, before Redis has done it or after. A repeated send runs that step only.
func TestRepeatedSendRunsTheStepThatFailed(t *testing.T) {
	for _, after := range []bool{false, true} {
		redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
			s := open(t, b, inbox.Options{})
			fails := &failing{kind: wire.EventSent, after: after}
			redistest.AddHook(t, s.rdb, fails)
			m := message("ann", "ben", "one")
			if _, err := s.Enqueue(t.Context(), m); !errors.Is(err, problem.ErrUnavailable) {
				t.Fatal(err)
			}
			fails.set("")
			other := m
			other.Body = "two"
			if _, err := s.Enqueue(t.Context(), other); !errors.Is(err, inbox.ErrIDReused) {
				t.Errorf("other content: %v", err)
			}
			at, err := s.Enqueue(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "enqueues", s.Counters().Enqueued.Load(), 1)
			same(t, "enqueues of a message that waits", s.Counters().Repeated.Load(), 0)
			same(t, "ann", s.types(t, "ann"), "[sent]")
			sent, _ := s.retained(t, "ann")[0].Message()
			same(t, "accepted_at of the sent event", sent.AcceptedAt, at)
			// Afterwards nothing is remembered: Redis is asked again.
			if again, err := s.Enqueue(t.Context(), m); err != nil || again != at {
				t.Errorf("%d, %v; want %d", again, err, at)
			}
			same(t, "enqueues of a message that waits", s.Counters().Repeated.Load(), 1)
		})
	}
}

// failing is a redis.Hook that fails the scripts which append an event of one type.
type failing struct {
	mu    sync.Mutex
	kind  string
	after bool // Redis does them, and only the reply is lost
}

func (f *failing) set(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kind = kind
}

func (f *failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f *failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		f.mu.Lock()
		kind := f.kind
		f.mu.Unlock()
		selected := func(c redis.Cmder) bool { return slices.Contains(redistest.Args(c), any(kind)) }
		if kind == "" || !slices.ContainsFunc(cmds, selected) {
			return next(ctx, cmds)
		}
		if f.after {
			_ = next(ctx, cmds)
		}
		err := &net.OpError{Op: "read", Err: errors.New("injected fault")}
		for _, c := range cmds {
			c.SetErr(err)
		}
		return err
	}
}

// A repeated append adds nothing, whether or not the account of the sender had the messages.
func TestRepeatedAppendAddsNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		m := s.send(t, "ann", "ben", "one")
		delivered := func(id string) inbox.Entry {
			return inbox.Entry{UID: "ann", Type: wire.EventDelivered, Event: wire.DeliveredEvent{
				Type: wire.EventDelivered, Conversation: chat.ConversationID("ann", "ben"),
				Messages: []wire.MessageRef{{ID: id, At: m.At}}, DeliveredAt: 5}}
		}
		read := inbox.Entry{UID: "ann", Type: wire.EventRead, Event: wire.ReadEvent{
			Type: wire.EventRead, Conversation: chat.ConversationID("ann", "ben"), By: "ben", At: 7}}
		unknown := message("ann", "ben", "not in the account").ID
		for range 3 {
			for _, e := range []inbox.Entry{delivered(m.ID), delivered(unknown), read} {
				if err := s.Append(t.Context(), []inbox.Entry{e})[0]; err != nil {
					t.Fatal(err)
				}
			}
			read.Again = true
		}
		same(t, "ann", s.types(t, "ann"), "[sent delivered delivered read]")
		same(t, "repeated appends", s.Counters().AppendedAgain.Load(), 6)
		read.Again = false
		if err := s.Append(t.Context(), []inbox.Entry{read})[0]; err != nil {
			t.Fatal(err)
		}
		same(t, "ann", s.types(t, "ann"), "[sent delivered delivered read read]")
	})
}

// go-redis repeats a command whose answer is late, unless the context of the operation has ended.
func TestClientDoesNotRepeatLateCommands(t *testing.T) {
	o := inbox.Tune(&redis.UniversalOptions{})
	if o.ReadTimeout < inbox.Timeout || o.WriteTimeout < inbox.Timeout {
		t.Errorf("the client waits %v and %v, operations %v", o.ReadTimeout, o.WriteTimeout, inbox.Timeout)
	}
}
