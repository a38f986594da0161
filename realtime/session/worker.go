package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// work is the worker: it sends one message after the other, in the order in which they arrived, and does less urgent
// work in between.
//
// One message at a time is fast enough for the rate limits (a send takes two round trips to Redis), and it keeps the
// order without any further rule.
func (s *session) work() {
	retry, due := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer retry.Stop()
	defer due.Stop()
	var held chat.Message // a message that waits for due because of the rate limit
	sends := s.sends      // nil while a message is held
	for {
		select {
		case <-s.ctx.Done():
			s.finishSends(held)
			return
		case m := <-sends:
			if wait := reserve(s.ownSends, s.user.sends); wait > 0 {
				held, sends = m, nil
				s.throttled.Store(true)
				due.Reset(wait)
				continue
			}
			s.enqueue(s.ctx, m)
		case <-due.C:
			if held.ID != "" {
				s.enqueue(s.ctx, held)
				held, sends = chat.Message{}, s.sends
				s.throttled.Store(false)
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
func (s *session) finishSends(held chat.Message) {
	var p *problem.Error
	if errors.As(s.why(), &p) && p.Kind != problem.GoingAway || held.ID != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), finishWithin)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case m := <-s.sends:
			if reserve(s.ownSends, s.user.sends) > 0 {
				return
			}
			s.enqueue(ctx, m)
		default:
			s.applyReadMarks(nil)
			return
		}
	}
}

// enqueue queues one message in Redis and answers the client. The end of the socket does not interrupt it.
func (s *session) enqueue(ctx context.Context, m chat.Message) {
	accepted, err := s.deps.Inboxes.Enqueue(context.WithoutCancel(ctx), m)
	if err != nil {
		s.refuse(err, m.ID)
		return
	}
	s.push(wire.Sent{ID: m.ID, AcceptedAt: accepted})
}

// publishTyping sends a typing hint to the devices of user to, unless that user has blocked the sender. A hint that
// cannot be published is dropped.
func (s *session) publishTyping(to string) {
	g, err := s.deps.Gates.Get(s.ctx, to)
	if err == nil && g.Exists && !g.Blocks(s.uid) {
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
// exceeds the rate limit waits for retry. The feeder sends the states. Package presence itself retries what fails.
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
	for conversation, at := range marks {
		err := s.applyReadMark(conversation, at)
		if err == nil {
			continue
		}
		s.mu.Lock()
		s.readMarks[conversation] = max(at, s.readMarks[conversation])
		s.mu.Unlock()
		if retry != nil {
			retry.Reset(time.Second + rand.N(2*time.Second))
		}
	}
}

// applyReadMark passes one read mark to the settler. It ignores a mark in a conversation with a user who does not
// exist: such a mark would create an inbox that nobody reads.
func (s *session) applyReadMark(conversation string, at chat.Micros) error {
	other, err := chat.Other(conversation, s.uid)
	if err != nil {
		return nil // cannot happen: the reader has checked it
	}
	g, err := s.deps.Gates.Get(context.WithoutCancel(s.ctx), other)
	if err != nil {
		return err
	}
	if !g.Exists {
		return nil
	}
	return s.window.Read(delivery.Read{Conversation: conversation, By: s.uid, At: at})
}
