package delivery

// The rules of a device (DESIGN §4, "Client rules"; web/src/model/engine and infra/client), and of the instance that
// reads the inbox for its socket.

// disconnect ends all sockets of a device. Instances go on with the tasks that came from them.
func (m *Model) disconnect(s *State, d device) {
	v := &s.device[d]
	v.online, v.overlap, v.resync, v.ackDue = false, false, false, false
	v.caughtUpAt, v.position, v.claims = 0, [2]streamID{}, [2]claim{}
	if !m.breaks(SendOnce) {
		v.tried, v.rotated = 0, 0
	}
	for i := range s.tasks {
		t := &s.tasks[i]
		if t.kind == noTask || t.dev != d {
			continue
		}
		t.orphaned = true
		if t.kind == sendTask && t.step == stepSentFrame {
			*t = task{} // the frame is lost with the socket
		}
	}
}

// connect opens a socket. With overlap, the previous one stays open, as after a planned goaway.
func (m *Model) connect(s *State, d device, overlap bool) {
	v := &s.device[d]
	if overlap && v.epoch == s.epoch[d.user()] {
		v.overlap, v.resync = true, false
		v.position[1], v.claims[1] = v.position[0], v.claims[0]
		if !m.breaks(SendOnce) {
			v.tried = 0
		}
	} else {
		m.disconnect(s, d)
		v.online = true
	}
	resumed := m.attach(s, d)
	b := &s.inbox[d.user()]
	v.firstVisit, v.epoch = false, s.epoch[d.user()]
	m.notef("%v opens a socket with cursor %d (last %d, floor %d, settled %d): resumed=%t",
		d, v.cursor, b.last, b.floor, b.settled, resumed)
	v.caughtUpAt = b.newest()
	if m.breaks(CaughtUpAtLast) {
		v.caughtUpAt = b.last
	}
	if !resumed {
		m.noteGap(s, d)
		m.startOver(s, d)
	}
	v.position[0], v.claims[0] = v.cursor, v.claim
	if !resumed {
		return
	}
	m.restore(s, d, v.cursor, v.claim)
	if v.cursor > b.settled {
		m.ack(s, d, v.cursor)
	}
}

// newest returns the ID of the newest retained event, or zero.
func (b *inbox) newest() streamID {
	if b.count == 0 {
		return 0
	}
	return b.events[b.count-1].id
}

// startOver moves a device that could not resume to where everything retained follows. (The device stores that cursor
// with the next event or caught_up; until then its old one leads to the same answer.)
func (m *Model) startOver(s *State, d device) {
	v, b := &s.device[d], &s.inbox[d.user()]
	v.cursor, v.claim = b.floor, claim{seen: b.removals, base: b.removals}
	if b.count > 0 && b.events[0].id <= b.floor {
		v.cursor = b.events[0].id - 1 // receipts were shed between waiting messages
	}
	if m.breaks(SkipToNewest) {
		v.cursor = b.last
	}
}

// noteGap stores that events may have been missed.
func (m *Model) noteGap(s *State, d device) {
	v := &s.device[d]
	v.gap, v.reload = true, true
}

// epochChanged is the read of an instance that finds another epoch than its socket's position has: the socket gets a
// second welcome, and everything retained follows.
func (m *Model) epochChanged(s *State, d device) {
	m.notef("the instance of %v reads another epoch: second welcome", d)
	v := &s.device[d]
	m.create(s, d.user())
	caughtUp := m.caughtUp(s, d)
	m.noteGap(s, d)
	m.startOver(s, d)
	v.epoch = s.epoch[d.user()]
	v.position, v.claims = [2]streamID{v.cursor}, [2]claim{v.claim}
	if v.overlap {
		v.position[1], v.claims[1] = v.cursor, v.claim
	}
	v.ackDue = false
	if v.caughtUpAt = v.cursor; !caughtUp {
		v.caughtUpAt = s.inbox[d.user()].newest()
	}
}

// caughtUp reports whether a device has everything that was retained when it attached.
func (m *Model) caughtUp(s *State, d device) bool {
	v, b := &s.device[d], &s.inbox[d.user()]
	if v.cursor >= v.caughtUpAt || v.epoch != s.epoch[d.user()] || m.breaks(CaughtUpAtLast) {
		return v.cursor >= v.caughtUpAt
	}
	for _, e := range b.events[:b.count] {
		if e.id > v.cursor && e.id <= v.caughtUpAt {
			return false
		}
	}
	return true
}

// receive is an event that arrives on a socket (0 is the newest) and is stored together with the cursor.
func (m *Model) receive(s *State, d device, socket int, e event) {
	v := &s.device[d]
	m.notef("%v stores event %d (%v %03b, at=%d) from socket %d", d, e.id, e.typ, e.about, e.at, socket)
	m.passRemoved(s, d, socket, e.id)
	v.position[socket] = e.id
	repeated := e.id <= v.cursor
	if e.typ == messageEvent && (!repeated || !m.breaks(NoAckOfRepeated)) {
		v.ackDue = true
	}
	if repeated {
		return
	}
	v.cursor, v.claim = e.id, v.claims[socket]
	for i := range message(m.Messages) {
		if e.about.has(i) {
			m.apply(s, d, e, i)
		}
	}
}

// apply stores what an event says about one message.
func (m *Model) apply(s *State, d device, e event, i message) {
	v := &s.device[d]
	switch e.typ {
	case messageEvent:
		if v.shown[i] == 0 {
			v.shown[i] = e.at
			s.stored.add(i)
		}
		m.answer(s, d, i)
	case sentEvent:
		if v.status[i] == absent {
			v.status[i] = sent
			if v.early.has(i) && !m.breaks(ForgetEarlyReceipt) {
				v.status[i] = delivered
			}
			if v.early.has(i) && v.status[i] != delivered {
				s.broken = receiptForgotten
			}
			if v.status[i] == sent && v.refusals.has(i) {
				v.status[i] = refused
			}
		} else if v.status[i] == waiting {
			v.status[i] = sent
		}
		if v.shown[i] == 0 || v.shown[i] == unknownTime {
			v.shown[i] = e.at
		}
	case deliveredEvent:
		if v.status[i] == absent {
			v.early.add(i)
			v.backfill.add(i)
			return
		}
		v.status[i] = delivered
		if v.shown[i] == unknownTime {
			v.backfill.add(i)
		}
	case refusedEvent:
		switch {
		case v.status[i] == absent:
			v.refusals.add(i)
		case v.status[i] != delivered || m.breaks(RefusedOverridesDelivered):
			v.status[i] = refused
		}
	}
}

// answer lets B0 write its reply once it shows the question.
func (m *Model) answer(s *State, d device, i message) {
	v := &s.device[d]
	if i == question && d == deviceB0 && m.Messages > 1 && v.status[reply] == absent {
		v.status[reply], v.shown[reply] = waiting, unknownTime
		m.notef("  (B0 writes the reply m1)")
	}
}

// wantsHistory reports whether a load is due. A load that would bring nothing new is not a step, so that retries do
// not keep a state from being quiescent.
func (m *Model) wantsHistory(s *State, d device) bool {
	v := &s.device[d]
	if v.gap {
		return true
	}
	for i := range message(m.Messages) {
		if v.backfill.has(i) && (s.archive[i] != 0 || m.breaks(NoBackfillRetry)) {
			return true
		}
		own := i.sender().user() == d.user()
		unknown := v.shown[i] == 0 || v.shown[i] == unknownTime || (own && v.status[i] != delivered)
		if v.reload && s.archive[i] != 0 && unknown && !m.breaks(BackfillOnce) {
			return true
		}
	}
	return false
}

// loadHistory reads the archive.
func (m *Model) loadHistory(s *State, d device) {
	m.notef("%v loads history: archive %v", d, s.archive[:m.Messages])
	v := &s.device[d]
	for i := range message(m.Messages) {
		if s.archive[i] != 0 {
			v.shown[i] = s.archive[i]
			if i.sender().user() == d.user() {
				v.status[i] = delivered
			}
			m.answer(s, d, i)
		}
		if s.archive[i] != 0 || m.breaks(NoBackfillRetry) {
			v.backfill.remove(i)
		}
	}
	v.gap = false
}

// nextSend returns the message of the outbox that may be sent now. The outbox goes out in order, a message that was
// not accepted yet holds back those behind it, and nothing is sent before caught_up or while a gap is not filled.
func (m *Model) nextSend(s *State, d device) (i message, ok bool) {
	v := &s.device[d]
	if v.gap || !m.caughtUp(s, d) || !s.hasRoom() {
		return 0, false
	}
	for i := range message(m.Messages) {
		if i.sender() != d || v.status[i] == absent || v.status[i] >= refused {
			continue
		}
		if !v.tried.has(i) {
			return i, true
		}
		if v.status[i] == waiting {
			return 0, false
		}
	}
	return 0, false
}

// send transmits a message. The first transmission freezes its sort key.
func (m *Model) send(s *State, d device, i message) {
	v := &s.device[d]
	v.tried.add(i)
	t := task{kind: sendTask, step: stepEnqueue, dev: d, msg: i}
	if !m.breaks(ServerChoosesTime) {
		if v.frozenAt[i] == 0 {
			v.frozenAt[i] = m.chooseTime(s, d)
			v.shown[i] = v.frozenAt[i]
		}
		t.at = v.frozenAt[i]
	}
	t.alone = m.breaks(DevicesFromMemory) && !s.inbox[d.user()].known.others(d)
	m.notef("%v sends m%d at=%d", d, i, t.at)
	s.addTask(t)
}

// chooseTime returns a sort key after all that a device knows in the conversation.
func (m *Model) chooseTime(s *State, d device) timestamp {
	s.clock++
	at := s.clock
	if d.user() == 0 {
		at += timestamp(m.ClockAhead)
	}
	for _, known := range s.device[d].shown[:m.Messages] {
		if known != unknownTime {
			at = max(at, known+1)
		}
	}
	return at
}

// ackNow returns up to where a device may acknowledge now. One ack of a socket is settled at a time, and an ack does
// not go beyond what the newest socket brought.
func (m *Model) ackNow(s *State, d device) (upto streamID, ok bool) {
	v := &s.device[d]
	if !v.ackDue || !s.hasRoom() {
		return 0, false
	}
	for i := range s.tasks {
		if t := &s.tasks[i]; t.kind == ackTask && t.dev == d && !t.orphaned {
			return 0, false
		}
	}
	return min(v.cursor, v.position[0]), true
}

func (m *Model) sendAck(s *State, d device, upto streamID) {
	v, b := &s.device[d], &s.inbox[d.user()]
	m.notef("%v acks %d", d, upto)
	v.ackDue = false
	if v.epoch == s.epoch[d.user()] {
		m.restore(s, d, upto, v.claims[0])
	}
	if upto > b.settled {
		m.ack(s, d, upto)
	}
}
