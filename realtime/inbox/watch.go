package inbox

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Resync asks clients to reconnect, so that outboxes send again and devices backfill what may be lost.
type Resync struct {
	NewEpoch bool // Redis has another epoch; otherwise it was only unreachable for a while
}

// Resyncs has a value when Redis came back. Each Inboxes may have one reader. A value that was not read is merged with
// the next.
func (boxes *Inboxes) Resyncs() <-chan Resync { return boxes.resyncs }

func (boxes *Inboxes) announceResync(r Resync) {
	boxes.counters.Resyncs.Add(1)
	if r.NewEpoch {
		boxes.counters.Epochs.Add(1)
		boxes.senders.forget()
	}
	boxes.opts.Log.Warn("redis came back", "new_epoch", r.NewEpoch)
	select {
	case old := <-boxes.resyncs:
		r.NewEpoch = r.NewEpoch || old.NewEpoch
	default:
	}
	boxes.resyncs <- r // does not block, because only Run sends
}

// Run does the background work until ctx ends, and returns the cause. It compares every subscribed inbox with its
// newest event, because a wake can be lost without a trace. It watches for another epoch of Redis, continues purges,
// sweeps for messages that wait for too long, and heals the totals of senders. It must be called exactly once. It does
// not run the Subscriber.
func (boxes *Inboxes) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { boxes.watchEpochs(ctx) })
	wg.Go(func() { boxes.watchFeeds(ctx) })
	wg.Go(func() { boxes.watchWithdrawals(ctx) })
	wg.Go(func() { boxes.watchLate(ctx) })
	wg.Wait()
	return context.Cause(ctx)
}

// watchEpochs probes the epochs of the primaries, at each interval and whenever the subscription connection came back.
func (boxes *Inboxes) watchEpochs(ctx context.Context) {
	tick := time.NewTicker(boxes.opts.tuning.Probe)
	defer tick.Stop()
	var known map[string]bool
	down := false
	for {
		epochs, err := boxes.probeEpochs(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			down = true
		case known == nil:
			known = epochs
			if down {
				boxes.announceResync(Resync{})
			}
			down = false
		default:
			newEpoch := false
			for epoch := range epochs {
				newEpoch = newEpoch || !known[epoch]
			}
			if newEpoch || down {
				boxes.announceResync(Resync{NewEpoch: newEpoch})
			}
			known, down = epochs, false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-boxes.reconnected:
			down = true // Redis was unreachable at least for a moment
		}
	}
}

// epochKey holds a random value if Redis is a single node. It reveals a wipe without a restart, and any wipe of a
// server that reports no run id. On a cluster the nonce of each inbox reveals it.
const epochKey = "epoch"

// probeEpochs returns the epochs of all primaries. It has twice the time of other operations, because it takes two
// round trips, and a probe that fails makes all clients reconnect.
func (boxes *Inboxes) probeEpochs(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	epochs := map[string]bool{}
	if cluster, ok := boxes.rdb.(*redis.ClusterClient); ok {
		var mu sync.Mutex
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			epoch, err := script.PrimaryEpoch(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			epochs[epoch] = true
			return err
		})
		return epochs, err
	}
	pipe := boxes.rdb.Pipeline()
	pipe.SetNX(ctx, epochKey, freshNonce(), 0)
	stored := pipe.Get(ctx, epochKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	epoch, err := script.PrimaryEpoch(ctx, boxes.rdb)
	epochs[epoch+"."+stored.Val()] = true
	return epochs, err
}

const (
	queuedBatch  = 200 // inboxes of which one round trip counts the messages
	compareBatch = 16  // inboxes that one round trip compares: about 5 ms of Redis, if each has messages to forget
	compareTurns = 5   // parts into which the users of an instance are divided
)

// watchFeeds compares every subscribed inbox with its newest event once per interval. The comparisons are spread over
// the time, since together they would hold up the messages that arrive meanwhile.
func (boxes *Inboxes) watchFeeds(ctx context.Context) {
	turn := compareTurn(boxes.opts.tuning.Compare)
	compareInTurns(ctx, boxes.opts.tuning.Compare, boxes.subscribedUsers, func(uids []string) {
		began := time.Now()
		left := len(uids)
		for part := range slices.Chunk(uids, compareBatch) {
			boxes.compareFeeds(ctx, part)
			left -= len(part)
			due := began.Add(turn / 4 * 3 / time.Duration(len(uids)) * time.Duration(len(uids)-left))
			if left > 0 && !sleep(ctx, time.Until(due)) {
				return
			}
		}
	})
}

// compareTurn is the time of a turn, in which a comparison may begin and must end. One turn of an interval is left for
// users who subscribe just after theirs has begun.
func compareTurn(interval time.Duration) time.Duration { return interval / (compareTurns + 1) }

// compareInTurns calls compare with a part of the current users in each turn, until ctx ends. The turn of a user
// depends on the uid alone. So if compare takes a turn at most, a user who subscribes at any moment has been compared
// within the interval, and then again within each interval.
func compareInTurns(ctx context.Context, interval time.Duration, users func() []string, compare func(uids []string)) {
	tick := time.NewTicker(compareTurn(interval))
	defer tick.Stop()
	for turn := uint32(0); ; turn = (turn + 1) % compareTurns {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		uids := slices.DeleteFunc(users(), func(uid string) bool {
			hash := fnv.New32a()
			hash.Write([]byte(uid))
			return hash.Sum32()%compareTurns != turn
		})
		if len(uids) > 0 {
			compare(uids)
		}
	}
}

// subscribedUsers returns the uids that have a feed, sorted.
func (boxes *Inboxes) subscribedUsers() []string {
	boxes.mu.Lock()
	defer boxes.mu.Unlock()
	set := map[string]bool{}
	var uids []string
	for f := range boxes.feeds {
		if !set[f.uid] {
			set[f.uid] = true
			uids = append(uids, f.uid)
		}
	}
	sort.Strings(uids)
	return uids
}

// compareFeeds compares the feeds of the given users with the newest events of their inboxes.
func (boxes *Inboxes) compareFeeds(ctx context.Context, uids []string) {
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		calls[i] = boxes.call(boxes.scripts.peek, uid)
	}
	results := boxes.run(ctx, calls...)
	type state struct {
		epoch string
		last  ID
	}
	states := map[string]state{}
	for i, uid := range uids {
		if results[i].Err != nil {
			continue
		}
		r := newReply(results[i].Value, 3)
		s := state{r.str(0), r.id(2)}
		if r.err == nil {
			states[uid] = s
			boxes.counters.Compared.Add(1)
		}
	}
	boxes.mu.Lock()
	feeds := make([]*Feed, 0, len(uids))
	for f := range boxes.feeds {
		if _, ok := states[f.uid]; ok {
			feeds = append(feeds, f)
		}
	}
	boxes.mu.Unlock()
	slices.SortFunc(feeds, func(a, b *Feed) int { return strings.Compare(a.uid, b.uid) })
	for _, f := range feeds {
		s := states[f.uid]
		f.compareWithNewest(s.epoch, s.last)
	}
}

// Queue counts the messages that wait in all inboxes.
type Queue struct {
	Messages int
	Inboxes  int       // inboxes in which messages wait
	Oldest   time.Time // when the oldest message was queued; zero if none waits
	Complete bool      // false: there are too many inboxes, and only a part was counted
}

// maxScanned limits the number of inboxes that Queued counts.
const maxScanned = 100_000

// Queued counts the messages that wait in all inboxes. It scans Redis, so it is for the operator's figures and not for
// every request. The error is problem.ErrUnavailable.
func (boxes *Inboxes) Queued(ctx context.Context) (Queue, error) {
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
	if cluster, ok := boxes.rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			return scan(ctx, c)
		})
	} else {
		err = scan(ctx, boxes.rdb)
	}
	if err != nil {
		return Queue{}, boxes.classifyError(fmt.Errorf("scan inboxes: %w", err))
	}
	q := Queue{Complete: len(uids) < maxScanned}
	for len(uids) > 0 {
		n := min(queuedBatch, len(uids))
		calls := make([]script.Call, n)
		for i, uid := range uids[:n] {
			calls[i] = boxes.call(boxes.scripts.waiting, uid)
		}
		uids = uids[n:]
		for _, result := range boxes.run(ctx, calls...) {
			if result.Err != nil {
				return Queue{}, result.Err
			}
			r := newReply(result.Value, 2)
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
