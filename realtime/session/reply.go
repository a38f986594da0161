package session

import (
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// refuse answers the frame with this id with err: it was not carried out.
func (s *session) refuse(err error, id string) {
	p := problem.Of(err)
	if p.Kind == problem.Internal {
		s.log.Error("frame failed", "error", err)
	}
	s.counters.Refused.Add(1)
	s.push(wire.ErrorOf(p, id))
}

// refuseTooFast refuses a frame because of its rate, and counts a strike.
func (s *session) refuseTooFast(wait time.Duration, id string) error {
	s.counters.RateLimited.Add(1)
	s.refuse(ErrRateLimited.WithRetry(wait), id)
	return s.strike()
}

// strike counts a refused frame. It returns an error, which ends the socket, if the client has sent too many of them.
func (s *session) strike() error {
	if _, ok := allow(s.strikes); !ok {
		return ErrRateLimited.WithRetry(floodRetry)
	}
	return nil
}

// push queues f for the writer and reports whether it did. It waits until the queue has room or the socket ends. The
// wait is bounded: if the client does not read, the writer's deadline ends the socket.
func (s *session) push(f wire.ServerFrame) bool {
	data, err := wire.Encode(f)
	if err != nil {
		s.end(problem.Of(err))
		return false
	}
	n := outSize(data)
	if !s.outBytes.TryAcquire(n) && s.outBytes.Acquire(s.ctx, n) != nil {
		return false
	}
	select {
	case s.out <- data:
		return true
	case <-s.ctx.Done():
		s.outBytes.Release(n)
		return false
	}
}

// outSize returns how much of outBytes a frame needs.
func outSize(data []byte) int64 { return int64(min(len(data), queueFrameBytes)) }

// pushHint queues f for the writer if the queue has room, and drops it otherwise.
func (s *session) pushHint(f wire.ServerFrame) {
	data, err := wire.Encode(f)
	if err != nil {
		s.end(problem.Of(err))
		return
	}
	n := outSize(data)
	if s.outBytes.TryAcquire(n) {
		select {
		case s.out <- data:
			s.counters.Hints.Add(1)
			return
		default:
			s.outBytes.Release(n)
		}
	}
	s.counters.HintsDropped.Add(1)
}
