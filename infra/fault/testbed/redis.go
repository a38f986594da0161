package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
)

// redisServer is a redis-server process that can be killed, paused, and restarted with the files that it kept.
type redisServer struct {
	path, dir, addr string
	args            []string
	child           *child.Child
}

// newRedis starts a redis-server with an append-only file in dir, as Memorystore has with AOF on.
func newRedis(ctx context.Context, dir string, args ...string) (*redisServer, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server was not found; install it (Debian: apt-get install redis-server)")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &redisServer{path: path, dir: dir, args: args}
	for range 5 { // another process may have taken the free port meanwhile
		var port string
		if port, err = freeport.Find(); err != nil {
			return nil, err
		}
		r.addr = "127.0.0.1:" + port
		if err = r.start(ctx); err == nil {
			return r, nil
		}
	}
	return nil, err
}

func (r *redisServer) start(ctx context.Context) error {
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		return err
	}
	cmd := exec.Command(r.path, append([]string{
		"--bind", host, "--port", port, "--dir", r.dir, "--daemonize", "no",
		"--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
		"--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0",
	}, r.args...)...)
	c, err := child.Start("redis-server", cmd)
	if err != nil {
		return err
	}
	r.child = c
	client := r.client()
	defer client.Close()
	for {
		pong, cancel := context.WithTimeout(ctx, time.Second)
		err := client.Ping(pong).Err()
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-c.Done():
			e := c.Ended()
			return fmt.Errorf("%w: %s", e, e.Output)
		case <-ctx.Done():
			c.Stop(0)
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// client returns a client for a few commands. The caller closes it.
func (r *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Protocol: 2, Addr: r.addr, MaxRetries: -1, PoolSize: 1})
}

func (r *redisServer) do(ctx context.Context, args ...any) error {
	c := r.client()
	defer c.Close()
	if err := c.Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("redis %v: %w", args, err)
	}
	return nil
}

// kill ends the process without warning.
func (r *redisServer) kill() { r.child.Stop(0) }

// pause stops the process, and resume lets it continue.
func (r *redisServer) pause() error  { return syscall.Kill(-r.child.Pid(), syscall.SIGSTOP) }
func (r *redisServer) resume() error { return syscall.Kill(-r.child.Pid(), syscall.SIGCONT) }

// follow makes r a replica of the server at addr, and waits until it is in sync.
func (r *redisServer) follow(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if err := r.do(ctx, "REPLICAOF", host, port); err != nil {
		return err
	}
	c := r.client()
	defer c.Close()
	for {
		role, err := c.Do(ctx, "ROLE").Slice()
		if err == nil && len(role) > 3 && role[3] == "connected" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis: wait for the replica to be in sync: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// promote makes r a primary.
func (r *redisServer) promote(ctx context.Context) error { return r.do(ctx, "REPLICAOF", "NO", "ONE") }

func redisDir(base string, n int) string { return filepath.Join(base, "redis"+strconv.Itoa(n)) }
