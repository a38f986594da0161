package inbox_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// betweenSteps is a redis.Hook that calls a function once, after the next pipeline.
type betweenSteps struct{ then func() }

func (h *betweenSteps) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *betweenSteps) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *betweenSteps) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if then := h.then; then != nil {
			h.then = nil
			then()
		}
		return err
	}
}

// A message that is sent again while the totals heal still counts.
func TestHealingKeepsWhatIsSentAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		again := s.send(t, "ann", "ben", "sent again")
		gone := s.send(t, "ann", "ben", "gone")
		s.rdb.Del(t.Context(), "pending:{ben}") // neither waits any more
		h := &betweenSteps{then: func() {
			s.rdb.HSet(t.Context(), "out:{ann}", "ben/"+again.ID, "100 5")
		}}
		s.rdb.AddHook(h)
		if err := s.Heal(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		if h.then != nil {
			t.Fatal("the hook was not called")
		}
		out := s.rdb.HGetAll(t.Context(), "out:{ann}").Val()
		same(t, "sent again", out["ben/"+again.ID], "100 5")
		same(t, "gone", out["ben/"+gone.ID], "")
	})
}
