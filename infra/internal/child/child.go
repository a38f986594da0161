// Package child runs programs that must not outlive this process. Each program leads its own process group, which is
// ended as a whole. On Linux the kernel also kills the program if this process dies first.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Child is a running program. Its methods are safe for concurrent use.
type Child struct {
	cmd   *exec.Cmd
	out   *tail
	done  chan struct{} // closed when the program has ended and ended is set
	ended *Ended
}

// Start starts cmd; errors call it name. The program's output goes to cmd.Stdout and cmd.Stderr if they are set, and
// the end of it is kept for Ended. The caller must call Stop or wait for Done.
func Start(name string, cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd, out: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = c.tee(cmd.Stdout), c.tee(cmd.Stderr)
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	group(cmd)
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread that started it ends (go.dev/issue/27505), so keep this thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		endGroup(cmd, true) // processes that the program left running
		c.ended = &Ended{Err: fmt.Errorf("%s ended", name), Clean: true, Output: c.out.String()}
		if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			c.ended.Err, c.ended.Clean = fmt.Errorf("%s ended: %w", name, err), false
		}
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// Ended describes how a program ended.
type Ended struct {
	Err    error
	Clean  bool   // whether it ended by itself with exit code 0
	Output string // the last 8 KiB of its output
}

func (e *Ended) Error() string { return e.Err.Error() }
func (e *Ended) Unwrap() error { return e.Err }

// Run starts cmd and waits until it has ended. The error quotes the end of its output. If ctx ends first, Run stops the
// program and returns the cause.
func Run(ctx context.Context, name string, cmd *exec.Cmd) error {
	c, err := Start(name, cmd)
	if err != nil {
		return err
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Stop(time.Second)
		return context.Cause(ctx)
	}
	if e := c.Ended(); !e.Clean {
		return fmt.Errorf("%w; the end of its output:\n%s", e, e.Output)
	}
	return nil
}

// Done is closed when the program has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Ended waits until the program has ended and returns how.
func (c *Child) Ended() *Ended {
	<-c.done
	return c.ended
}

// Stop asks the process group to end, kills it after the grace time, and returns when the program has ended. It may
// be called more than once.
func (c *Child) Stop(grace time.Duration) {
	select {
	case <-c.done:
		return
	default:
	}
	endGroup(c.cmd, grace <= 0)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		endGroup(c.cmd, true)
		<-c.done
	}
}

// Pid returns the process id of the program.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

func (c *Child) tee(w io.Writer) io.Writer {
	if w == nil {
		return c.out
	}
	return io.MultiWriter(w, c.out)
}

// tail is an io.Writer that keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf[max(0, len(t.buf)-tailSize):]))
}
