package gate

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// recheckBatch is how many gates one round trip reads.
const recheckBatch = 200

// Watch calls fn with the gate of uid when it changes, on any instance: within
// a second or two, or where the notice of it was lost without a trace, within
// Options.Recheck. fn may also be called with a gate that did not change. It
// must not block. For open sockets: Watch first, then Get, so that no change
// falls between. stop ends it; fn may be called for a moment longer.
func (g *Gates) Watch(uid string, fn func(Gate)) (stop func()) {
	w := &watch{fn: fn}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watched[uid] == nil {
		g.watched[uid] = map[*watch]struct{}{}
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

// notices receives the uids of gates that changed.
type notices struct{ g *Gates }

// Receive implements listen.Receiver.
func (n notices) Receive(uid string) {
	n.g.n.changes.Add(1)
	n.g.noticed(uid)
}

// Lost implements listen.Receiver.
func (n notices) Lost() {
	n.g.n.lost.Add(1)
	n.g.forgetAll()
}

// forgetAll forgets what is kept, and has everything that is watched read again.
func (g *Gates) forgetAll() {
	g.mu.Lock()
	g.changes++
	clear(g.kept)
	g.mu.Unlock()
	g.recheckAll()
}

// noticed forgets what is kept of uid, and has it read again where it is watched.
func (g *Gates) noticed(uid string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes++
	g.flight.Forget(uid) // whoever asks from now on gets what is true now
	delete(g.kept, uid)
	if g.watched[uid] != nil {
		g.recheck(uid)
	}
}

func (g *Gates) recheckAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid := range g.watched {
		g.recheck(uid)
	}
}

// recheck has uid read again. mu is held.
func (g *Gates) recheck(uid string) {
	g.due[uid] = struct{}{}
	select {
	case g.poke <- struct{}{}:
	default:
	}
}

// Run hears of changes until ctx ends, and returns its cause. It must be
// called exactly once.
func (g *Gates) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.listen(ctx) })
	tick := time.NewTicker(g.opts.Recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			g.recheckAll()
		case <-g.poke:
		}
		if !g.readDue(ctx) {
			// Redis is away: not at once again, and nothing is forgotten.
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second):
			}
		}
	}
}

// listen subscribes, for as long as it takes.
func (g *Gates) listen(ctx context.Context) {
	for {
		stop, err := g.opts.Subscriber.Subscribe(ctx, channel, notices{g})
		if err == nil {
			g.forgetAll() // what changed until now was not heard
			<-ctx.Done()
			stop()
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// readDue reads the gates that are due and tells their watchers. It reports
// whether all could be read; the others stay due.
func (g *Gates) readDue(ctx context.Context) bool {
	g.mu.Lock()
	uids := make([]string, 0, len(g.due))
	for uid := range g.due {
		uids = append(uids, uid)
	}
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
	ctx, cancel := context.WithTimeout(ctx, g.opts.Timeout)
	defer cancel()
	pipe := g.rdb.Pipeline()
	cmds := make([]*redis.SliceCmd, len(uids))
	for i, uid := range uids {
		cmds[i] = pipe.HMGet(ctx, key(uid), fields...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	ok = true
	for i, uid := range uids {
		values, err := cmds[i].Result()
		var gate Gate
		if err == nil {
			if gate, err = decode(values); err != nil {
				gate, err = g.shared(ctx, uid) // missing: from the source
			}
		}
		if err != nil {
			ok = false
			g.mu.Lock()
			if g.watched[uid] != nil {
				g.recheck(uid)
			}
			g.mu.Unlock()
			continue
		}
		g.n.rechecked.Add(1)
		g.tell(uid, gate)
	}
	return ok
}

// tell calls the watchers of uid for whom gate is news.
func (g *Gates) tell(uid string, gate Gate) {
	var fns []func(Gate)
	g.mu.Lock()
	for w := range g.watched[uid] {
		if !w.known || !w.last.equal(gate) {
			w.known, w.last = true, gate
			fns = append(fns, w.fn)
		}
	}
	g.mu.Unlock()
	for _, fn := range fns {
		fn(gate)
	}
}
