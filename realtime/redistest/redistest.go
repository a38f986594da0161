// Package redistest gives tests the Redis backends that the code must work on: miniredis, and, if
// PHOENIX_TEST_REDIS_SERVER names a redis-server binary, a single server and a cluster of three masters. Servers are
// child processes of the test binary on free ports. They are started on first use and stopped by [Main].
package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// envServer is the name of the variable with the path of a redis-server binary.
const envServer = "PHOENIX_TEST_REDIS_SERVER"

// Redis is one backend. It is empty when a test gets it.
type Redis struct {
	Kind  string               // "miniredis", "server" or "cluster"
	Mini  *miniredis.Miniredis // if Kind is "miniredis"
	Addrs []string

	nodes []*Server
}

// Server is a redis-server process.
type Server struct {
	Addr string

	path string
	dir  string
	args []string
	end  chan struct{} // closed by Stop
	done chan struct{} // closed when the process has ended
}

// Main wraps m so that Run stops the shared servers after the tests. It is for TestMain:
// goleak.VerifyTestMain(redistest.Main(m)) or os.Exit(redistest.Main(m).Run()).
func Main(m *testing.M) interface{ Run() int } { return suite{m} }

type suite struct{ *testing.M }

func (t suite) Run() int {
	defer stopShared()
	return t.M.Run()
}

// Each runs fn on each backend as a subtest. Without a redis-server binary it skips those that need one.
func Each(t *testing.T, fn func(t *testing.T, r *Redis)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) { fn(t, Mini(t)) })
	t.Run("server", func(t *testing.T) { fn(t, Single(t)) })
	t.Run("cluster", func(t *testing.T) { fn(t, Cluster(t)) })
}

// Mini returns a new miniredis, which is stopped with the test.
func Mini(t testing.TB) *Redis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return &Redis{Kind: "miniredis", Mini: m, Addrs: []string{m.Addr()}}
}

// The shared servers, started once per test binary.
var (
	sharedMu sync.Mutex
	single   *Redis
	cluster  *Redis
)

func stopShared() {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	for _, r := range []*Redis{single, cluster} {
		if r != nil {
			for _, n := range r.nodes {
				n.Stop()
			}
		}
	}
	single, cluster = nil, nil
}

// Single returns the shared redis-server, emptied.
func Single(t testing.TB) *Redis {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if single == nil {
		s := start(t, "--save", "", "--appendonly", "no")
		single = &Redis{Kind: "server", Addrs: []string{s.Addr}, nodes: []*Server{s}}
	}
	single.flush(t)
	return single
}

// Cluster returns the shared cluster of three masters, emptied.
func Cluster(t testing.TB) *Redis {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if cluster == nil {
		cluster = startCluster(t)
	}
	cluster.flush(t)
	return cluster
}

// Client returns a client of the backend, which is closed with the test. change, if not nil, may modify its options.
func (r *Redis) Client(t testing.TB, change func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	o := &redis.UniversalOptions{Addrs: r.Addrs, IsClusterMode: r.Kind == "cluster", ContextTimeoutEnabled: true,
		DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, PoolSize: 16}
	if change != nil {
		change(o)
	}
	c := redis.NewUniversalClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Nodes calls fn with a client of each node.
func (r *Redis) Nodes(t testing.TB, fn func(c *redis.Client)) {
	t.Helper()
	for _, addr := range r.Addrs {
		c := redis.NewClient(&redis.Options{Addr: addr})
		fn(c)
		_ = c.Close()
	}
}

func (r *Redis) flush(t testing.TB) {
	t.Helper()
	r.Nodes(t, func(c *redis.Client) {
		if err := c.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
	})
	r.AwaitForwarded(t)
}

// AwaitForwarded returns when every node has received what any node published before. The nodes of a cluster forward
// messages to each other in order but with a delay, so a wake of one test could otherwise arrive in the next test, or
// one that precedes a subscription after it.
func (r *Redis) AwaitForwarded(t testing.TB) {
	t.Helper()
	if r.Kind != "cluster" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	const channel = "redistest:settled"
	var subscriptions []*redis.PubSub
	r.Nodes(t, func(c *redis.Client) {
		sub := redis.NewClient(c.Options())
		t.Cleanup(func() { _ = sub.Close() })
		p := sub.Subscribe(ctx, channel)
		if _, err := p.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		subscriptions = append(subscriptions, p)
	})
	publish := func() {
		r.Nodes(t, func(c *redis.Client) {
			if err := c.Publish(ctx, channel, c.Options().Addr).Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
	publish()
	for _, p := range subscriptions {
		for from := map[string]bool{}; len(from) < len(subscriptions); {
			switch got, err := p.ReceiveTimeout(ctx, 200*time.Millisecond); m := got.(type) {
			case *redis.Message:
				from[m.Payload] = true
			case nil:
				var late net.Error
				if ctx.Err() != nil || !errors.As(err, &late) || !late.Timeout() {
					t.Fatalf("of %d nodes, messages of only %d arrived: %v", len(subscriptions), len(from), err)
				}
				publish() // a node that is not connected to another node yet drops messages that it should forward
			}
		}
		_ = p.Close()
	}
}

// KillSubscribers closes every subscription connection, as maintenance does, and returns how many it closed. miniredis
// does not support it.
func (r *Redis) KillSubscribers(t testing.TB) (killed int) {
	t.Helper()
	r.Nodes(t, func(c *redis.Client) {
		n, err := c.Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub").Int()
		if err != nil {
			t.Fatal(err)
		}
		killed += n
	})
	return killed
}

// Start starts a redis-server with the given arguments in a new folder, and stops it with the test. It skips the test
// if there is no binary.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := start(t, args...)
	t.Cleanup(s.Stop)
	return s
}

// Redis returns the server as a backend.
func (s *Server) Redis() *Redis {
	return &Redis{Kind: "server", Addrs: []string{s.Addr}, nodes: []*Server{s}}
}

func start(t testing.TB, args ...string) *Server {
	t.Helper()
	path := os.Getenv(envServer)
	if path == "" {
		warnOnce.Do(warn)
		t.Skipf("%s is not set; set it to the path of a redis-server binary", envServer)
	}
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), path: path, dir: dir, args: args}
	if err := s.launch(); err != nil {
		_ = os.RemoveAll(dir)
		t.Fatal(err)
	}
	return s
}

var warnOnce sync.Once

// warn says once for each test binary that tests do not run. `go test ./...` hides the output of packages that pass, so
// it writes to the terminal, if there is one.
func warn() {
	w := io.Writer(os.Stderr)
	if tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
		defer tty.Close()
		w = tty
	}
	fmt.Fprint(w, warning(filepath.Base(os.Args[0])))
}

func warning(program string) string {
	return fmt.Sprintf("\n*** %s: the tests that need redis-server DO NOT RUN. Set %s to its path, or use ./infra/test. ***\n\n",
		program, envServer)
}

// launch starts the process and waits until it answers.
func (s *Server) launch() error {
	_, port, _ := net.SplitHostPort(s.Addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--logfile", filepath.Join(s.dir, "log")}, s.args...)
	cmd := exec.Command(s.path, args...)
	// If the test binary is killed, the kernel kills its servers. The signal is tied to the thread that started the
	// process, so the goroutine keeps that thread until the process has ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.end, s.done = make(chan struct{}), make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(s.done)
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		stop := make(chan struct{})
		go func() {
			select {
			case <-s.end:
				_ = cmd.Process.Kill()
			case <-stop:
			}
		}()
		_ = cmd.Wait()
		close(stop)
	}()
	if err := <-started; err != nil {
		return err
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c.Ping(context.Background()).Err() == nil {
			return nil
		}
		select {
		case <-s.done:
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("start redis-server: it ended: %s", log)
		default:
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("start redis-server: no answer at %s after 10 s", s.Addr)
		}
	}
}

// Kill kills the process, like kill -9.
func (s *Server) Kill() {
	select {
	case <-s.end:
	default:
		close(s.end)
	}
	<-s.done
}

// Restart starts the process again after Kill, on the same port and in the same folder.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.launch(); err != nil {
		t.Fatal(err)
	}
}

// Stop kills the process and removes its folder.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// slots is the number of hash slots of a cluster.
const slots = 16384

func startCluster(t testing.TB) *Redis {
	t.Helper()
	ctx := context.Background()
	r := &Redis{Kind: "cluster"}
	var bus []int
	for range 3 {
		b := freePort(t)
		s := start(t, "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(b),
			"--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no")
		r.nodes = append(r.nodes, s)
		r.Addrs = append(r.Addrs, s.Addr)
		bus = append(bus, b)
	}
	for i, addr := range r.Addrs {
		c := redis.NewClient(&redis.Options{Addr: addr})
		must(t, c.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		must(t, c.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		_ = c.Close()
	}
	c := redis.NewClient(&redis.Options{Addr: r.Addrs[0]})
	defer c.Close()
	for i, addr := range r.Addrs[1:] { // the nodes then introduce each other
		_, port, _ := net.SplitHostPort(addr)
		must(t, c.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", port, bus[i+1]).Err())
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ready := 0
		r.Nodes(t, func(c *redis.Client) {
			info, err := c.ClusterInfo(ctx).Result()
			shards, err2 := c.ClusterShards(ctx).Result()
			served := 0
			for _, shard := range shards {
				if len(shard.Slots) > 0 {
					served++
				}
			}
			if err == nil && err2 == nil && strings.Contains(info, "cluster_state:ok") && served == 3 {
				ready++
			}
		})
		if ready == 3 {
			return r
		}
		if time.Now().After(deadline) {
			for _, n := range r.nodes {
				n.Stop()
			}
			t.Fatal("the cluster is not ready after 20 s")
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// MoveSlot moves the slot of key to the next master, one key at a time, as resharding does, and returns how many keys
// it moved. Clients may use the cluster in the meantime.
func (r *Redis) MoveSlot(t testing.TB, key string) (moved int) {
	t.Helper()
	ctx := context.Background()
	clients := make([]*redis.Client, len(r.Addrs))
	ids := make([]string, len(r.Addrs))
	for i, addr := range r.Addrs {
		clients[i] = redis.NewClient(&redis.Options{Addr: addr})
		defer clients[i].Close()
		id, err := clients[i].Do(ctx, "CLUSTER", "MYID").Text()
		must(t, err)
		ids[i] = id
	}
	slot, err := clients[0].ClusterKeySlot(ctx, key).Result()
	must(t, err)
	from := -1
	shards, err := clients[0].ClusterShards(ctx).Result()
	must(t, err)
	for _, shard := range shards {
		for _, r := range shard.Slots {
			if r.Start <= slot && slot <= r.End {
				from = slices.Index(ids, shard.Nodes[0].ID)
			}
		}
	}
	if from < 0 {
		t.Fatalf("no node serves slot %d", slot)
	}
	to := (from + 1) % len(clients)
	must(t, clients[to].Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]).Err())
	must(t, clients[from].Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]).Err())
	host, port, _ := net.SplitHostPort(r.Addrs[to])
	for {
		keys, err := clients[from].ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
		must(t, err)
		if len(keys) == 0 {
			break
		}
		must(t, clients[from].Migrate(ctx, host, port, keys[0], 0, 5*time.Second).Err())
		moved++
	}
	for _, i := range []int{to, from, (to + 1) % len(clients)} {
		must(t, clients[i].Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]).Err())
	}
	return moved
}
