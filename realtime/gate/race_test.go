package gate_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// slowReads is a redis.Hook that delays the answer to the next read of a gate.
type slowReads struct {
	armed   atomic.Bool
	read    chan struct{} // closed when Redis has answered
	release chan struct{} // the caller gets the answer when this is closed
}

func (h *slowReads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *slowReads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *slowReads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "hmget" && h.armed.CompareAndSwap(true, false) {
			close(h.read)
			<-h.release
		}
		return err
	}
}

// A gate that was read before a change is not kept after the notice of the change.
func TestReadOvertakenByAChangeIsNotCached(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}}
		first := start(t, b, source, gate.Tuned(gate.Tuning{Keep: time.Hour}))
		second := start(t, b, source, gate.Options{})
		if _, err := second.Get(t.Context(), "ann"); err != nil { // fills Redis
			t.Fatal(err)
		}
		h := &slowReads{read: make(chan struct{}), release: make(chan struct{})}
		redistest.AddHook(t, first.rdb, h)
		h.armed.Store(true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = first.Get(context.Background(), "ann") // may be the gate from before
		}()
		<-h.read
		before := first.Counters().Changes.Load()
		if err := second.Changed(t.Context(), "ann", gate.Gate{Exists: true, Disabled: true}); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, "the notice arrives", func() bool { return first.Counters().Changes.Load() > before })
		close(h.release)
		<-done
		if g, err := first.Get(t.Context(), "ann"); err != nil || !g.Disabled {
			t.Errorf("after the change: %+v, %v", g, err)
		}
	})
}
