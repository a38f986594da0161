package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// maxInternalBody bounds the body of an internal call, in bytes; a long list
// of blocked people fits.
const maxInternalBody = 1 << 20

// errBadCall answers an internal call that cannot be read.
var errBadCall = problem.New(problem.Invalid, "bad_request", "The call cannot be read.")

// forServices lets only our own services through. The service is public, so
// it checks the Google-signed token itself.
func (s *Server) forServices(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			return problem.ErrUnauthenticated
		}
		account, err := s.deps.Services.VerifyService(r.Context(), token)
		if err != nil {
			return err
		}
		s.log.InfoContext(r.Context(), "internal call", "path", r.URL.Path, "account", account)
		w.Header().Set("Cache-Control", "no-store")
		return h(w, r)
	}
}

// decode reads the JSON body of an internal call.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxInternalBody)).Decode(into)
	if err != nil {
		return errBadCall.WithCause(err)
	}
	return nil
}

// gateChanged serves POST /internal/gate: what the store now says of a user.
func (s *Server) gateChanged(w http.ResponseWriter, r *http.Request) error {
	var call struct {
		UID        string      `json:"uid"`
		Exists     bool        `json:"exists"`
		Disabled   bool        `json:"disabled"`
		ValidAfter chat.Micros `json:"valid_after"` // 0: no session is ended
		Blocked    []string    `json:"blocked"`
	}
	if err := decode(w, r, &call); err != nil {
		return err
	}
	if !chat.ValidUID(call.UID) {
		return errBadCall.WithCause(fmt.Errorf("uid %.140q", call.UID))
	}
	g := gate.Gate{Exists: call.Exists, Disabled: call.Disabled, Blocked: call.Blocked}
	if call.ValidAfter > 0 {
		g.ValidAfter = call.ValidAfter.Time()
	}
	if err := s.gates.Changed(r.Context(), call.UID, g); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// gone serves POST /internal/gone: a user was deleted.
func (s *Server) gone(w http.ResponseWriter, r *http.Request) error {
	var call struct {
		UID string `json:"uid"`
	}
	if err := decode(w, r, &call); err != nil {
		return err
	}
	if !chat.ValidUID(call.UID) {
		return errBadCall.WithCause(fmt.Errorf("uid %.140q", call.UID))
	}
	// The gate first: nothing more may be queued while the inbox is settled.
	if err := s.gates.Changed(r.Context(), call.UID, gate.Gate{}); err != nil {
		return err
	}
	if err := s.settler.Gone(r.Context(), call.UID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Figures is what GET /internal/figures answers. Sockets, Queued and OldestAge
// are of all instances, Counters of the one that answers.
type Figures struct {
	Instance  string           `json:"instance"` // that answers
	Sockets   map[string]int64 `json:"sockets"`  // by instance
	Queued    int64            `json:"queued"`   // messages that no device of their recipient has acknowledged
	Inboxes   int64            `json:"inboxes"`  // with such messages
	OldestAge int64            `json:"oldest_age_ms"`
	Complete  bool             `json:"complete"` // false: only a part of the inboxes was counted
	Counters  AllCounters      `json:"counters"`
}

// AllCounters are the counters of the parts of one instance.
type AllCounters struct {
	Session  session.Counters  `json:"session"`
	Inbox    inbox.Counters    `json:"inbox"`
	Settle   *settle.Counters  `json:"settle"`
	Gate     gate.Counters     `json:"gate"`
	Presence presence.Counters `json:"presence"`
}

// Counters returns the counters of this instance.
func (s *Server) Counters() AllCounters {
	return AllCounters{s.sessions.Snapshot(), s.inboxes.Snapshot(), s.settler.Counters(), s.gates.Snapshot(), s.presence.Snapshot()}
}

// figures serves GET /internal/figures.
func (s *Server) figures(w http.ResponseWriter, r *http.Request) error {
	instances, err := s.presence.Instances(r.Context())
	if err != nil {
		return err
	}
	queue, err := s.inboxes.Queued(r.Context())
	if err != nil {
		return err
	}
	f := Figures{Instance: s.deps.Instance, Sockets: map[string]int64{}, Queued: int64(queue.Messages), Inboxes: int64(queue.Inboxes),
		Complete: queue.Complete, Counters: s.Counters()}
	for _, i := range instances {
		f.Sockets[i.ID] = int64(i.Sockets)
	}
	f.Sockets[s.deps.Instance] = int64(s.sessions.Open()) // newer than its word in Redis
	if !queue.Oldest.IsZero() {
		f.OldestAge = max(0, s.deps.Now().Sub(queue.Oldest).Milliseconds())
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(f)
}

// live serves /health/live. It never asks Redis: an instance must not be
// restarted, and its sockets cut, for what a restart does not mend.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := w.Write([]byte("ok\n"))
	return err
}

// readyAfter is when an instance serves without Redis: pages, and hellos that
// say it is unavailable.
const readyAfter = 10 * time.Second

// becomeReady waits for the first answer of Redis.
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

// readiness serves /health/ready: whether this instance should be given
// requests.
func (s *Server) readiness(w http.ResponseWriter, r *http.Request) error {
	switch {
	case s.draining.Load():
		return session.ErrGoingAway
	case !s.ready.Load():
		return problem.ErrUnavailable.WithCause(errors.New("redis has not answered yet"))
	}
	return s.live(w, r)
}
