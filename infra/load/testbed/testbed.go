// Package testbed is the system under load: a redis-server without persistence, two instances of a build, and a sink
// in the place of Pub/Sub. Each is a process, so that its CPU time and memory can be measured apart. Everything listens
// on the loopback address.
//
// Realtime runs as in production: it verifies RS256 tokens with keys that it fetches, reads gates from Redis, and
// publishes with Google's client library.
package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/child"
	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
	"github.com/phoenixchat/phoenixchat/infra/load/bare"
	"github.com/phoenixchat/phoenixchat/infra/load/probe"
	"github.com/phoenixchat/phoenixchat/infra/load/sink"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
)

// Instances is the number of instances of a build. Messages travel from one to the other.
const Instances = 2

// maxSockets is the limit of sockets of an instance, which no load test reaches.
const maxSockets = 100_000

// Part is a process that is not realtime. The program of the load test runs it when PartEnv is set.
type Part struct {
	Sink *sink.Options `json:"sink,omitempty"`
	Bare *bare.Options `json:"bare,omitempty"`
}

// PartEnv names the environment variable with the Part, as JSON, that a process runs.
const PartEnv = "PHOENIX_LOAD_PART"

// RunPart runs the part that PartEnv describes until ctx ends. ok is false if there is none.
func RunPart(ctx context.Context) (ok bool, err error) {
	text := os.Getenv(PartEnv)
	if text == "" {
		return false, nil
	}
	var p Part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return true, fmt.Errorf("%s: %w", PartEnv, err)
	}
	switch {
	case p.Sink != nil:
		return true, sink.Run(ctx, *p.Sink)
	case p.Bare != nil:
		return true, bare.Run(ctx, *p.Bare)
	}
	return true, fmt.Errorf("%s names no part", PartEnv)
}

// Options configure a Testbed.
type Options struct {
	Build   Build
	Google  *Google
	Dir     string // an empty folder
	Persist bool   // the sink saves messages with the persist function
}

// Testbed is a running system.
type Testbed struct {
	opts      Options
	redis     *emulators.Server
	rdb       *redis.Client
	instances []*instance
	sink      *child.Child // nil for the bare relay
	counts    string       // address of the sink's counts
	http      *http.Client
	closers   []func()
}

// instance is one process of the build.
type instance struct {
	addr  string
	probe string // address of its probe; "" without
	child *child.Child
}

// Start starts a system. Close ends it.
func Start(ctx context.Context, o Options) (_ *Testbed, err error) {
	// Not the named result, which is nil after an error, when there is something to close.
	tb := &Testbed{opts: o, http: &http.Client{Transport: &http.Transport{}}}
	tb.closers = append(tb.closers, tb.http.CloseIdleConnections)
	defer func() {
		if err != nil {
			tb.Close()
		}
	}()
	if tb.redis, err = emulators.Redis(ctx); err != nil {
		return nil, err
	}
	tb.closers = append(tb.closers, tb.redis.Stop)
	tb.rdb = redis.NewClient(&redis.Options{Protocol: 2, Addr: tb.redis.Addr, PoolSize: 16}) // gates hold some
	tb.closers = append(tb.closers, func() { tb.rdb.Close() })
	var publish string
	if !o.Build.Bare() {
		if publish, err = tb.startSink(ctx); err != nil {
			return nil, err
		}
	}
	addrs := make([]string, Instances)
	for i := range addrs {
		port, err := freeport.Find()
		if err != nil {
			return nil, err
		}
		addrs[i] = "127.0.0.1:" + port
	}
	for i := range addrs {
		if err := tb.startInstance(ctx, i, addrs, publish); err != nil {
			return nil, err
		}
	}
	return tb, nil
}

// Close ends all processes immediately.
func (tb *Testbed) Close() {
	for i := len(tb.closers) - 1; i >= 0; i-- {
		tb.closers[i]()
	}
	tb.closers = nil
}

// Addr returns the host:port of an instance.
func (tb *Testbed) Addr(i int) string { return tb.instances[i].addr }

// Origin returns the origin whose pages may connect.
func (tb *Testbed) Origin() string { return "http://" + tb.instances[0].addr }

// Broken returns an error if a process has ended, with the end of its output.
func (tb *Testbed) Broken() error {
	all := []*child.Child{tb.sink}
	for _, in := range tb.instances {
		all = append(all, in.child)
	}
	for _, c := range all {
		if c == nil {
			continue
		}
		select {
		case <-c.Done():
			e := c.Ended()
			return fmt.Errorf("%w; the end of its output:\n%s", e, e.Output)
		default:
		}
	}
	return nil
}

// startSink starts the sink, and returns the address to which realtime publishes.
func (tb *Testbed) startSink(ctx context.Context) (publish string, err error) {
	var ports [2]string
	for i := range ports {
		if ports[i], err = freeport.Find(); err != nil {
			return "", err
		}
	}
	o := &sink.Options{Publish: "127.0.0.1:" + ports[0], Counts: "127.0.0.1:" + ports[1]}
	if tb.opts.Persist {
		o.Store = tb.opts.Dir
	}
	cmd, err := partCommand(Part{Sink: o})
	if err != nil {
		return "", err
	}
	if tb.sink, err = tb.start(ctx, "sink", cmd, "http://"+o.Counts+"/"); err != nil {
		return "", err
	}
	tb.counts = o.Counts
	return o.Publish, nil
}

// startInstance starts instance i.
func (tb *Testbed) startInstance(ctx context.Context, i int, addrs []string, publish string) (err error) {
	in := &instance{addr: addrs[i]}
	var cmd *exec.Cmd
	if tb.opts.Build.Bare() {
		cmd, err = partCommand(Part{Bare: &bare.Options{Addr: in.addr, Redis: tb.redis.Addr}})
	} else {
		cmd, err = tb.realtime(in, addrs, publish)
	}
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%d", tb.opts.Build.Name, i+1)
	if in.child, err = tb.start(ctx, name, cmd, "http://"+in.addr+"/health/ready"); err != nil {
		return err
	}
	tb.instances = append(tb.instances, in)
	return nil
}

// realtime returns the command of an instance of realtime, with an environment as in production.
func (tb *Testbed) realtime(in *instance, addrs []string, publish string) (*exec.Cmd, error) {
	client := filepath.Join(tb.opts.Dir, "client")
	if err := os.MkdirAll(client, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(client, "index.html"), []byte("<!doctype html>"), 0o644); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(in.addr) // cannot fail for an address that this package has made
	cmd := exec.Command(tb.opts.Build.Program)
	cmd.Env = append(os.Environ(), tb.opts.Google.env()...)
	cmd.Env = append(cmd.Env, "PORT="+port, "PROJECT_ID="+project, "HOSTED_URL=http://"+addrs[0],
		"API_BASE=http://"+addrs[0]+"/api", "FIREBASE_API_KEY=load", "REDIS_ADDR="+tb.redis.Addr,
		"PUBSUB_EMULATOR_HOST="+publish, "CLIENT_DIR="+client, "MAX_SOCKETS="+strconv.Itoa(maxSockets), "PROXIES=1",
		"FIRESTORE_EMULATOR_HOST=127.0.0.1:9") // nothing listens there: every gate is in Redis
	if tb.opts.Build.Probed {
		port, err := freeport.Find()
		if err != nil {
			return nil, err
		}
		in.probe = "127.0.0.1:" + port
		cmd.Env = append(cmd.Env, probe.Env+"="+in.probe)
	}
	cmd.Env = append(cmd.Env, tb.opts.Build.Env...)
	return cmd, nil
}

// partCommand returns the command that runs a part in another process of this program.
func partCommand(p Part) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), PartEnv+"="+string(text))
	return cmd, nil
}

// startTime bounds the start of a process, also on a busy machine.
const startTime = 30 * time.Second

// start starts a process and waits until url answers with 200.
func (tb *Testbed) start(ctx context.Context, name string, cmd *exec.Cmd, url string) (*child.Child, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	log, err := os.Create(filepath.Join(tb.opts.Dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	c, err := child.Start(name, cmd)
	if err != nil {
		log.Close()
		return nil, err
	}
	tb.closers = append(tb.closers, func() { c.Stop(0); log.Close() })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !tb.ready(ctx, url) {
		select {
		case <-tick.C:
		case <-c.Done():
			e := c.Ended()
			return nil, fmt.Errorf("%w: %s", e, e.Output)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is not ready: %w", name, context.Cause(ctx))
		}
	}
	return c, nil
}

func (tb *Testbed) ready(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	r.Close = true
	resp, err := tb.http.Do(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// AddUsers makes users known: it signs their tokens and fills their gates, as package gate does from their documents.
// The bare relay needs neither.
func (tb *Testbed) AddUsers(ctx context.Context, uids []string) error {
	if tb.opts.Build.Bare() {
		return nil
	}
	if err := tb.opts.Google.Sign(ctx, uids); err != nil {
		return err
	}
	gates := gate.New(tb.rdb, everyone{}, gate.Options{})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, uid := range uids {
		group.Go(func() error { return gates.Fill(ctx, uid) })
	}
	return group.Wait()
}

// everyone is a gate.Source in which every user exists.
type everyone struct{}

// Gate implements gate.Source.
func (everyone) Gate(context.Context, string) (gate.Gate, error) { return gate.Gate{Exists: true}, nil }

// Token returns the ID token of a user.
func (tb *Testbed) Token(uid string) (string, error) { return tb.opts.Google.Token(uid) }

// Saved returns the counts of the sink. The bare relay has none.
func (tb *Testbed) Saved(ctx context.Context) (c sink.Counts, err error) {
	if tb.counts == "" {
		return c, errors.New("the bare relay has no sink")
	}
	return c, tb.fetch(ctx, "http://"+tb.counts+"/", &c)
}

// fetch requests a JSON value.
func (tb *Testbed) fetch(ctx context.Context, url string, into any) error {
	body, err := tb.get(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(into)
}

// get requests url. The caller closes the body.
func (tb *Testbed) get(ctx context.Context, url string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := tb.http.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return resp.Body, nil
}
