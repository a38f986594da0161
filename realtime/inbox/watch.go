package inbox

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Resync says why clients should reconnect, so that outboxes send again and
// devices load what may have been lost.
type Resync struct {
	NewEpoch bool // Redis lives another life (else: it was out of reach for a while, and its life is the same)
}

// Resyncs has a value when Redis came back. One reader per Inboxes; values
// that nobody read are merged.
func (x *Inboxes) Resyncs() <-chan Resync { return x.resyncs }

func (x *Inboxes) announce(r Resync) {
	x.n.resyncs.Add(1)
	if r.NewEpoch {
		x.n.epochs.Add(1)
	}
	x.opts.Log.Warn("redis came back", "another_epoch", r.NewEpoch)
	select {
	case old := <-x.resyncs:
		r.NewEpoch = r.NewEpoch || old.NewEpoch
	default:
	}
	x.resyncs <- r // only Run sends, so there is room
}

// Run owns what happens in the background until ctx ends, and returns its
// cause: comparing every subscribed inbox with its last event, since a wake
// can be lost without a trace, and watching for another life of Redis. The
// Listener is run by whoever made it. It must be called exactly once.
func (x *Inboxes) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { x.watchLife(ctx) })
	wg.Go(func() { x.watchFeeds(ctx) })
	wg.Wait()
	return context.Cause(ctx)
}

// watchLife asks the primaries who they are, every Probe and whenever the
// subscription connection came back.
func (x *Inboxes) watchLife(ctx context.Context) {
	tick := time.NewTicker(x.opts.Probe)
	defer tick.Stop()
	var known map[string]bool
	down := false
	for {
		lives, err := x.probe(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			down = true
		case known == nil:
			known = lives
			if down {
				x.announce(Resync{})
			}
			down = false
		default:
			another := false
			for life := range lives {
				another = another || !known[life]
			}
			if another || down {
				x.announce(Resync{NewEpoch: another})
			}
			known, down = lives, false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-x.returned:
			down = true // for a moment at least
		}
	}
}

// epochKey holds a random value where one node is all of Redis, so that a wiped
// one is noticed that did not restart (or has no run id). On a cluster each inbox's own life tells.
const epochKey = "epoch"

// probe returns the lives of all primaries.
func (x *Inboxes) probe(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	lives := map[string]bool{}
	if cluster, ok := x.rdb.(*redis.ClusterClient); ok {
		var mu sync.Mutex
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			life, err := probeScript.Run(ctx, c, nil).Text()
			mu.Lock()
			defer mu.Unlock()
			lives[life] = true
			return err
		})
		return lives, err
	}
	pipe := x.rdb.Pipeline()
	pipe.SetNX(ctx, epochKey, freshLife(), 0)
	stored := pipe.Get(ctx, epochKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	shard, err := probeScript.Run(ctx, x.rdb, nil).Text()
	lives[shard+"."+stored.Val()] = true
	return lives, err
}

// compareBatch is how many inboxes one round trip compares.
const compareBatch = 200

// watchFeeds compares every subscribed inbox with its last event, each Compare,
// in batches spread over that time.
func (x *Inboxes) watchFeeds(ctx context.Context) {
	for {
		uids := x.subscribed()
		batches := (len(uids) + compareBatch - 1) / compareBatch
		pause := x.opts.Compare / time.Duration(batches+1)
		for range batches {
			if !sleep(ctx, pause) {
				return
			}
			n := min(compareBatch, len(uids))
			x.compare(ctx, uids[:n])
			uids = uids[n:]
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// subscribed returns the uids with a feed, sorted.
func (x *Inboxes) subscribed() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	set := map[string]bool{}
	var uids []string
	for f := range x.feeds {
		if !set[f.uid] {
			set[f.uid] = true
			uids = append(uids, f.uid)
		}
	}
	sort.Strings(uids)
	return uids
}

func (x *Inboxes) compare(ctx context.Context, uids []string) {
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		calls[i] = x.call(peekScript, uid, true)
	}
	values, errs := x.runAll(ctx, calls)
	type state struct {
		epoch string
		last  ID
	}
	states := map[string]state{}
	for i, uid := range uids {
		if errs[i] != nil {
			continue
		}
		r := newReply(values[i], 3)
		s := state{r.str(0), r.id(2)}
		if r.err == nil {
			states[uid] = s
			x.n.compared.Add(1)
		}
	}
	x.mu.Lock()
	feeds := make([]*Feed, 0, len(uids))
	for f := range x.feeds {
		feeds = append(feeds, f)
	}
	x.mu.Unlock()
	for _, f := range feeds {
		if s, ok := states[f.uid]; ok {
			f.compare(s.epoch, s.last)
		}
	}
}

// Queue is what waits in all inboxes.
type Queue struct {
	Messages int
	Inboxes  int       // with something waiting
	Oldest   time.Time // when the oldest of them was queued; zero where nothing waits
	Complete bool      // false: there are too many inboxes, and a part was counted
}

// maxScanned bounds the inboxes that Queued looks at.
const maxScanned = 100_000

// Queued counts what waits in all inboxes, by scanning: for the operator's
// figures, not for every request. The error is problem.ErrUnavailable.
func (x *Inboxes) Queued(ctx context.Context) (Queue, error) {
	var mu sync.Mutex
	var uids []string
	scan := func(ctx context.Context, c redis.Cmdable) error {
		it := c.Scan(ctx, 0, pendingKey("*"), 1000).Iterator()
		for it.Next(ctx) {
			uid := strings.TrimSuffix(strings.TrimPrefix(it.Val(), "pending:{"), "}")
			mu.Lock()
			uids = append(uids, uid)
			full := len(uids) >= maxScanned
			mu.Unlock()
			if full {
				return nil
			}
		}
		return it.Err()
	}
	var err error
	if cluster, ok := x.rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return scan(ctx, c) })
	} else {
		err = scan(ctx, x.rdb)
	}
	if err != nil {
		return Queue{}, x.unavailable(fmt.Errorf("scan inboxes: %w", err))
	}
	q := Queue{Complete: len(uids) < maxScanned}
	for len(uids) > 0 {
		n := min(compareBatch, len(uids))
		calls := make([]script.Call, n)
		for i, uid := range uids[:n] {
			calls[i] = x.call(waitingScript, uid, true)
		}
		uids = uids[n:]
		values, errs := x.runAll(ctx, calls)
		for i := range calls {
			if errs[i] != nil {
				return Queue{}, errs[i]
			}
			r := newReply(values[i], 2)
			count, first := int(r.int(0)), r.id(1)
			if r.err != nil || count == 0 {
				continue
			}
			q.Inboxes++
			q.Messages += count
			if at := time.UnixMilli(int64(first.Ms)); q.Oldest.IsZero() || at.Before(q.Oldest) {
				q.Oldest = at
			}
		}
	}
	return q, nil
}
