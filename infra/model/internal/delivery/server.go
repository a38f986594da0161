package delivery

// The rules of realtime/inbox; settle.go has those of realtime/settle, and withdraw.go those of withdrawals. Each
// function is one script or one step of an instance: atomic, with crashes possible before and after it.

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
