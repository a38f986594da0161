package redistest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server process.
type Server struct {
	Addr string

	path string
	dir  string
	args []string
	pid  int
	end  chan struct{} // closed by Stop
	done chan struct{} // closed when the process has ended
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
	return fmt.Sprintf("\n*** %s: the tests that need redis-server DO NOT RUN. "+
		"Set %s to its path, or use ./infra/test. ***\n\n", program, envServer)
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
		if err == nil {
			s.pid = cmd.Process.Pid
		}
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
	c := redis.NewClient(&redis.Options{Protocol: 2, Addr: s.Addr, MaxRetries: -1})
	defer c.Close()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-again.C {
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

// signal sends a signal to the process.
func (s *Server) signal(sig syscall.Signal) error { return syscall.Kill(s.pid, sig) }

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
