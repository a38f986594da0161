// Package presence records which users are connected, on any instance, and notifies watchers of changes. Presence is a
// hint: nothing else depends on it.
//
// Each instance holds a lease for each of its connected users. presence:{uid} is a sorted set whose members are
// instance ids and whose scores are the times (ms) when their leases expire. A lease lasts 90 s and is renewed every 30
// s, so that the users of an instance that was killed count as offline 90 s later at most. lastseen:{uid} is the time
// of the last renewal or leave in microseconds, kept for 30 days.
//
// A lease also says whether somebody looks at one of the instance's sockets: then half a millisecond is added to its
// score. Package inbox reads this when it queues a message. The lease of an instance that was killed, or of a socket
// whose network was lost, goes on saying so until it expires or the socket is dropped.
//
// A watcher and a watched user of whom one has blocked the other do not see each other's presence: the state is
// offline, without a time, and never changes. The time at which somebody was last seen is reported in whole minutes.
//
// The presence is hidden in the same way from a watcher who has written to the watched user and was not answered:
// peers:{uid} says so. If Redis does not know it, the presence is visible as to any stranger. The privacy of the
// watched user, in their gate, may hide it from everybody to whom they have not written, or from everybody.
//
// A notice of a new profile follows the rule of blocks: a watcher does not get it if one of the two has blocked the
// other.
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
	lookingScript  = script.Load(luaFiles, nil, "looking")
	instanceScript = script.Load(luaFiles, nil, "instance")
)

func seenChannel(uid string) string { return "seen:{" + uid + "}" }

// userKeys returns the keys of the scripts on a user.
func userKeys(uid string) []string {
	return []string{"presence:{" + uid + "}", "lastseen:{" + uid + "}"}
}

// stateKeys returns the keys of the script that looks up a user.
func stateKeys(uid string) []string {
	return append(userKeys(uid), "gate:{"+uid+"}", "peers:{"+uid+"}")
}

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
	local  map[string]local  // this instance's sockets by uid
	topics map[string]*topic // watched users
}

// local is what an instance knows about the sockets of one of its users.
type local struct {
	sockets int
	looking int // sockets at whose devices somebody looks
}

// sameLease reports whether the lease says the same of l and other.
func (l local) sameLease(other local) bool {
	return (l.sockets > 0) == (other.sockets > 0) && (l.looking > 0) == (other.looking > 0)
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
		local: map[string]local{}, topics: map[string]*topic{}}
}

// Counters returns the counters of this instance.
func (p *Presence) Counters() *Counters { return &p.counters }

// Join adds a socket of uid on this instance; looking says whether somebody looks at its device. The first one costs a
// round trip, and publishes "on" if the user was on no instance. An error (problem.ErrUnavailable) may be ignored,
// because Run tries again.
func (p *Presence) Join(ctx context.Context, uid string, looking bool) error {
	first, changed := p.count(uid, 1, looking, 1)
	if first {
		p.counters.Joins.Add(1)
	}
	if !first && !changed {
		return nil
	}
	return p.updateLease(ctx, uid)
}

// SetLooking records that somebody looks at the device of a socket of uid which has joined, or does so no longer. Call
// it only for a change. It costs a round trip if that changes the lease. An error may be ignored as for Join.
func (p *Presence) SetLooking(ctx context.Context, uid string, looking bool) error {
	n := -1
	if looking {
		n = 1
	}
	if _, changed := p.count(uid, 0, true, n); !changed {
		return nil
	}
	return p.updateLease(ctx, uid)
}

// count adds sockets of uid and, if looking is set, sockets that somebody looks at. It reports whether they are the
// first ones, and whether the lease says something else about looking from now on.
func (p *Presence) count(uid string, sockets int, looking bool, looks int) (first, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.local[uid]
	now := was
	now.sockets += sockets
	if looking {
		now.looking += looks
	}
	if now.sockets <= 0 {
		delete(p.local, uid)
	} else {
		p.local[uid] = now
	}
	return was.sockets == 0 && now.sockets > 0, (was.looking > 0) != (now.looking > 0)
}

// updateLease makes the lease of uid say what this instance knows of its sockets: it acquires, renews or deletes the
// lease. Concurrent calls may reach Redis in another order than that in which they began, so the call is repeated if
// something has changed meanwhile.
func (p *Presence) updateLease(ctx context.Context, uid string) error {
	for {
		sent := p.localOf(uid)
		if err := p.runScripts(ctx, []script.Call{p.leaseCall(uid, sent)}); err != nil {
			return err
		}
		if p.localOf(uid).sameLease(sent) {
			return nil
		}
	}
}

func (p *Presence) localOf(uid string) local {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.local[uid]
}

// leaseCall returns the call after which the lease of uid says l.
func (p *Presence) leaseCall(uid string, l local) script.Call {
	if l.sockets == 0 {
		return script.Call{Script: leaveScript, Keys: userKeys(uid),
			Args: []any{p.instance, keepSeen.Milliseconds(), seenChannel(uid)}}
	}
	looking := "0"
	if l.looking > 0 {
		looking = "1"
	}
	return script.Call{Script: joinScript, Keys: userKeys(uid),
		Args: []any{p.instance, p.opts.tuning.Expire.Milliseconds(), keepSeen.Milliseconds(), seenChannel(uid), looking}}
}

// Leave removes a socket of uid; looking says whether somebody looked at its device. The last one costs a round trip.
// Call Leave once per Join, even if Join failed. An error may be ignored, because the lease expires.
func (p *Presence) Leave(ctx context.Context, uid string, looking bool) error {
	_, changed := p.count(uid, -1, looking, -1)
	last := p.localOf(uid).sockets == 0
	if last {
		p.counters.Leaves.Add(1)
	}
	if !last && !changed {
		return nil
	}
	return p.updateLease(ctx, uid)
}

// LooksElsewhere reports whether somebody looks at a device of uid that is connected to another instance.
func (p *Presence) LooksElsewhere(ctx context.Context, uid string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.tuning.Timeout)
	defer cancel()
	r := p.opts.Runner.RunAll(ctx, []script.Call{{Script: lookingScript, Keys: userKeys(uid)[:1],
		Args: []any{p.instance}}})[0]
	if r.Err != nil {
		p.counters.Failed.Add(1)
		return false, problem.ErrUnavailable.WithCause(fmt.Errorf("presence: %w", r.Err))
	}
	n, _ := r.Value.(int64)
	return n == 1, nil
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
		sent := map[string]local{}
		for _, uid := range uids[:n] {
			if l := p.localOf(uid); l.sockets > 0 { // the user may have left since
				calls = append(calls, p.leaseCall(uid, l))
				sent[uid] = l
			}
		}
		uids = uids[n:]
		err := p.runScripts(ctx, calls)
		for uid, l := range sent {
			if err == nil && !p.localOf(uid).sameLease(l) { // a renewal may follow the end of a lease, and revive it
				err = p.updateLease(ctx, uid)
			}
		}
		if err != nil {
			p.opts.Log.Warn("could not renew presence leases", "users", len(calls), "error", err)
			continue
		}
		p.counters.Renewals.Add(int64(len(calls)))
	}
	if _, err := p.reportInstance(ctx, fmt.Sprint(p.opts.Sockets())); err != nil && ctx.Err() == nil {
		p.opts.Log.Warn("could not report the number of sockets", "error", err)
	}
}
