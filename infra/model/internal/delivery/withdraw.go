package delivery

// The rules of messages that are removed while they wait.

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
