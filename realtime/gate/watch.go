package gate

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// recheckBatch is the number of gates that one round trip reads.
const recheckBatch = 200

// Watch calls notify with the gate of uid when it changes, on any instance. The delay is a second or two, or up to 30 s
// if the notice was lost without a trace. notify may also be called with an unchanged gate. It must not block. Watch is
// for open sockets: Watch first and then Get, so that no change is missed in between. stop ends it; notify may still be
// called for a moment.
func (g *Gates) Watch(uid string, notify func(Gate)) (stop func()) {
	w := &watcher{notify: notify}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watched[uid] == nil {
		g.watched[uid] = map[*watcher]struct{}{}
	}
	g.watched[uid][w] = struct{}{}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.watched[uid], w)
		if len(g.watched[uid]) == 0 {
			delete(g.watched, uid)
		}
	}
}

// changeReceiver receives the uids of gates that changed.
type changeReceiver struct{ gates *Gates }

// Receive implements redissub.Receiver.
func (r changeReceiver) Receive(uid string) {
	r.gates.counters.Changes.Add(1)
	r.gates.forgetChanged(uid)
}

// Lost implements redissub.Receiver.
func (r changeReceiver) Lost() {
	r.gates.counters.Lost.Add(1)
	r.gates.forgetAll()
}

// forgetAll empties the cache and schedules a read of all watched gates.
func (g *Gates) forgetAll() {
	g.mu.Lock()
	g.changes++
	clear(g.cached)
	g.mu.Unlock()
	g.scheduleReadAll()
}

// forgetChanged removes the gate of uid from the cache, and schedules a read if it is watched.
func (g *Gates) forgetChanged(uid string) {
	if g.onChange != nil {
		defer g.onChange(uid)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes++
	g.flight.Forget(uid) // callers from now on must not share a load that began before the change
	delete(g.cached, uid)
	if g.watched[uid] != nil {
		g.scheduleRead(uid)
	}
}

func (g *Gates) scheduleReadAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid := range g.watched {
		g.scheduleRead(uid)
	}
}

// scheduleRead makes Run read the gate of uid. mu is held.
func (g *Gates) scheduleRead(uid string) {
	g.due[uid] = struct{}{}
	select {
	case g.dueAdded <- struct{}{}:
	default:
	}
}

// Run receives notices and notifies watchers until ctx ends, and returns the cause. It must be called exactly once.
func (g *Gates) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.subscribeToChanges(ctx) })
	tick := time.NewTicker(g.opts.tuning.Recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			g.scheduleReadAll()
		case <-g.dueAdded:
		}
		if !g.readDue(ctx) {
			// Redis is unreachable. Wait before the next attempt; the gates stay due.
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
			}
		}
	}
}

// subscribeToChanges subscribes to notices, tries again until that succeeds, and unsubscribes when ctx ends.
func (g *Gates) subscribeToChanges(ctx context.Context) {
	for {
		unsubscribe, err := g.opts.Subscriber.Subscribe(ctx, changesChannel, changeReceiver{g})
		if err == nil {
			g.forgetAll() // notices of earlier changes were missed
			<-ctx.Done()
			unsubscribe()
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// readDue reads the gates that are due and notifies their watchers. It reports whether all could be read; the others
// stay due.
func (g *Gates) readDue(ctx context.Context) bool {
	g.mu.Lock()
	uids := slices.Sorted(maps.Keys(g.due))
	clear(g.due)
	g.mu.Unlock()
	ok := true
	for len(uids) > 0 && ctx.Err() == nil {
		n := min(recheckBatch, len(uids))
		ok = g.readBatch(ctx, uids[:n]) && ok
		uids = uids[n:]
	}
	return ok
}

func (g *Gates) readBatch(ctx context.Context, uids []string) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pipe := g.rdb.Pipeline()
	cmds := make([]*redis.SliceCmd, len(uids))
	for i, uid := range uids {
		cmds[i] = pipe.HMGet(ctx, gateKey(uid), fields...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	ok = true
	for i, uid := range uids {
		values, err := cmds[i].Result()
		var gate Gate
		if err == nil {
			if gate, err = decode(values); err != nil {
				gate, err = g.loadShared(ctx, uid) // missing or unreadable: use the Source
			}
		}
		if err != nil {
			ok = false
			g.mu.Lock()
			if g.watched[uid] != nil {
				g.scheduleRead(uid)
			}
			g.mu.Unlock()
			continue
		}
		g.counters.Rechecked.Add(1)
		g.notifyWatchers(uid, gate)
	}
	return ok
}

// notifyWatchers calls the watchers of uid that do not have this gate yet.
func (g *Gates) notifyWatchers(uid string, gate Gate) {
	var calls []func(Gate)
	g.mu.Lock()
	for w := range g.watched[uid] {
		if !w.known || !w.last.equal(gate) {
			w.known, w.last = true, gate
			calls = append(calls, w.notify)
		}
	}
	g.mu.Unlock()
	for _, notify := range calls {
		notify(gate)
	}
}
