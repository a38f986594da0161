package client

import (
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// tick does what is due at now.
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

// ack acknowledges on s what s brought and the store holds.
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

// doubt gives up a socket that does not get on, and asks one that may be dead.
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
		for id, at := range s.inflight { // the link may live and the answer be lost all the same
			if now.Sub(at) >= 2*m.pace.AnswerWithin {
				delete(s.inflight, id)
			}
		}
		s.pingedAt, s.probedAt = now, now
		m.fx.write(s.n, encodePing())
	}
}

// doubtDue returns when s is to be doubted next.
func (s *socket) probeDue(p Pace) (time.Time, bool) {
	due := s.heardAt.Add(p.QuietFor)
	for _, at := range s.inflight {
		if d := laterOf(at, s.probedAt).Add(p.AnswerWithin); d.Before(due) {
			due = d
		}
	}
	return due, true
}

// renewed brings a token for the next hello and for the sockets that are open.
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

// next returns when tick has something to do, unless an input comes first; zero for never.
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
	if m.loading || !m.connected {
		return n
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	d := &m.store.d
	var backfillAt time.Time
	for _, t := range d.reloads {
		if backfillAt.IsZero() || t.Before(backfillAt) {
			backfillAt = t
		}
	}
	for _, x := range d.backfills {
		if backfillAt.IsZero() || x.due.Before(backfillAt) {
			backfillAt = x.due
		}
	}
	switch {
	case d.gap || len(m.openRequests) > 0:
		sooner(m.loadAt) // zero: already under way
	case !backfillAt.IsZero():
		sooner(laterOf(backfillAt, m.loadAt))
	}
	return n
}
