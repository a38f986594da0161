package script

import (
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// node gathers the calls for one server into batches.
type node struct {
	runner *Runner
	client *redis.Client

	// guarded by mu
	mu       sync.Mutex
	queue    []*pending // that wait, oldest first
	bytes    int        // of queue
	idle     []*lane    // most recently used last
	busy     int        // lanes with a batch in flight
	overdue  *time.Timer
	overdues bool // whether overdue runs
}

func newNode(r *Runner, client *redis.Client) *node { return &node{runner: r, client: client} }

// add accepts calls, or fails those that exceed the limits of the queue.
func (n *node) add(calls []*pending) {
	t := &n.runner.opts.tuning
	n.mu.Lock()
	accepted := 0
	for accepted < len(calls) &&
		(len(n.queue) < t.MaxQueue && n.bytes < t.MaxQueueBytes || accepted > 0 && calls[accepted].After) {
		n.queue = append(n.queue, calls[accepted])
		n.bytes += calls[accepted].bytes
		accepted++
	}
	switch {
	case len(n.queue) == 0:
	case n.busy == 0:
		n.startLane()
	case n.busy < t.MaxLanes && !n.overdues:
		n.watchQueue()
	}
	n.mu.Unlock()
	for i := accepted; i < len(calls); i++ {
		calls[i].finish(Result{Err: ErrOverloaded})
	}
}

// startLane begins a batch on another lane. n.mu must be held.
func (n *node) startLane() {
	l := &lane{node: n}
	if last := len(n.idle) - 1; last >= 0 {
		l, n.idle = n.idle[last], n.idle[:last]
	}
	n.busy++
	batch := n.nextBatch()
	n.runner.run(func() { n.runLane(l, batch) })
}

// watchQueue begins to wait for the batch in flight. n.mu must be held.
func (n *node) watchQueue() {
	n.overdues = true
	if n.overdue == nil {
		n.overdue = time.AfterFunc(n.runner.opts.tuning.Wait, n.relieve)
		return
	}
	n.overdue.Reset(n.runner.opts.tuning.Wait)
}

// relieve begins another batch, if calls still wait for the one in flight.
func (n *node) relieve() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.overdues = false
	if len(n.queue) == 0 || n.busy >= n.runner.opts.tuning.MaxLanes {
		return
	}
	n.startLane()
	if len(n.queue) > 0 && n.busy < n.runner.opts.tuning.MaxLanes {
		n.watchQueue()
	}
}

// runLane runs batches on a lane until no call waits.
func (n *node) runLane(l *lane, batch []*pending) {
	for {
		l.run(batch)
		n.mu.Lock()
		if len(n.queue) == 0 {
			n.busy--
			if l.conn != nil {
				n.idle = append(n.idle, l)
			}
			n.mu.Unlock()
			return
		}
		batch = n.nextBatch()
		n.mu.Unlock()
	}
}

// nextBatch takes the next calls from the queue. n.mu must be held.
func (n *node) nextBatch() []*pending {
	t := &n.runner.opts.tuning
	size, bytes := 0, 0
	for size < len(n.queue) && (size == 0 || n.queue[size].After ||
		size < t.MaxBatch && bytes+n.queue[size].bytes <= t.MaxBatchBytes) {
		bytes += n.queue[size].bytes
		size++
	}
	batch := n.queue[:size:size]
	n.queue = n.queue[size:]
	n.bytes -= bytes
	if len(n.queue) == 0 {
		n.queue = nil // the batch keeps its array
	}
	return batch
}

// retire returns the connections of a node that has nothing to do, and reports whether it had nothing to do.
func (n *node) retire() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy > 0 || len(n.queue) > 0 {
		return false
	}
	for _, l := range n.idle {
		l.drop()
	}
	n.idle = nil
	return true
}
