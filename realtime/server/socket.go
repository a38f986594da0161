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

var (
	// errOrigin closes a socket that a page of another origin has opened.
	errOrigin = problem.New(problem.Forbidden, "origin_refused",
		"This page is not allowed to use this chat. Open the chat at its own address.")

	// errSubprotocol closes a socket that does not use the protocol of package wire.
	errSubprotocol = problem.New(problem.Invalid, "protocol_unknown",
		"This version of the app does not work with the server. Reload the page.")

	// errTooMany refuses a socket that exceeds Deps.MaxSockets.
	errTooMany = problem.New(problem.Unavailable, "too_many_sockets",
		"Too many people are using the chat right now. Please try again in a moment.").WithRetry(5 * time.Second)
)

// serveSocket serves /ws. It accepts the upgrade of a page of another origin, and then closes the socket with an error.
// A page cannot distinguish a refused upgrade from a broken network, so it would try again forever.
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
		s.fail(w, r, errTooMany.WithCause(errors.New("too many sockets of one address have not said hello")))
		return
	}
	defer greeted()
	conn, err := s.upgrader.Upgrade(w, r, nil) // on error it has sent the response
	if err != nil {
		s.log.InfoContext(r.Context(), "websocket upgrade failed", "error", err)
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

// address returns the address of the client, for MaxGreeting.
func (s *Server) address(r *http.Request) string {
	if s.deps.Forwarded {
		// The front end appends the address that it has seen. The client may have sent any addresses before it.
		all := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
		return strings.TrimSpace(all[len(all)-1])
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// unwelcomed counts the open sockets of each address whose hello was not accepted yet. Such a socket uses up capacity
// before the client has proved who it is.
type unwelcomed struct {
	mu sync.Mutex
	by map[string]int
}

// enter counts one more socket of the address, if there are fewer than limit (0: no limit). leave undoes it; it may be
// called more than once.
func (g *unwelcomed) enter(address string, limit int) (leave func(), ok bool) {
	if limit <= 0 {
		return func() {}, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by[address] >= limit {
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
