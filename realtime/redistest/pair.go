package redistest

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Pair is a primary and its replica behind one address, like a managed Redis.
type Pair struct {
	*Redis
	t       testing.TB
	primary *Server
	replica *Server

	mu   sync.Mutex
	addr string // of the current primary
}

// StartPair starts a primary and a replica, and returns when the replica has every write.
func StartPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{t: t, primary: Start(t, "--save", "", "--repl-diskless-sync-delay", "0"),
		replica: Start(t, "--save", "")}
	p.addr = p.primary.Addr
	p.Redis = &Redis{Kind: "server", Addrs: []string{p.addr}}
	host, port, _ := net.SplitHostPort(p.addr)
	must(t, p.do(p.replica, "REPLICAOF", host, port))
	p.WaitForReplica()
	return p
}

func (p *Pair) do(s *Server, args ...any) error {
	c := redis.NewClient(&redis.Options{Protocol: 2, Addr: s.Addr})
	defer c.Close()
	return c.Do(context.Background(), args...).Err()
}

// WaitForReplica waits until the replica has every write.
func (p *Pair) WaitForReplica() {
	p.t.Helper()
	c := redis.NewClient(&redis.Options{Protocol: 2, Addr: p.primary.Addr})
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		must(p.t, c.Set(context.Background(), "replicated", "1", 0).Err())
		if n, err := c.Wait(context.Background(), 1, time.Second).Result(); err == nil && n == 1 {
			return
		}
	}
	p.t.Fatal("the replica does not have every write after 10 s")
}

// CutReplica cuts the replica off. The failover loses what is written after this call.
func (p *Pair) CutReplica() {
	p.t.Helper()
	must(p.t, p.do(p.replica, "REPLICAOF", "NO", "ONE"))
}

// PauseReplica makes the replica process nothing until resume is called. It stays connected.
func (p *Pair) PauseReplica() (resume func()) {
	p.t.Helper()
	must(p.t, p.replica.signal(syscall.SIGSTOP))
	return sync.OnceFunc(func() { must(p.t, p.replica.signal(syscall.SIGCONT)) })
}

// Failover makes clients dial the replica, and kills the primary. Call CutReplica first.
func (p *Pair) Failover() {
	p.mu.Lock()
	p.addr = p.replica.Addr
	p.mu.Unlock()
	p.primary.Kill()
}

// Switch makes the two change their roles, without closing connections, and returns when the new replica has every
// write. Clients go on dialing the server that they dialed before.
func (p *Pair) Switch() {
	p.t.Helper()
	p.WaitForReplica()
	must(p.t, p.do(p.replica, "REPLICAOF", "NO", "ONE"))
	host, port, _ := net.SplitHostPort(p.replica.Addr)
	must(p.t, p.do(p.primary, "REPLICAOF", host, port))
	p.primary, p.replica = p.replica, p.primary
	p.WaitForReplica()
}

// Client returns a client that always dials the current primary.
func (p *Pair) Client(t testing.TB) redis.UniversalClient {
	return p.Redis.Client(t, func(o *redis.UniversalOptions) {
		o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
			p.mu.Lock()
			addr := p.addr
			p.mu.Unlock()
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}
	})
}
