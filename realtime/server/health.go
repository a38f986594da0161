package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/session"
)

// live serves /health/live. It does not ask Redis: a restart closes every socket of the instance and would not make
// Redis come back.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// readyAfter is how long a new instance waits for Redis. After that it reports itself ready without Redis: it can serve
// pages, and it answers hellos with "unavailable".
const readyAfter = 10 * time.Second

// becomeReady waits until Redis answers, or until readyAfter has passed, and marks the instance ready.
func (s *Server) becomeReady(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, readyAfter)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.deps.Redis.Ping(wait).Err() == nil {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-wait.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.WarnContext(ctx, "redis has not answered yet; serving without it", "after", readyAfter)
		break
	}
	s.ready.Store(true)
	return nil
}

// readiness serves /health/ready: whether this instance should receive requests.
func (s *Server) readiness(w http.ResponseWriter, r *http.Request) error {
	switch {
	case s.draining.Load():
		return session.ErrGoingAway
	case !s.ready.Load():
		return problem.ErrUnavailable.WithCause(errors.New("redis has not answered yet"))
	}
	return s.live(w, r)
}
