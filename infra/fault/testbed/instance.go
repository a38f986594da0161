package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
)

// Spec is the configuration of an instance process. It is passed as JSON in the variable SpecEnv.
type Spec struct {
	Name    string `json:"name"`
	Addr    string `json:"addr"`    // listen address
	Redis   string `json:"redis"`   // host:port
	PubSub  string `json:"pubsub"`  // host:port of a Pub/Sub stand-in
	Gates   string `json:"gates"`   // base URL of the gates of users
	Writers string `json:"writers"` // base URL of the users who have written in a conversation
	Project string `json:"project"` // of tokens and topics
	Topic   string `json:"topic"`

	ClockMS        int64 `json:"clock_ms"`         // its clock is this much ahead
	SocketAgeMS    int64 `json:"socket_age_ms"`    // maximum age of a socket, and 4/3 of the minimum; 0: as in production
	MaxSockets     int   `json:"max_sockets"`      // 0: as in production
	GoawayWithinMS int64 `json:"goaway_within_ms"` // 0: as in production
	ReplicaWaitMS  int64 `json:"replica_wait_ms"`  // how long a send waits for the replica of Redis; 0: it does not
}

// SpecEnv names the environment variable with the Spec of an instance.
const SpecEnv = "PHOENIX_FAULT_INSTANCE"

// Instance is one realtime instance, running as a process. After its end it can be restarted, as another process at
// the same address.
type Instance struct {
	spec Spec
	path string // of the program
	link *link
	logs string // file

	mu      sync.Mutex
	child   *child.Child // nil before the first start
	open    atomic.Bool  // new sockets are directed here
	sockets atomic.Int64 // connections of devices to it
	started int
}

// Build builds the program of instances in dir, and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "instance")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/phoenixchat/phoenixchat/infra/fault/instance")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the instance: %w\n%s", err, out)
	}
	return path, nil
}

// readyTimeout bounds the start of an instance, also on a busy machine.
const readyTimeout = 30 * time.Second

// start starts the process and waits until it is ready.
func (i *Instance) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.started++
	spec := i.spec
	spec.Name = fmt.Sprintf("%s-%d", spec.Name, i.started)
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(i.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command(i.path)
	cmd.Env = append(os.Environ(), SpecEnv+"="+string(b),
		"PUBSUB_EMULATOR_HOST="+spec.PubSub, "FIREBASE_AUTH_EMULATOR_HOST=nobody:1", "GOMEMLIMIT=2GiB")
	cmd.Stderr = log
	c, err := child.Start("instance "+spec.Name, cmd)
	if err != nil {
		log.Close()
		return err
	}
	go func() { // this process copies the output to the file
		<-c.Done()
		log.Close()
	}()
	i.child = c
	for {
		if ready(ctx, "http://"+spec.Addr+"/health/ready") {
			i.open.Store(true)
			return nil
		}
		select {
		case <-c.Done():
			e := c.Ended()
			return fmt.Errorf("%w: %s", e, e.Output)
		case <-ctx.Done():
			c.Stop(0)
			return fmt.Errorf("instance %s is not ready: %w", spec.Name, ctx.Err())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process without warning.
func (i *Instance) kill() {
	i.open.Store(false)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.child != nil {
		i.child.Stop(0)
	}
}

// errNotEnded is the error of a process that Cloud Run would have killed.
var errNotEnded = errors.New("did not end within 10 s of SIGTERM")

// terminate sends SIGTERM to the process, directs no new sockets to it, and waits for its end. It returns how long
// that took.
func (i *Instance) terminate() (time.Duration, error) {
	i.open.Store(false)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.child == nil {
		return 0, nil
	}
	start := time.Now()
	if err := syscall.Kill(i.child.Pid(), syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return 0, err
	}
	select {
	case <-i.child.Done():
	case <-time.After(10 * time.Second):
		i.child.Stop(0)
		return time.Since(start), fmt.Errorf("%s: %w", i.spec.Name, errNotEnded)
	}
	if e := i.child.Ended(); !e.Clean {
		return time.Since(start), fmt.Errorf("%w: %s", e, e.Output)
	}
	return time.Since(start), nil
}
