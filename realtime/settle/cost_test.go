package settle_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/listen"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// countHook counts round trips: a pipeline is one.
type countHook struct{ trips atomic.Int64 }

func (h *countHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *countHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.trips.Add(1)
		return next(ctx, cmd)
	}
}
func (h *countHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.trips.Add(1)
		return next(ctx, cmds)
	}
}

type everybody struct{}

func (everybody) Gate(context.Context, string) (gate.Gate, error) {
	return gate.Gate{Exists: true}, nil
}

// At chat pace, one message per pair every 20 s, a message costs at most 5
// round trips to Redis, everything included (gates, presence, comparisons,
// probes), and 0.25 publishes. The promise is for 1,000 pairs on one instance,
// where more is gathered: these are fewer, which is harder, and quicker to test.
func TestCostOfAMessage(t *testing.T) {
	const pairs = 400
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		mini.ClockTTL(true)
		defer mini.Close()
		rdb := redis.NewUniversalClient(inbox.Tune(&redis.UniversalOptions{Addrs: []string{"mini"}, MaxRetries: -1,
			Dialer: func(context.Context, string, string) (net.Conn, error) { return dial(mini) }}))
		defer rdb.Close()
		hook := &countHook{}
		rdb.AddHook(hook)
		pub := newTopic()
		l := listen.New(rdb, listen.Options{Log: quiet})
		g := gate.New(rdb, everybody{}, gate.Options{Listener: l, Log: quiet})
		in := inbox.New(rdb, inbox.Options{Listener: l, Gates: g, Log: quiet})
		p := presence.New(rdb, "one", presence.Options{Listener: l, Log: quiet})
		s := settle.New(in, pub, settle.Options{Log: quiet})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, run := range []func(context.Context) error{l.Run, g.Run, in.Run, p.Run, s.Run} {
			wg.Go(func() { _ = run(ctx) })
		}
		defer wg.Wait()
		defer cancel()

		var shown atomic.Int64
		for i := range 2 * pairs {
			uid := fmt.Sprint("user", i)
			defer g.Watch(uid, func(gate.Gate) {})()
			if _, err := g.Get(ctx, uid); err != nil {
				t.Fatal(err)
			}
			feed, err := in.Subscribe(ctx, uid)
			if err != nil {
				t.Fatal(err)
			}
			a, err := in.Attach(ctx, uid, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Join(ctx, uid); err != nil {
				t.Fatal(err)
			}
			acc := s.Open(uid, a)
			feed.Seen(a.From.Cursor)
			wg.Go(func() {
				defer feed.Close()
				at := a.From
				for {
					select {
					case <-ctx.Done():
						return
					case <-feed.Ready():
					}
					wakes, lost := feed.Take()
					if lost {
						t.Errorf("%s lost something", uid)
					}
					for _, w := range wakes {
						if at.Follows(w) != inbox.Next {
							t.Errorf("%s: %v does not follow %v", uid, w.Event.ID, at.ID)
						}
						at = at.To(w.Event)
						acc.Sent(w.Epoch, w.Event)
						if w.Event.Type == "message" {
							shown.Add(1)
						}
					}
					select {
					case <-ctx.Done():
						return
					case <-time.After(50 * time.Millisecond): // how often a device acknowledges
					}
					acc.Ack(at.Cursor)
				}
			})
		}
		testwait.Advance(time.Minute) // hellos are over
		before, published := hook.trips.Load(), pub.count()
		messages := 0
		pause := 20 * time.Second / time.Duration(pairs)
		for pair := range pairs {
			from, to := fmt.Sprint("user", 2*pair+pair%2), fmt.Sprint("user", 2*pair+1-pair%2)
			if _, err := in.Enqueue(ctx, message(from, to, "How are you?")); err != nil {
				t.Fatal(err)
			}
			messages++
			testwait.Advance(pause)
		}
		testwait.Advance(5 * time.Second)
		trips := float64(hook.trips.Load()-before) / float64(messages)
		publishes := float64(pub.count()-published) / float64(messages)
		t.Logf("%d pairs: %.2f round trips and %.3f publishes per message", pairs, trips, publishes)
		if trips > 5 {
			t.Errorf("%.2f round trips per message, want at most 5", trips)
		}
		if publishes > 0.25 {
			t.Errorf("%.3f publishes per message, want at most 0.25", publishes)
		}
		if int(shown.Load()) != messages || s.Snapshot().Messages != int64(messages) || s.Snapshot().FromStream > 0 {
			t.Errorf("%d messages, %d shown, %+v", messages, shown.Load(), s.Snapshot())
		}
	})
}
