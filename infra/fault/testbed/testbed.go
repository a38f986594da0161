// Package testbed is the system under fault test. Realtime instances run as processes, and so do a redis-server and,
// on request, its replica. A link that can be broken connects each instance to Redis. A stand-in for Pub/Sub with a
// push subscription, the persist function, the HTTP functions and the store run in this process.
//
// Its methods break and repair the parts. Package inject decides when.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/infra/fault/archive"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Options configure a Testbed.
type Options struct {
	Instances  int           // realtime processes; 3 when 0
	Replica    bool          // start a second redis-server that follows the first
	Waits      bool          // sends wait for the replica
	ClockStep  time.Duration // how far each instance's clock is ahead of the previous one's
	SocketAge  time.Duration // maximum age of a socket; 0: as in production
	MaxSockets int           // per instance; 0: as in production
	Store      store.Store   // where messages are saved; nil: an embedded store. The testbed does not close it
	Dir        string        // for files; the caller removes it
	Program    string        // path of the instance program; "": build it
	Seed       uint64
	Log        *record.Log
}

// Testbed is a running system. One goroutine at a time calls the methods that break and repair parts.
type Testbed struct {
	opts        Options
	redis       *redisServer
	replica     *redisServer // nil without Options.Replica
	replication *link        // from the replica to its primary
	instances   []*Instance
	queue       *queue
	archive     *archive.Archive
	bolt        *storebolt.Store
	notifier    *notifier
	storeAddr   string // where the instances request what they read from Firestore

	markedFile string // append-only file of MarkAppendOnlyFile; "": none
	markedSize int64

	mu      sync.Mutex
	rnd     *rand.Rand // guarded by mu
	closers []func()
}

const project = "fault"

// replicaWait is how long a send waits for the replica with Options.Waits, as Terraform configures it.
const replicaWait = time.Second

// New builds and starts a Testbed. Close ends it.
func New(ctx context.Context, opts Options) (_ *Testbed, err error) {
	if opts.Instances == 0 {
		opts.Instances = 3
	}
	tb := &Testbed{opts: opts, rnd: rand.New(rand.NewPCG(opts.Seed, 1))}
	defer func() {
		if err != nil {
			tb.Close()
		}
	}()
	if opts.Store == nil {
		tb.bolt, err = storebolt.Open(filepath.Join(opts.Dir, "store.db"), storebolt.Options{NoSync: true})
		if err != nil {
			return nil, err
		}
		tb.closers = append(tb.closers, func() { _ = tb.bolt.Close() })
		opts.Store = tb.bolt
	}
	if tb.archive, err = archive.New(opts.Store, opts.Log, project); err != nil {
		return nil, err
	}
	tb.archive.OnCorrected(func(ctx context.Context, call internalapi.Corrected) error {
		return tb.callInternal(ctx, 0, http.MethodPost, "corrected", call, nil)
	})
	if tb.queue, err = newQueue(tb.archive.Persist(), rand.New(rand.NewPCG(opts.Seed, 2)), opts.Log); err != nil {
		return nil, err
	}
	tb.closers = append(tb.closers, tb.queue.close)
	if err := tb.startNotify(); err != nil {
		return nil, err
	}
	if err := tb.startRedis(ctx); err != nil {
		return nil, err
	}
	if err := tb.serveStore(); err != nil {
		return nil, err
	}
	if err := tb.startInstances(ctx); err != nil {
		return nil, err
	}
	return tb, nil
}

func (tb *Testbed) startRedis(ctx context.Context) (err error) {
	if tb.redis, err = newRedis(ctx, redisDir(tb.opts.Dir, 1)); err != nil {
		return err
	}
	tb.closers = append(tb.closers, func() { tb.redis.kill() })
	if !tb.opts.Replica {
		return nil
	}
	if tb.replica, err = newRedis(ctx, redisDir(tb.opts.Dir, 2)); err != nil {
		return err
	}
	tb.closers = append(tb.closers, func() { tb.replica.kill() })
	if tb.replication, err = newLink(tb.redis.addr); err != nil {
		return err
	}
	tb.closers = append(tb.closers, tb.replication.cut)
	return tb.replica.follow(ctx, tb.replication.addr)
}

func (tb *Testbed) startInstances(ctx context.Context) error {
	path := tb.opts.Program
	if path == "" {
		var err error
		if path, err = Build(ctx, tb.opts.Dir); err != nil {
			return err
		}
	}
	for n := range tb.opts.Instances {
		port, err := freeport.Find()
		if err != nil {
			return err
		}
		l, err := newLink(tb.redis.addr)
		if err != nil {
			return err
		}
		tb.closers = append(tb.closers, l.cut)
		name := fmt.Sprintf("instance%d", n+1)
		i := &Instance{path: path, link: l, logs: filepath.Join(tb.opts.Dir, name+".log"), spec: Spec{
			Name: name, Addr: "127.0.0.1:" + port,
			Redis: l.addr, PubSub: tb.queue.addr,
			Gates: "http://" + tb.storeAddr + "/gates/", Writers: "http://" + tb.storeAddr + "/writers/",
			Project: project, Topic: "delivery-acks",
			ClockMS:     (time.Duration(n) * tb.opts.ClockStep).Milliseconds(),
			SocketAgeMS: tb.opts.SocketAge.Milliseconds(), MaxSockets: tb.opts.MaxSockets,
		}}
		if tb.opts.Waits {
			i.spec.ReplicaWaitMS = replicaWait.Milliseconds()
		}
		tb.instances = append(tb.instances, i)
		tb.closers = append(tb.closers, i.kill)
		if err := i.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends all parts immediately.
func (tb *Testbed) Close() {
	for i := len(tb.closers) - 1; i >= 0; i-- {
		tb.closers[i]()
	}
	tb.closers = nil
}

// errNoInstance is the error of a dial if no instance accepts sockets.
var errNoInstance = errors.New("no instance accepts sockets")

// Dial opens a WebSocket from a network address. Of two random instances that accept new ones, it chooses the one with
// fewer sockets, as load balancers commonly do: an instance that is full would otherwise be chosen again and again. The
// WebSocket uses the connection that wrap makes from the TCP connection.
func (tb *Testbed) Dial(ctx context.Context, from string, wrap func(net.Conn) net.Conn) (*websocket.Conn, error) {
	var open []*Instance
	for _, i := range tb.instances {
		if i.open.Load() {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil, errNoInstance
	}
	tb.mu.Lock()
	i, other := open[tb.rnd.IntN(len(open))], open[tb.rnd.IntN(len(open))]
	tb.mu.Unlock()
	if other.sockets.Load() < i.sockets.Load() {
		i = other
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		i.sockets.Add(1)
		return wrap(&counted{Conn: conn, closed: sync.OnceFunc(func() { i.sockets.Add(-1) })}), nil
	}
	d := websocket.Dialer{
		NetDialContext: dial, Subprotocols: []string{wire.Subprotocol},
		ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, HandshakeTimeout: 10 * time.Second,
	}
	conn, resp, err := d.DialContext(ctx, "ws://"+i.spec.Addr+"/ws",
		http.Header{"Origin": {Origin}, "X-Forwarded-For": {from}})
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	return conn, err
}

// counted is a connection that reports when it is closed.
type counted struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// Origin is the origin of the simulated pages.
const Origin = "https://chat.example.org"

// Waiting returns how many Pub/Sub messages persist has not acknowledged yet.
func (tb *Testbed) Waiting() int { return int(tb.queue.waiting.Load()) }

// Figures counts what a deployment is billed for.
type Figures struct {
	archive.Figures
	Published int64 `json:"published"` // Pub/Sub messages
	Pushed    int64 `json:"pushed"`    // calls of persist
}

// Figures returns the counts so far.
func (tb *Testbed) Figures() Figures {
	return Figures{tb.archive.Figures(), tb.queue.published.Load(), tb.queue.pushed.Load()}
}

// TempDir creates a folder for a Testbed, and returns the function that removes it.
func TempDir() (string, func(), error) {
	dir, err := os.MkdirTemp("", "phoenix-fault-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
