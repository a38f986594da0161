package client

import (
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// tick does everything that is due at now.
func (m *machine) tick(now time.Time) {
	if !m.retryAt.IsZero() && !now.Before(m.retryAt) {
		m.connect(now)
	}
	if !m.renewAt.IsZero() && !now.Before(m.renewAt) {
		m.renewAt = time.Time{}
		m.fx.renewToken()
	}
	for _, s := range slices.Clone(m.sockets) {
		if !s.ackDue.IsZero() && !now.Before(s.ackDue) {
			m.ack(now, s)
		}
		m.probe(now, s)
	}
	m.pump(now)
	m.sendReads(now)
	m.startLoad(now)
}

// ack acknowledges the newest stored cursor that s delivered.
func (m *machine) ack(now time.Time, s *socket) {
	if s.ackDue.IsZero() {
		return
	}
	if m.misbehavior.AckNever {
		s.ackDue = time.Time{}
		return
	}
	cursor := s.ackCursor
	if m.misbehavior.AckAhead > 0 {
		if c, err := inbox.ParseCursor(cursor); err == nil {
			c.ID.Ms += uint64(m.misbehavior.AckAhead.Milliseconds())
			cursor = c.String()
		}
	}
	s.ackedAt, s.ackDue = now, time.Time{}
	m.note(Note{NoteKind: NoteAcked, Cursor: cursor})
	m.fx.write(s.n, encodeAck(cursor))
}

// probe drops a socket that makes no progress, and pings one that may be dead.
func (m *machine) probe(now time.Time, s *socket) {
	switch {
	case s.phase < live:
		if !now.Before(s.heardAt.Add(m.pace.Welcome)) {
			m.drop(now, s, 0)
		}
		return
	case !s.pingedAt.IsZero():
		if !now.Before(s.pingedAt.Add(m.pace.PongWithin)) {
			m.drop(now, s, 0)
		}
		return
	}
	if due, waits := s.probeDue(m.pace); waits && !now.Before(due) {
		for row, at := range s.inflight { // the link may work although the answer was lost
			if now.Sub(at) >= 2*m.pace.AnswerWithin {
				delete(s.inflight, row)
			}
		}
		s.pingedAt, s.probedAt = now, now
		m.fx.write(s.n, encodePing())
	}
}

// probeDue returns when s is to be pinged next.
func (s *socket) probeDue(p Pace) (time.Time, bool) {
	due := s.heardAt.Add(p.QuietFor)
	for _, at := range s.inflight {
		if d := laterOf(at, s.probedAt).Add(p.AnswerWithin); d.Before(due) {
			due = d
		}
	}
	return due, true
}

// tokenRenewed sets the token for the next hello, and sends it on the open sockets.
func (m *machine) tokenRenewed(now time.Time, token string, ends time.Time) {
	m.token = token
	m.renewAt = time.Time{}
	if !ends.IsZero() {
		m.renewAt = laterOf(ends.Add(-time.Minute), now.Add(time.Second))
	}
	for _, s := range m.sockets {
		if s.phase >= greeted {
			m.fx.write(s.n, encodeToken(token))
		}
	}
}

// next returns when tick is due, if no other input comes first. It is zero if tick has nothing to do.
func (m *machine) next() time.Time {
	var n time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (n.IsZero() || t.Before(n)) {
			n = t
		}
	}
	sooner(m.retryAt)
	sooner(m.renewAt)
	for _, s := range m.sockets {
		sooner(s.ackDue)
		switch {
		case s.phase < live:
			sooner(s.heardAt.Add(m.pace.Welcome))
		case !s.pingedAt.IsZero():
			sooner(s.pingedAt.Add(m.pace.PongWithin))
		default:
			due, _ := s.probeDue(m.pace)
			sooner(due)
		}
	}
	if m.up() != nil {
		sooner(m.holdEnds)
		sooner(m.readAt)
	}
	if m.loading || !m.online {
		return n
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	d := &m.store.d
	var backfillDue time.Time
	for _, t := range d.reloads {
		if backfillDue.IsZero() || t.Before(backfillDue) {
			backfillDue = t
		}
	}
	for _, t := range d.changedDue[:min(len(d.changedDue), 1)] {
		if backfillDue.IsZero() || t.Before(backfillDue) {
			backfillDue = t
		}
	}
	for _, pending := range d.backfills {
		if backfillDue.IsZero() || pending.due.Before(backfillDue) {
			backfillDue = pending.due
		}
	}
	switch {
	case d.gap || len(m.openRequests) > 0 || len(d.lookups) > 0:
		sooner(m.loadAt) // zero: a load is running or starts with the next tick
	case !backfillDue.IsZero():
		sooner(laterOf(backfillDue, m.loadAt))
	}
	return n
}
