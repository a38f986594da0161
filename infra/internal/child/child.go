// Package child runs other programs so that none of them outlives this one:
// each leads a process group, which is ended as a whole, and on Linux the
// kernel kills it when this process dies without having done so.
package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Child is a running program. Its methods may be called by many goroutines at once.
type Child struct {
	cmd   *exec.Cmd
	out   *tail
	done  chan struct{} // closed when the program has ended and ended is set
	ended *Ended
}

// Start starts cmd, called name in errors. What it writes goes to cmd.Stdout and
// cmd.Stderr where they are set, and its end is kept for errors. Whoever starts a child calls Stop, or waits for Done.
func Start(name string, cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd, out: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = c.tee(cmd.Stdout), c.tee(cmd.Stderr)
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	group(cmd)
	started := make(chan error)
	go func() {
		// The kernel's promise to kill the child holds for the life of the
		// thread that started it (go.dev/issue/27505), so that thread waits here.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		endGroup(cmd, true) // what the program itself left behind
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

// Ended says how a program ended.
type Ended struct {
	Err    error
	Clean  bool   // it ended by itself with exit code 0
	Output string // the end of what it wrote, at most 8 KiB
}

func (e *Ended) Error() string { return e.Err.Error() }
func (e *Ended) Unwrap() error { return e.Err }

// Done is closed when the program has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Ended returns how the program ended; it waits for that.
func (c *Child) Ended() *Ended {
	<-c.done
	return c.ended
}

// Stop asks the program and all that it started to end, kills them after the
// grace time, and returns when they are gone. It may be called again.
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

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10

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
