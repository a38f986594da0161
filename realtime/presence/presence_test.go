package presence_test

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

type instance struct {
	*presence.Presence
	rdb  redis.UniversalClient
	kill func() // without leaving
}

func start(t *testing.T, b *redistest.Redis, id string, o presence.Options) *instance {
	t.Helper()
	rdb := b.Client(t, nil)
	l := redissub.New(rdb, redissub.Options{Retry: 50 * time.Millisecond})
	o.Subscriber = l
	p := presence.New(rdb, id, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- l.Run(ctx) }()
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

func (x *instance) join(t *testing.T, uid string) {
	t.Helper()
	if err := x.Join(t.Context(), uid); err != nil {
		t.Fatal(err)
	}
}

func (x *instance) leave(t *testing.T, uid string) {
	t.Helper()
	if err := x.Leave(t.Context(), uid); err != nil {
		t.Fatal(err)
	}
}

func (x *instance) watch(t *testing.T, uids ...string) *presence.Watcher {
	t.Helper()
	w := x.Watch()
	t.Cleanup(w.Close)
	if err := w.Set(t.Context(), uids); err != nil {
		t.Fatal(err)
	}
	return w
}

// next waits for news and returns it as text.
func next(t *testing.T, w *presence.Watcher) string {
	t.Helper()
	select {
	case <-w.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("no news")
	}
	var out []string
	for _, s := range w.ReadChanges() {
		word := "off"
		if s.Online {
			word = "on"
		} else if s.LastSeen > 0 {
			if age := time.Since(s.LastSeen.Time()); age > time.Minute || age < -time.Second {
				t.Errorf("%s was last seen %v ago", s.User, age)
			}
			word = "seen"
		}
		out = append(out, s.User+" "+word)
	}
	sort.Strings(out)
	return fmt.Sprint(out)
}

func quiet(t *testing.T, w *presence.Watcher, d time.Duration) {
	t.Helper()
	select {
	case <-w.Ready():
		t.Errorf("news: %v", w.ReadChanges())
	case <-time.After(d):
	}
}

func TestOnlineAndOffline(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := presence.Options{Linger: 50 * time.Millisecond}
		x, y := start(t, b, "x", o), start(t, b, "y", o)
		y.join(t, "cat")
		w := x.watch(t, "ann", "cat")
		same(t, "at first", next(t, w), "[ann off cat on]")
		y.join(t, "ann")
		same(t, "joined elsewhere", next(t, w), "[ann on]")
		x.join(t, "ann") // a second device, on another instance
		x.join(t, "ann")
		y.leave(t, "ann")
		x.leave(t, "ann")
		quiet(t, w, 150*time.Millisecond) // one is left
		x.leave(t, "ann")
		same(t, "left", next(t, w), "[ann seen]")

		// A new list brings the states of who is new on it.
		if err := w.Set(t.Context(), []string{"cat", "dan"}); err != nil {
			t.Fatal(err)
		}
		same(t, "new on the list", next(t, w), "[dan off]")
		x.join(t, "ann") // not watched any more
		quiet(t, w, 50*time.Millisecond)
	})
}

func TestReconnectIsNotSeen(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x := start(t, b, "x", presence.Options{Linger: 200 * time.Millisecond})
		x.join(t, "ann")
		w := x.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann on]")
		x.leave(t, "ann")
		x.join(t, "ann")
		quiet(t, w, 400*time.Millisecond)
	})
}

func TestWatchersShareASubscription(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x := start(t, b, "x", presence.Options{})
		x.join(t, "ann")
		v, w := x.watch(t, "ann"), x.watch(t, "ann")
		same(t, "first", next(t, v), "[ann on]")
		same(t, "second", next(t, w), "[ann on]") // known already
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
		x.leave(t, "ann")
		if err := w.Set(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		quiet(t, w, 20*time.Millisecond)
	})
}

// The word of a killed instance expires, and who watches finds out by looking.
func TestKilledInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := presence.Options{Expire: 300 * time.Millisecond, Renew: 100 * time.Millisecond}
		x, y := start(t, b, "x", o), start(t, b, "y", o)
		y.join(t, "ann")
		w := x.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann on]")
		for range 6 { // renewed beyond its first word
			if b.Mini != nil {
				b.Mini.FastForward(100 * time.Millisecond)
			}
			quiet(t, w, 100*time.Millisecond)
		}
		y.kill()
		if b.Mini != nil {
			b.Mini.FastForward(time.Second)
		}
		same(t, "after its death", next(t, w), "[ann seen]")
	})
}

func TestWipedRedisIsMendedByRenewal(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		o := presence.Options{Renew: 50 * time.Millisecond}
		x, y := start(t, b, "x", o), start(t, b, "y", presence.Options{})
		w := y.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann off]")
		x.join(t, "ann")
		same(t, "joined", next(t, w), "[ann on]")
		b.Nodes(t, func(c *redis.Client) { c.FlushAll(t.Context()) })
		testwait.Until(t, "renewed", func() bool { return x.rdb.Exists(t.Context(), "presence:{ann}").Val() == 1 })
	})
}

func TestInstances(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x := start(t, b, "x", presence.Options{Sockets: func() int { return 3 }})
		y := start(t, b, "y", presence.Options{Sockets: func() int { return 5 }})
		if _, err := y.Instances(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := x.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range all {
			got = append(got, fmt.Sprint(i.ID, i.Sockets))
			if age := time.Since(i.Renewed); age > time.Minute || age < -time.Second {
				t.Errorf("%s renewed %v ago", i.ID, age)
			}
		}
		same(t, "instances", got, "[x3 y5]")
		y.kill()
		all, err = x.Instances(t.Context())
		same(t, "after y ended", len(all), 1)
		if err != nil {
			t.Error(err)
		}
	})
}

func TestRedisAway(t *testing.T) {
	b := redistest.Mini(t)
	x := start(t, b, "x", presence.Options{Renew: 50 * time.Millisecond, Timeout: 200 * time.Millisecond})
	b.Mini.Close()
	if err := x.Join(t.Context(), "ann"); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("join: %v", err)
	}
	w := x.Watch()
	defer w.Close()
	if err := w.Set(t.Context(), []string{"ann"}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("watch: %v", err)
	}
	if err := b.Mini.Restart(); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != "[ann on]"; {
		got = next(t, w)
	}
}
