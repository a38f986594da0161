package inbox_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// garbled is a redis.Hook that replaces the answers to commands that name a key.
type garbled struct{ key string }

func (g garbled) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g garbled) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g garbled) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, c := range cmds {
			if c, ok := c.(*redis.Cmd); ok && slices.Contains(redistest.Args(c), any(g.key)) {
				c.SetVal("no list")
			}
		}
		return err
	}
}

// Each entry of one call has its own result: an event that cannot be encoded, an inbox that Redis cannot append to, and
// one whose answer cannot be read do not change those of the others.
func TestAppendReportsEachEntry(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		redistest.AddHook(t, s.rdb, garbled{"inbox:{dan}"})
		if err := s.rdb.Set(t.Context(), "inbox:{cat}", "not a stream", 0).Err(); err != nil {
			t.Fatal(err)
		}
		read := func(uid string) inbox.Entry {
			return inbox.Entry{UID: uid, Type: wire.EventRead, Event: wire.ReadEvent{Type: wire.EventRead,
				Conversation: chat.ConversationID(uid, "eve"), By: "eve", At: 7}}
		}
		errs := s.Append(t.Context(), []inbox.Entry{{UID: "ann", Type: wire.EventRead, Event: func() {}}, read("ann"),
			read("cat"), read("dan"), read("ben"), read("cat")})
		for i, want := range []bool{true, false, true, true, false, true} {
			if (errs[i] != nil) != want {
				t.Errorf("error of entry %d: %v, want one: %v", i, errs[i], want)
			}
		}
		if errors.Is(errs[3], problem.ErrUnavailable) {
			t.Errorf("an answer that cannot be read is %v", errs[3])
		}
		same(t, "ann", s.types(t, "ann"), "[read]")
		same(t, "ben", s.types(t, "ben"), "[read]")
		same(t, "appended", s.Counters().Appended.Load(), 2)
	})
}

// A receipt without messages is repeated like any other event without messages.
func TestEmptyReceiptIsRepeatedOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		e := inbox.Entry{UID: "ann", Type: wire.EventDelivered, Event: wire.DeliveredEvent{Type: wire.EventDelivered,
			Conversation: chat.ConversationID("ann", "ben"), Messages: []wire.MessageRef{}, DeliveredAt: 5}}
		for range 2 {
			if err := s.Append(t.Context(), []inbox.Entry{e})[0]; err != nil {
				t.Fatal(err)
			}
			e.Again = true
		}
		same(t, "ann", s.types(t, "ann"), "[delivered]")
	})
}
