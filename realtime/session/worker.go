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

// work is the worker: it sends one message after the other, in the order in
// which they came, and between them does what is less urgent.
//
// One at a time is fast enough for what the limits allow (a send is two round
// trips to Redis), and keeps the order without further rules.
func (s *session) work() {
	retry, due := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer retry.Stop()
	defer due.Stop()
	var held chat.Message // waits for due
	sends := s.sends      // nil while one is held
	for {
		select {
		case <-s.ctx.Done():
			s.finish(held)
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
		case to := <-s.hints:
			s.hintTyping(to)
		case <-s.poke:
			s.setWatch(retry)
			s.markRead(retry)
		case <-retry.C:
			s.setWatch(retry)
			s.markRead(retry)
		}
	}
}

// finish sends what was read before the client closed or was lost, as far as
// the rates allow: a person who presses Enter and closes the tab has sent. Who
// was shown the door has not.
func (s *session) finish(held chat.Message) {
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
			s.markRead(nil)
			return
		}
	}
}

// enqueue queues one message in Redis and answers. The end of the socket does
// not stop what has begun.
func (s *session) enqueue(ctx context.Context, m chat.Message) {
	accepted, err := s.x.deps.Inboxes.Enqueue(context.WithoutCancel(ctx), m)
	if err != nil {
		_ = s.refuse(err, m.ID)
		return
	}
	s.push(wire.Sent{ID: m.ID, AcceptedAt: accepted})
}

// hintTyping tells the devices of to that the user types, unless to has
// blocked the user. Whatever fails is dropped.
func (s *session) hintTyping(to string) {
	g, err := s.x.deps.Gates.Get(s.ctx, to)
	if err == nil && g.Exists && !g.Blocks(s.uid) {
		var data []byte
		if data, err = wire.Encode(wire.Typing{From: s.uid}); err == nil {
			err = s.x.deps.Inboxes.PublishHint(s.ctx, to, data)
		}
	}
	if err != nil {
		s.x.counts.hintsDropped.Add(1)
	}
}

// setWatch replaces the watch list where a new one came, or lets it wait for
// retry where they come too fast. Its states come to the feeder. A failure is
// repeated by presence itself.
func (s *session) setWatch(retry *time.Timer) {
	s.mu.Lock()
	users, isNew := s.watch, s.newWatch
	if isNew {
		if wait, ok := take(s.watches); !ok {
			retry.Reset(wait)
			isNew = false
		} else {
			s.watch, s.newWatch = nil, false
		}
	}
	s.mu.Unlock()
	if !isNew {
		return
	}
	if err := s.watcher.Set(s.ctx, users); err != nil && s.ctx.Err() == nil {
		s.log.Info("watching is late", "error", err)
	}
}

// markRead gives the waiting read marks to the settler. Those that cannot be
// given now wait for retry, if there is one.
func (s *session) markRead(retry *time.Timer) {
	s.mu.Lock()
	marks := s.marks
	s.marks = map[string]chat.Micros{}
	s.mu.Unlock()
	for conversation, at := range marks {
		err := s.markOne(conversation, at)
		if err == nil {
			continue
		}
		s.mu.Lock()
		s.marks[conversation] = max(at, s.marks[conversation])
		s.mu.Unlock()
		if retry != nil {
			retry.Reset(time.Second + rand.N(2*time.Second))
		}
	}
}

// markOne gives one read mark to the settler. Marks beside people who do not
// exist are passed over: they would make inboxes that nobody reads.
func (s *session) markOne(conversation string, at chat.Micros) error {
	other, err := chat.Other(conversation, s.uid)
	if err != nil {
		return nil // the reader has checked it
	}
	g, err := s.x.deps.Gates.Get(context.WithoutCancel(s.ctx), other)
	if err != nil {
		return err
	}
	if !g.Exists {
		return nil
	}
	return s.account.Read(delivery.Read{Conversation: conversation, By: s.uid, At: at})
}
