package delivery

// The rules of realtime/inbox and realtime/settle. Each function is one script or one step of an instance: atomic,
// with crashes possible before and after it.

// create gives a user an inbox, as every inbox script does that finds none. Its floor is the present, because events of
// an earlier inbox are missing from it.
func (m *Model) create(s *State, u user) {
	b := &s.inbox[u]
	if b.exists {
		return
	}
	b.exists = true
	b.floor, b.last, b.settled = s.newestID[u], s.newestID[u], s.newestID[u]
}

// append adds an event to a user's inbox under an ID that is newer than the last one.
func (m *Model) append(s *State, u user, e event) streamID {
	m.create(s, u)
	b := &s.inbox[u]
	s.newestID[u] = max(s.newestID[u], b.last) + 1
	e.id = s.newestID[u]
	if e.typ != messageEvent && m.MaxEntries > 0 && int(b.count) >= m.MaxEntries {
		// The receipt is shed. Devices that are behind it learn of it by the floor.
		b.last, b.floor = e.id, e.id
		return e.id
	}
	if b.count >= maxEvents || e.id >= notYet {
		s.overflow = true
		return e.id
	}
	b.events[b.count] = e
	b.count++
	b.last = e.id
	return e.id
}

// trim removes the events before the first waiting message, except for the newest Retain.
func (m *Model) trim(s *State, u user) {
	b := &s.inbox[u]
	n := uint8(0)
	for n < b.count && int(b.count-n) > m.Retain {
		e := b.events[n]
		if e.typ == messageEvent && e.id > b.settled && !m.breaks(TrimWaitingMessages) {
			break
		}
		b.floor = max(b.floor, e.id)
		n++
	}
	if n == 0 {
		return
	}
	var kept [maxEvents]event
	copy(kept[:], b.events[n:b.count])
	b.events, b.count = kept, b.count-n
}

// waits reports whether a message is in its recipient's inbox, and neither settled nor marked.
func (m *Model) waits(s *State, i message) bool {
	b := &s.inbox[i.recipient()]
	return b.queued(i) && b.pendingID[i] > m.done(s, i.recipient())
}

// queued reports whether a message is in its recipient's inbox and not settled.
func (b *inbox) queued(i message) bool {
	if b.pendingID[i] == 0 || b.pendingID[i] <= b.settled {
		return false
	}
	for _, e := range b.events[:b.count] {
		if e.id == b.pendingID[i] {
			return true
		}
	}
	return false
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

// advanceSend runs the next step of a send: append the message to the recipient's inbox once, append the sent event
// to the sender's inbox, and only then send the sent frame.
func (m *Model) advanceSend(s *State, t *task) {
	switch t.step {
	case stepEnqueue:
		u := t.msg.recipient()
		b := &s.inbox[u]
		if b.queued(t.msg) {
			t.at = b.pendingAt[t.msg]
			m.notef("enqueue m%d for %v: repeated, it waits as event %d", t.msg, u, b.pendingID[t.msg])
		} else {
			if m.breaks(ServerChoosesTime) && t.at == 0 {
				t.at = m.chooseTime(s, t.dev)
			}
			id := m.append(s, u, event{typ: messageEvent, about: 1 << t.msg, at: t.at})
			b.pendingID[t.msg], b.pendingAt[t.msg] = id, t.at
			b.restored.remove(t.msg)
			if own := t.dev.user(); s.epoch[own] == 0 && m.attachedBefore(s, t.dev) {
				s.witnessed.add(t.msg)
			}
			m.notef("enqueue m%d for %v as event %d, at=%d", t.msg, u, id, t.at)
			if m.breaks(PublishBeforeAck) {
				s.published[t.msg] |= 1 << t.at
			}
		}
		t.step = stepDevices
		if m.breaks(SentFrameBeforeCopy) {
			m.deliverSentFrame(s, t)
		}
	case stepDevices:
		if !m.breaks(DevicesFromMemory) {
			t.alone = !s.inbox[t.dev.user()].known.others(t.dev)
		}
		alone := t.alone
		if t.step, t.alone = stepCopy, false; alone {
			m.notef("%v has no other device that needs the sent event of m%d", t.dev.user(), t.msg)
			if t.step = stepSentFrame; t.orphaned || m.breaks(SentFrameBeforeCopy) {
				*t = task{}
			}
		}
	case stepCopy:
		id := m.append(s, t.dev.user(), event{typ: sentEvent, about: 1 << t.msg, at: t.at})
		s.copied.add(t.msg)
		m.notef("append the sent event of m%d to %v as event %d", t.msg, t.dev.user(), id)
		t.step = stepSentFrame
		if t.orphaned || m.breaks(SentFrameBeforeCopy) {
			*t = task{}
		}
	case stepSentFrame:
		m.deliverSentFrame(s, t)
		*t = task{}
	}
}

func (m *Model) deliverSentFrame(s *State, t *task) {
	if t.orphaned {
		return
	}
	m.notef("%v gets the sent frame of m%d", t.dev, t.msg)
	if !s.copied.has(t.msg) && s.witnessed.has(t.msg) && s.epoch[t.dev.user()] == 0 {
		s.broken = sentTooEarly
	}
	v := &s.device[t.dev]
	if v.status[t.msg] == waiting {
		v.status[t.msg] = sent
	}
	if v.shown[t.msg] == unknownTime {
		v.shown[t.msg] = t.at
	}
}

// attachedBefore reports whether another device of the user of d takes part that has attached.
func (m *Model) attachedBefore(s *State, d device) bool {
	other := d ^ 1
	return s.device[other].used && !s.device[other].firstVisit
}

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

// advanceWithdrawal runs the next step of a withdrawal: append the refused event to the sender's inbox, and only then
// remove the message.
func (m *Model) advanceWithdrawal(s *State, t *task) {
	step := t.step
	if m.breaks(RemoveBeforeRefuse) {
		step = stepRefuse + stepRemove - step // in the other order
	}
	if step == stepRefuse {
		u := t.msg.sender().user()
		id := m.append(s, u, event{typ: refusedEvent, about: 1 << t.msg})
		s.refused.add(t.msg)
		m.notef("append the refused event of m%d to %v as event %d", t.msg, u, id)
	} else {
		m.remove(s, t)
	}
	if t.step++; t.step > stepRemove {
		*t = task{}
	}
}

// withdrawable reports whether a message waits that may be removed. A restored message is not removed again, because a
// device has it. (The model has room for one copy of each message beside the stream.)
func (m *Model) withdrawable(s *State, i message) bool {
	b := &s.inbox[i.recipient()]
	restored := b.restored.has(i) && !m.breaks(WithdrawRestored)
	waits := m.waits(s, i)
	if m.breaks(WithdrawIgnoresMark) {
		waits = b.queued(i)
	}
	return waits && !restored && b.removedID[i] == 0
}

// remove removes a message from the middle of its recipient's inbox, if it still waits as the same event. It keeps the
// message beside the inbox, for devices that have it already.
func (m *Model) remove(s *State, t *task) {
	u, i := t.msg.recipient(), t.msg
	m.create(s, u)
	b := &s.inbox[u]
	if b.pendingID[i] != t.upto || !m.withdrawable(s, i) {
		m.notef("m%d does not wait for %v any more as event %d", i, u, t.upto)
		return
	}
	if !s.refused.has(i) {
		s.broken = removedTooEarly
	}
	n := uint8(0)
	for _, e := range b.events[:b.count] {
		if e.id != t.upto {
			b.events[n] = e
			n++
		}
	}
	b.events[n], b.count = event{}, n
	b.removals++
	if !m.breaks(ForgetRemoved) {
		b.removedID[i], b.removedAt[i], b.removedNo[i] = t.upto, b.pendingAt[i], b.removals
	}
	b.pendingID[i], b.pendingAt[i] = 0, 0
	if m.breaks(RemovalSettles) {
		for _, e := range b.events[:b.count] {
			if e.typ == messageEvent && e.id > m.done(s, u) && e.id <= t.upto {
				s.broken = settledTooFar
			}
		}
		b.settled = max(b.settled, t.upto)
	}
	m.notef("event %d (m%d) is removed from the inbox of %v", t.upto, i, u)
}

// restore queues again the messages that were removed although a device with this cursor has them. The device gets a
// restored message once more, acknowledges it, and it is delivered like any other, to all devices.
func (m *Model) restore(s *State, d device, upto streamID, c claim) {
	b := &s.inbox[d.user()]
	if m.breaks(CursorProvesRemoved) {
		c = claim{}
	}
	for i, id := range b.removedID {
		if id != 0 && c.includes(upto, b.removedNo[i], id) {
			m.restoreMessage(s, d.user(), message(i))
		}
	}
}

func (m *Model) restoreMessage(s *State, u user, i message) {
	b := &s.inbox[u]
	at := b.removedAt[i]
	if !s.stored.has(i) {
		s.broken = restoredForNothing
	}
	b.removedID[i], b.removedAt[i], b.removedNo[i] = 0, 0, 0
	b.restored.add(i)
	if m.waits(s, i) {
		return
	}
	id := m.append(s, u, event{typ: messageEvent, about: 1 << i, at: at})
	b.pendingID[i], b.pendingAt[i] = id, at
	m.notef("  m%d was removed, but a device has it: it waits again for %v as event %d", i, u, id)
}

// passRemoved is called before a socket is sent an event. If a removed message lies between, the device will not have
// it: the cursors of the socket count its removal from now on. What the device has of the messages that were removed
// meanwhile becomes the held part of the claim.
func (m *Model) passRemoved(s *State, d device, socket int, to streamID) {
	v, b := &s.device[d], &s.inbox[d.user()]
	at, c := v.position[socket], v.claims[socket]
	passed := false
	for i, id := range b.removedID {
		passed = passed || id > at && id < to && b.removedNo[i] > c.seen
	}
	if !passed {
		return
	}
	next := claim{seen: b.removals, base: c.seen, held: at}
	if !b.holds(next) || m.breaks(ClaimForgotten) {
		next = claim{seen: b.removals, base: b.removals}
	}
	v.claims[socket] = next
}

// attach answers a hello: whether the device can resume at its cursor. A valid cursor counts as an ack.
func (m *Model) attach(s *State, d device) (resumed bool) {
	v := &s.device[d]
	m.create(s, d.user())
	m.forget(s, d.user())
	b := &s.inbox[d.user()]
	b.known.add(d)
	if v.firstVisit || (v.epoch != s.epoch[d.user()] && !m.breaks(CursorOfAnyEpoch)) {
		return false
	}
	return v.cursor >= b.floor && v.cursor <= b.last
}

// persist writes a published message to the archive unless it is there already.
func (m *Model) persist(s *State, i message, at timestamp) {
	s.published[i] &^= 1 << at
	taken := m.breaks(KeyWithoutSender) && i <= reply && s.archive[reply-i] != 0 // another message has the key
	if s.archive[i] == 0 && !taken {
		s.archive[i] = at
		if !s.stored.has(i) {
			s.broken = archivedTooEarly
		}
	}
	m.notef("persist m%d at=%d: archive %v", i, at, s.archive[:m.Messages])
}
