package emulators

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
	"github.com/phoenixchat/phoenixchat/infra/internal/freeport"
)

// Server is a running program.
type Server struct {
	Addr  string // host:port on the loopback address
	child *child.Child
}

// Stop kills the program, which has nothing to save, and returns when it has ended. It may be called more than once.
func (s *Server) Stop() { s.child.Stop(0) }

// Pid returns the process id of the program.
func (s *Server) Pid() int { return s.child.Pid() }

// startTime is how long a program may take to start. On an idle machine the JVMs take 2 s.
const startTime = 60 * time.Second

// Redis starts redis-server without persistence. Like the Memorystore cluster in production, it refuses writes when
// its memory is full and evicts nothing. The error is a *Missing if the program was not found, wraps the cause of ctx
// if ctx ended, and otherwise quotes what the program wrote before it ended.
func Redis(ctx context.Context) (*Server, error) {
	path, err := findRedis(ctx)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, "redis-server", RedisAnswers, func(host, port string) *exec.Cmd {
		return exec.Command(path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no",
			"--maxmemory-policy", "noeviction", "--daemonize", "no")
	})
}

// Firestore starts the Firestore emulator. Its errors are like those of Redis.
func Firestore(ctx context.Context) (*Server, error) {
	java, err := FindJava(ctx)
	if err != nil {
		return nil, err
	}
	jar, err := FindFirestore(ctx)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, "the Firestore emulator", httpReady, func(host, port string) *exec.Cmd {
		return exec.Command(java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", jar,
			"com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start", "--host="+host, "--port="+port)
	})
}

// PubSub starts the Pub/Sub emulator. Its errors are like those of Redis.
func PubSub(ctx context.Context) (*Server, error) {
	java, err := FindJava(ctx)
	if err != nil {
		return nil, err
	}
	jar, err := FindPubSub(ctx)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, "the Pub/Sub emulator", httpReady, func(host, port string) *exec.Cmd {
		return exec.Command(java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-jar", jar,
			"--host="+host, "--port="+port)
	})
}

// startServer starts the program that command returns and waits until ready returns nil. Another program may take the
// free port that was found, so startServer tries up to three ports.
func startServer(ctx context.Context, name string, ready func(ctx context.Context, addr string) error,
	command func(host, port string) *exec.Cmd) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for attempt := 1; ; attempt++ {
		port, err := freeport.Find()
		if err != nil {
			return nil, err
		}
		const host = "127.0.0.1"
		addr := host + ":" + port
		c, err := child.Start(name, command(host, port))
		if err != nil {
			return nil, err
		}
		err = waitUntilReady(ctx, c, addr, ready)
		if err == nil {
			return &Server{Addr: addr, child: c}, nil
		}
		c.Stop(0)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s did not answer within %v: %w", name, startTime, context.Cause(ctx))
		}
		if attempt == 3 {
			return nil, err
		}
	}
}

// waitUntilReady returns when ready returns nil. It returns an error if the program or ctx ends first.
func waitUntilReady(ctx context.Context, c *child.Child, addr string,
	ready func(ctx context.Context, addr string) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready(ctx, addr) == nil {
			return nil
		}
		select {
		case <-c.Done():
			e := c.Ended()
			return fmt.Errorf("%w; the end of its output:\n%s", e, e.Output)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// RedisAnswers returns nil if a Redis at addr (host:port) answers within a second.
func RedisAnswers(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if strings.TrimSpace(line) != "+PONG" {
		return errors.New("redis: " + strconv.Quote(line))
	}
	return nil
}

// httpReady returns nil if GET / is answered with 200, which both Google emulators do when they are ready.
func httpReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
