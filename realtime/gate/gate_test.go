package gate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// people is a Source.
type people struct {
	mu    sync.Mutex
	gates map[string]gate.Gate
	err   error
	asked atomic.Int64
	wait  chan struct{} // not nil: answers when it is closed
}

func (p *people) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	p.asked.Add(1)
	p.mu.Lock()
	g, err, wait := p.gates[uid], p.err, p.wait
	p.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return gate.Gate{}, ctx.Err()
		}
	}
	return g, err
}

func (p *people) set(uid string, g gate.Gate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gates[uid] = g
}

type instance struct {
	*gate.Gates
	rdb redis.UniversalClient
	l   *redissub.Subscriber
	in  *inbox.Inboxes
}

func start(t *testing.T, b *redistest.Redis, p *people, o gate.Options) *instance {
	t.Helper()
	rdb := b.Client(t, nil)
	l := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	o.Subscriber = l
	g := gate.New(rdb, p, o)
	in := inbox.New(rdb, inbox.Options{Subscriber: l, Gates: g})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- l.Run(ctx) }()
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	testwait.Until(t, "subscribed", func() bool {
		rdb.Publish(t.Context(), "gates", "nobody")
		return g.Snapshot().Changes > 0
	})
	return &instance{g, rdb, l, in}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

var since = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestFilledOnceThenFromRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		want := gate.Gate{Exists: true, Disabled: true, ValidAfter: since, Blocked: []string{"eve", "mal"}}
		p := &people{gates: map[string]gate.Gate{"ann": want}}
		x, y := start(t, b, p, gate.Options{}), start(t, b, p, gate.Options{})
		for _, i := range []*instance{x, x, y} {
			got, err := i.Get(t.Context(), "ann")
			if err != nil {
				t.Fatal(err)
			}
			same(t, "gate", got, want)
		}
		same(t, "asked", p.asked.Load(), 1)
		testwait.Until(t, "answered from this process", func() bool {
			_, err := x.Get(t.Context(), "ann")
			return err == nil && x.Snapshot().Hits > 0
		})
		same(t, "asked", p.asked.Load(), 1)
		same(t, "y", y.Snapshot().RedisHits, 1)
		if ttl := x.rdb.TTL(t.Context(), "gate:{ann}").Val(); ttl < 23*time.Hour || ttl > 24*time.Hour {
			t.Errorf("expires in %v", ttl)
		}
		// Nobody: known for a moment only, since the document may follow.
		if g, err := x.Get(t.Context(), "bob"); err != nil || g.Exists {
			t.Errorf("nobody: %+v, %v", g, err)
		}
		if ttl := x.rdb.TTL(t.Context(), "gate:{bob}").Val(); ttl <= 0 || ttl > 30*time.Second {
			t.Errorf("nobody expires in %v", ttl)
		}
	})
}

func TestManyAskTheSourceOnce(t *testing.T) {
	b := redistest.Mini(t)
	p := &people{gates: map[string]gate.Gate{"ann": {Exists: true}}, wait: make(chan struct{})}
	x := start(t, b, p, gate.Options{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if g, err := x.Get(t.Context(), "ann"); err != nil || !g.Exists {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	// One who gives up does not spoil it for the others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Get(ctx, "ann"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("given up: %v", err)
	}
	testwait.Until(t, "asked", func() bool { return p.asked.Load() > 0 })
	close(p.wait)
	wg.Wait()
	same(t, "asked", p.asked.Load(), 1)
}

func TestChangeReachesEveryInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		p := &people{gates: map[string]gate.Gate{"ann": {Exists: true}}}
		x, y := start(t, b, p, gate.Options{Keep: time.Hour}), start(t, b, p, gate.Options{Keep: time.Hour})
		heard := make(chan gate.Gate, 8)
		defer y.Watch("ann", func(g gate.Gate) { heard <- g })()
		y.Watch("bob", func(g gate.Gate) { t.Errorf("bob: %+v", g) })() // stopped
		for _, i := range []*instance{x, y} {
			if _, err := i.Get(t.Context(), "ann"); err != nil {
				t.Fatal(err)
			}
		}
		asked := p.asked.Load()
		want := gate.Gate{Exists: true, Disabled: true}
		if err := x.Changed(t.Context(), "ann", want); err != nil {
			t.Fatal(err)
		}
		for deadline := time.After(5 * time.Second); ; {
			select {
			case g := <-heard:
				if !g.Disabled {
					continue // as it was before
				}
			case <-deadline:
				t.Fatal("the watcher was not told within 5 s")
			}
			break
		}
		for _, i := range []*instance{x, y} {
			if g, err := i.Get(t.Context(), "ann"); err != nil || !g.Disabled {
				t.Errorf("after the change: %+v, %v", g, err)
			}
		}
		same(t, "asked", p.asked.Load(), asked) // never for a change
	})
}

// A notice that is published while the connection is broken is lost; the
// watcher is told after the reconnect.
func TestChangeDuringABrokenConnection(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		if b.Kind == "miniredis" {
			t.Skip("miniredis has no CLIENT KILL")
		}
		p := &people{gates: map[string]gate.Gate{"ann": {Exists: true}}}
		x := start(t, b, p, gate.Options{})
		if _, err := x.Get(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		heard := make(chan gate.Gate, 8)
		defer x.Watch("ann", func(g gate.Gate) { heard <- g })()
		// The change is written without a notice, as one that is lost.
		x.rdb.HSet(t.Context(), "gate:{ann}", "disabled", "1")
		testwait.Until(t, "killed", func() bool { return b.KillSubscribers(t) > 0 })
		for deadline := time.After(5 * time.Second); ; {
			select {
			case g := <-heard:
				if !g.Disabled {
					continue
				}
			case <-deadline:
				t.Fatal("the watcher was not told within 5 s")
			}
			break
		}
	})
}

func TestLostWithoutATraceIsFoundByRecheck(t *testing.T) {
	b := redistest.Mini(t)
	p := &people{gates: map[string]gate.Gate{"ann": {Exists: true}}}
	x := start(t, b, p, gate.Options{Recheck: 20 * time.Millisecond})
	heard := make(chan gate.Gate, 8)
	defer x.Watch("ann", func(g gate.Gate) { heard <- g })()
	if g := <-heard; g.Disabled {
		t.Errorf("%+v", g)
	}
	b.Mini.HSet("gate:{ann}", "disabled", "1")
	if g := <-heard; !g.Disabled {
		t.Errorf("%+v", g)
	}
	// Expired in Redis: from the source.
	p.set("ann", gate.Gate{})
	b.Mini.Del("gate:{ann}")
	if g := <-heard; g.Exists {
		t.Errorf("%+v", g)
	}
}

// A source that was asked before a change must not overwrite it afterwards.
func TestSlowFillDoesNotUndoAChange(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		p := &people{gates: map[string]gate.Gate{"ann": {Exists: true}}, wait: make(chan struct{})}
		x := start(t, b, p, gate.Options{})
		got := make(chan gate.Gate, 1)
		go func() {
			g, _ := x.Get(context.Background(), "ann")
			got <- g
		}()
		testwait.Until(t, "asked", func() bool { return p.asked.Load() > 0 })
		if err := x.Changed(t.Context(), "ann", gate.Gate{Exists: true, Disabled: true}); err != nil {
			t.Fatal(err)
		}
		close(p.wait)
		if g := <-got; !g.Disabled {
			t.Errorf("answered %+v", g)
		}
		same(t, "in redis", x.rdb.HGet(t.Context(), "gate:{ann}", "disabled").Val(), "1")
	})
}

func TestUnavailable(t *testing.T) {
	b := redistest.Mini(t)
	p := &people{gates: map[string]gate.Gate{}, err: errors.New("firestore is down")}
	x := start(t, b, p, gate.Options{})
	if _, err := x.Get(t.Context(), "ann"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("source down: %v", err)
	}
	same(t, "errors", x.Snapshot().FillErrors, 1)
	// Nothing is remembered of a failure.
	p.mu.Lock()
	p.err = nil
	p.gates["ann"] = gate.Gate{Exists: true}
	p.mu.Unlock()
	if g, err := x.Get(t.Context(), "ann"); err != nil || !g.Exists {
		t.Errorf("source back: %+v, %v", g, err)
	}
	b.Mini.Close()
	if err := x.Changed(t.Context(), "ann", gate.Gate{}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("redis down: %v", err)
	}
	if _, err := x.Get(t.Context(), "bob"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("redis down: %v", err)
	}
}

func TestUnreadableGateInRedis(t *testing.T) {
	b := redistest.Mini(t)
	p := &people{gates: map[string]gate.Gate{"ann": {Exists: true, Blocked: []string{"eve"}}}}
	x := start(t, b, p, gate.Options{})
	b.Mini.HSet("gate:{ann}", "exists", "1", "disabled", "0", "valid_after", "soon", "blocked", "{")
	if g, err := x.Get(t.Context(), "ann"); err != nil || !g.Blocks("eve") {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestAdmit(t *testing.T) {
	for name, c := range map[string]struct {
		gate gate.Gate
		at   time.Time
		want error
	}{
		"in order":         {gate.Gate{Exists: true}, since, nil},
		"nobody":           {gate.Gate{}, since, problem.ErrDeleted},
		"disabled":         {gate.Gate{Exists: true, Disabled: true}, since, problem.ErrDisabled},
		"signed out":       {gate.Gate{Exists: true, ValidAfter: since}, since.Add(-time.Second), problem.ErrTokenEnded},
		"the same second":  {gate.Gate{Exists: true, ValidAfter: since.Add(400 * time.Millisecond)}, since, nil},
		"signed in after":  {gate.Gate{Exists: true, ValidAfter: since}, since.Add(time.Second), nil},
		"never signed out": {gate.Gate{Exists: true}, time.Time{}, nil},
	} {
		if err := c.gate.Admit(c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Enqueue reads the recipient's gate in its own script.
func TestEnqueueAsksTheGate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		p := &people{gates: map[string]gate.Gate{
			"ben": {Exists: true, Blocked: []string{"eve", "annabel"}}, "off": {Exists: true, Disabled: true}}}
		x := start(t, b, p, gate.Options{})
		send := func(from, to string) error {
			_, err := x.in.Enqueue(t.Context(), chat.Message{ID: "id-" + from + "-" + to, From: from, To: to, Body: "x", At: 1,
				Conversation: chat.ConversationID(from, to)})
			return err
		}
		for _, c := range []struct {
			from, to string
			want     error
		}{
			{"ann", "ben", nil}, {"eve", "ben", inbox.ErrBlocked}, {"ann", "nobody", inbox.ErrRecipientUnknown},
			{"ann", "off", inbox.ErrRecipientDisabled},
		} {
			if err := send(c.from, c.to); !errors.Is(err, c.want) {
				t.Errorf("%s to %s: %v, want %v", c.from, c.to, err, c.want)
			}
		}
		if err := x.Changed(t.Context(), "ben", gate.Gate{}); err != nil {
			t.Fatal(err)
		}
		if err := send("cat", "ben"); !errors.Is(err, inbox.ErrRecipientUnknown) {
			t.Errorf("to a deleted user: %v", err)
		}
		// A repeat of what is queued is answered as before: it waits still.
		if err := send("ann", "ben"); err != nil {
			t.Errorf("repeat: %v", err)
		}
	})
}
