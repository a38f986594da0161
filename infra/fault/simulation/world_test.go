package simulation

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/archive"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	realtime "github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/server/servertest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// world is a small system: two instances, and a crowd of users connected to them. It implements load.Testbed.
type world struct {
	t       *testing.T
	rig     *servertest.Rig
	log     *record.Log
	archive *archive.Archive
	crowd   *load.Crowd
	nodes   [2]*node
	seed    uint64
	began   time.Time

	saving   atomic.Int64                                    // Pub/Sub messages that persist has not accepted
	publish  atomic.Pointer[func(ctx context.Context) error] // called before each confirmation; nil: none
	pushLate atomic.Int64                                    // delay of each call of persist, in nanoseconds
	queue    sync.WaitGroup
	serving  atomic.Pointer[node] // the only node that accepts sockets; nil: all
	attempts atomic.Int64         // of devices to open a socket

	afterwards func() // called when the record is complete; nil: nothing to do

	dropWakes     atomic.Bool                   // Redis publishes no wakes
	slowSubscribe atomic.Int64                  // how long Redis takes to subscribe to wakes, in nanoseconds
	bounds        verdict.Bounds                // of live delivery
	cut           map[*servertest.Instance]bool // instances whose network to Redis is down; only the test's goroutine
	cutNow        bool                          // the record has a fault because of cut

	// guarded by mu
	mu      sync.Mutex
	dials   map[string]uint64        // by network address
	stopped []*servertest.Instance   // instances that were asked to stop
	primary int                      // number of the primary of Redis
	behind  time.Duration            // how far its clock is behind
	replica *replica                 // nil: empty
	refused func(args []string) bool // Redis refuses these scripts and marks; nil: none
}

// node runs one instance at a time.
type node struct {
	w      *world
	number int
	ahead  atomic.Int64 // how far the clock of its instances is ahead, in nanoseconds

	mu     sync.Mutex
	in     *servertest.Instance // nil while it is down; guarded by mu
	dead   *atomic.Bool         // whether the current instance was killed
	starts int
}

// play plays a history in a synctest bubble: the devices of all users connect, f runs, all faults end, the system
// comes to rest, and the record is judged.
func play(t *testing.T, users int, o load.Options, f func(t *testing.T, w *world)) *verdict.Report {
	t.Helper()
	var report *verdict.Report
	synctest.Test(t, func(t *testing.T) {
		db, err := storebolt.Open(filepath.Join(t.TempDir(), "store.db"), storebolt.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		w := &world{t: t, log: record.New(), seed: o.Seed, began: time.Now(), dials: map[string]uint64{}, bounds: tight,
			cut: map[*servertest.Instance]bool{}}
		defer w.queue.Wait()
		if w.archive, err = archive.New(db, w.log, servertest.Project); err != nil {
			t.Fatal(err)
		}
		w.archive.OnCorrected(w.correct)
		uids, err := w.archive.AddUsers(t.Context(), users)
		if err != nil {
			t.Fatal(err)
		}
		w.rig = servertest.New(t)
		w.rig.Retries = servertest.PoolSize
		w.hookRedis()
		for i := range w.nodes {
			w.nodes[i] = &node{w: w, number: i + 1}
			w.nodes[i].start()
		}
		o.Pace, o.Patience = pace(), patience
		w.crowd = load.New(w, w.log, uids, o)
		defer w.crowd.Close()
		starting, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.crowd.Start(starting, 0); err != nil {
			t.Fatal(err)
		}
		f(t, w)
		w.repair()
		settling, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := errors.Join(w.crowd.Settle(settling, 2*patience), w.crowd.Open(settling)); err != nil {
			t.Error(err)
		}
		for range 60 {
			if w.waitingUsers() == nil {
				break
			}
			testwait.Advance(time.Second)
		}
		if uids := w.waitingUsers(); uids != nil {
			t.Errorf("messages wait forever in the inboxes of %v", uids)
		}
		w.crowd.Close()
		report = verdict.JudgeWithin(w.log.All(), w.bounds)
		if w.afterwards != nil {
			w.afterwards()
		}
	})
	return report
}

// Bounds of live delivery under the fake clock. An event takes no time at all if nothing is lost on its way. After a
// wipe, an instance notices it by the next probe, within 5 s, and asks its sockets to reconnect within 5 s more. Then
// outboxes send again what was lost; 2 s are left for reconnects.
var (
	tight = verdict.Bounds{LiveWithin: 100 * time.Millisecond, LiveAfterFault: 12 * time.Second}

	// withoutWakes is for histories in which wakes are lost on purpose: every 30 s, an instance compares what it sent
	// with the stream.
	withoutWakes = verdict.Bounds{LiveWithin: 31 * time.Second, LiveAfterFault: 31 * time.Second}
)

// patience is longer than the delays after which something is tried again: a backfill, the load that repeats the one
// after a gap, and the question to the archive who has written, without which a read mark is dropped. Each may take a
// minute.
const patience = 90 * time.Second

// requireClean fails the test unless the report is clean.
func requireClean(t *testing.T, r *verdict.Report) {
	t.Helper()
	if r == nil {
		return
	}
	if r.Clean() && r.Excepted == 0 {
		return
	}
	t.Errorf("%d excepted; counts %v", r.Excepted, r.Counts)
	for i, f := range r.Findings {
		if i == 10 {
			break
		}
		t.Errorf("%s: %s on %s: %s", f.Rule, f.Message, f.Device, f.Detail)
	}
}

func pace() client.Pace {
	p := client.DefaultPace()
	p.Margin = 10 * time.Second
	return p
}

// repair ends all faults.
func (w *world) repair() {
	w.publish.Store(nil)
	w.pushLate.Store(0)
	w.serving.Store(nil)
	w.refuse(nil)
	w.archive.Down(false, false)
	w.setClockBehind(0)
	w.dropWakes.Store(false)
	w.slowSubscribe.Store(0)
	for _, n := range w.nodes {
		n.mu.Lock()
		in := n.in
		n.mu.Unlock()
		if in == nil {
			n.start()
		}
	}
	for _, in := range w.instances() {
		in.Redis.Down(false)
		in.Redis.Slow(0)
	}
	clear(w.cut)
	w.recordCuts()
}

// setCut cuts an instance from Redis, or connects it again.
func (w *world) setCut(in *servertest.Instance, cut bool) {
	in.Redis.Down(cut)
	w.cut[in] = cut
	w.recordCuts()
}

// recordCuts records as one fault the time in which any running instance is cut from Redis.
func (w *world) recordCuts() {
	const name = "redis down"
	cut := slices.ContainsFunc(w.instances(), func(in *servertest.Instance) bool { return w.cut[in] })
	switch {
	case cut && !w.cutNow:
		w.log.Add(record.Entry{Kind: record.Fault, Name: name, Detail: record.Servers})
	case !cut && w.cutNow:
		w.log.Add(record.Entry{Kind: record.Healed, Name: name})
	}
	w.cutNow = cut
}

// instances returns the instances that run or are being stopped.
func (w *world) instances() []*servertest.Instance {
	w.mu.Lock()
	all := slices.Clone(w.stopped)
	w.mu.Unlock()
	for _, n := range w.nodes {
		if in := n.running(); in != nil {
			all = append(all, in)
		}
	}
	return all
}

func (n *node) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.in != nil {
		return
	}
	dead := &atomic.Bool{}
	n.dead = dead
	n.in = n.w.rig.Start(func(d *realtime.Deps) {
		n.starts++
		d.Instance = fmt.Sprintf("instance%d-%d", n.number, n.starts)
		d.Now = func() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) }
		d.Jitter = jitter(n.w.seed, d.Instance)
		d.Gates = n.w.archive
		d.Inboxes.Archive = n.w.archive
		d.Publisher = publisher{n.w, dead}
	})
}

// jitter returns the jitter of an instance. The seed, the time and the bound determine it, so that it does not depend
// on the order of goroutines, except among those that draw at the same time.
func jitter(seed uint64, instance string) func(time.Duration) time.Duration {
	sum := fnv.New64a()
	sum.Write([]byte(instance))
	base := seed + sum.Sum64()
	var mu sync.Mutex
	var last time.Time
	drawn := map[time.Duration]uint64{} // at the same time, by bound
	return func(below time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); !now.Equal(last) {
			last = now
			clear(drawn)
		}
		drawn[below]++
		rnd := rand.New(rand.NewPCG(base+uint64(last.UnixNano()), uint64(below)+drawn[below]))
		return time.Duration(rnd.Int64N(int64(below)))
	}
}

// kill ends the instance as kill -9 does.
func (n *node) kill() {
	n.mu.Lock()
	in := n.in
	n.in = nil
	n.mu.Unlock()
	if in != nil {
		n.dead.Store(true)
		n.w.log.Add(record.Entry{Kind: record.Fault, Name: "kill", Detail: record.Servers})
		in.Kill()
		n.w.log.Add(record.Entry{Kind: record.Healed, Name: "kill"})
	}
}

// stop shuts the instance down in order.
func (n *node) stop() {
	n.mu.Lock()
	in := n.in
	n.in = nil // new sockets go to other instances
	n.mu.Unlock()
	if in == nil {
		return
	}
	n.w.mu.Lock()
	n.w.stopped = append(n.w.stopped, in)
	n.w.mu.Unlock()
	in.Stop()
}

func (n *node) running() *servertest.Instance {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.in
}

// publisher is the Pub/Sub client of one instance.
type publisher struct {
	w    *world
	dead *atomic.Bool
}

// Publish implements settle.Publisher. What it confirms is pushed until persist accepts it, even if the instance ends.
func (p publisher) Publish(ctx context.Context, data []byte) error {
	if f := p.w.publish.Load(); f != nil {
		if err := (*f)(ctx); err != nil {
			return err
		}
	}
	if p.dead.Load() {
		return errors.New("killed")
	}
	p.w.saving.Add(1)
	p.w.queue.Go(func() { p.w.push(data) })
	return nil
}

func (w *world) push(data []byte) {
	defer w.saving.Add(-1)
	message := map[string]any{"data": base64.StdEncoding.EncodeToString(data), "messageId": "1"}
	body, err := json.Marshal(map[string]any{"message": message})
	if err != nil { // the map holds only strings
		panic(err)
	}
	for {
		<-time.After(time.Duration(w.pushLate.Load()))
		r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.archive.Persist().ServeHTTP(rec, r)
		if rec.Code/100 == 2 || w.t.Context().Err() != nil {
			return
		}
		<-time.After(time.Second) // Pub/Sub retries
	}
}

// Dial implements load.Testbed.
func (w *world) Dial(_ context.Context, from string, wrap func(net.Conn) net.Conn) (*websocket.Conn, error) {
	w.attempts.Add(1)
	var running []*servertest.Instance
	for _, n := range w.nodes {
		if only := w.serving.Load(); only != nil && only != n {
			continue
		}
		if in := n.running(); in != nil {
			running = append(running, in)
		}
	}
	if len(running) == 0 {
		return nil, errors.New("no instance accepts sockets")
	}
	w.mu.Lock()
	w.dials[from]++
	choice := w.dials[from]
	w.mu.Unlock()
	// A source for each dial makes the choice independent of the order in which devices dial.
	sum := fnv.New64a()
	sum.Write([]byte(from))
	rnd := rand.New(rand.NewPCG(w.seed+sum.Sum64(), choice))
	return dialTo(running[rnd.IntN(len(running))], wrap)
}

func dialTo(in *servertest.Instance, wrap func(net.Conn) net.Conn) (*websocket.Conn, error) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		conn, err := in.Connect()
		if err != nil {
			return nil, err
		}
		return wrap(servertest.Buffered(conn)), nil
	}
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, NetDialContext: dial}
	conn, _, err := d.Dial("ws://pipe/ws", http.Header{"Origin": {servertest.Origin}})
	return conn, err
}

// Token implements load.Testbed.
func (w *world) Token(uid string) (string, time.Time, error) { return w.archive.Token(uid) }

// History implements load.Testbed.
func (w *world) History(uid string) client.History { return w.archive.History(uid) }

// List implements load.Testbed.
func (w *world) List(ctx context.Context, uid string) ([]record.Item, error) {
	return w.archive.List(ctx, uid)
}

// Waiting implements load.Testbed.
func (w *world) Waiting() int { return int(w.saving.Load()) }

// hookRedis gives miniredis a run id, which becomes part of the epochs, and a clock that the test can set. Redis also
// refuses the scripts that refuse selects.
func (w *world) hookRedis() {
	conn, err := w.rig.Mini.Dial() // starts the server inside the bubble
	if err != nil {
		w.t.Fatal(err)
	}
	_ = conn.Close()
	w.rig.Mini.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		wakes := len(args) > 0 && strings.HasPrefix(args[0], "wake:")
		if d := w.slowSubscribe.Load(); wakes && cmd == "SUBSCRIBE" && d > 0 {
			<-time.After(time.Duration(d))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case wakes && cmd == "PUBLISH" && w.dropWakes.Load():
			c.WriteInt(0)
		case w.refused != nil && (strings.HasPrefix(cmd, "EVAL") || cmd == "ZADD") && w.refused(args):
			c.WriteError("LOADING injected fault")
		case cmd == "TIME":
			now := time.Now().Add(-w.behind).UnixMicro()
			c.WriteLen(2)
			c.WriteBulk(fmt.Sprint(now / 1_000_000))
			c.WriteBulk(fmt.Sprint(now % 1_000_000))
		case cmd == "INFO" && slices.Contains(args, "server"):
			c.WriteBulk(fmt.Sprintf("run_id:%040x\r\nmaster_replid:%040x\r\n", w.primary, w.primary))
		default:
			return false
		}
		return true
	})
}

// setClockBehind sets the clock of Redis back by that time.
func (w *world) setClockBehind(behind time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind = behind
}

// refuse has Redis refuse the scripts and marks for whose arguments f returns true; nil ends that.
func (w *world) refuse(f func(args []string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = f
}

// receipts selects the scripts that append delivered events.
func receipts(args []string) bool { return slices.Contains(args, wire.EventDelivered) }

// settlements selects the commands that mark messages as settled, and the scripts that settle or withdraw them. These
// name a message by its sender and its id.
func settlements(args []string) bool {
	return strings.HasPrefix(args[0], "marked:{") || slices.ContainsFunc(args, func(a string) bool {
		from, id, ok := strings.Cut(a, "/")
		return ok && chat.ValidUID(from) && chat.ValidMessageID(id)
	})
}

// withdraw withdraws what waits from a user, in one of the instances. The call fails if that cannot reach Redis.
func (w *world) withdraw(from string) {
	w.log.Add(record.Entry{Kind: record.Withdrawn, User: from})
	call := internalapi.Purge{From: from, Reason: internalapi.ReasonWithdrawn}
	for _, n := range w.nodes {
		if in := n.running(); in != nil {
			in.Call(w.t.Context(), http.MethodPost, internalapi.PurgePath, servertest.ServiceToken, call)
			return
		}
	}
}

// correct calls one of the instances for persist.
func (w *world) correct(ctx context.Context, call internalapi.Corrected) error {
	for _, n := range w.nodes {
		if in := n.running(); in != nil {
			resp := in.Call(ctx, http.MethodPost, internalapi.CorrectedPath, servertest.ServiceToken, call)
			if resp.Code == http.StatusNoContent {
				return nil
			}
			return fmt.Errorf("corrected: %d %s", resp.Code, resp.Body)
		}
	}
	return errors.New("corrected: no instance is running")
}

// waiting returns how many messages wait in the inbox of uid, without those that are marked and not forgotten yet.
func (w *world) waiting(uid string) (n int) {
	mini := w.rig.Mini
	fields, err := mini.HKeys("pending:{" + uid + "}")
	if err != nil { // the key does not exist
		return 0
	}
	var marked inbox.ID
	marks, _ := mini.SortedSet("marked:{" + uid + "}") // an error says that there is none
	for epoch, score := range marks {
		if strings.HasSuffix(epoch, "."+mini.HGet("meta:{"+uid+"}", "nonce")) {
			marked = inbox.ID{Ms: uint64(score) / 1024, Seq: uint64(score) % 1024}
		}
	}
	for _, f := range fields {
		text, _, _ := strings.Cut(mini.HGet("pending:{"+uid+"}", f), " ")
		id, err := inbox.ParseID(text)
		if err != nil {
			w.t.Fatal(err)
		}
		if id.After(marked) {
			n++
		}
	}
	return n
}

// eventTypes returns the types of the events in the inbox of uid.
func (w *world) eventTypes(uid string) (types []string) {
	entries, err := w.rig.Mini.Stream("inbox:{" + uid + "}")
	if err != nil { // the key does not exist
		return nil
	}
	for _, e := range entries {
		types = append(types, e.Values[1])
	}
	return types
}

// waitingUsers returns the users in whose inboxes messages wait.
func (w *world) waitingUsers() (uids []string) {
	for _, uid := range w.crowd.Users() {
		if w.waiting(uid) > 0 {
			uids = append(uids, uid)
		}
	}
	return uids
}

// replica is a copy of Redis.
type replica struct {
	streams map[string][]miniredis.StreamEntry
	hashes  map[string][]string
	strings map[string]string
	ttls    map[string]time.Duration
}

// replicate copies Redis to the replica. The replica does not get later writes.
func (w *world) replicate() {
	mini := w.rig.Mini
	k := &replica{map[string][]miniredis.StreamEntry{}, map[string][]string{}, map[string]string{},
		map[string]time.Duration{}}
	for _, key := range mini.Keys() {
		k.ttls[key] = mini.TTL(key)
		switch mini.Type(key) {
		case "stream":
			k.streams[key], _ = mini.Stream(key)
		case "hash":
			fields, _ := mini.HKeys(key)
			for _, f := range fields {
				k.hashes[key] = append(k.hashes[key], f, mini.HGet(key, f))
			}
		case "string":
			k.strings[key], _ = mini.Get(key)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replica = k
}

// failOver makes the replica the primary. Writes since replicate are lost.
func (w *world) failOver() {
	w.log.Add(record.Entry{Kind: record.Fault, Name: "failover", Detail: record.Servers})
	mini := w.rig.Mini
	mini.FlushAll()
	w.mu.Lock()
	w.primary++
	k := w.replica
	w.mu.Unlock()
	if k != nil {
		for key, entries := range k.streams {
			for _, e := range entries {
				if _, err := mini.XAdd(key, e.ID, e.Values); err != nil {
					w.t.Error(err)
				}
			}
		}
		for key, fields := range k.hashes {
			mini.HSet(key, fields...)
		}
		for key, v := range k.strings {
			_ = mini.Set(key, v)
		}
		for key, ttl := range k.ttls {
			if ttl > 0 {
				mini.SetTTL(key, ttl)
			}
		}
	}
	w.recordLoss("failover")
}

// wipe empties Redis while it runs.
func (w *world) wipe() {
	w.log.Add(record.Entry{Kind: record.Fault, Name: "wipe", Detail: record.Servers})
	w.rig.Mini.FlushAll()
	w.log.Add(record.Entry{Kind: record.Wiped, Name: "wipe"})
	w.log.Add(record.Entry{Kind: record.Healed, Name: "wipe"})
}

// replace replaces Redis by an empty one.
func (w *world) replace() {
	w.mu.Lock()
	w.replica = nil
	w.mu.Unlock()
	w.failOver()
}

// recordLoss records that Redis lost writes, and breaks its connections.
func (w *world) recordLoss(cause string) {
	w.log.Add(record.Entry{Kind: record.Wiped, Name: cause})
	for _, in := range w.instances() {
		in.Redis.Break()
	}
	w.log.Add(record.Entry{Kind: record.Healed, Name: cause})
}
