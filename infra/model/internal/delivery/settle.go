package delivery

// The rules of realtime/settle: from an ack to the mark, and until the inbox forgets.

// ack starts to settle what a device has acknowledged. An ack of another epoch is dropped.
func (m *Model) ack(s *State, d device, upto streamID) {
	if s.device[d].epoch != s.epoch[d.user()] && !m.breaks(AckOfAnyEpoch) {
		m.notef("  the ack is of another epoch: dropped")
		return
	}
	m.startSettling(s, d, upto, false)
}

// startSettling lists the messages in (done, upto] for publishing. Where there are none, there is nothing to do.
func (m *Model) startSettling(s *State, d device, upto streamID, orphaned bool) {
	b := &s.inbox[d.user()]
	m.forget(s, d.user())
	t := task{
		kind: ackTask, step: stepPublish, dev: d, orphaned: orphaned, upto: upto, base: b.settled, epoch: s.epoch[d.user()],
	}
	for _, e := range b.events[:b.count] {
		if e.typ != messageEvent || e.id <= b.settled || e.id > upto {
			continue
		}
		if m.breaks(AckNotCumulative) && e.id != upto {
			continue
		}
		t.list |= e.about
		for i := range message(m.Messages) {
			if e.about.has(i) {
				t.ats[i] = e.at
			}
		}
	}
	m.notef("  %v acknowledges up to %d: messages %03b are to be published", d, upto, t.list)
	if t.list == 0 {
		return
	}
	if m.breaks(MarkBeforePublish) {
		m.mark(s, &t)
	}
	if m.breaks(ReportBeforePublish) {
		t.step = stepReport
	}
	s.addTask(t)
}

// advanceAck runs the next step of an ack: publish the messages, append one delivered event to the sender's inbox, mark
// them, and restore those that were removed meanwhile.
func (m *Model) advanceAck(s *State, t *task) {
	next := t.step + 1
	switch t.step {
	case stepPublish:
		for i := range message(m.Messages) {
			if t.list.has(i) {
				s.published[i] |= 1 << t.ats[i]
			}
		}
		m.notef("the ack of %v is published: messages %03b", t.dev, t.list)
		switch {
		case m.breaks(ReportBeforePublish):
			next = stepMark
		case m.breaks(MarkBeforeReport):
			m.mark(s, t)
		}
	case stepReport:
		u := t.dev.user().peer()
		id := m.append(s, u, event{typ: deliveredEvent, about: t.list})
		m.notef("append the delivered event of messages %03b to %v as event %d", t.list, u, id)
		if m.breaks(ReportBeforePublish) {
			next = stepPublish
		}
	case stepMark:
		if !m.breaks(MarkBeforePublish) {
			m.mark(s, t)
		}
		if !m.removedMeanwhile(s, t) {
			*t = task{}
			return
		}
	case stepRestore:
		m.restoreList(s, t)
		*t = task{}
		return
	}
	t.step = next
}

// mark records how far an inbox is settled. It is a plain command: it does not look at the inbox, and what another
// instance has marked in the same epoch only rises.
func (m *Model) mark(s *State, t *task) {
	u := t.dev.user()
	b := &s.inbox[u]
	switch {
	case t.epoch != s.epoch[u] && !m.breaks(MarkOfAnyEpoch):
		m.notef("  mark: of another epoch, without effect")
		return
	case b.markedIn == t.epoch && b.marked >= t.upto && !m.breaks(MarkFalls):
		m.notef("  mark: %v is already marked up to %d", u, b.marked)
		return
	}
	m.checkMark(s, t)
	b.marked, b.markedIn = t.upto, t.epoch
	m.notef("  %v is marked up to %d", u, t.upto)
}

// checkMark reports a mark that passes a message that is not published.
func (m *Model) checkMark(s *State, t *task) {
	u := t.dev.user()
	b := &s.inbox[u]
	for _, e := range b.events[:b.count] {
		if e.typ == messageEvent && e.id > m.done(s, u) && e.id <= t.upto && e.about&^t.list != 0 {
			s.broken = settledTooFar
		}
	}
}

// removedMeanwhile reports whether a message of the list was removed after the list was read. What is removed later
// than the mark is not on the list: the mark covers it.
func (m *Model) removedMeanwhile(s *State, t *task) bool {
	b := &s.inbox[t.dev.user()]
	if t.epoch != s.epoch[t.dev.user()] || m.breaks(SettleLeavesRemoved) {
		return false
	}
	for i := range message(m.Messages) {
		if id := b.removedID[i]; t.list.has(i) && id > t.base && id <= t.upto {
			return true
		}
	}
	return false
}

// restoreList restores the messages of a list that were removed meanwhile: they are published, and other devices may
// lack them.
func (m *Model) restoreList(s *State, t *task) {
	u := t.dev.user()
	if t.epoch != s.epoch[u] {
		m.notef("  restore: of another epoch, dropped")
		return
	}
	b := &s.inbox[u]
	for i := range message(m.Messages) {
		if id := b.removedID[i]; t.list.has(i) && id > t.base && id <= t.upto {
			m.restoreMessage(s, u, i)
		}
	}
}

// done returns up to where messages are acknowledged, published and reported to their senders.
func (m *Model) done(s *State, u user) streamID {
	b := &s.inbox[u]
	if b.markedIn != s.epoch[u] && !m.breaks(MarkOfAnyEpoch) {
		return b.settled
	}
	return max(b.settled, b.marked)
}

// forget is what a script does before it looks at what waits in an inbox: it raises settled to the mark, clears the
// pending records up to there, and trims. Until then the mark alone keeps these messages from being settled again.
func (m *Model) forget(s *State, u user) {
	b := &s.inbox[u]
	done := m.done(s, u)
	if done <= b.settled {
		return
	}
	b.settled = done
	for i := range message(m.Messages) {
		if i.recipient() == u && b.pendingID[i] <= b.settled {
			b.pendingID[i], b.pendingAt[i] = 0, 0
			b.restored.remove(i)
		}
	}
	m.trim(s, u)
	m.notef("  %v forgets up to %d, floor %d", u, b.settled, b.floor)
}
