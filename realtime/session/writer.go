package session

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// outbox is the queue of frames of a socket. Its frames lie one after the other in one buffer, so that one system
// call writes them all. The writer is whichever goroutine has set writing: the task, or the feeder or the worker,
// which write what they have queued themselves.
type outbox struct {
	// guarded by mu, which is not held during I/O
	mu      sync.Mutex
	changed sync.Cond // of mu: the writer is done with a batch, or the socket has ended
	queue   *buffer   // nil: empty
	frames  int       // in queue
	flight  int       // bytes that the writer writes now
	first   []byte    // a goaway, which is written before the queue, once the client has received something
	begun   bool      // the client has received something
	writing bool

	deadline time.Time // for writing, as set on the connection; writer only
}

// size returns how many bytes are queued or being written. mu is held.
func (o *outbox) size() int {
	if o.queue == nil {
		return o.flight
	}
	return o.flight + len(o.queue.b)
}

// hasRoom reports whether a frame of n bytes may be queued. A frame that is larger than the queue waits until the queue
// is empty. mu is held.
func (o *outbox) hasRoom(n int) bool {
	return o.frames < queueFrames && o.size()+min(n, queueFrameBytes) <= queueFrameBytes
}

// add queues a frame. mu is held.
func (o *outbox) add(frame []byte) {
	if o.queue == nil {
		o.queue = getBuffer()
	}
	o.queue.b = append(o.queue.b, frame...)
	o.frames++
}

// push queues f, wakes the writer, and reports whether f is queued. If the queue is full, it waits until there is room
// or the socket ends. The wait is bounded: if the client does not read, the writer's deadline ends the socket.
func (s *session) push(f wire.ServerFrame) bool {
	ok := s.queueFrame(f)
	s.wake(taskWriter)
	return ok
}

// queueFrame is push without waking the writer. The caller calls flush afterwards.
func (s *session) queueFrame(f wire.ServerFrame) bool {
	return s.withFrame(f, func(frame []byte) bool {
		o := &s.out
		o.mu.Lock()
		defer o.mu.Unlock()
		for s.ctx.Err() == nil {
			if o.hasRoom(len(frame)) {
				o.add(frame)
				return true
			}
			s.wake(taskWriter)
			o.changed.Wait()
		}
		return false
	})
}

// queueHint queues f if the queue has room, and drops it otherwise. The caller calls flush afterwards.
func (s *session) queueHint(f wire.ServerFrame) {
	if s.withFrame(f, s.tryAdd) {
		s.counters.Hints.Add(1)
	} else {
		s.counters.HintsDropped.Add(1)
	}
}

// pushControl queues a control frame if the queue has room. A client that does not read misses nothing by it.
func (s *session) pushControl(opcode byte, payload []byte) {
	if s.tryAdd(append(appendHeader(nil, opcode, len(payload)), payload...)) {
		s.wake(taskWriter)
	}
}

// tryAdd queues a frame if there is room.
func (s *session) tryAdd(frame []byte) bool {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.ctx.Err() != nil || !o.hasRoom(len(frame)) {
		return false
	}
	o.add(frame)
	return true
}

// withFrame calls use with the encoded frame, which is valid until use returns.
func (s *session) withFrame(f wire.ServerFrame, use func(frame []byte) bool) bool {
	b := getBuffer()
	defer b.free()
	var err error
	if b.b, err = wire.Append(b.b[:maxHeader], f); err != nil {
		s.end(problem.Of(err))
		return false
	}
	return use(textFrame(b.b))
}

// pushGoaway queues g before all other frames. It must be called once at most.
func (s *session) pushGoaway(g wire.Goaway) {
	s.withFrame(g, func(frame []byte) bool {
		s.out.mu.Lock()
		defer s.out.mu.Unlock()
		s.out.first = append([]byte(nil), frame...)
		return true
	})
	s.wake(taskWriter)
}

// flush writes what is queued, unless another goroutine does that already. What is queued in the meantime is left to
// the task of the writer.
func (s *session) flush() {
	batch, ok := s.takeBatch()
	if !ok {
		return
	}
	more := false
	defer func() { // also if the write panics: the farewell waits for its turn
		if s.endBatch() && more {
			s.wake(taskWriter)
		}
	}()
	err := s.writeBatch(batch, writeWithin)
	batch.free()
	if more = err == nil; !more {
		s.end(writeError(err))
	}
}

// takeBatch makes the caller the writer of all frames that are queued. It reports false if there is none, if somebody
// else is the writer, or if the socket has ended, after which only the farewell writes.
func (s *session) takeBatch() (batch *buffer, ok bool) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing || s.ctx.Err() != nil || o.queue == nil && (o.first == nil || !o.begun) {
		return nil, false
	}
	o.writing = true
	batch, o.queue, o.frames = o.queue, nil, 0
	if o.first != nil && o.begun {
		first := o.first
		if batch != nil {
			first = append(first, batch.b...)
		}
		batch, o.first = &buffer{first}, nil
	}
	o.flight, o.begun = len(batch.b), true
	return batch, true
}

// endBatch is called when the batch is written. It reports whether more is queued.
func (s *session) endBatch() (more bool) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing, o.flight = false, 0
	o.changed.Broadcast()
	return o.queue != nil || o.first != nil
}

// writeBatch writes frames. The time limit applies to each part of the size of the largest frame of a client, so that a
// slow client is given the same time for a byte whether its frames come alone or together.
func (s *session) writeBatch(batch *buffer, within time.Duration) error {
	for b := batch.b; len(b) > 0; {
		n := min(len(b), chat.MaxFrameSize)
		if err := s.extendWriteDeadline(within); err != nil {
			return err
		}
		if _, err := s.in.Conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// deadlineSlack is how much later than necessary a deadline may be, so that it is set only once in this time.
const deadlineSlack = 4 * time.Second

// extendWriteDeadline gives the next write at least the given time, and at most deadlineSlack more.
func (s *session) extendWriteDeadline(within time.Duration) error {
	now := time.Now()
	if left := s.out.deadline.Sub(now); left >= within && left <= within+deadlineSlack {
		return nil
	}
	s.out.deadline = now.Add(within + deadlineSlack)
	return s.in.Conn.SetWriteDeadline(s.out.deadline)
}

// writeError classifies an error of writing.
func writeError(err error) error {
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return errors.Join(errSlow, err)
	}
	return errors.Join(errLost, err)
}

// writeFarewell runs once, after the end of the socket. It writes the frames that are still queued, the error that
// ended the socket, and the close frame. It then gives the reader a moment to receive the client's close frame.
func (s *session) writeFarewell() {
	readFor := time.Duration(0)
	// The reader must return in every case. The connection stays open: see serve.
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.in.SetReadDeadline(time.Now().Add(readFor))
	}()
	why := s.why()
	var p *problem.Error
	var closed *websocket.CloseError
	switch {
	case errors.As(why, &p):
		readFor = echoWithin
	case !errors.Is(why, errClosedByClient) || !errors.As(why, &closed):
		return
	}
	last := s.takeLast(p != nil)
	defer s.endBatch()
	switch {
	case p == nil:
		last.b = appendClose(last.b, closed.Code, "")
	case p.Kind != problem.GoingAway: // a client that stayed after a goaway gets no error frame: nothing went wrong
		payload, err := wire.Encode(wire.ErrorOf(p, ""))
		if err != nil {
			return
		}
		last.b = append(appendHeader(last.b, opText, len(payload)), payload...)
		fallthrough
	default:
		last.b = appendClose(last.b, p.Kind.CloseCode(), p.Code)
	}
	if s.in.Conn.SetWriteDeadline(time.Now().Add(farewellTime)) == nil {
		_, _ = s.in.Conn.Write(last.b) // fails only if the client is gone
	}
}

// takeLast waits until nobody writes, and makes the caller the writer. If queued is set, it returns what is queued.
func (s *session) takeLast(queued bool) *buffer {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing {
		o.changed.Wait()
	}
	o.writing = true
	batch := o.queue
	o.queue = nil
	if batch == nil || !queued {
		return getBuffer()
	}
	return batch
}

// appendClose appends a close frame.
func appendClose(b []byte, code int, reason string) []byte {
	payload := websocket.FormatCloseMessage(code, reason)
	return append(appendHeader(b, opClose, len(payload)), payload...)
}
