package session

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// task is work of a socket that has a goroutine only while there is something to do. Most sockets are idle, and each
// goroutine takes at least 2 KiB.
type task int

// The tasks of a socket.
const (
	taskWriter task = iota // writes the queue of frames; see writer.go
	taskFeeder             // sends the inbox; see feeder.go
	taskWorker             // does what needs Redis on behalf of the client; see worker.go
	taskCount
)

func (t task) String() string { return [taskCount]string{"writer", "feeder", "worker"}[t] }

// tasks are the goroutines of a socket besides the reader.
type tasks struct {
	wg sync.WaitGroup // all goroutines of the socket besides the reader

	// guarded by mu; no other lock is taken while it is held
	mu      sync.Mutex
	state   [taskCount]struct{ running, again bool }
	serving bool // the hello was accepted: feeder and worker may run
	ended   bool // no task starts any more
}

// wake runs t once more, in a goroutine of its own. If t is running, it runs again when it is done. wake does not block
// and may be called with any lock held. After the end of the socket it has no effect.
func (s *session) wake(t task) {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if !s.tasks.ended && (s.tasks.serving || t == taskWriter) {
		s.wakeLocked(t)
	}
}

// wakeLocked is wake without its conditions. tasks.mu is held.
func (s *session) wakeLocked(t task) {
	if st := &s.tasks.state[t]; st.running {
		st.again = true
	} else {
		st.running = true
		s.tasks.wg.Add(1)
		go s.runTask(t)
	}
}

// runTask is the goroutine of t. If it panics, t does not run any more, and the socket ends.
func (s *session) runTask(t task) {
	defer s.tasks.wg.Done()
	defer s.endOnPanic(t)
	for {
		switch t {
		case taskWriter:
			s.flush()
		case taskFeeder:
			s.feedEvents()
		case taskWorker:
			s.work()
		}
		s.tasks.mu.Lock()
		st := &s.tasks.state[t]
		if st.running = st.again; !st.running {
			s.tasks.mu.Unlock()
			return
		}
		st.again = false
		s.tasks.mu.Unlock()
	}
}

// startServing allows the feeder and the worker to run, and runs the feeder.
func (s *session) startServing() {
	s.tasks.mu.Lock()
	s.tasks.serving = true
	s.tasks.mu.Unlock()
	s.wake(taskFeeder)
}

// endTasks ends the socket for its tasks: it calls cancel, starts the farewell, and lets the worker run a last time.
// Only the first call has an effect.
func (s *session) endTasks(cancel func()) {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if s.tasks.ended {
		return
	}
	s.tasks.ended = true
	cancel()
	if s.tasks.serving {
		s.wakeLocked(taskWorker)
	}
	s.tasks.wg.Go(func() {
		defer s.endOnPanic("farewell")
		s.writeFarewell()
	})
}

// do runs fn in a goroutine and waits for it. The reader uses it for what needs a deep stack once in a while, because
// its own stack stays as large as it has ever been until the garbage collector shrinks it.
func (s *session) do(name string, fn func() error) (err error) {
	done := make(chan struct{})
	s.tasks.wg.Go(func() {
		defer close(done)
		defer s.endOnPanic(name)
		err = fn()
	})
	<-done
	return err
}

// endOnPanic is deferred by every goroutine of the socket. It ends the socket if the goroutine panics.
func (s *session) endOnPanic(goroutine any) {
	if v := recover(); v != nil {
		s.counters.Panics.Add(1)
		s.log().Error("panic in a socket",
			"goroutine", fmt.Sprint(goroutine), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		s.end(problem.Of(fmt.Errorf("panic in %v: %v", goroutine, v)))
	}
}
