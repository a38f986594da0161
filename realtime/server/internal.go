package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// errBadCall answers an internal call whose body is not valid.
var errBadCall = problem.New(problem.Invalid, "bad_request", "The body of the request is not valid.")

// forServices lets only our own services call h. Cloud Run lets anybody call this service, so the Google-signed token
// is checked here.
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

// decodeCall reads the JSON body of an internal call into call, and checks it.
func decodeCall(w http.ResponseWriter, r *http.Request, call interface{ Check() error }) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, internalapi.MaxBody)).Decode(call)
	if err == nil {
		err = call.Check()
	}
	if err != nil {
		return errBadCall.WithCause(err)
	}
	return nil
}

// gateChanged serves POST /internal/gate: a user's gate has changed in the store.
func (s *Server) gateChanged(w http.ResponseWriter, r *http.Request) error {
	var call internalapi.Gate
	if err := decodeCall(w, r, &call); err != nil {
		return err
	}
	g := gate.Gate{Exists: call.Exists, Disabled: call.Disabled, Blocked: call.Blocked, Push: call.Push,
		Privacy: call.Privacy, Unverified: call.Unverified}
	if call.ValidAfter > 0 {
		g.ValidAfter = call.ValidAfter.Time()
	}
	if call.LimitedUntil > 0 {
		g.LimitedUntil = call.LimitedUntil.Time()
	}
	for _, t := range call.Ended {
		g.Ended = append(g.Ended, t.Time())
	}
	for _, t := range call.SignedOut {
		g.SignedOut = append(g.SignedOut, t.Time())
	}
	if err := s.gates.Changed(r.Context(), call.UID, g); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// gone serves POST /internal/gone: a user was deleted.
func (s *Server) gone(w http.ResponseWriter, r *http.Request) error {
	var call internalapi.Gone
	if err := decodeCall(w, r, &call); err != nil {
		return err
	}
	// The gate first, so that nobody can add a message to the inbox while it is settled.
	if err := s.gates.Changed(r.Context(), call.UID, gate.Gate{}); err != nil {
		return err
	}
	if err := s.settler.Gone(r.Context(), call.UID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// profileChanged serves POST /internal/profile: a user's profile has changed.
func (s *Server) profileChanged(w http.ResponseWriter, r *http.Request) error {
	var call internalapi.Profile
	if err := decodeCall(w, r, &call); err != nil {
		return err
	}
	frame, err := wire.Encode(wire.Profile{User: call.UID})
	if err == nil {
		err = s.inboxes.PublishHint(r.Context(), call.UID, frame) // to the user's own devices
	}
	if !call.Own {
		err = errors.Join(err, s.presence.ProfileChanged(r.Context(), call.UID))
	}
	if err != nil {
		return problem.ErrUnavailable.WithCause(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// purge serves POST /internal/purge: messages that wait are withdrawn. If there are too many for one call, instances
// continue.
func (s *Server) purge(w http.ResponseWriter, r *http.Request) error {
	var call internalapi.Purge
	if err := decodeCall(w, r, &call); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), internalapi.WorkTime)
	defer cancel()
	done, complete, err := s.inboxes.Purge(ctx, inbox.Purge{From: call.From, To: call.To, Code: call.Reason})
	if err != nil {
		return err
	}
	s.log.InfoContext(r.Context(), "withdrew messages", "from", call.From, "to", call.To, "reason", call.Reason,
		"messages", done.Messages, "bytes", done.Bytes, "complete", complete)
	return respond(w, internalapi.Purged{Messages: done.Messages, Bytes: done.Bytes, Complete: complete})
}

// corrected serves POST /internal/corrected: devices may show a content that is not the saved one.
func (s *Server) corrected(w http.ResponseWriter, r *http.Request) error {
	var call internalapi.Corrected
	if err := decodeCall(w, r, &call); err != nil {
		return err
	}
	entries := make([]inbox.Entry, 0, 2*len(call.Messages))
	for _, m := range call.Messages {
		event := wire.CorrectedEvent{Type: wire.EventCorrected, Message: m.Message, DeliveredAt: m.DeliveredAt}
		for _, uid := range []string{m.From, m.To} {
			entries = append(entries, inbox.Entry{UID: uid, Type: wire.EventCorrected, Event: event})
		}
	}
	if err := errors.Join(s.inboxes.Append(r.Context(), entries)...); err != nil {
		return problem.ErrUnavailable.WithCause(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// set serves POST /internal/setting: a user has chosen a setting. Whoever accepts a request has answered it.
func (s *Server) set(w http.ResponseWriter, r *http.Request) error {
	var call internalapi.Setting
	if err := decodeCall(w, r, &call); err != nil {
		return err
	}
	if call.Setting.Kind == chat.SettingAccept {
		other, err := chat.Other(call.Setting.Conversation, call.UID)
		if err == nil {
			err = s.inboxes.Accept(r.Context(), call.UID, other)
		}
		if err != nil {
			return err
		}
	}
	event := wire.SettingEvent{Type: wire.EventSetting, Setting: call.Setting}
	entries := []inbox.Entry{{UID: call.UID, Type: wire.EventSetting, Event: event}}
	if err := errors.Join(s.inboxes.Append(r.Context(), entries)...); err != nil {
		return problem.ErrUnavailable.WithCause(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// waiting serves GET /internal/waiting: who fills what.
func (s *Server) waiting(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), internalapi.WorkTime)
	defer cancel()
	all, err := s.inboxes.Shares(ctx, internalapi.MaxShares)
	if err != nil {
		return err
	}
	shares := func(list []inbox.Share) []internalapi.Share {
		out := make([]internalapi.Share, len(list))
		for i, share := range list {
			out[i] = internalapi.Share{UID: share.UID, Messages: share.Messages, Bytes: share.Bytes}
		}
		return out
	}
	return respond(w, internalapi.Waiting{Messages: all.Messages, Bytes: all.Bytes, Inboxes: int64(all.Inboxes),
		Senders: shares(all.Senders), Recipients: shares(all.Recipients), Complete: all.Complete})
}

// respond answers an internal call with JSON.
func respond(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// FiguresResponse is the response to GET /internal/figures: the figures that the functions read, and more about the
// instance that answers, for operators and tests.
type FiguresResponse struct {
	internalapi.Figures
	Instance string      `json:"instance"` // the instance that answers
	Inboxes  int64       `json:"inboxes"`  // inboxes with queued messages, over all instances
	Counters AllCounters `json:"counters"` // of the instance that answers
}

// AllCounters holds the counters of every part of one instance.
type AllCounters struct {
	Session  *session.Counters  `json:"session"`
	Inbox    *inbox.Counters    `json:"inbox"`
	Settle   *settle.Counters   `json:"settle"`
	Gate     *gate.Counters     `json:"gate"`
	Presence *presence.Counters `json:"presence"`
	Redissub *redissub.Counters `json:"redissub"`
	SignIns  *signins.Counters  `json:"signins"`
	Away     *away.Counters     `json:"away"`
}

// Counters returns the counters of this instance.
func (s *Server) Counters() AllCounters {
	return AllCounters{
		Session:  s.sessions.Counters(),
		Inbox:    s.inboxes.Counters(),
		Settle:   s.settler.Counters(),
		Gate:     s.gates.Counters(),
		Presence: s.presence.Counters(),
		Redissub: s.subscriber.Counters(),
		SignIns:  s.signIns.Counters(),
		Away:     s.away.Counters(),
	}
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
	f := FiguresResponse{
		Figures: internalapi.Figures{
			Sockets: map[string]int64{}, Queued: int64(queue.Messages), Complete: queue.Complete,
		},
		Instance: s.deps.Instance, Inboxes: int64(queue.Inboxes), Counters: s.Counters(),
	}
	for _, i := range instances {
		f.Sockets[i.ID] = int64(i.Sockets)
	}
	// The number in Redis is from the last renewal of the lease; this one is current.
	f.Sockets[s.deps.Instance] = int64(s.sessions.Open())
	if !queue.Oldest.IsZero() {
		f.OldestAge = max(0, s.deps.Now().Sub(queue.Oldest).Milliseconds())
	}
	return respond(w, f)
}
