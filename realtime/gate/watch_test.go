package gate_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// next returns what a watcher is notified of next.
func next(t *testing.T, notified <-chan gate.Gate) gate.Gate {
	t.Helper()
	select {
	case g := <-notified:
		return g
	case <-time.After(5 * time.Second):
		t.Fatal("the watcher was not notified within 5 s")
		return gate.Gate{}
	}
}

// A watcher gets each change of any part of a gate once. Reading an unchanged gate again notifies nobody: every open
// socket has a watcher.
func TestWatcherGetsEachChangeOnce(t *testing.T) {
	b := redistest.Mini(t)
	first := start(t, b, &fakeSource{}, gate.Tuned(gate.Tuning{Recheck: 5 * time.Millisecond}))
	steps := []gate.Gate{
		{Exists: true},
		{Exists: true, Disabled: true},
		{Exists: true, ValidAfter: since},
		{Exists: true, ValidAfter: since.Add(time.Second)},
		{Exists: true, Ended: []time.Time{since}},
		{Exists: true, Ended: []time.Time{since, since.Add(time.Second)}},
		{Exists: true, Blocked: []string{"eve"}},
		{Exists: true, Blocked: []string{"mal"}},
		{},
	}
	if err := first.Changed(t.Context(), "ann", steps[0]); err != nil {
		t.Fatal(err)
	}
	notified := make(chan gate.Gate, 100)
	defer first.Watch("ann", func(g gate.Gate) { notified <- g })()
	for i, want := range steps {
		if i > 0 {
			if err := first.Changed(t.Context(), "ann", want); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "notified", next(t, notified), want)
		before := first.Counters().Rechecked.Load()
		testwait.Until(t, "the gate is read again", func() bool { return first.Counters().Rechecked.Load() > before+2 })
		same(t, "notices of an unchanged gate", len(notified), 0)
	}
}

// Two devices of one user watch, and one closes. The other still gets changes.
func TestOneOfTwoWatchersStops(t *testing.T) {
	first := start(t, redistest.Mini(t), &fakeSource{}, gate.Options{})
	notified := make(chan gate.Gate, 8)
	stop := first.Watch("ann", func(gate.Gate) {})
	defer first.Watch("ann", func(g gate.Gate) { notified <- g })()
	stop()
	if err := first.Changed(t.Context(), "ann", gate.Gate{Exists: true, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	same(t, "notified", next(t, notified), gate.Gate{Exists: true, Disabled: true})
}

var errBroken = errors.New("connection reset by peer")

// brokenReads is a redis.Hook that fails reads of several gates as long as it is broken.
type brokenReads struct {
	broken   atomic.Bool
	attempts atomic.Int64
}

func (h *brokenReads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *brokenReads) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *brokenReads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "hmget" || !h.broken.Load() {
			return next(ctx, cmds)
		}
		h.attempts.Add(1)
		for _, c := range cmds {
			c.SetErr(errBroken)
		}
		return errBroken
	}
}

// Redis does not answer when watched gates are read. They are read again after a second, and not in a busy loop.
func TestWatchedGatesAreReadAgainAfterAFailure(t *testing.T) {
	b := redistest.Mini(t)
	first := start(t, b, &fakeSource{}, gate.Options{})
	h := &brokenReads{}
	h.broken.Store(true)
	first.rdb.AddHook(h)
	notified := make(chan string, 8)
	began := time.Now()
	for _, uid := range []string{"ann", "ben"} {
		defer first.Watch(uid, func(g gate.Gate) {
			if g.Disabled {
				notified <- uid
			}
		})()
		if err := first.Changed(t.Context(), uid, gate.Gate{Exists: true, Disabled: true}); err != nil {
			t.Fatal(err)
		}
	}
	testwait.Until(t, "the gates are read twice", func() bool { return h.attempts.Load() > 1 })
	if took := time.Since(began); took < time.Second {
		t.Errorf("the second attempt came within %v, want a second", took)
	}
	h.broken.Store(false)
	got := map[string]bool{}
	for len(got) < 2 {
		select {
		case uid := <-notified:
			got[uid] = true
		case <-time.After(5 * time.Second):
			t.Fatalf("of ann and ben, only %v were notified after Redis came back", got)
		}
	}
}

// An instance that is stopped while Redis is unreachable does not hang.
func TestRunEndsWhileRedisIsUnreachable(t *testing.T) {
	b := redistest.Mini(t)
	rdb := b.Client(t, nil)
	b.Mini.Close()
	subscriber := redissub.New(rdb, redissub.Options{Retry: time.Millisecond})
	g := gate.New(rdb, &fakeSource{}, gate.Options{Subscriber: subscriber})
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 2)
	go func() { done <- subscriber.Run(ctx) }()
	go func() { done <- g.Run(ctx) }()
	g.Watch("ann", func(gate.Gate) {})
	cancel(stopped)
	for range 2 {
		select {
		case err := <-done:
			if !errors.Is(err, stopped) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("did not end within 10 s")
		}
	}
}
