package delivery

// stepper enumerates the successors of a state, always in the same order.
type stepper struct {
	m     *Model
	from  *State
	next  State
	visit func(next *State, fault bool)
}

// Successors calls visit for each state that can follow s: once per step of a device or an instance, and once per
// fault that may still happen. The order is the same in every call. visit must copy what it keeps.
//
// A state without steps (faults aside) is quiescent: Violations then lists the promises that are broken for good.
func (m *Model) Successors(s *State, visit func(next *State, fault bool)) {
	x := stepper{m: m, from: s, visit: visit}
	for d := range device(devices) {
		switch v := &s.device[d]; {
		case !v.used:
		case v.online:
			x.onlineDevice(d)
			x.deviceFaults(d)
		case s.hasRoom():
			x.step(func(n *State) { m.connect(n, d, false) })
		}
	}
	x.instances()
	x.archive()
	x.redisFaults()
}

func (x *stepper) step(change func(n *State))  { x.do(false, change) }
func (x *stepper) fault(change func(n *State)) { x.do(true, change) }

func (x *stepper) do(fault bool, change func(n *State)) {
	x.next = *x.from
	change(&x.next)
	if x.next.overflow {
		// Beyond the model's capacity. The state must not count as quiescent for lack of this step.
		x.m.Truncated++
		x.m.notes = x.m.notes[:0]
		x.visit(x.from, false)
		return
	}
	x.m.canonicalize(&x.next)
	x.visit(&x.next, fault)
}

func (x *stepper) onlineDevice(d device) {
	m, s, v := x.m, x.from, &x.from.device[d]
	if v.epoch != s.epoch[d.user()] {
		x.step(func(n *State) { m.epochChanged(n, d) })
	} else {
		x.read(d, 0)
		if v.overlap {
			x.read(d, 1)
		}
	}
	if v.overlap {
		x.step(func(n *State) {
			m.notef("%v closes the older socket", d)
			n.device[d].overlap, n.device[d].position[1] = false, 0
		})
	}
	if v.resync && s.hasRoom() {
		x.step(func(n *State) {
			m.notef("goaway (resync) for %v", d)
			m.connect(n, d, false)
		})
	}
	if m.wantsHistory(s, d) {
		x.step(func(n *State) { m.loadHistory(n, d) })
	}
	if i, ok := m.nextSend(s, d); ok {
		x.step(func(n *State) { m.send(n, d, i) })
	}
	x.rotate(d)
	if upto, ok := m.ackNow(s, d); ok {
		x.step(func(n *State) { m.sendAck(n, d, upto) })
	}
}

// read is what the instance of a socket reads next: that its position is below the floor, and the next event.
func (x *stepper) read(d device, socket int) {
	m, v, b := x.m, &x.from.device[d], &x.from.inbox[d.user()]
	below := v.position[socket] < b.floor && !m.breaks(ReadIgnoresFloor)
	if below && !v.gap && !v.reload {
		x.step(func(n *State) {
			m.notef("the position of %v is below the floor: second welcome", d)
			m.noteGap(n, d)
		})
	}
	for _, e := range b.events[:b.count] {
		if e.id <= v.position[socket] {
			continue
		}
		x.step(func(n *State) {
			if below {
				m.notef("the position of %v is below the floor: second welcome", d)
				m.noteGap(n, d)
			}
			m.receive(n, d, socket, e)
		})
		return
	}
}

// rotate is the hourly replacement of a socket, as far as it matters: once nothing else is going on, a message that
// was sent and is not delivered is sent again.
func (x *stepper) rotate(d device) {
	m, s, v := x.m, x.from, &x.from.device[d]
	if m.breaks(SendOnce) || v.resync || v.gap || !s.idle() {
		return
	}
	for i := range message(m.Messages) {
		if i.sender() != d || v.status[i] != sent || !v.tried.has(i) || v.rotated.has(i) {
			continue
		}
		x.step(func(n *State) {
			m.notef("%v: m%d is not delivered yet when the socket is replaced", d, i)
			n.device[d].tried.remove(i)
			n.device[d].rotated.add(i)
		})
	}
}

func (x *stepper) instances() {
	m := x.m
	for i := range x.from.tasks {
		switch x.from.tasks[i].kind {
		case sendTask:
			x.step(func(n *State) { m.advanceSend(n, &n.tasks[i]) })
		case ackTask:
			x.step(func(n *State) { m.advanceAck(n, &n.tasks[i]) })
		case withdrawTask:
			x.step(func(n *State) { m.advanceWithdrawal(n, &n.tasks[i]) })
		}
	}
	for u := range user(users) {
		if m.done(x.from, u) > x.from.inbox[u].settled {
			x.step(func(n *State) { m.forget(n, u) })
		}
	}
}

func (x *stepper) archive() {
	m := x.m
	for i := range message(m.Messages) {
		for at := range timestamp(32) {
			if x.from.published[i]>>at&1 == 1 {
				x.step(func(n *State) { m.persist(n, i, at) })
			}
		}
	}
}
