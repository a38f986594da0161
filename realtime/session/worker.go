package session

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// watchRetry is the time after which a client that watches too many people may send its list again. The budget recovers
// more slowly, but a client may take the time for that until which it must not reconnect.
const watchRetry = time.Minute

// work is the worker: it sends one message after the other, in the order in which they arrived, and does less urgent
// work in between.
//
// One message at a time is fast enough for the rate limits (a send takes one or two round trips to Redis), and it keeps the
// order without any further rule.
func (s *session) work() {
	// Operations that are under way when the socket ends get a little more time to finish.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	defer cancel()
	stop := context.AfterFunc(s.ctx, func() { time.AfterFunc(finishWithin, cancel) })
	defer stop()
	s.workCtx = ctx
	retry, due := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer retry.Stop()
	defer due.Stop()
	var held *chat.Message // a message that waits for due because of the rate limit
	sends := s.sends       // nil while a message is held
	for {
		select {
		case <-s.ctx.Done():
			s.finishSends(held)
			return
		case m := <-sends:
			if wait := reserve(s.ownSends, s.user.sends); wait > 0 {
				held, sends = m, nil
				due.Reset(wait)
				continue
			}
			s.enqueue(m)
		case <-due.C:
			if held != nil {
				s.enqueue(held)
				held, sends = nil, s.sends
			}
		case to := <-s.typingTo:
			s.publishTyping(to)
		case <-s.workerWake:
			s.applyWatchList(retry)
			s.applyReadMarks(retry)
		case <-retry.C:
			s.applyWatchList(retry)
			s.applyReadMarks(retry)
		}
	}
}

// finishSends sends the messages that were read before the client closed the socket or the connection broke, as far as
// the rate limits allow: a user who presses Enter and closes the tab expects the message to be sent. Sends of a client
// that is being closed for an error are dropped.
func (s *session) finishSends(held *chat.Message) {
	var p *problem.Error
	if errors.As(s.why(), &p) && p.Kind != problem.GoingAway || held != nil {
		return
	}
	for s.workCtx.Err() == nil {
		select {
		case m := <-s.sends:
			if reserve(s.ownSends, s.user.sends) > 0 {
				return
			}
			s.enqueue(m)
		default:
			s.applyReadMarks(nil)
			return
		}
	}
}

// enqueue queues one message in Redis and answers the client.
func (s *session) enqueue(m *chat.Message) {
	defer s.user.release(s, sendSize(m))
	if s.blocks(m.To) {
		s.refuseSend(inbox.ErrRecipientUnavailable, m)
		return
	}
	var accepted chat.Micros
	err := s.lookUp(m.To, func() (err error) {
		accepted, err = s.deps.Inboxes.EnqueueFrom(s.workCtx, *m, s.device)
		return err
	})
	if err != nil {
		s.refuseSend(err, m)
		return
	}
	s.doneSending(m)
	s.push(wire.Sent{ID: m.ID, AcceptedAt: accepted})
}

// refuseSend answers a message that was not queued, and counts and logs it. The log has a sample, because the sends of
// all users fail while Redis does.
func (s *session) refuseSend(err error, m *chat.Message) {
	s.doneSending(m)
	s.counters.SendsRefused.Add(1)
	p := problem.Of(err)
	log, level := &s.sessions.refusedLog, slog.LevelInfo
	if p.Kind == problem.Unavailable || p.Kind == problem.Internal {
		s.counters.SendsFailed.Add(1)
		log, level = &s.sessions.failedLog, slog.LevelWarn
	}
	if left, ok := log.Allow(); ok {
		s.log.Log(context.Background(), level, "send refused", "code", p.Code, "message", m.ID, "error", err,
			"refused", s.counters.SendsRefused.Load(), "not_logged", left)
	}
	s.refuse(err, m.ID)
}

// beginSending records that m waits for the worker. It reports false if the same message waits already, because the
// client has sent it again before it was answered. The one answer then serves both.
func (s *session) beginSending(m *chat.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waiting, ok := s.sending[m.ID]; ok {
		return *waiting != *m
	}
	if s.sending == nil {
		s.sending = map[string]*chat.Message{}
	}
	s.sending[m.ID] = m
	return true
}

// doneSending undoes beginSending. It must precede the answer, because the client may send the message again at once.
func (s *session) doneSending(m *chat.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[m.ID] == m {
		delete(s.sending, m.ID)
	}
}

// lookUp calls f, which may look up the gate of uid, within the user's budget of unknown uids. If the user does not
// exist, the error is inbox.ErrRecipientUnknown, which f must return as well. If the budget is used up and nothing is
// known about the uid, lookUp does not call f, counts a strike, and returns ErrRateLimited.
func (s *session) lookUp(uid string, f func() error) error {
	check, wait := s.user.check(uid, s.deps.Limits.UnknownUIDs)
	switch check {
	case uidMissing:
		return inbox.ErrRecipientUnknown
	case uidRefused:
		s.counters.UnknownUIDs.Add(1)
		if err := s.strike(); err != nil {
			s.end(err)
		}
		return ErrRateLimited.WithRetry(wait)
	}
	err := f()
	switch {
	case errors.Is(err, inbox.ErrRecipientUnknown):
		s.user.found(uid, check, false)
	case err == nil, errors.Is(err, inbox.ErrRecipientUnavailable), errors.Is(err, inbox.ErrIDReused):
		s.user.found(uid, check, true)
	default: // it may have been refused before the gate was looked up
		s.user.refund(check)
	}
	return err
}

// gateOf returns the gate of another user who exists. The error is that of lookUp, or problem.ErrUnavailable.
func (s *session) gateOf(uid string) (g gate.Gate, err error) {
	err = s.lookUp(uid, func() (err error) {
		if g, err = s.deps.Gates.Get(s.workCtx, uid); err == nil && !g.Exists {
			err = inbox.ErrRecipientUnknown
		}
		return err
	})
	return g, err
}

// publishTyping sends a typing hint to the devices of user to, unless one of the two has blocked the other. A hint that
// cannot be published is dropped.
func (s *session) publishTyping(to string) {
	if s.blocks(to) {
		return
	}
	g, err := s.gateOf(to)
	if err == nil && !g.Blocks(s.uid) {
		var data []byte
		if data, err = wire.Encode(wire.Typing{From: s.uid}); err == nil {
			err = s.deps.Inboxes.PublishHint(s.ctx, to, data)
		}
	}
	if err != nil {
		s.counters.HintsDropped.Add(1)
	}
}

// applyWatchList replaces the set of users whose presence the client watches, if a new list has arrived. A list that
// exceeds the rate limit waits for retry. The feeder sends the states, but not those of people beyond the user's
// budget, which the client learns once. Package presence itself retries what fails.
func (s *session) applyWatchList(retry *time.Timer) {
	s.mu.Lock()
	users, apply := s.watchList, s.hasWatchList
	if apply {
		if wait, ok := allow(s.watches); !ok {
			retry.Reset(wait)
			apply = false
		} else {
			s.watchList, s.hasWatchList = nil, false
		}
	}
	s.mu.Unlock()
	if !apply {
		return
	}
	users, ends := s.user.watch(users, s.deps.Watched)
	if now := time.Now(); !ends.IsZero() && !now.Before(s.watchRefusedUntil) {
		s.watchRefusedUntil = ends
		s.refuse(ErrRateLimited.WithRetry(watchRetry), "")
	}
	if err := s.watcher.Set(s.ctx, users); err != nil && s.ctx.Err() == nil {
		s.log.Info("presence of watched users is delayed", "error", err)
	}
}

// applyReadMarks passes the queued read marks to the settler. Marks that fail wait for retry, if it is not nil.
func (s *session) applyReadMarks(retry *time.Timer) {
	s.mu.Lock()
	marks := s.readMarks
	s.readMarks = map[string]chat.Micros{}
	s.mu.Unlock()
	var after time.Duration // of the next attempt; 0: none is needed
	for _, conversation := range slices.Sorted(maps.Keys(marks)) {
		at := marks[conversation]
		wait, ok := allow(s.user.reads)
		if ok && s.applyReadMark(conversation, at) != nil {
			wait, ok = time.Second+s.deps.Jitter(2*time.Second), false
		}
		if ok {
			continue
		}
		after = max(after, wait)
		s.mu.Lock()
		s.readMarks[conversation] = max(at, s.readMarks[conversation])
		s.mu.Unlock()
	}
	if after > 0 && retry != nil {
		retry.Reset(after)
	}
}

// applyReadMark passes one read mark to the settler. It ignores a mark in a conversation in which the other user has
// not written to the reader, so that nobody can put events into the inbox of a stranger, and a mark between users of
// whom one has blocked the other. The client does not learn which it was. An error calls for another attempt.
func (s *session) applyReadMark(conversation string, at chat.Micros) error {
	other, err := chat.Other(conversation, s.uid)
	if err != nil {
		return nil // cannot happen: the reader has checked it
	}
	allowed := false
	if !s.blocks(other) {
		g, err := s.gateOf(other)
		switch {
		case errors.Is(err, problem.ErrUnavailable):
			return err
		case err == nil && !g.Blocks(s.uid):
			allowed, err = s.deps.Inboxes.HasWritten(s.workCtx, other, s.uid)
			if errors.Is(err, problem.ErrUnavailable) {
				return err
			}
		}
	}
	if !allowed {
		s.counters.MarksDropped.Add(1)
		return nil
	}
	return s.window.Read(delivery.Read{Conversation: conversation, By: s.uid, At: at})
}
