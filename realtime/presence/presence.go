// Package presence knows who is connected, on any instance, and tells those
// who watch. It is a hint: nothing else depends on it.
//
// presence:{uid} is a sorted set of instances by the time (ms) at which each
// one's word ends, 90 s after it was given; every instance renews its own each
// 30 s, so that the users of one that was killed count as gone 90 s later.
// lastseen:{uid} is the time of the last renewal or leave in microseconds,
// kept for 30 days. Changes are published on seen:{uid}, to which an instance
// subscribes once per watched user. "off" is no more than a reason to look
// again some seconds later, so that nobody sees a reconnect.
package presence

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Options of Presence. Zero values take the defaults named.
type Options struct {
	Subscriber *redissub.Subscriber // needed
	Sockets    func() int           // sockets of this instance, for Instances; nil: 0
	Log        *slog.Logger         // slog.Default()
	Timeout    time.Duration        // of one operation; 3 s
	Expire     time.Duration        // of an instance's word; 90 s
	Renew      time.Duration        // 30 s, with jitter
	Linger     time.Duration        // how long a user who left still counts as online to watchers, so that a reconnect is not seen; 5 s
	Recheck    time.Duration        // how often users who are offline are looked at, since a notice can be lost without a trace; 5 min
	KeepSeen   time.Duration        // of last seen; 30 days
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		v        *time.Duration
		standard time.Duration
	}{{&o.Timeout, 3 * time.Second}, {&o.Expire, 90 * time.Second}, {&o.Renew, 30 * time.Second},
		{&o.Linger, 5 * time.Second}, {&o.Recheck, 5 * time.Minute}, {&o.KeepSeen, 30 * 24 * time.Hour}} {
		if *d.v <= 0 {
			*d.v = d.standard
		}
	}
	if o.Sockets == nil {
		o.Sockets = func() int { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	joinScript     = script.Load(luaFiles, "join")
	leaveScript    = script.Load(luaFiles, "leave")
	stateScript    = script.Load(luaFiles, "state")
	instanceScript = script.Load(luaFiles, "instance")
)

func seenChannel(uid string) string { return "seen:{" + uid + "}" }
func keys(uid string) []string      { return []string{"presence:{" + uid + "}", "lastseen:{" + uid + "}"} }

const instancesKey = "instances"

// batch is how many users one round trip renews or looks up.
const batch = 200

// Presence is safe for use by many goroutines.
type Presence struct {
	// fixed after construction
	rdb      redis.UniversalClient
	instance string
	opts     Options
	poke     chan struct{} // has a value when a topic is due earlier than Run knows

	n counts

	// guarded by mu
	mu     sync.Mutex
	local  map[string]int    // sockets of this instance by uid
	topics map[string]*topic // watched users
}

type counts struct{ joins, leaves, renewals, rechecks, lost, failed atomic.Int64 }

// Counters are counts since the start of this instance.
type Counters struct {
	Joins, Leaves int64 // of a user's first and last socket here
	Renewals      int64 // users renewed
	Rechecks      int64 // states looked up
	Lost          int64 // times that notices may have been lost
	Failed        int64 // operations that Redis did not do
}

// New returns the Presence of one instance, whose id is unique among all running ones.
func New(rdb redis.UniversalClient, instance string, opts Options) *Presence {
	opts.setDefaults()
	return &Presence{rdb: rdb, instance: instance, opts: opts, poke: make(chan struct{}, 1),
		local: map[string]int{}, topics: map[string]*topic{}}
}

// Snapshot returns the counters.
func (p *Presence) Snapshot() Counters {
	n := &p.n
	return Counters{Joins: n.joins.Load(), Leaves: n.leaves.Load(), Renewals: n.renewals.Load(),
		Rechecks: n.rechecks.Load(), Lost: n.lost.Load(), Failed: n.failed.Load()}
}

// Join counts one more socket of uid on this instance. The first one costs a
// round trip and publishes "on" where no instance had the user. An error
// (problem.ErrUnavailable) may be ignored: Run tries again.
func (p *Presence) Join(ctx context.Context, uid string) error {
	p.mu.Lock()
	p.local[uid]++
	first := p.local[uid] == 1
	p.mu.Unlock()
	if !first {
		return nil
	}
	p.n.joins.Add(1)
	return p.run(ctx, []script.Call{p.join(uid)})
}

func (p *Presence) join(uid string) script.Call {
	return script.Call{Script: joinScript, Keys: keys(uid),
		Args: []any{p.instance, p.opts.Expire.Milliseconds(), p.opts.KeepSeen.Milliseconds(), seenChannel(uid)}}
}

// Leave counts one socket less. The last one costs a round trip. Call it once
// per Join, whether that failed or not. An error may be ignored: the word expires.
func (p *Presence) Leave(ctx context.Context, uid string) error {
	p.mu.Lock()
	p.local[uid]--
	left := p.local[uid] <= 0
	if left {
		delete(p.local, uid)
	}
	p.mu.Unlock()
	if !left {
		return nil
	}
	p.n.leaves.Add(1)
	err := p.run(ctx, []script.Call{{Script: leaveScript, Keys: keys(uid),
		Args: []any{p.instance, p.opts.KeepSeen.Milliseconds(), seenChannel(uid)}}})
	p.mu.Lock()
	back := p.local[uid] > 0 // a Join meanwhile may have come first to Redis
	p.mu.Unlock()
	if back {
		return p.run(ctx, []script.Call{p.join(uid)})
	}
	return err
}

// run runs scripts in one round trip and returns the first error.
func (p *Presence) run(ctx context.Context, calls []script.Call) error {
	_, err := p.runAll(ctx, calls)
	return err
}

// runAll returns the values too; that of a script that failed is nil.
func (p *Presence) runAll(ctx context.Context, calls []script.Call) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	values, errs := script.RunAll(ctx, p.rdb, calls)
	for _, err := range errs {
		if err != nil {
			p.n.failed.Add(1)
			return values, problem.ErrUnavailable.WithCause(fmt.Errorf("presence: %w", err))
		}
	}
	return values, nil
}

// Run renews and watches until ctx ends, and returns its cause. It must be
// called exactly once.
func (p *Presence) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.renewAll(ctx) })
	wg.Go(func() { p.watchAll(ctx) })
	wg.Wait()
	return context.Cause(ctx)
}

// renewAll gives this instance's word again and again, and takes it back at the end.
func (p *Presence) renewAll(ctx context.Context) {
	p.renew(ctx)
	for {
		// Jitter, so that the instances of a service do not renew in step.
		timer := time.NewTimer(p.opts.Renew - rand.N(p.opts.Renew/10+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = p.note(bye, "")
			return
		case <-timer.C:
			p.renew(ctx)
		}
	}
}

func (p *Presence) renew(ctx context.Context) {
	p.mu.Lock()
	uids := make([]string, 0, len(p.local))
	for uid := range p.local {
		uids = append(uids, uid)
	}
	p.mu.Unlock()
	sort.Strings(uids)
	for len(uids) > 0 && ctx.Err() == nil {
		n := min(batch, len(uids))
		var calls []script.Call
		p.mu.Lock()
		for _, uid := range uids[:n] {
			if p.local[uid] > 0 { // still
				calls = append(calls, p.join(uid))
			}
		}
		p.mu.Unlock()
		uids = uids[n:]
		if err := p.run(ctx, calls); err != nil {
			p.opts.Log.Warn("presence was not renewed", "users", len(calls), "err", err)
			continue
		}
		p.n.renewals.Add(int64(len(calls)))
	}
	if _, err := p.note(ctx, fmt.Sprint(p.opts.Sockets())); err != nil && ctx.Err() == nil {
		p.opts.Log.Warn("the number of sockets was not noted", "err", err)
	}
}
