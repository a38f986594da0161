package redissub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// recorder records what it receives.
type recorder struct {
	mu   sync.Mutex
	got  []string
	lost int
	news chan struct{}
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{}, 1)} }

func (r *recorder) Receive(p string) { r.note(func() { r.got = append(r.got, p) }) }
func (r *recorder) Lost()            { r.note(func() { r.lost++ }) }
func (r *recorder) note(fn func()) {
	r.mu.Lock()
	fn()
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// wait blocks until ok returns true.
func (r *recorder) wait(t *testing.T, what string, ok func(got []string, lost int) bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		r.mu.Lock()
		done := ok(r.got, r.lost)
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("timeout: %s (got %v, lost %d)", what, r.got, r.lost)
		}
	}
}

func has(payload string) func([]string, int) bool {
	return func(got []string, _ int) bool {
		for _, g := range got {
			if g == payload {
				return true
			}
		}
		return false
	}
}

func run(t *testing.T, rdb redis.UniversalClient, o redissub.Options) *redissub.Subscriber {
	t.Helper()
	subscriber := redissub.New(rdb, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- subscriber.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return subscriber
}

func subscribe(t *testing.T, subscriber *redissub.Subscriber, name string, r redissub.Receiver) func() {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stop, err := subscriber.Subscribe(ctx, name, r)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func TestPayloadsArriveInOrder(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		subscriber := run(t, rdb, redissub.Options{})
		r, other := newRecorder(), newRecorder()
		subscribe(t, subscriber, "wake:{a}", r)
		subscribe(t, subscriber, "wake:{b}", other)
		// A cluster client publishes through any node, but only payloads published through one node have an order.
		one := redis.NewClient(&redis.Options{Protocol: 2, Addr: b.Addrs[0]})
		defer one.Close()
		for i := range 50 {
			if err := one.Publish(t.Context(), "wake:{a}", fmt.Sprint(i)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(t, "all fifty", has("49"))
		for i, g := range r.got {
			if g != fmt.Sprint(i) {
				t.Fatalf("payload %d is %q", i, g)
			}
		}
		if len(other.got) != 0 || r.lost != 0 {
			t.Errorf("the receiver of the other channel got %v; %d losses", other.got, r.lost)
		}
	})
}

func TestStoppedReceiverGetsNothingAndItsChannelIsUnsubscribed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		subscriber := run(t, rdb, redissub.Options{})
		r, s := newRecorder(), newRecorder()
		stopR := subscribe(t, subscriber, "wake:{a}", r)
		stopS := subscribe(t, subscriber, "wake:{a}", s)
		stopR()
		rdb.Publish(t.Context(), "wake:{a}", "1")
		s.wait(t, "the first", has("1"))
		if len(r.got) != 0 {
			t.Errorf("a stopped receiver got %v", r.got)
		}
		stopS()
		// Unsubscribe and subscribe again many times. Once subscribed, the receiver misses nothing.
		for i := range 50 {
			again := newRecorder()
			stop := subscribe(t, subscriber, "wake:{a}", again)
			p := fmt.Sprint("again ", i)
			rdb.Publish(t.Context(), "wake:{a}", p)
			again.wait(t, p, has(p))
			stop()
		}
		testwait.Until(t, "no channel is subscribed", func() bool { return subscriber.Counters().Channels.Load() == 0 })
	})
}

func TestReceiversLearnOfABrokenConnection(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		if b.Kind == "miniredis" {
			t.Skip("miniredis has no CLIENT KILL; TestServerStopsAndRestarts covers it")
		}
		rdb := b.Client(t, nil)
		subscriber := redissub.New(rdb, redissub.Options{})
		reconnected := make(chan struct{}, 8)
		subscriber.OnReconnect(func() { reconnected <- struct{}{} })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- subscriber.Run(ctx) }()
		defer func() { cancel(); <-done }()
		var rs []*recorder
		for i := range 600 { // more than one batch
			r := newRecorder()
			rs = append(rs, r)
			subscribe(t, subscriber, fmt.Sprintf("wake:{%d}", i), r)
		}
		if b.KillSubscribers(t) == 0 {
			t.Fatal("KillSubscribers closed no connection")
		}
		for i, r := range rs {
			r.wait(t, "the receiver learns of the loss", func(_ []string, lost int) bool { return lost == 1 })
			p := fmt.Sprint("after ", i)
			rdb.Publish(t.Context(), fmt.Sprintf("wake:{%d}", i), p)
			r.wait(t, p, has(p))
		}
		select {
		case <-reconnected:
		case <-time.After(5 * time.Second):
			t.Error("OnReturn was not called")
		}
	})
}

func TestServerStopsAndRestarts(t *testing.T) {
	b := redistest.Mini(t)
	rdb := b.Client(t, nil)
	subscriber := run(t, rdb, redissub.Options{Retry: 50 * time.Millisecond})
	r := newRecorder()
	subscribe(t, subscriber, "wake:{a}", r)
	b.Mini.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := subscriber.Subscribe(ctx, "wake:{b}", newRecorder()); err == nil {
		t.Error("Subscribe succeeded although the server is stopped")
	}
	if err := b.Mini.Restart(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "the receiver learns of the loss", func(_ []string, lost int) bool { return lost > 0 })
	rdb.Publish(t.Context(), "wake:{a}", "back")
	r.wait(t, "back", has("back"))
}

// Only a ping can reveal that an open, silent connection is dead.
func TestHalfOpenConnectionIsReplaced(t *testing.T) {
	b := redistest.Mini(t)
	proxy := newProxy(t, b.Addrs[0])
	rdb := b.Client(t, func(o *redis.UniversalOptions) { o.Addrs = []string{proxy.addr} })
	subscriber := run(t, rdb, redissub.Options{Retry: 50 * time.Millisecond}.WithPing(100*time.Millisecond))
	r := newRecorder()
	subscribe(t, subscriber, "wake:{a}", r)
	proxy.freeze()
	r.wait(t, "the receiver learns of the loss", func(_ []string, lost int) bool { return lost > 0 })
	if subscriber.Counters().Silent.Load() == 0 {
		t.Error("the silent connection was not counted")
	}
}
