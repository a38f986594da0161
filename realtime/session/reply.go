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
		s.log().Error("frame failed", "error", err)
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
	if _, ok := allow(s.limit().strikes); !ok {
		return ErrRateLimited.WithRetry(floodRetry)
	}
	return nil
}
