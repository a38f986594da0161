package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/session"
)

// errOrigin ends a socket that a page of another site has opened.
var errOrigin = problem.New(problem.Forbidden, "origin_refused", "This page may not use this chat. Open the chat at its own address.")

// errTooMany refuses a socket beyond Deps.MaxSockets.
var errTooMany = problem.New(problem.Unavailable, "too_many_sockets", "Too many people are here at once. Try again in a moment.").WithRetry(5 * time.Second)

// serveSocket serves /ws. A page of another origin is let in far enough to be
// told: a refused upgrade looks to a page like a broken network, and it would
// try again for ever.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.fail(w, r, session.ErrGoingAway)
		return
	}
	if s.sockets.Add(1) > int64(s.deps.MaxSockets) {
		s.sockets.Add(-1)
		s.fail(w, r, errTooMany)
		return
	}
	defer s.sockets.Add(-1)
	greeted, ok := s.greetings.enter(s.address(r), s.deps.MaxGreeting)
	if !ok {
		s.fail(w, r, errTooMany.WithCause(errors.New("too many sockets of one address wait for a hello")))
		return
	}
	defer greeted()
	conn, err := s.upgrader.Upgrade(w, r, nil) // answers by itself after an error
	if err != nil {
		s.log.InfoContext(r.Context(), "no websocket", "error", err)
		return
	}
	origin := r.Header["Origin"]
	switch {
	case len(origin) != 1 || !slices.Contains(s.deps.Origins, origin[0]):
		s.sessions.Refuse(r.Context(), conn, errOrigin.WithCause(fmt.Errorf("origin %.200q", origin)))
	case conn.Subprotocol() == "":
		s.sessions.Refuse(r.Context(), conn, errSubprotocol)
	default:
		s.sessions.Serve(r.Context(), conn, greeted)
	}
}

// errSubprotocol ends a socket that does not speak chat.v1.
var errSubprotocol = problem.New(problem.Invalid, "protocol_unknown", "This app is too old or too new for the server. Reload the page.")

// address returns whom the request comes from, to count by.
func (s *Server) address(r *http.Request) string {
	if s.deps.Forwarded {
		// The front end appends the address that it saw; what stands before
		// it the client may have written.
		all := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		return strings.TrimSpace(all[len(all)-1])
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// greetings counts the sockets of each address that wait for a hello, which
// cost a place and have shown nothing for it.
type unwelcomed struct {
	mu sync.Mutex
	by map[string]int
}

// enter counts one more of address, if there are fewer than most (0: no
// bound). leave may be called more than once.
func (g *unwelcomed) enter(address string, most int) (leave func(), ok bool) {
	if most <= 0 {
		return func() {}, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by[address] >= most {
		return nil, false
	}
	if g.by == nil {
		g.by = map[string]int{}
	}
	g.by[address]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.by[address]--; g.by[address] == 0 {
			delete(g.by, address)
		}
	}), true
}
