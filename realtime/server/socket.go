package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

var (
	// errOrigin refuses the handshake of a page of another origin. A page cannot distinguish a refused handshake from a
	// broken network, so our own page compares its origin with those of /config.json.
	errOrigin = problem.New(problem.Forbidden, "origin_refused",
		"This page is not allowed to use this chat. Open the chat at its own address.")

	// errSubprotocol closes a socket that does not use the protocol of package wire.
	errSubprotocol = problem.New(problem.Invalid, "protocol_unknown",
		"This version of the app does not work with the server. Reload the page.")

	// errUpgrade and errMethod refuse a request for /ws that is not a handshake.
	errUpgrade = problem.New(problem.Invalid, "upgrade_required", "This address is for WebSockets only.")
	errMethod  = problem.New(problem.Invalid, "method_not_allowed", "This method is not allowed.")
	errBad     = problem.New(problem.Invalid, "bad_request", "The WebSocket handshake is not valid.")

	// errTooMany refuses a socket that exceeds Deps.MaxSockets or Deps.Greetings.
	errTooMany = problem.New(problem.Unavailable, "too_many_sockets",
		"Too many people are using the chat right now. Please try again in a moment.").WithRetry(5 * time.Second)
)

// serveSocket serves /ws. It returns after the handshake, so that net/http frees the buffers of the connection. Package
// session then owns the connection. The socket counts for Deps.MaxSockets until its acks are settled.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if err := s.checkHandshake(w, r); err != nil {
		return
	}
	if s.draining.Load() {
		s.fail(w, r, session.ErrGoingAway)
		return
	}
	if s.sockets.Add(1) > int64(s.deps.MaxSockets) {
		s.sockets.Add(-1)
		s.fail(w, r, errTooMany)
		return
	}
	remote := clientaddr.Of(r, s.deps.Proxies)
	greeted, err := s.greetings.enter(remote)
	if err != nil {
		s.sockets.Add(-1)
		s.fail(w, r, errTooMany.WithCause(err))
		return
	}
	ended := func() {
		greeted()
		s.sockets.Add(-1)
	}
	handedOver := false
	defer func() { // also after a panic
		if !handedOver {
			ended()
		}
	}()
	conn, err := s.upgrader.Upgrade(session.Metered(w), r, nil)
	if err != nil {
		return // handshakeFailed has sent the response
	}
	if conn.Subprotocol() == "" {
		s.sessions.Refuse(conn, remote, errSubprotocol, ended)
	} else {
		s.sessions.Serve(conn, remote, useragent.Of(r, s.deps.PlaceHeader), greeted, ended)
	}
	handedOver = true
}

// checkHandshake refuses a request that is not the handshake of a page of an allowed origin.
func (s *Server) checkHandshake(w http.ResponseWriter, r *http.Request) error {
	origin := r.Header["Origin"]
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		s.failWith(w, r, http.StatusMethodNotAllowed, errMethod)
		return errMethod
	case !websocket.IsWebSocketUpgrade(r):
		w.Header().Set("Upgrade", "websocket") // RFC 9110, section 15.5.22
		w.Header().Set("Connection", "Upgrade")
		s.failWith(w, r, http.StatusUpgradeRequired, errUpgrade)
		return errUpgrade
	case len(origin) != 1 || !slices.Contains(s.deps.Origins, origin[0]):
		s.fail(w, r, errOrigin.WithCause(fmt.Errorf("origin %.200q", origin)))
		return errOrigin
	}
	return nil
}

// handshakeFailed responds to a handshake that the WebSocket library refuses.
func (s *Server) handshakeFailed(w http.ResponseWriter, r *http.Request, status int, why error) {
	if status >= 500 {
		s.fail(w, r, why)
		return
	}
	w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455, section 4.2.2
	s.failWith(w, r, status, errBad.WithCause(why))
}

// Greetings limits the open sockets whose hello is not accepted yet. Such a socket uses up capacity before the client
// has proved who it is. A limit of 0 is no limit, except for All.
type Greetings struct {
	Near int // of one near network, as in package clientaddr
	Far  int // of one far network
	All  int // of the instance; default: a third of Deps.MaxSockets
}

// greeting counts these sockets.
type greeting struct {
	limits Greetings

	mu        sync.Mutex
	all       int
	near, far map[netip.Prefix]int
}

// enter counts one more socket of the address, or returns an error if there are too many. leave undoes it; it may be
// called more than once.
func (g *greeting) enter(a netip.Addr) (leave func(), err error) {
	near, far := clientaddr.Networks(a)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.limits.Near > 0 && g.near[near] >= g.limits.Near:
		return nil, fmt.Errorf("too many sockets of %v have not said hello", near)
	case g.limits.Far > 0 && g.far[far] >= g.limits.Far:
		return nil, fmt.Errorf("too many sockets of %v have not said hello", far)
	case g.all >= g.limits.All:
		return nil, errors.New("too many sockets have not said hello")
	}
	if g.near == nil {
		g.near, g.far = map[netip.Prefix]int{}, map[netip.Prefix]int{}
	}
	g.all++
	g.near[near]++
	g.far[far]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all--
		if g.near[near]--; g.near[near] == 0 {
			delete(g.near, near)
		}
		if g.far[far]--; g.far[far] == 0 {
			delete(g.far, far)
		}
	}), nil
}
