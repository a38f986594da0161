package presence_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

// instance is a Presence that runs.
type instance struct {
	*presence.Presence
	rdb  redis.UniversalClient
	kill func() // stops the instance without leaving
}

// gates is a source of gates that Redis does not have.
type gates struct {
	mu      sync.Mutex
	blocked map[string][]string
	asked   []string
}

// Get implements presence.Gates.
func (g *gates) Get(_ context.Context, uid string) (gate.Gate, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, uid)
	return gate.Gate{Exists: true, Blocked: g.blocked[uid]}, nil
}

func start(t *testing.T, b *redistest.Redis, id string, o presence.Options) *instance {
	t.Helper()
	rdb := b.Client(t, nil)
	subscriber := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	o.Subscriber = subscriber
	if o.Gates == nil {
		o.Gates = &gates{}
	}
	p := presence.New(rdb, id, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- subscriber.Run(ctx) }()
	go func() { done <- p.Run(ctx) }()
	stopped := false
	kill := func() {
		if !stopped {
			stopped = true
			cancel()
			<-done
			<-done
		}
	}
	t.Cleanup(kill)
	return &instance{p, rdb, kill}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func (in *instance) join(t *testing.T, uid string) {
	t.Helper()
	if err := in.Join(t.Context(), uid, false); err != nil {
		t.Fatal(err)
	}
}

func (in *instance) leave(t *testing.T, uid string) {
	t.Helper()
	if err := in.Leave(t.Context(), uid, false); err != nil {
		t.Fatal(err)
	}
}

func (in *instance) watch(t *testing.T, uids ...string) *presence.Watcher {
	t.Helper()
	w := in.Watch("zoe")
	t.Cleanup(w.Close)
	if err := w.Set(t.Context(), uids); err != nil {
		t.Fatal(err)
	}
	return w
}

// next waits for changes and returns them as text.
func next(t *testing.T, w *presence.Watcher) string {
	t.Helper()
	select {
	case <-w.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("no change arrived")
	}
	var out []string
	for _, s := range w.ReadChanges() {
		state := "off"
		if s.Online {
			state = "on"
		} else if s.LastSeen > 0 {
			if age := time.Since(s.LastSeen.Time()); age > 2*time.Minute || age < -time.Second {
				t.Errorf("%s was last seen %v ago", s.User, age)
			}
			if s.LastSeen.Time().Truncate(time.Minute) != s.LastSeen.Time() {
				t.Errorf("%s was last seen at %v, which is more precise than a minute", s.User, s.LastSeen.Time())
			}
			state = "seen"
		}
		out = append(out, s.User+" "+state)
	}
	sort.Strings(out)
	return fmt.Sprint(out)
}

// learn reads changes until it knows all users of want, which is in the form of next, and compares their states. They
// can come in several parts, because the notice that somebody has just joined can arrive during the look-up.
func learn(t *testing.T, w *presence.Watcher, want string) {
	t.Helper()
	states := map[string]string{}
	for {
		fields := strings.Fields(strings.Trim(next(t, w), "[]"))
		for i := 0; i < len(fields); i += 2 {
			states[fields[i]] = fields[i] + " " + fields[i+1]
		}
		if got := fmt.Sprint(slices.Sorted(maps.Values(states))); len(got) >= len(want) {
			same(t, "at first", got, want)
			return
		}
	}
}

// quiet checks that no change arrives within d.
func quiet(t *testing.T, w *presence.Watcher, d time.Duration) {
	t.Helper()
	select {
	case <-w.Ready():
		t.Errorf("unexpected changes: %v", w.ReadChanges())
	case <-time.After(d):
	}
}

func TestOnlineAndOffline(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := presence.Tuned(presence.Tuning{Linger: 50 * time.Millisecond})
		first, second := start(t, b, "x", o), start(t, b, "y", o)
		second.join(t, "cat")
		w := first.watch(t, "ann", "cat")
		learn(t, w, "[ann off cat on]")
		second.join(t, "ann")
		same(t, "joined elsewhere", next(t, w), "[ann on]")
		first.join(t, "ann") // another device, on another instance
		first.join(t, "ann")
		second.leave(t, "ann")
		first.leave(t, "ann")
		quiet(t, w, 150*time.Millisecond) // ann still has a socket
		first.leave(t, "ann")
		same(t, "left", next(t, w), "[ann seen]")

		// Set returns the states of users that were not on the old list.
		if err := w.Set(t.Context(), []string{"cat", "dan"}); err != nil {
			t.Fatal(err)
		}
		same(t, "added to the list", next(t, w), "[dan off]")
		first.join(t, "ann") // no longer watched
		quiet(t, w, 50*time.Millisecond)
	})
}

func TestReconnectIsNotSeen(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		first := start(t, b, "x", presence.Tuned(presence.Tuning{Linger: 200 * time.Millisecond}))
		first.join(t, "ann")
		w := first.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann on]")
		first.leave(t, "ann")
		first.join(t, "ann")
		quiet(t, w, 400*time.Millisecond)
	})
}

func TestWatchersShareASubscription(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		first := start(t, b, "x", presence.Options{})
		first.join(t, "ann")
		v, w := first.watch(t, "ann"), first.watch(t, "ann")
		same(t, "first", next(t, v), "[ann on]")
		same(t, "second", next(t, w), "[ann on]") // the state was known already
		n := 0
		b.Nodes(t, func(c *redis.Client) {
			subs, err := c.PubSubNumSub(t.Context(), "seen:{ann}").Result()
			if err != nil {
				t.Fatal(err)
			}
			n += int(subs["seen:{ann}"])
		})
		same(t, "subscriptions", n, 1)
		v.Close()
		first.leave(t, "ann")
		if err := w.Set(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		quiet(t, w, 20*time.Millisecond)
	})
}

// The lease of a killed instance expires, and its watchers learn it by a look-up.
func TestKilledInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := presence.Tuned(presence.Tuning{Expire: 300 * time.Millisecond, Renew: 100 * time.Millisecond})
		first, second := start(t, b, "x", o), start(t, b, "y", o)
		second.join(t, "ann")
		w := first.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann on]")
		for range 6 { // longer than the first lease
			if b.Mini != nil {
				b.Mini.FastForward(100 * time.Millisecond)
			}
			quiet(t, w, 100*time.Millisecond)
		}
		second.kill()
		if b.Mini != nil {
			b.Mini.FastForward(time.Second)
		}
		same(t, "after the instance was killed", next(t, w), "[ann seen]")
	})
}

func TestRenewalRestoresAWipedRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := presence.Tuned(presence.Tuning{Renew: 50 * time.Millisecond})
		first, second := start(t, b, "x", o), start(t, b, "y", presence.Options{})
		w := second.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann off]")
		first.join(t, "ann")
		same(t, "joined", next(t, w), "[ann on]")
		b.Nodes(t, func(c *redis.Client) { c.FlushAll(t.Context()) })
		testwait.Until(t, "the lease is renewed", func() bool {
			return first.rdb.Exists(t.Context(), "presence:{ann}").Val() == 1
		})
	})
}

func TestInstances(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		first := start(t, b, "x", presence.Options{Sockets: func() int { return 3 }})
		second := start(t, b, "y", presence.Options{Sockets: func() int { return 5 }})
		if _, err := second.Instances(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := first.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range all {
			got = append(got, fmt.Sprint(i.ID, i.Sockets))
			if age := time.Since(i.Renewed); age > time.Minute || age < -time.Second {
				t.Errorf("%s was renewed %v ago", i.ID, age)
			}
		}
		same(t, "instances", got, "[x3 y5]")
		second.kill()
		all, err = first.Instances(t.Context())
		same(t, "instances after y ended", len(all), 1)
		if err != nil {
			t.Error(err)
		}
	})
}

func TestRedisIsUnreachable(t *testing.T) {
	b := redistest.Mini(t)
	o := presence.Tuned(presence.Tuning{Renew: 50 * time.Millisecond, Timeout: 200 * time.Millisecond})
	first := start(t, b, "x", o)
	b.Mini.Close()
	if err := first.Join(t.Context(), "ann", false); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("join while Redis is down: %v", err)
	}
	w := first.Watch("zoe")
	defer w.Close()
	if err := w.Set(t.Context(), []string{"ann"}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("watch while Redis is down: %v", err)
	}
	if err := b.Mini.Restart(); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != "[ann on]"; {
		got = next(t, w)
	}
}

// block stores the gate of uid in Redis and reports the change, as package gate does.
func (in *instance) block(t *testing.T, uid, blocked string) {
	t.Helper()
	if err := in.rdb.HSet(t.Context(), "gate:{"+uid+"}", "blocked", blocked).Err(); err != nil {
		t.Fatal(err)
	}
	in.GateChanged(uid)
}

// Somebody who was blocked sees the blocker offline without a time, whatever the blocker does, and the other way round.
func TestBlockHidesPresence(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		in := start(t, b, "x", presence.Tuned(presence.Tuning{Linger: 20 * time.Millisecond}))
		in.block(t, "ann", `["zoe"]`)
		in.join(t, "ann")
		in.join(t, "bob")
		w := in.watch(t, "ann", "bob")
		learn(t, w, "[ann off bob on]")
		in.leave(t, "ann")
		in.join(t, "ann")
		in.leave(t, "ann")
		quiet(t, w, 200*time.Millisecond) // the moments themselves are hidden, too
		in.join(t, "ann")
		in.block(t, "ann", `[]`)
		same(t, "unblocked", next(t, w), "[ann on]")
		in.block(t, "ann", `["bea","zoe"]`)
		same(t, "blocked again", next(t, w), "[ann off]")

		w.SetBlocked([]string{"bob"})
		same(t, "the watcher blocks bob", next(t, w), "[bob off]")
		in.leave(t, "bob")
		in.join(t, "bob")
		quiet(t, w, 200*time.Millisecond)
		w.SetBlocked(nil)
		same(t, "the watcher unblocks bob", next(t, w), "[bob on]")
	})
}

// A notice that arrives between a change of the gate and its look-up does not put off the look-up.
func TestUnblockAndNoticeAtOnce(t *testing.T) {
	b := redistest.Mini(t)
	in := start(t, b, "x", presence.Tuned(presence.Tuning{Linger: 20 * time.Millisecond}))
	var uids []string
	for i := range 30 {
		uid := fmt.Sprintf("ann%d", i)
		in.block(t, uid, `["zoe"]`)
		in.join(t, uid)
		uids = append(uids, uid)
	}
	w := in.watch(t, uids...)
	next(t, w)
	for _, uid := range uids {
		in.block(t, uid, `[]`)
		if err := in.rdb.Publish(t.Context(), "seen:{"+uid+"}", "on").Err(); err != nil {
			t.Fatal(err)
		}
	}
	online := map[string]bool{}
	for len(online) < len(uids) {
		for _, change := range strings.Split(strings.Trim(next(t, w), "[]"), " on") {
			online[strings.TrimSpace(change)] = true
		}
		delete(online, "")
	}
}

// A gate that Redis does not have is read from its source, but only if there is something to hide. Inventing uids
// therefore costs no read of the store.
func TestGatesAreReadOnlyForPeopleWithPresence(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		source := &gates{blocked: map[string][]string{"ann": {"zoe"}, "cat": {"zoe"}}}
		o := presence.Tuned(presence.Tuning{Linger: 20 * time.Millisecond})
		o.Gates = source
		in := start(t, b, "x", o)
		in.join(t, "ann")
		in.join(t, "bob")
		in.leave(t, "bob")
		b.AwaitForwarded(t)
		w := in.watch(t, "ann", "bob", "cat", "dan")
		learn(t, w, "[ann off bob seen cat off dan off]")
		source.mu.Lock()
		asked := slices.Sorted(slices.Values(source.asked))
		source.mu.Unlock()
		same(t, "gates read", asked, "[ann bob]")
		in.join(t, "cat") // nobody has asked yet whom cat has blocked
		quiet(t, w, 200*time.Millisecond)
	})
}
