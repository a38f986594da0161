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

// waits reports whether a message is in its recipient's inbox and not settled.
func (b *inbox) waits(m message) bool {
	if b.pendingID[m] == 0 || b.pendingID[m] <= b.settled {
		return false
	}
	for _, e := range b.events[:b.count] {
		if e.id == b.pendingID[m] {
			return true
		}
	}
	return false
}

// advanceSend runs the next step of a send: append the message to the recipient's inbox once, append the sent event
// to the sender's inbox, and only then send the sent frame.
func (m *Model) advanceSend(s *State, t *task) {
	switch t.step {
	case stepEnqueue:
		u := t.msg.recipient()
		b := &s.inbox[u]
		if b.waits(t.msg) {
			t.at = b.pendingAt[t.msg]
			m.notef("enqueue m%d for %v: repeated, it waits as event %d", t.msg, u, b.pendingID[t.msg])
		} else {
			if m.breaks(ServerChoosesTime) && t.at == 0 {
				t.at = m.chooseTime(s, t.dev)
			}
			id := m.append(s, u, event{typ: messageEvent, about: 1 << t.msg, at: t.at})
			b.pendingID[t.msg], b.pendingAt[t.msg] = id, t.at
			b.restored.remove(t.msg)
			m.notef("enqueue m%d for %v as event %d, at=%d", t.msg, u, id, t.at)
			if m.breaks(PublishBeforeAck) {
				s.published[t.msg] |= 1 << t.at
			}
		}
		t.step = stepCopy
		if m.breaks(SentFrameBeforeCopy) {
			m.deliverSentFrame(s, t)
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
	if !s.copied.has(t.msg) {
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

// ack starts to settle what a device has acknowledged. An ack of another epoch is dropped.
func (m *Model) ack(s *State, d device, upto streamID) {
	if s.device[d].epoch != s.epoch[d.user()] && !m.breaks(AckOfAnyEpoch) {
		m.notef("  the ack is of another epoch: dropped")
		return
	}
	m.startSettling(s, d, upto, false)
}

// startSettling lists the messages in (settled, upto] for publishing. Where there are none, the ack is settled at once.
func (m *Model) startSettling(s *State, d device, upto streamID, orphaned bool) {
	b := &s.inbox[d.user()]
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
		m.settle(s, &t)
		return
	}
	if m.breaks(SettleBeforePublish) {
		m.settle(s, &t)
	}
	if m.breaks(ReportBeforePublish) {
		t.step = stepReport
	}
	s.addTask(t)
}

// advanceAck runs the next step of an ack: publish the messages, append one delivered event to the sender's inbox,
// settle.
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
		if m.breaks(ReportBeforePublish) {
			next = stepSettle
		}
	case stepReport:
		u := t.dev.user().peer()
		id := m.append(s, u, event{typ: deliveredEvent, about: t.list})
		m.notef("append the delivered event of messages %03b to %v as event %d", t.list, u, id)
		if m.breaks(ReportBeforePublish) {
			next = stepPublish
		}
	case stepSettle:
		done := *t
		*t = task{}
		if !m.breaks(SettleBeforePublish) {
			m.settle(s, &done)
		}
		return
	}
	t.step = next
}

// settle raises the settled ID if it is still where the list began, clears the pending records, and trims. If it has
// moved, another instance settled a part of the list, and the rest starts again.
func (m *Model) settle(s *State, t *task) {
	u := t.dev.user()
	m.create(s, u)
	b := &s.inbox[u]
	switch {
	case (t.epoch != s.epoch[u] || b.last < t.upto) && !m.breaks(SettleWithoutCompare):
		m.notef("  settle: of another epoch, dropped")
		return
	}
	for i := range message(m.Messages) {
		if id := b.removedID[i]; t.list.has(i) && id > t.base && id <= t.upto && !m.breaks(SettleLeavesRemoved) {
			m.restoreMessage(s, u, i)
		}
	}
	switch {
	case b.settled >= t.upto && !m.breaks(SettleWithoutCompare):
		m.notef("  settle: already settled up to %d", b.settled)
		return
	case b.settled != t.base && !m.breaks(SettleWithoutCompare):
		m.notef("  settle: moved from %d to %d", t.base, b.settled)
		m.startSettling(s, t.dev, t.upto, t.orphaned)
		return
	}
	m.raiseSettled(s, u, t.upto, t.list)
	for i := range message(m.Messages) {
		if t.list.has(i) && b.pendingID[i] <= b.settled {
			b.pendingID[i], b.pendingAt[i] = 0, 0
			b.restored.remove(i)
		}
	}
	m.trim(s, u)
	m.notef("  %v is settled up to %d, floor %d", u, b.settled, b.floor)
}

// raiseSettled raises settled to an ID. The list is what was published and reported of the messages up to there.
func (m *Model) raiseSettled(s *State, u user, to streamID, list messages) {
	b := &s.inbox[u]
	for _, e := range b.events[:b.count] {
		if e.typ == messageEvent && e.id > b.settled && e.id <= to && e.about&^list != 0 {
			s.broken = settledTooFar
		}
	}
	b.settled = max(b.settled, to)
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
func (m *Model) withdrawable(b *inbox, i message) bool {
	restored := b.restored.has(i) && !m.breaks(WithdrawRestored)
	return b.waits(i) && !restored && b.removedID[i] == 0
}

// remove removes a message from the middle of its recipient's inbox, if it still waits as the same event. It keeps the
// message beside the inbox, for devices that have it already.
func (m *Model) remove(s *State, t *task) {
	u, i := t.msg.recipient(), t.msg
	m.create(s, u)
	b := &s.inbox[u]
	if b.pendingID[i] != t.upto || !m.withdrawable(b, i) {
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
		m.raiseSettled(s, u, t.upto, 0)
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
	if b.waits(i) {
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
	b := &s.inbox[d.user()]
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
