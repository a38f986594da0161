package inbox_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// holding is a redis.Hook that holds pipelines that have a command with the given arguments, until release is closed.
type holding struct {
	args    []any
	release chan struct{}
}

func (h *holding) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *holding) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *holding) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if slices.ContainsFunc(cmds, func(c redis.Cmder) bool {
			return !slices.ContainsFunc(h.args, func(a any) bool { return !slices.Contains(redistest.Args(c), a) })
		}) {
			<-h.release
		}
		return next(ctx, cmds)
	}
}

// The account of a message comes after its receipt. It does not count for long, and another message that waits still
// counts.
func TestLateAccountIsHealed(t *testing.T) {
	for name, c := range map[string]struct {
		late   time.Duration
		device string
		held   []any
	}{
		"by commands":   {1, "phone", []any{"HSET", "out:{ann}"}},
		"by the script": {1, "", []any{"out:{ann}", wire.EventSent}},
		"in time":       {time.Hour, "phone", []any{"HSET", "out:{ann}"}},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
				s := open(t, b, inbox.Tuned(inbox.Tuning{Late: c.late, Compare: 60 * time.Millisecond}))
				h := &holding{c.held, make(chan struct{})}
				redistest.AddHook(t, s.rdb, h)
				f, err := s.Subscribe(t.Context(), "ben")
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				s.attach(t, "ben", "")
				s.attachFrom(t, "ann", "phone")
				// Only the message to ben is sent through this instance, and it is not the first one.
				other := open(t, b, inbox.Options{})
				waits := other.send(t, "ann", "cat", "this waits")
				s.Learn("ann", "ben")
				m := message("ann", "ben", "two")
				sent := make(chan error, 1)
				go func() {
					_, err := s.EnqueueFrom(t.Context(), m, c.device)
					sent <- err
				}()
				testwait.Until(t, "the message is queued", func() bool { return s.records(t, "ben") == 1 })
				other.report(t, "ben", wire.EventDelivered)
				other.mark(t, "ben", 1)
				close(h.release)
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				field := "ben/" + m.ID
				has := func(field string) bool { return s.rdb.HExists(t.Context(), "out:{ann}", field).Val() }
				healed := s.Counters().Healed.Load
				testwait.Until(t, "the message is accounted for", func() bool { return has(field) || healed() > 0 })
				if c.late == time.Hour {
					n := s.Counters().Compared.Load()
					testwait.Until(t, "three intervals pass", func() bool { return s.Counters().Compared.Load() > n+3 })
					same(t, "healed", healed(), 0)
					same(t, "checks", s.Counters().Late.Load(), 0)
					return
				}
				testwait.Until(t, "the totals are healed", func() bool { return !has(field) && healed() == 1 })
				same(t, "whether a check was counted", s.Counters().Late.Load() > 0, true)
				same(t, "whether the other message waits", has("cat/"+waits.ID), true)
				totals, fields := s.totals(t, "ann")
				same(t, "totals", totals, fields)
			})
		})
	}
}
