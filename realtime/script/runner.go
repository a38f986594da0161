package script

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrOverloaded is the error of a call that a Runner did not accept, because too many wait already.
var ErrOverloaded = errors.New("too many calls wait for redis")

// Options configure a Runner. Zero values take the defaults.
type Options struct {
	// Timeout is the limit of a round trip, 10 s. It should not be shorter than that of the callers: a call that was
	// given up was often carried out.
	Timeout time.Duration

	// ReplicaWait is how long a batch waits until a replica has what its calls wrote, if one of them demands it.
	ReplicaWait time.Duration

	tuning tuning
}

// tuning holds the limits that only tests of this package change. Zero values take the defaults.
type tuning struct {
	MaxLanes, MaxQueue, MaxQueueBytes, MaxBatch, MaxBatchBytes int
	Wait, Lease, IdleLane                                      time.Duration
}

// Defaults; see the fields of Runner and node that they limit.
const (
	maxLanes      = 4        // connections to one node, each with one batch in flight
	maxQueue      = 20_000   // calls that wait for a node, …
	maxQueueBytes = 32 << 20 // … and their bytes
	maxBatch      = 64       // calls of one batch: they hold up all others for some milliseconds
	maxBatchBytes = 256 << 10

	wait     = time.Millisecond // longest wait for a batch in flight, while a lane is free
	lease    = time.Second      // how long the epoch of a primary may be relied on
	idleLane = 30 * time.Second // after this time a lane's connection returns to the pool, which checks its health
)

func (o *Options) setDefaults() {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	t := &o.tuning
	t.MaxLanes = cmp.Or(t.MaxLanes, maxLanes)
	t.MaxQueue, t.MaxQueueBytes = cmp.Or(t.MaxQueue, maxQueue), cmp.Or(t.MaxQueueBytes, maxQueueBytes)
	t.MaxBatch, t.MaxBatchBytes = cmp.Or(t.MaxBatch, maxBatch), cmp.Or(t.MaxBatchBytes, maxBatchBytes)
	t.Wait, t.Lease = cmp.Or(t.Wait, wait), cmp.Or(t.Lease, lease)
	t.IdleLane = cmp.Or(t.IdleLane, idleLane)
}

// Runner runs scripts. Its methods may be called concurrently.
//
// A call that finds no batch in flight leaves at once. Calls that arrive meanwhile form the next batch, which leaves
// when the one in flight is answered, or after a millisecond on another connection. So round trips are shared under
// load and nobody waits without it. On a cluster, each node has batches of its own.
//
// A call ends early if its context does. The batch goes on without it: the script may run nevertheless.
type Runner struct {
	rdb     redis.UniversalClient
	cluster *redis.ClusterClient // rdb, or nil if it is no cluster
	opts    Options

	mu     sync.Mutex
	nodes  map[*redis.Client]*node // guarded by mu
	active int                     // guarded by mu: goroutines that run calls
	idle   chan struct{}           // guarded by mu: closed when active is 0; nil: nobody waits for that
}

// NewRunner returns a Runner that uses rdb. Its connections belong to rdb. Call Wait before closing rdb.
func NewRunner(rdb redis.UniversalClient, opts Options) *Runner {
	opts.setDefaults()
	r := &Runner{rdb: rdb, opts: opts, nodes: map[*redis.Client]*node{}}
	r.cluster, _ = rdb.(*redis.ClusterClient)
	return r
}

// IsCluster reports whether keys with different hash tags can be on different nodes.
func (r *Runner) IsCluster() bool { return r.cluster != nil }

// Run runs one call.
func (r *Runner) Run(ctx context.Context, c Call) (any, error) {
	res := r.RunAll(ctx, []Call{c})[0]
	return res.Value, res.Err
}

// RunAll runs calls, in about one round trip for each node, and waits for all of them. The results are in the order of
// calls. A call that fails does not stop the others. Calls of one list may run at the same time; see Call.After.
func (r *Runner) RunAll(ctx context.Context, calls []Call) []Result {
	if len(calls) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return slices.Repeat([]Result{{Err: context.Cause(ctx)}}, len(calls))
	}
	done := make(chan struct{})
	g := &group{results: make([]Result, len(calls)), done: func([]Result) { close(done) }}
	r.start(ctx, g, calls)
	select {
	case <-done:
		return g.results
	case <-ctx.Done():
	}
	return g.abandon(context.Cause(ctx))
}

// Go runs calls like RunAll, but does not wait. Later it calls done with the results, which must not block.
func (r *Runner) Go(calls []Call, done func([]Result)) {
	ctx := context.Background()
	if r.cluster != nil { // which may have to learn of its nodes; batches have a timeout of their own
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.opts.Timeout)
		defer cancel()
	}
	r.start(ctx, &group{results: make([]Result, len(calls)), done: done}, calls)
}

// pending is a call on its way.
type pending struct {
	Call
	bytes     int
	redirects int // times that it has followed its keys to another node
	group     *group
	index     int // of its result in group
}

// group is the calls of one caller.
type group struct {
	done func([]Result) // called when all calls have a result, unless the group was abandoned

	mu        sync.Mutex
	left      int      // guarded by mu
	results   []Result // guarded by mu until left is 0
	abandoned bool     // guarded by mu: the caller has given up
}

// finish stores the result of one call.
func (p *pending) finish(res Result) {
	g := p.group
	g.mu.Lock()
	last := false
	if !g.abandoned {
		g.results[p.index] = res
		g.left--
		last = g.left == 0
	}
	g.mu.Unlock()
	if last {
		g.done(g.results)
	}
}

// unwanted reports whether nobody waits for the call any longer.
func (p *pending) unwanted() bool {
	p.group.mu.Lock()
	defer p.group.mu.Unlock()
	return p.group.abandoned
}

// abandon gives up the calls that have no result, and returns the results: err for those.
func (g *group) abandon(err error) []Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.abandoned = true
	for i := range g.results {
		if g.results[i].Err == errUnanswered {
			g.results[i].Err = err
		}
	}
	return g.results
}

// errUnanswered marks a call without a result.
var errUnanswered = errors.New("no answer yet")

// start sends the calls of a group on their way.
func (r *Runner) start(ctx context.Context, g *group, calls []Call) {
	g.left = len(calls)
	array := make([]pending, len(calls))
	all := make([]*pending, len(calls))
	for i := range calls {
		g.results[i].Err = errUnanswered
		array[i] = pending{Call: calls[i], bytes: calls[i].size(), group: g, index: i}
		all[i] = &array[i]
	}
	if r.cluster == nil {
		r.node(r.rdb.(*redis.Client)).add(all)
	} else {
		r.addToCluster(ctx, all)
	}
}

// run runs f in a goroutine for which Wait waits.
func (r *Runner) run(f func()) {
	r.mu.Lock()
	r.active++
	r.mu.Unlock()
	go func() {
		f()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.active--; r.active == 0 && r.idle != nil {
			close(r.idle)
			r.idle = nil
		}
	}()
}

// Wait waits until all calls have ended, also those for which nobody waits, or until ctx ends.
func (r *Runner) Wait(ctx context.Context) {
	r.mu.Lock()
	if r.active == 0 {
		r.mu.Unlock()
		return
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// addToCluster adds each call to the node that has its keys.
func (r *Runner) addToCluster(ctx context.Context, all []*pending) {
	byNode := map[*redis.Client][]*pending{}
	for i := range all {
		client, err := r.cluster.MasterForKey(ctx, all[i].Keys[0])
		if err != nil {
			all[i].finish(Result{Err: err})
			continue
		}
		byNode[client] = append(byNode[client], all[i])
	}
	for client, list := range byNode {
		r.node(client).add(list)
	}
}

// maxNodes is the number of nodes beyond which those are forgotten that have been idle. A cluster replaces its nodes
// now and then.
const maxNodes = 64

// node returns what belongs to the node of a client.
func (r *Runner) node(client *redis.Client) *node {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[client]
	if n == nil {
		if len(r.nodes) >= maxNodes {
			for c, old := range r.nodes {
				if old.retire() {
					delete(r.nodes, c)
				}
			}
		}
		n = newNode(r, client)
		r.nodes[client] = n
	}
	return n
}
