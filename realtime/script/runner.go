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

	mu    sync.Mutex
	nodes map[*redis.Client]*node // guarded by mu
}

// NewRunner returns a Runner that uses rdb. It needs no end: its connections belong to rdb.
func NewRunner(rdb redis.UniversalClient, opts Options) *Runner {
	opts.setDefaults()
	r := &Runner{rdb: rdb, opts: opts, nodes: map[*redis.Client]*node{}}
	r.cluster, _ = rdb.(*redis.ClusterClient)
	return r
}

// Run runs one script.
func (r *Runner) Run(ctx context.Context, c Call) (any, error) {
	res := r.do(ctx, []Call{c}, false)[0]
	return res.value, res.err
}

// RunAll runs scripts, in about one round trip for each node. Values and errors are in the order of calls. A script
// that fails does not stop the others. Calls of one list may run at the same time.
func (r *Runner) RunAll(ctx context.Context, calls []Call) ([]any, []error) {
	values, errs := make([]any, len(calls)), make([]error, len(calls))
	for i, res := range r.do(ctx, calls, false) {
		values[i], errs[i] = res.value, res.err
	}
	return values, errs
}

// RunReplicated runs one script, and then waits until one replica has what it wrote, at most for Options.ReplicaWait.
// replicas is the number of replicas that have it. A script that finds its work done must write something nevertheless,
// because Redis waits for the writes of a connection only.
func (r *Runner) RunReplicated(ctx context.Context, c Call) (v any, replicas int, err error) {
	res := r.do(ctx, []Call{c}, true)[0]
	return res.value, res.replicas, res.err
}

// result is the result of one call.
type result struct {
	value    any
	replicas int
	err      error
}

// pending is a call on its way.
type pending struct {
	Call
	bytes     int
	replicate bool
	redirects int // times that it has followed its keys to another node
	group     *group
	index     int // of its result in group
}

// group is the calls of one caller.
type group struct {
	mu        sync.Mutex
	left      int      // guarded by mu
	results   []result // guarded by mu until left is 0 or the caller has given up
	abandoned bool     // guarded by mu: the caller has given up
	done      chan struct{}
}

// finish stores the result of one call.
func (p *pending) finish(res result) {
	g := p.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.abandoned {
		return
	}
	g.results[p.index] = res
	g.left--
	if g.left == 0 {
		close(g.done)
	}
}

// unwanted reports whether nobody waits for the call any longer.
func (p *pending) unwanted() bool {
	p.group.mu.Lock()
	defer p.group.mu.Unlock()
	return p.group.abandoned
}

// do runs calls and waits for all of them. A call that has no result when ctx ends fails with its error.
func (r *Runner) do(ctx context.Context, calls []Call, replicate bool) []result {
	if len(calls) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return slices.Repeat([]result{{err: context.Cause(ctx)}}, len(calls))
	}
	g := &group{left: len(calls), results: make([]result, len(calls)), done: make(chan struct{})}
	unanswered := result{err: errUnanswered}
	for i := range g.results {
		g.results[i] = unanswered
	}
	all := make([]pending, len(calls))
	for i, c := range calls {
		all[i] = pending{Call: c, bytes: c.size(), replicate: replicate, group: g, index: i}
	}
	if r.cluster == nil {
		r.node(r.rdb.(*redis.Client)).add(all)
	} else {
		r.addToCluster(ctx, all)
	}
	select {
	case <-g.done:
		return g.results
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.abandoned = true
	for i := range g.results {
		if g.results[i].err == errUnanswered {
			g.results[i].err = context.Cause(ctx)
		}
	}
	return g.results
}

// errUnanswered marks a call without a result.
var errUnanswered = errors.New("no answer yet")

// addToCluster adds each call to the node that has its keys.
func (r *Runner) addToCluster(ctx context.Context, all []pending) {
	byNode := map[*redis.Client][]pending{}
	for i := range all {
		client, err := r.cluster.MasterForKey(ctx, all[i].Keys[0])
		if err != nil {
			all[i].finish(result{err: err})
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
