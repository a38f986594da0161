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

// fakeSource is a Source.
type fakeSource struct {
	mu    sync.Mutex
	gates map[string]gate.Gate
	err   error
	calls atomic.Int64
	wait  chan struct{} // not nil: Gate returns when it is closed
}

func (source *fakeSource) Gate(ctx context.Context, uid string) (gate.Gate, error) {
	source.calls.Add(1)
	source.mu.Lock()
	g, err, wait := source.gates[uid], source.err, source.wait
	source.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return gate.Gate{}, ctx.Err()
		}
	}
	return g, err
}

func (source *fakeSource) set(uid string, g gate.Gate) {
	source.mu.Lock()
	defer source.mu.Unlock()
	source.gates[uid] = g
}

// instance is Gates that run, and Inboxes that use them.
type instance struct {
	*gate.Gates
	rdb     redis.UniversalClient
	inboxes *inbox.Inboxes
}

func start(t *testing.T, b *redistest.Redis, source *fakeSource, o gate.Options) *instance {
	t.Helper()
	rdb := b.Client(t, nil)
	subscriber := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	o.Subscriber = subscriber
	g := gate.New(rdb, source, o)
	inboxes := inbox.New(rdb, inbox.Options{Subscriber: subscriber, Gates: g})
	var changed sync.Map
	g.OnChange(func(uid string) { changed.Store(uid, true) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- subscriber.Run(ctx) }()
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	testwait.Until(t, "the notices are subscribed", func() bool {
		rdb.Publish(t.Context(), "gates", "nobody")
		return g.Counters().Changes.Load() > 0
	})
	if b.Mini != nil { // it delivers in order
		rdb.Publish(t.Context(), "gates", "the last")
		testwait.Until(t, "all these notices have arrived", func() bool {
			_, ok := changed.Load("the last")
			return ok
		})
	}
	return &instance{g, rdb, inboxes}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

var since = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestGateIsFilledOnceAndThenReadFromRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		want := gate.Gate{Exists: true, Disabled: true, ValidAfter: since, Blocked: []string{"eve", "mal"},
			Ended:   []time.Time{since.Add(time.Hour), since.Add(2 * time.Hour)},
			Privacy: chat.Privacy{LastSeen: chat.Nobody, NoReceipts: true, OnlyKnown: true}, Unverified: true}
		source := &fakeSource{gates: map[string]gate.Gate{"ann": want}}
		first, second := start(t, b, source, gate.Options{}), start(t, b, source, gate.Options{})
		for _, i := range []*instance{first, first, second} {
			got, err := i.Get(t.Context(), "ann")
			if err != nil {
				t.Fatal(err)
			}
			same(t, "gate", got, want)
		}
		same(t, "calls of the source", source.calls.Load(), 1)
		testwait.Until(t, "the gate comes from this process", func() bool {
			_, err := first.Get(t.Context(), "ann")
			return err == nil && first.Counters().Hits.Load() > 0
		})
		same(t, "calls of the source", source.calls.Load(), 1)
		same(t, "Redis hits of the second", second.Counters().RedisHits.Load(), 1)
		if ttl := first.rdb.TTL(t.Context(), "gate:{ann}").Val(); ttl < 23*time.Hour || ttl > 24*time.Hour {
			t.Errorf("the gate expires in %v", ttl)
		}
		// The gate of an unknown user is kept only for a moment, because the document may still be created.
		if g, err := first.Get(t.Context(), "bob"); err != nil || g.Exists {
			t.Errorf("unknown user: %+v, %v", g, err)
		}
		if ttl := first.rdb.TTL(t.Context(), "gate:{bob}").Val(); ttl <= 0 || ttl > 30*time.Second {
			t.Errorf("the gate of an unknown user expires in %v", ttl)
		}
	})
}

func TestConcurrentLoadsShareOneCallOfTheSource(t *testing.T) {
	b := redistest.Mini(t)
	source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}, wait: make(chan struct{})}
	first := start(t, b, source, gate.Options{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if g, err := first.Get(t.Context(), "ann"); err != nil || !g.Exists {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	// A caller that gives up does not disturb the others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first.Get(ctx, "ann"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("canceled call: %v", err)
	}
	testwait.Until(t, "the source is called", func() bool { return source.calls.Load() > 0 })
	close(source.wait)
	wg.Wait()
	same(t, "calls of the source", source.calls.Load(), 1)
}

func TestChangeReachesEveryInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}}
		o := gate.Tuned(gate.Tuning{Keep: time.Hour})
		first, second := start(t, b, source, o), start(t, b, source, o)
		notified := make(chan gate.Gate, 8)
		defer second.Watch("ann", func(g gate.Gate) { notified <- g })()
		second.Watch("bob", func(g gate.Gate) { t.Errorf("the stopped watcher of bob got %+v", g) })() // stopped at once
		for _, i := range []*instance{first, second} {
			if _, err := i.Get(t.Context(), "ann"); err != nil {
				t.Fatal(err)
			}
		}
		before := source.calls.Load()
		want := gate.Gate{Exists: true, Disabled: true}
		if err := first.Changed(t.Context(), "ann", want); err != nil {
			t.Fatal(err)
		}
		for deadline := time.After(5 * time.Second); ; {
			select {
			case g := <-notified:
				if !g.Disabled {
					continue // the gate from before the change
				}
			case <-deadline:
				t.Fatal("the watcher was not notified within 5 s")
			}
			break
		}
		for _, i := range []*instance{first, second} {
			if g, err := i.Get(t.Context(), "ann"); err != nil || !g.Disabled {
				t.Errorf("after the change: %+v, %v", g, err)
			}
		}
		same(t, "calls of the source", source.calls.Load(), before) // a change does not need the source
	})
}

// A notice that is published while the connection is broken is lost. The watcher is notified after the reconnect.
func TestChangeDuringABrokenConnection(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		if b.Kind == "miniredis" {
			t.Skip("miniredis has no CLIENT KILL")
		}
		source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}}
		first := start(t, b, source, gate.Options{})
		if _, err := first.Get(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		notified := make(chan gate.Gate, 8)
		defer first.Watch("ann", func(g gate.Gate) { notified <- g })()
		// Write the change without a notice, as if the notice was lost.
		first.rdb.HSet(t.Context(), "gate:{ann}", "disabled", "1")
		testwait.Until(t, "a subscriber is killed", func() bool { return b.KillSubscribers(t) > 0 })
		for deadline := time.After(5 * time.Second); ; {
			select {
			case g := <-notified:
				if !g.Disabled {
					continue
				}
			case <-deadline:
				t.Fatal("the watcher was not notified within 5 s")
			}
			break
		}
	})
}

func TestRecheckFindsSilentlyLostChange(t *testing.T) {
	b := redistest.Mini(t)
	source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}}
	first := start(t, b, source, gate.Tuned(gate.Tuning{Recheck: 20 * time.Millisecond}))
	notified := make(chan gate.Gate, 8)
	defer first.Watch("ann", func(g gate.Gate) { notified <- g })()
	if g := next(t, notified); g.Disabled {
		t.Errorf("%+v", g)
	}
	b.Mini.HSet("gate:{ann}", "disabled", "1")
	if g := next(t, notified); !g.Disabled {
		t.Errorf("%+v", g)
	}
	// A gate that has expired in Redis is read from the source.
	source.set("ann", gate.Gate{})
	b.Mini.Del("gate:{ann}")
	if g := next(t, notified); g.Exists {
		t.Errorf("%+v", g)
	}
}

// A gate that was read from the source before a change must not overwrite the change.
func TestSlowFillDoesNotUndoAChange(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true}}, wait: make(chan struct{})}
		first := start(t, b, source, gate.Options{})
		got := make(chan gate.Gate, 1)
		go func() {
			g, _ := first.Get(context.Background(), "ann")
			got <- g
		}()
		testwait.Until(t, "the source is called", func() bool { return source.calls.Load() > 0 })
		if err := first.Changed(t.Context(), "ann", gate.Gate{Exists: true, Disabled: true}); err != nil {
			t.Fatal(err)
		}
		close(source.wait)
		if g := <-got; !g.Disabled {
			t.Errorf("got %+v", g)
		}
		same(t, "in redis", first.rdb.HGet(t.Context(), "gate:{ann}", "disabled").Val(), "1")
	})
}

func TestUnavailable(t *testing.T) {
	b := redistest.Mini(t)
	source := &fakeSource{gates: map[string]gate.Gate{}, err: errors.New("firestore is down")}
	first := start(t, b, source, gate.Options{})
	if _, err := first.Get(t.Context(), "ann"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("source down: %v", err)
	}
	same(t, "fill errors", first.Counters().FillErrors.Load(), 1)
	// A failure is not cached.
	source.mu.Lock()
	source.err = nil
	source.gates["ann"] = gate.Gate{Exists: true}
	source.mu.Unlock()
	if g, err := first.Get(t.Context(), "ann"); err != nil || !g.Exists {
		t.Errorf("source back: %+v, %v", g, err)
	}
	b.Mini.Close()
	if err := first.Changed(t.Context(), "ann", gate.Gate{}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("redis down: %v", err)
	}
	if _, err := first.Get(t.Context(), "bob"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("redis down: %v", err)
	}
}

func TestUnreadableGateInRedis(t *testing.T) {
	b := redistest.Mini(t)
	source := &fakeSource{gates: map[string]gate.Gate{"ann": {Exists: true, Blocked: []string{"eve"}}}}
	first := start(t, b, source, gate.Options{})
	b.Mini.HSet("gate:{ann}", "exists", "1", "disabled", "0", "valid_after", "soon", "ended", "[]", "blocked", "{")
	if g, err := first.Get(t.Context(), "ann"); err != nil || !g.Blocks("eve") {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestAdmit(t *testing.T) {
	for name, c := range map[string]struct {
		gate gate.Gate
		at   time.Time
		want error
	}{
		"admitted":         {gate.Gate{Exists: true}, since, nil},
		"unknown user":     {gate.Gate{}, since, problem.ErrDeleted},
		"disabled":         {gate.Gate{Exists: true, Disabled: true}, since, problem.ErrDisabled},
		"signed out":       {gate.Gate{Exists: true, ValidAfter: since}, since.Add(-time.Second), problem.ErrTokenEnded},
		"the same second":  {gate.Gate{Exists: true, ValidAfter: since.Add(400 * time.Millisecond)}, since, nil},
		"signed in after":  {gate.Gate{Exists: true, ValidAfter: since}, since.Add(time.Second), nil},
		"never signed out": {gate.Gate{Exists: true}, time.Time{}, nil},
		"ended sign-in": {gate.Gate{Exists: true, Ended: []time.Time{since.Add(time.Second), since}}, since,
			problem.ErrTokenEnded},
		"ended, with a fraction": {gate.Gate{Exists: true, Ended: []time.Time{since}}, since.Add(900 * time.Millisecond),
			problem.ErrTokenEnded},
		"a device that was signed out": {gate.Gate{Exists: true, Ended: []time.Time{since}, SignedOut: []time.Time{since}},
			since, problem.ErrSignedOut},
		"signed out, and the list was full": {gate.Gate{Exists: true, ValidAfter: since.Add(time.Second),
			SignedOut: []time.Time{since}}, since, problem.ErrSignedOut},
		"signed out, but not ended": {gate.Gate{Exists: true, SignedOut: []time.Time{since}}, since, nil},
		"another one ended":         {gate.Gate{Exists: true, Ended: []time.Time{since}}, since.Add(-time.Second), nil},
	} {
		if err := c.gate.Admit(c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Enqueue reads the recipient's gate in its own script.
func TestEnqueueChecksTheGate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		source := &fakeSource{gates: map[string]gate.Gate{
			"ben": {Exists: true, Blocked: []string{"eve", "annabel"}}, "off": {Exists: true, Disabled: true}}}
		first := start(t, b, source, gate.Options{})
		send := func(from, to string) error {
			m := chat.Message{ID: "id-" + from + "-" + to, From: from, To: to, Body: "x", At: 1,
				Conversation: chat.ConversationID(from, to)}
			_, err := first.inboxes.Enqueue(t.Context(), m)
			return err
		}
		for _, c := range []struct {
			from, to string
			want     error
		}{
			{"ann", "ben", nil}, {"eve", "ben", inbox.ErrRecipientUnavailable}, {"ann", "nobody", inbox.ErrRecipientUnknown},
			{"ann", "off", inbox.ErrRecipientUnavailable},
		} {
			if err := send(c.from, c.to); !errors.Is(err, c.want) {
				t.Errorf("%s to %s: %v, want %v", c.from, c.to, err, c.want)
			}
		}
		if err := first.Changed(t.Context(), "ben", gate.Gate{}); err != nil {
			t.Fatal(err)
		}
		if err := send("cat", "ben"); !errors.Is(err, inbox.ErrRecipientUnknown) {
			t.Errorf("to a deleted user: %v", err)
		}
		// A repeated send of a waiting message gets the first answer.
		if err := send("ann", "ben"); err != nil {
			t.Errorf("repeat: %v", err)
		}
	})
}
