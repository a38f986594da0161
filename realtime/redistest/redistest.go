// Package redistest gives tests the Redis backends that the code must work on: miniredis, and, if
// PHOENIX_TEST_REDIS_SERVER names a redis-server binary, a single server and a cluster of three masters. Servers are
// child processes of the test binary on free ports. They are started on first use and stopped by [Main].
package redistest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
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
		DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, PoolSize: 16, Protocol: 2} // as inbox.Tune
	if change != nil {
		change(o)
	}
	c := redis.NewUniversalClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Args returns the arguments of a command, for hooks. Those that package script passes by reference are strings.
func Args(c redis.Cmder) []any {
	args := slices.Clone(c.Args())
	for i, a := range args {
		if s, ok := a.(*string); ok {
			args[i] = *s
		}
	}
	return args
}

// AddHook adds a hook to everything that a client sends from now on, on a cluster to each node. A connection that a
// caller holds already does not get it.
func AddHook(t testing.TB, c redis.UniversalClient, h redis.Hook) {
	t.Helper()
	cluster, ok := c.(*redis.ClusterClient)
	if !ok {
		c.AddHook(h)
		return
	}
	var hooked sync.Map // nodes that have the hook
	add := func(node *redis.Client) {
		if _, has := hooked.LoadOrStore(node, true); !has {
			node.AddHook(h)
		}
	}
	cluster.OnNewNode(add)
	err := cluster.ForEachShard(t.Context(), func(_ context.Context, node *redis.Client) error {
		add(node)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nodes calls fn with a client of each node.
func (r *Redis) Nodes(t testing.TB, fn func(c *redis.Client)) {
	t.Helper()
	for _, addr := range r.Addrs {
		c := redis.NewClient(&redis.Options{Protocol: 2, Addr: addr})
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
