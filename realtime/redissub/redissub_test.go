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

// recorder keeps what it was given.
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

// wait blocks until ok holds.
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
			t.Fatalf("never: %s (got %v, lost %d)", what, r.got, r.lost)
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
	l := redissub.New(rdb, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

func subscribe(t *testing.T, l *redissub.Subscriber, name string, r redissub.Receiver) func() {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stop, err := l.Subscribe(ctx, name, r)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func TestReceivesInOrderOnceSubscribed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		l := run(t, rdb, redissub.Options{})
		r, other := newRecorder(), newRecorder()
		subscribe(t, l, "wake:{a}", r)
		subscribe(t, l, "wake:{b}", other)
		// A cluster client publishes through any node; only one node's payloads have an order.
		one := redis.NewClient(&redis.Options{Addr: b.Addrs[0]})
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
			t.Errorf("other channel got %v; lost %d", other.got, r.lost)
		}
	})
}

func TestStoppedReceiverHearsNothingAndTheChannelIsLeft(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		rdb := b.Client(t, nil)
		l := run(t, rdb, redissub.Options{})
		r, s := newRecorder(), newRecorder()
		stopR := subscribe(t, l, "wake:{a}", r)
		stopS := subscribe(t, l, "wake:{a}", s)
		stopR()
		rdb.Publish(t.Context(), "wake:{a}", "1")
		s.wait(t, "the first", has("1"))
		if len(r.got) != 0 {
			t.Errorf("a stopped receiver got %v", r.got)
		}
		stopS()
		// Leave and come back, many times, while publishing: once subscribed, nothing is missed.
		for i := range 50 {
			again := newRecorder()
			stop := subscribe(t, l, "wake:{a}", again)
			p := fmt.Sprint("again ", i)
			rdb.Publish(t.Context(), "wake:{a}", p)
			again.wait(t, p, has(p))
			stop()
		}
		testwait.Until(t, "no channel is subscribed", func() bool { return l.Snapshot().Channels == 0 })
	})
}

func TestBrokenConnectionIsTold(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		if b.Kind == "miniredis" {
			t.Skip("miniredis has no CLIENT KILL; TestServerGoneAndBack covers it")
		}
		rdb := b.Client(t, nil)
		l := redissub.New(rdb, redissub.Options{})
		returned := make(chan time.Duration, 8)
		l.OnReconnect(func(d time.Duration) { returned <- d })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		defer func() { cancel(); <-done }()
		var rs []*recorder
		for i := range 600 { // more than one batch
			r := newRecorder()
			rs = append(rs, r)
			subscribe(t, l, fmt.Sprintf("wake:{%d}", i), r)
		}
		if b.KillSubscribers(t) == 0 {
			t.Fatal("no subscriber to kill")
		}
		for i, r := range rs {
			r.wait(t, "told of the loss", func(_ []string, lost int) bool { return lost == 1 })
			p := fmt.Sprint("after ", i)
			rdb.Publish(t.Context(), fmt.Sprintf("wake:{%d}", i), p)
			r.wait(t, p, has(p))
		}
		select {
		case <-returned:
		case <-time.After(5 * time.Second):
			t.Error("OnReturn was not called")
		}
	})
}

func TestServerGoneAndBack(t *testing.T) {
	b := redistest.Mini(t)
	rdb := b.Client(t, nil)
	l := run(t, rdb, redissub.Options{Retry: 50 * time.Millisecond})
	r := newRecorder()
	subscribe(t, l, "wake:{a}", r)
	b.Mini.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Subscribe(ctx, "wake:{b}", newRecorder()); err == nil {
		t.Error("subscribed to a server that is gone")
	}
	if err := b.Mini.Restart(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "told of the loss", func(_ []string, lost int) bool { return lost > 0 })
	rdb.Publish(t.Context(), "wake:{a}", "back")
	r.wait(t, "back", has("back"))
}

// A connection that is open and silent is only found by asking.
func TestHalfOpenConnectionIsReplaced(t *testing.T) {
	b := redistest.Mini(t)
	proxy := newProxy(t, b.Addrs[0])
	rdb := b.Client(t, func(o *redis.UniversalOptions) { o.Addrs = []string{proxy.addr} })
	l := run(t, rdb, redissub.Options{Ping: 100 * time.Millisecond, Retry: 50 * time.Millisecond})
	r := newRecorder()
	subscribe(t, l, "wake:{a}", r)
	proxy.freeze()
	r.wait(t, "told of the loss", func(_ []string, lost int) bool { return lost > 0 })
	if n := l.Snapshot().Silent; n == 0 {
		t.Error("the silent connection was not counted")
	}
}
