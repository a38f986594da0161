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
	"github.com/phoenixchat/phoenixchat/realtime/trace"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// watchRetry is the time after which a client that watches too many people may send its list again. The budget recovers
// more slowly, but a client may take the time for that until which it must not reconnect.
const watchRetry = time.Minute

// work is the worker: it sends one message after the other, in the order in which they arrived, and does less urgent
// work in between. It returns when there is nothing to do.
//
// One message at a time is fast enough for the rate limits (a send takes one or two round trips to Redis), and it
// keeps the order without any further rule.
func (s *session) work() {
	if s.ctx.Err() != nil && !s.hasWork() {
		return
	}
	if s.workCtx == nil {
		// Operations that are under way when the socket ends get a little more time to finish.
		s.workCtx, s.endWork = context.WithCancel(context.Background())
		context.AfterFunc(s.ctx, func() { time.AfterFunc(finishWithin, s.endWork) })
	}
	for s.ctx.Err() == nil {
		i := s.nextSend()
		if !i.IsZero() {
			s.enqueue(i)
		}
		to, lists, late := s.nextHint()
		if to != "" {
			s.publishTyping(to)
		}
		if lists {
			s.applyLooking()
			s.applyWatchList()
			s.applyReadMarks(true)
		}
		if late {
			s.checkLate()
		}
		if i.IsZero() && to == "" && !lists && !late {
			return
		}
	}
	s.finishSends()
}

// nextSend returns the first of the sends, or none if there is none or the rate limits do not allow it yet. An alarm
// then wakes the worker. The item stays in the queue; see doneSending.
func (s *session) nextSend() inbox.Item {
	ofUser := s.user.sendLimit(s.deps.Limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sends) == 0 {
		return inbox.Item{}
	}
	now := time.Now()
	if s.sendAllowed.IsZero() {
		wait := max(reserve(s.limiters.sends, now, 1), reserve(ofUser, now, 1))
		s.sendAllowed = now.Add(wait)
		if wait > 0 {
			s.setAlarmLocked(alarmSend, wait)
		}
	}
	if now.Before(s.sendAllowed) {
		return inbox.Item{}
	}
	s.sendAllowed = time.Time{}
	return s.sends[0]
}

// nextHint removes and returns the first user to notify of typing, or "", whether the watch list, the read marks and
// looking are due, and whether alarmLate has rung.
func (s *session) nextHint() (to string, lists, late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.typingTo) > 0 {
		to, s.typingTo = s.typingTo[0], s.typingTo[1:]
		if len(s.typingTo) == 0 {
			s.typingTo = nil
		}
	}
	lists, s.listsDue = s.listsDue, false
	late, s.lateDue = s.lateDue, false
	return to, lists, late
}

// finishSends sends the messages that were read before the client closed the socket or the connection broke, as far as
// the rate limits allow: a user who presses Enter and closes the tab expects the message to be sent. Sends of a client
// that is being closed for an error are dropped.
func (s *session) finishSends() {
	var p *problem.Error
	if errors.As(s.why(), &p) && p.Kind != problem.GoingAway {
		return
	}
	for i := s.nextSend(); !i.IsZero() && s.workCtx.Err() == nil; i = s.nextSend() {
		s.enqueue(i)
	}
	s.mu.Lock()
	done := len(s.sends) == 0
	s.mu.Unlock()
	if done && s.workCtx.Err() == nil {
		s.applyReadMarks(false)
	}
}

// hasWork reports whether a message or a read mark waits.
func (s *session) hasWork() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sends) > 0 || len(s.readMarks) > 0
}

// enqueue queues one message or change in Redis and answers the client.
func (s *session) enqueue(i inbox.Item) {
	defer s.user.release(s, sendSize(i))
	if s.blocks(i.To()) {
		s.refuseSend(inbox.ErrRecipientUnavailable, i)
		return
	}
	if wait := s.user.waitToReact(i, s.deps.Limits.Reactions); wait > 0 {
		s.refuseSend(ErrRateLimited.WithRetry(wait), i)
		return
	}
	s.expectEcho(i)
	var accepted chat.Micros
	err := s.lookUp(i.To(), func() (err error) {
		accepted, err = s.deps.Inboxes.EnqueueAs(s.workCtx, s.standing(), i, s.device)
		return err
	})
	if err != nil {
		s.refuseSend(err, i)
		return
	}
	if i.Message != nil && trace.Traced(i.ID(), s.uid) {
		trace.Log(s.log(), trace.Accepted, i.ID(), slog.String("to", i.To()))
	}
	s.doneSending()
	s.queueFrame(wire.Sent{ID: i.ID(), AcceptedAt: accepted})
	s.flush()
}

// refuseSend answers an item that was not queued, and counts and logs it. The log has a sample, because the sends of
// all users fail while Redis does.
func (s *session) refuseSend(err error, i inbox.Item) {
	s.doneSending()
	s.counters.SendsRefused.Add(1)
	p := problem.Of(err)
	log, level := &s.sessions.refusedLog, slog.LevelInfo
	if p.Kind == problem.Unavailable || p.Kind == problem.Internal {
		s.counters.SendsFailed.Add(1)
		log, level = &s.sessions.failedLog, slog.LevelWarn
	}
	if left, ok := log.Allow(); ok {
		s.log().Log(context.Background(), level, "send refused", "code", p.Code, "id", i.ID(), "error", err,
			"refused", s.counters.SendsRefused.Load(), "not_logged", left)
	}
	s.refuse(err, i.ID())
}

// doneSending removes the first of the sends. It must precede the answer, because the client may send the message
// again at once.
func (s *session) doneSending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sends[0] = inbox.Item{}
	if s.sends = s.sends[1:]; len(s.sends) == 0 {
		s.sends = nil
	}
}

// expectEcho records that the sent or changed event of i is not for this socket, whose client learns the same from the
// answer.
func (s *session) expectEcho(i inbox.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.echoes[s.nextEcho] = i
	s.nextEcho = (s.nextEcho + 1) % len(s.echoes)
}

// isEcho reports whether e is an event that expectEcho expects, and forgets it.
func (s *session) isEcho(e inbox.Event) bool {
	if e.Type != wire.EventSent && e.Type != wire.EventChanged {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, i := range s.echoes {
		if !i.IsZero() && wire.IsSent(e.Data, i.Echo(), i.ID(), i.Conversation()) {
			s.echoes[n] = inbox.Item{}
			return true
		}
	}
	return false
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
	case err == nil, errors.Is(err, inbox.ErrRecipientUnavailable), errors.Is(err, inbox.ErrWritersLimited),
		errors.Is(err, inbox.ErrIDReused):
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

// publishTyping sends a typing hint to the devices of user to, unless one of the two has blocked the other. It sends
// none to somebody who may not see the user's presence, and none to somebody to whom the user has never written,
// because that person would learn that the user reads their request. A hint that cannot be published is dropped.
func (s *session) publishTyping(to string) {
	if s.blocks(to) || s.privacy().LastSeen == chat.Nobody {
		return
	}
	g, err := s.gateOf(to)
	answered := false
	if err == nil && !g.Blocks(s.uid) {
		answered, err = s.deps.Inboxes.HasAnswered(s.ctx, s.uid, to)
	}
	if err == nil && answered {
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
// exceeds the rate limit waits for alarmLists. The feeder sends the states, but not those of people beyond the user's
// budget, which the client learns once. Package presence itself retries what fails.
func (s *session) applyWatchList() {
	users, ok := s.takeWatchList()
	if !ok {
		return
	}
	users, ends := s.user.watch(users, s.deps.Watched)
	if now := time.Now(); !ends.IsZero() && !now.Before(s.watchRefusedUntil) {
		s.watchRefusedUntil = ends
		s.refuse(ErrRateLimited.WithRetry(watchRetry), "")
	}
	if err := s.watcher.Set(s.ctx, users); err != nil && s.ctx.Err() == nil {
		s.log().Info("presence of watched users is delayed", "error", err)
	}
}

// takeWatchList returns the watch list that waits, if the rate limit allows it, and makes sure that there is a watcher.
func (s *session) takeWatchList() (users []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hasWatchList {
		return nil, false
	}
	if wait, ok := allow(s.limiters.watches); !ok {
		s.setAlarmLocked(alarmLists, wait)
		return nil, false
	}
	users, s.watchList, s.hasWatchList = s.watchList, nil, false
	if s.watcher == nil {
		s.watcher = s.deps.Presence.WatchFunc(s.uid, func() {
			s.presenceDue.Store(true)
			s.wake(taskFeeder)
		})
		s.watcher.SetBlocked(s.gate.Blocked)
	}
	return users, true
}

// applyReadMarks passes the queued read marks to the settler. If retry is set, marks that fail wait for alarmLists.
func (s *session) applyReadMarks(retry bool) {
	s.mu.Lock()
	marks := s.readMarks
	s.readMarks = nil
	s.mu.Unlock()
	var after time.Duration // of the next attempt; 0: none is needed
	for _, conversation := range slices.Sorted(maps.Keys(marks)) {
		at := marks[conversation]
		wait, ok := allow(s.user.readLimit(s.deps.Limits))
		if ok && s.applyReadMark(conversation, at) != nil {
			wait, ok = time.Second+s.deps.Jitter(2*time.Second), false
		}
		if ok {
			continue
		}
		after = max(after, wait)
		s.mu.Lock()
		if s.readMarks == nil {
			s.readMarks = map[string]chat.Micros{}
		}
		s.readMarks[conversation] = max(at, s.readMarks[conversation])
		s.mu.Unlock()
	}
	if after > 0 && retry {
		s.setAlarm(alarmLists, after)
	}
}

// applyReadMark passes one read mark to the settler. It ignores a mark in a conversation in which the other user has
// not written to the reader, so that nobody can put events into the inbox of a stranger, and a mark between users of
// whom one has blocked the other. The client does not learn which it was. If the reader has not answered the other
// user, or one of the two wants no receipts, only the reader's own devices get the mark. An error calls for another
// attempt.
func (s *session) applyReadMark(conversation string, at chat.Micros) error {
	other, err := chat.Other(conversation, s.uid)
	if err != nil {
		return nil // cannot happen: the reader has checked it
	}
	allowed, shared := false, false
	if !s.blocks(other) {
		g, err := s.gateOf(other)
		switch {
		case errors.Is(err, problem.ErrUnavailable):
			return err
		case err == nil && !g.Blocks(s.uid):
			if allowed, err = s.deps.Inboxes.HasWritten(s.workCtx, other, s.uid); allowed {
				shared, err = s.deps.Inboxes.HasAnswered(s.workCtx, s.uid, other)
				shared = shared && !g.Privacy.NoReceipts && !s.privacy().NoReceipts
				allowed = err == nil // the client repeats a mark that was dropped, but not one that its own devices got
			}
			if errors.Is(err, problem.ErrUnavailable) {
				return err
			}
		}
	}
	if !allowed {
		s.counters.MarksDropped.Add(1)
		return nil
	}
	r := delivery.Read{Conversation: conversation, By: s.uid, At: at}
	if !shared {
		return s.window.ReadPrivately(r)
	}
	return s.window.Read(r)
}
