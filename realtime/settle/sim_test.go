package settle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// world is two people with two devices each on two instances and one Redis,
// in a synctest bubble: time passes only when all have nothing to do.
type world struct {
	t     *testing.T
	mini  *miniredis.Miniredis
	nodes [2]*node
	dev   [4]*simDevice
	store *archive

	mu     sync.Mutex
	runID  int           // of the primary
	behind time.Duration // its clock
	faults float64       // probability that a call to Redis fails, before or after it was done
	rng    *rand.Rand
	saved  *snapshot // what a failover falls back to
	lost   bool      // Redis has lost writes
	losing string    // what calls to Redis are lost: "sent", "delivered", "settle"
}

// node is an instance.
type node struct {
	*settle.Settler
	in   *inbox.Inboxes
	kill func() // like kill -9: nothing is settled
}

// archive is Pub/Sub, persist and the store in one: what it confirms is history.
type archive struct {
	w    *world
	mu   sync.Mutex
	down bool
	has  map[string]chat.Message
	errs []string

	before func()             // called once, while a batch is on its way
	refuse func([]byte) error // not nil: may refuse a batch
}

func (a *archive) Publish(ctx context.Context, data []byte) error {
	var b delivery.Batch
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	a.mu.Lock()
	before := a.before
	a.before = nil
	a.mu.Unlock()
	if before != nil {
		before()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return errDown
	}
	if a.refuse != nil {
		if err := a.refuse(data); err != nil {
			return err
		}
	}
	for _, d := range b.Delivered {
		// Saved only after a device of the recipient has stored it.
		if !a.w.stored(d.To, d.ID) {
			a.errs = append(a.errs, fmt.Sprintf("%s was saved before a device of %s had it", d.Body, d.To))
		}
		if _, has := a.has[d.ID]; !has {
			a.has[d.ID] = d.Message
		}
	}
	return nil
}

func (a *archive) messages() []chat.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []chat.Message
	for _, m := range a.has {
		out = append(out, m)
	}
	return out
}

// snapshot is a copy of Redis, for a failover that loses the last writes.
type snapshot struct {
	streams map[string][]miniredis.StreamEntry
	hashes  map[string][]string
	strings map[string]string
	ttls    map[string]time.Duration
}

func (w *world) snapshot() {
	s := &snapshot{map[string][]miniredis.StreamEntry{}, map[string][]string{}, map[string]string{}, map[string]time.Duration{}}
	for _, key := range w.mini.Keys() {
		s.ttls[key] = w.mini.TTL(key)
		switch w.mini.Type(key) {
		case "stream":
			s.streams[key], _ = w.mini.Stream(key)
		case "hash":
			fields, _ := w.mini.HKeys(key)
			for _, f := range fields {
				s.hashes[key] = append(s.hashes[key], f, w.mini.HGet(key, f))
			}
		case "string":
			s.strings[key], _ = w.mini.Get(key)
		}
	}
	w.saved = s
}

// failover promotes a replica that has only what the snapshot has.
func (w *world) failover() {
	w.mini.FlushAll()
	if s := w.saved; s != nil {
		for key, entries := range s.streams {
			for _, e := range entries {
				if _, err := w.mini.XAdd(key, e.ID, e.Values); err != nil {
					w.t.Error(err)
				}
			}
		}
		for key, fv := range s.hashes {
			w.mini.HSet(key, fv...)
		}
		for key, v := range s.strings {
			_ = w.mini.Set(key, v)
		}
		for key, ttl := range s.ttls {
			if ttl > 0 {
				w.mini.SetTTL(key, ttl)
			}
		}
	}
	w.mu.Lock()
	w.runID++
	w.lost = true
	w.mu.Unlock()
}

// wipe empties Redis, which goes on running.
func (w *world) wipe() {
	w.mini.FlushAll()
	w.mu.Lock()
	w.lost = true
	w.mu.Unlock()
}

// clock puts the clock of Redis behind, as another primary's may be.
func (w *world) clock(behind time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind = behind
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, mini: miniredis.NewMiniRedis(), rng: rand.New(rand.NewPCG(seed, 1))}
	w.store = &archive{w: w, has: map[string]chat.Message{}}
	w.mini.ClockTTL(true)
	conn, err := w.mini.Dial() // starts the server inside the bubble
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	// miniredis with a run id, so that epochs change as those of Redis do.
	w.mini.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if cmd == "TIME" {
			now := time.Now().Add(-w.behind).UnixMicro()
			c.WriteLen(2)
			c.WriteBulk(fmt.Sprint(now / 1_000_000))
			c.WriteBulk(fmt.Sprint(now % 1_000_000))
			return true
		}
		if cmd != "INFO" || len(args) != 1 {
			return false
		}
		switch args[0] {
		case "server":
			c.WriteBulk(fmt.Sprintf("run_id:%040x\r\n", w.runID))
		case "replication":
			c.WriteBulk(fmt.Sprintf("master_replid:%040x\r\n", w.runID))
		default:
			return false
		}
		return true
	})
	for i := range w.nodes {
		w.nodes[i] = w.start()
	}
	for i, uid := range []string{"ann", "ann", "ben", "ben"} {
		w.dev[i] = &simDevice{w: w, name: fmt.Sprint(uid, i%2+1), uid: uid, other: map[string]string{"ann": "ben", "ben": "ann"}[uid],
			shown: map[string]chat.Message{}, delivered: map[string]bool{}}
	}
	return w
}

// begin connects all devices for the first time, and lets them load the history that there is not.
func (w *world) begin() {
	for i, d := range w.dev {
		d.connect(w.nodes[i%2])
	}
	synctest.Wait()
	for _, d := range w.dev {
		d.mu.Lock()
		d.debt = false
		d.mu.Unlock()
	}
}

// start starts an instance.
func (w *world) start() *node {
	rdb := redis.NewUniversalClient(inbox.Tune(&redis.UniversalOptions{Addrs: []string{"mini"}, MaxRetries: -1, PoolSize: 4,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return dial(w.mini) }}))
	gone := make(chan struct{})
	rdb.AddHook(&faultHook{w: w, gone: gone})
	l := redissub.New(rdb, redissub.Options{Log: quiet})
	in := inbox.New(rdb, inbox.Options{Subscriber: l, Log: quiet})
	s := settle.New(in, w.store, settle.Options{Log: quiet, Drain: time.Millisecond, MaxMessages: 3, MaxBackoff: 2 * time.Second, KeepBytes: 3000})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	wg.Go(func() { _ = in.Run(ctx) })
	wg.Go(func() { _ = s.Run(ctx) })
	n := &node{Settler: s, in: in}
	wg.Go(func() { // what the server does when Redis came back
		for {
			select {
			case <-ctx.Done():
				return
			case <-in.Resyncs():
				for _, d := range w.dev {
					d.resync(n)
				}
			}
		}
	})
	n.kill = sync.OnceFunc(func() {
		close(gone)
		for _, d := range w.dev {
			if d != nil && d.on(n) {
				d.drop()
			}
		}
		cancel()
		wg.Wait()
		_ = rdb.Close()
	})
	return n
}

// stop ends everything.
func (w *world) stop() {
	for _, d := range w.dev {
		d.drop()
	}
	for _, n := range w.nodes {
		n.kill()
	}
	w.mini.Close()
	synctest.Wait()
}

// stored reports whether a device of uid has stored the message.
func (w *world) stored(uid, id string) bool {
	for _, d := range w.dev {
		if d.uid == uid && d.has(id) {
			return true
		}
	}
	return false
}

// settleDown mends everything and gives the devices time, as they would have
// after the last fault, until nothing changes any more. Where Redis kept what
// it had, what was accepted must arrive without its sender's help: outboxes
// send again only after that.
func (w *world) settleDown() error {
	w.mu.Lock()
	w.faults = 0
	lost := w.lost
	w.mu.Unlock()
	w.store.mu.Lock()
	w.store.down = false
	w.store.mu.Unlock()
	if !lost {
		if err := w.rounds(false, w.checkAccepted); err != nil {
			return fmt.Errorf("without the senders: %w", err)
		}
	}
	return w.rounds(true, w.check)
}

// rounds gives time until ok, and at most 10 minutes.
func (w *world) rounds(resend bool, ok func() error) (err error) {
	for range 60 {
		for i, d := range w.dev {
			d.pause(false)
			d.reconnect(w.nodes[i%2])
			if resend {
				d.resend()
			}
		}
		testwait.Advance(5 * time.Second)
		for _, d := range w.dev {
			d.ack()
		}
		testwait.Advance(5 * time.Second)
		for _, d := range w.dev {
			d.payDebts()
		}
		if err = ok(); err == nil {
			return nil
		}
	}
	return err
}

// checkAccepted is the first promise: accepted means kept. And the sender's
// devices, which did not send again, know of the delivery.
func (w *world) checkAccepted() error {
	saved := map[string]bool{}
	for _, m := range w.store.messages() {
		saved[m.ID] = true
	}
	for i, d := range w.dev {
		d.mu.Lock()
		accepted := slices.Clone(d.accepted)
		for _, m := range d.outbox {
			if slices.Contains(accepted, m.ID) {
				d.mu.Unlock()
				return fmt.Errorf("%s was not told of the delivery of %s", d.name, m.Body)
			}
		}
		d.mu.Unlock()
		for _, id := range accepted {
			to := w.dev[2-i/2*2 : 4-i/2*2]
			if !to[0].has(id) || !to[1].has(id) || !saved[id] {
				return fmt.Errorf("%s accepted of %s: shown %v and %v, saved %v", id, d.name, to[0].has(id), to[1].has(id), saved[id])
			}
		}
	}
	return nil
}

// check is the verdict: what the promises say, now that all is quiet.
func (w *world) check() error {
	w.store.mu.Lock()
	early := slices.Clone(w.store.errs)
	w.store.mu.Unlock()
	if len(early) > 0 {
		return fmt.Errorf("early: %v", early)
	}
	var all []string
	for _, d := range w.dev {
		all = append(all, d.wrote...)
	}
	slices.Sort(all)
	for _, d := range w.dev {
		var ids []string
		d.mu.Lock()
		for id := range d.shown {
			ids = append(ids, id)
		}
		waits, twice := len(d.outbox), d.twice
		d.mu.Unlock()
		slices.Sort(ids)
		if !slices.Equal(ids, all) {
			return fmt.Errorf("%s shows %d of %d messages", d.name, len(ids), len(all))
		}
		if waits > 0 {
			return fmt.Errorf("%s does not know that %d messages were delivered", d.name, waits)
		}
		if twice != "" {
			return fmt.Errorf("%s: %s", d.name, twice)
		}
	}
	for _, uid := range []string{"ann", "ben"} {
		if fields, _ := w.mini.HKeys("pending:{" + uid + "}"); len(fields) > 0 {
			return fmt.Errorf("%d messages wait for %s for ever", len(fields), uid)
		}
	}
	return nil
}
