package session

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Times after which a message that a socket should have shown is reported to Deps.Away.
const (
	lateAfter = 10 * time.Second // without an ack of a device that somebody looks at
	lateSpan  = 2 * time.Minute  // how long ago such a message was queued at most; longer than a lost network is unnoticed
)

// Nobody is notified of a message while somebody looks at a device of its recipient, because that device shows it. This
// file makes up for a device that does not: one that was looked at when it lost its network, or that was closed while
// the message was on its way. Only the sockets of such devices cost anything.

// handleLooking records whether somebody looks at the device. The worker passes it to package presence.
func (s *session) handleLooking(f wire.ClientFrame) error {
	if s.background {
		s.refuse(problem.ErrForbidden, "")
		return s.strike()
	}
	s.queueLists(func() { s.looking = f.Looking })
	return nil
}

// applyLooking passes on whether somebody looks at the device, as far as the rate limit allows it. The newest value
// waits for alarmLists.
func (s *session) applyLooking() {
	s.mu.Lock()
	looking := s.looking
	if looking == s.looks {
		s.mu.Unlock()
		return
	}
	if wait, ok := allow(s.limiters.looking); !ok {
		s.setAlarmLocked(alarmLists, wait)
		s.mu.Unlock()
		return
	}
	s.looks = looking
	s.vouched = s.vouched || looking
	s.mu.Unlock()
	if err := s.deps.Presence.SetLooking(s.workCtx, s.uid, looking); err != nil {
		s.log().Info("presence could not be updated for a socket", "error", err)
	}
}

// vouches reports whether the user could be notified, and is not, because somebody looks at the device. mu is held.
func (s *session) vouches() bool { return s.deps.Away != nil && s.looks && s.gate.Push }

// expectAck begins to wait for the ack of a message that the socket is about to be sent, unless it waits already.
func (s *session) expectAck(id inbox.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vouches() && !s.alarms.isSet(alarmLate) {
		s.lateID = id
		s.setAlarmLocked(alarmLate, lateAfter)
	}
}

// acked ends the wait if the device has acknowledged everything.
func (s *session) acked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alarms.isSet(alarmLate) && s.window.Unacked() == 0 {
		s.clearAlarmLocked(alarmLate)
	}
}

// checkLate reports the messages that the device has not acknowledged in time. The worker calls it after alarmLate.
func (s *session) checkLate() {
	acked := s.window.Acked().ID
	s.mu.Lock()
	if !s.lateID.After(acked) { // later ones may be unacknowledged
		if s.window.Unacked() > 0 {
			s.lateID = s.window.Newest()
			s.setAlarmLocked(alarmLate, lateAfter)
		}
		s.mu.Unlock()
		return
	}
	late := s.lateID
	s.mu.Unlock()
	if !s.user.hasShown(s, late) {
		s.reportUnseen(s.workCtx)
	}
}

// reportUnseen reports the messages that the device has not acknowledged and that were not reported yet, unless
// somebody looks at a device of the user on another instance, which then does the same for its sockets.
func (s *session) reportUnseen(ctx context.Context) {
	if elsewhere, err := s.deps.Presence.LooksElsewhere(ctx, s.uid); err != nil || elsewhere {
		return
	}
	from := inbox.Position{Cursor: s.window.Acked()}
	if s.reported.After(from.ID) {
		from.ID = s.reported
	}
	page, err := s.deps.Inboxes.Read(ctx, s.uid, from, readEvents)
	if err != nil {
		s.log().Info("unacknowledged messages could not be read", "error", err)
		return
	}
	since := s.deps.Now().Add(-lateSpan)
	for _, e := range page.Events {
		s.reported = e.ID
		if e.Type != wire.EventMessage || time.UnixMilli(int64(e.ID.Ms)).Before(since) {
			continue
		}
		if m, err := e.Message(); err == nil && m.To == s.uid {
			s.deps.Away(m)
		}
	}
}

// reportLeft reports the messages that a device which somebody looked at left behind. The socket has ended, its acks
// are settled, and it has left presence.
func (s *session) reportLeft(ctx context.Context) {
	s.mu.Lock()
	report := s.deps.Away != nil && s.vouched && s.gate.Push
	s.mu.Unlock()
	if report && !s.user.isLooking() {
		s.reportUnseen(ctx)
	}
}

// hasShown reports whether a socket other than s, at whose device somebody looks, has acknowledged id.
func (u *user) hasShown(s *session, id inbox.ID) bool {
	for _, o := range u.looking() {
		if o != s && !id.After(o.window.Acked().ID) {
			return true
		}
	}
	return false
}

// isLooking reports whether somebody looks at the device of an open socket.
func (u *user) isLooking() bool { return len(u.looking()) > 0 }

// looking returns the open sockets at whose devices somebody looks.
func (u *user) looking() (list []*session) {
	u.mu.Lock()
	sockets := append([]*session(nil), u.sockets...)
	u.mu.Unlock()
	for _, o := range sockets {
		o.mu.Lock()
		looks := o.looks
		o.mu.Unlock()
		if looks && o.ctx.Err() == nil {
			list = append(list, o)
		}
	}
	return list
}
