// Package presence records which users are connected, on any instance, and notifies watchers of changes. Presence is a
// hint: nothing else depends on it.
//
// Each instance holds a lease for each of its connected users. presence:{uid} is a sorted set whose members are
// instance ids and whose scores are the times (ms) when their leases expire. A lease lasts 90 s and is renewed every 30
// s, so that the users of an instance that was killed count as offline 90 s later at most. lastseen:{uid} is the time
// of the last renewal or leave in microseconds, kept for 30 days.
//
// A watcher and a watched user of whom one has blocked the other do not see each other's presence: the state is
// offline, without a time, and never changes. The time at which somebody was last seen is reported in whole minutes.
//
// A notice of a new profile follows the same rule: only a watcher who may see the presence gets it.
//
// Changes are published on seen:{uid}, to which an instance subscribes once per watched user. "off" only causes another
// look-up a few seconds later, so that nobody sees a reconnect.
package presence

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sort"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Options configure Presence.
type Options struct {
	Subscriber *redissub.Subscriber // required
	Runner     *script.Runner       // shared with inbox; default: a new one
	Gates      Gates                // required
	Sockets    func() int           // returns the number of this instance's sockets, for Instances; nil: 0
	Log        *slog.Logger         // default: slog.Default()

	Jitter func(below time.Duration) time.Duration // random in [0, below); default: rand.N

	tuning tuning
}

// Gates reads gates that Redis does not have. gate.Gates implements it.
type Gates interface {
	Get(ctx context.Context, uid string) (gate.Gate, error)
}

// tuning holds the times that only tests of this package change. Zero values take the defaults.
type tuning struct{ Timeout, Expire, Renew, Linger time.Duration }

// Defaults and fixed limits; see DESIGN §5.
const (
	timeout  = 10 * time.Second    // of one operation
	expire   = 90 * time.Second    // of a lease
	renew    = 30 * time.Second    // interval of renewals, before jitter
	linger   = 5 * time.Second     // time for which watchers still see a user who left, so that they see no reconnect
	recheck  = 5 * time.Minute     // interval at which offline users are looked up, because notices can be lost silently
	keepSeen = 30 * 24 * time.Hour // of lastseen:{uid}

	// seenUnit is the precision of the time at which a user was last seen. A finer one would reveal habits.
	seenUnit = time.Minute

	// batch is the number of users that one round trip renews or looks up.
	batch = 200

	// gateReads is the number of gates that are read from their source at the same time.
	gateReads = 16
)

func (o *Options) setDefaults() {
	if o.Jitter == nil {
		o.Jitter = rand.N[time.Duration]
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Sockets == nil {
		o.Sockets = func() int { return 0 }
	}
	t := &o.tuning
	t.Timeout = cmp.Or(t.Timeout, timeout)
	t.Expire = cmp.Or(t.Expire, expire)
	t.Renew = cmp.Or(t.Renew, renew)
	t.Linger = cmp.Or(t.Linger, linger)
}

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	joinScript     = script.Load(luaFiles, nil, "join")
	leaveScript    = script.Load(luaFiles, nil, "leave")
	stateScript    = script.Load(luaFiles, nil, "state")
	instanceScript = script.Load(luaFiles, nil, "instance")
)

func seenChannel(uid string) string { return "seen:{" + uid + "}" }

// userKeys returns the keys of the scripts on a user.
func userKeys(uid string) []string {
	return []string{"presence:{" + uid + "}", "lastseen:{" + uid + "}"}
}

// stateKeys returns the keys of the script that looks up a user.
func stateKeys(uid string) []string { return append(userKeys(uid), "gate:{"+uid+"}") }

const instancesKey = "instances"

// Presence is safe for concurrent use.
type Presence struct {
	// immutable after construction
	instance     string
	rdb          redis.UniversalClient
	opts         Options
	checkEarlier chan struct{} // has a value when a topic must be checked earlier than Run planned

	counters Counters

	// guarded by mu
	mu     sync.Mutex
	local  map[string]int    // number of this instance's sockets by uid
	topics map[string]*topic // watched users
}

// Counters count what this instance did since it started.
type Counters struct {
	Joins    counter.Count // first sockets of a user on this instance
	Leaves   counter.Count // last sockets of a user on this instance
	Renewals counter.Count // leases renewed
	Rechecks counter.Count // states looked up
	Lost     counter.Count // times that notices may have been lost
	Failed   counter.Count // operations that Redis did not execute
}

// New returns the Presence of one instance. The id must be unique among all running instances.
func New(rdb redis.UniversalClient, instance string, opts Options) *Presence {
	opts.setDefaults()
	if opts.Runner == nil {
		opts.Runner = script.NewRunner(rdb, script.Options{})
	}
	return &Presence{instance: instance, rdb: rdb, opts: opts, checkEarlier: make(chan struct{}, 1),
		local: map[string]int{}, topics: map[string]*topic{}}
}

// Counters returns the counters of this instance.
func (p *Presence) Counters() *Counters { return &p.counters }

// Join adds a socket of uid on this instance. The first one costs a round trip, and publishes "on" if the user was on
// no instance. An error (problem.ErrUnavailable) may be ignored, because Run tries again.
func (p *Presence) Join(ctx context.Context, uid string) error {
	p.mu.Lock()
	p.local[uid]++
	first := p.local[uid] == 1
	p.mu.Unlock()
	if !first {
		return nil
	}
	p.counters.Joins.Add(1)
	return p.runScripts(ctx, []script.Call{p.joinCall(uid)})
}

// joinCall returns the call that acquires or renews the lease of uid.
func (p *Presence) joinCall(uid string) script.Call {
	return script.Call{Script: joinScript, Keys: userKeys(uid),
		Args: []any{p.instance, p.opts.tuning.Expire.Milliseconds(), keepSeen.Milliseconds(), seenChannel(uid)}}
}

// Leave removes a socket of uid. The last one costs a round trip. Call Leave once per Join, even if Join failed. An
// error may be ignored, because the lease expires.
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
	p.counters.Leaves.Add(1)
	err := p.runScripts(ctx, []script.Call{{Script: leaveScript, Keys: userKeys(uid),
		Args: []any{p.instance, keepSeen.Milliseconds(), seenChannel(uid)}}})
	p.mu.Lock()
	rejoined := p.local[uid] > 0 // a concurrent Join may have reached Redis before this leave
	p.mu.Unlock()
	if rejoined {
		return p.runScripts(ctx, []script.Call{p.joinCall(uid)})
	}
	return err
}

// runScripts runs scripts in one round trip and returns their errors.
func (p *Presence) runScripts(ctx context.Context, calls []script.Call) error {
	_, err := p.runScriptsForValues(ctx, calls)
	return err
}

// runScriptsForValues also returns the values. The value of a script that failed is nil.
func (p *Presence) runScriptsForValues(ctx context.Context, calls []script.Call) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.tuning.Timeout)
	defer cancel()
	values := make([]any, len(calls))
	var err error
	for i, r := range p.opts.Runner.RunAll(ctx, calls) {
		values[i], err = r.Value, errors.Join(err, r.Err)
	}
	if err != nil {
		p.counters.Failed.Add(1)
		return values, problem.ErrUnavailable.WithCause(fmt.Errorf("presence: %w", err))
	}
	return values, nil
}

// Run renews leases and refreshes the states of watched users until ctx ends, and returns the cause. It must be called
// exactly once.
func (p *Presence) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.renewLeases(ctx) })
	wg.Go(func() { p.refreshDueTopics(ctx) })
	wg.Wait()
	return context.Cause(ctx)
}

// renewLeases renews this instance's leases until ctx ends, and then removes the instance from the instances key.
func (p *Presence) renewLeases(ctx context.Context) {
	p.renewOnce(ctx)
	for {
		// Jitter keeps the instances of a service from renewing at the same time.
		timer := time.NewTimer(p.opts.tuning.Renew - p.opts.Jitter(p.opts.tuning.Renew/10+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = p.reportInstance(final, "")
			return
		case <-timer.C:
			p.renewOnce(ctx)
		}
	}
}

func (p *Presence) renewOnce(ctx context.Context) {
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
			if p.local[uid] > 0 { // the user may have left since
				calls = append(calls, p.joinCall(uid))
			}
		}
		p.mu.Unlock()
		uids = uids[n:]
		if err := p.runScripts(ctx, calls); err != nil {
			p.opts.Log.Warn("could not renew presence leases", "users", len(calls), "error", err)
			continue
		}
		p.counters.Renewals.Add(int64(len(calls)))
	}
	if _, err := p.reportInstance(ctx, fmt.Sprint(p.opts.Sockets())); err != nil && ctx.Err() == nil {
		p.opts.Log.Warn("could not report the number of sockets", "error", err)
	}
}
