package delivery

// Faults are budgets: how often each fault may happen, at any point.
type Faults struct {
	Drop     uint8 // a socket breaks, with the frames on it
	Crash    uint8 // an instance ends, with the sockets of one device and their tasks
	Failover uint8 // a replica takes over that lags behind in some slots
	Wipe     uint8 // Redis loses everything
	Expire   uint8 // an idle inbox without waiting messages expires
	Reload   uint8 // a page is reloaded
	Goaway   uint8 // a socket is replaced while the old one is still open
	Withdraw uint8 // a message that waits is refused to its sender and removed
}

// Budget is the number of times that one fault may still happen.
type Budget struct {
	Left *uint8
	Does string
}

// Named returns the budgets by the names of their flags.
func (f *Faults) Named() map[string]Budget {
	return map[string]Budget{
		"drop":     {&f.Drop, "a socket breaks"},
		"crash":    {&f.Crash, "the instance of a device crashes"},
		"failover": {&f.Failover, "a replica takes over that lacks the last writes"},
		"wipe":     {&f.Wipe, "Redis is wiped"},
		"expire":   {&f.Expire, "an idle inbox expires"},
		"reload":   {&f.Reload, "a device reloads its page"},
		"goaway":   {&f.Goaway, "a socket is replaced while the old one is open"},
		"withdraw": {&f.Withdraw, "a message that waits is refused to its sender and removed"},
	}
}

func (x *stepper) deviceFaults(d device) {
	m, s := x.m, x.from
	if s.faults.Drop > 0 {
		x.fault(func(n *State) {
			n.faults.Drop--
			m.disconnect(n, d)
			m.notef("FAULT: the socket of %v breaks", d)
		})
	}
	if s.faults.Reload > 0 {
		x.fault(func(n *State) {
			n.faults.Reload--
			m.disconnect(n, d)
			if m.breaks(GapNotStored) {
				v := &n.device[d]
				v.gap, v.reload, v.backfill = false, false, 0
			}
			m.notef("FAULT: %v reloads", d)
		})
	}
	if s.faults.Crash > 0 {
		x.fault(func(n *State) {
			n.faults.Crash--
			m.disconnect(n, d)
			for i := range n.tasks {
				if n.tasks[i].kind != noTask && n.tasks[i].dev == d {
					n.tasks[i] = task{}
				}
			}
			m.notef("FAULT: the instance of %v crashes", d)
		})
	}
	if s.faults.Goaway > 0 && !s.device[d].overlap && s.hasRoom() {
		x.fault(func(n *State) {
			n.faults.Goaway--
			m.notef("goaway (rotate) for %v", d)
			m.connect(n, d, true)
		})
	}
}

func (x *stepper) redisFaults() {
	if x.from.faults.Failover > 0 {
		x.failover()
	}
	if x.from.faults.Wipe > 0 {
		x.fault(func(n *State) {
			n.faults.Wipe--
			n.inbox = [users]inbox{}
			newEpoch(n)
			x.m.notef("FAULT: Redis is wiped")
		})
	}
	if x.from.faults.Expire > 0 {
		x.expire()
	}
	if x.from.faults.Withdraw > 0 && x.from.hasRoom() {
		x.withdraw()
	}
}

// withdraw lets an instance begin to withdraw a message that waits: its recipient has blocked the sender, the sender
// was disabled, or the message is too old. The instance is the one of the sender, with which it may crash.
func (x *stepper) withdraw() {
	m := x.m
	for i := range message(m.Messages) {
		u := i.recipient()
		b := &x.from.inbox[u]
		if !m.withdrawable(x.from, i) {
			continue
		}
		x.fault(func(n *State) {
			n.faults.Withdraw--
			n.addTask(task{kind: withdrawTask, step: stepRefuse, dev: i.sender(), orphaned: true, msg: i,
				upto: b.pendingID[i], epoch: n.epoch[u]})
			m.notef("m%d, which waits for %v as event %d, is to be withdrawn", i, u, b.pendingID[i])
		})
	}
}

// failover lets the replication of each slot stop at a moment of its own, and then loses what came after it.
func (x *stepper) failover() {
	m, s := x.m, x.from
	for u := range user(users) {
		if s.lagging[u] {
			continue
		}
		x.fault(func(n *State) {
			n.lagging[u], n.replica[u] = true, n.inbox[u]
			m.notef("(the replica's copy of %v lags from here)", u)
		})
	}
	if s.lagging == [users]bool{} {
		return
	}
	x.fault(func(n *State) {
		n.faults.Failover--
		for u := range user(users) {
			if !n.lagging[u] {
				continue
			}
			n.inbox[u], n.replica[u], n.lagging[u] = n.replica[u], inbox{}, false
			if m.ClockBehind {
				n.newestID[u] = n.inbox[u].last
			}
		}
		newEpoch(n)
		m.notef("FAULT: failover (A last=%d, B last=%d)", n.inbox[0].last, n.inbox[1].last)
	})
}

// newEpoch is what instances do after a loss: each sends its sockets a goaway (resync).
func newEpoch(s *State) {
	for u := range s.epoch {
		s.epoch[u]++
	}
	for d := range s.device {
		if v := &s.device[d]; v.used && v.online {
			v.resync = true
		}
	}
}

func (x *stepper) expire() {
	for u := range user(users) {
		b := &x.from.inbox[u]
		if !b.exists || b.pendingID != [maxMessages]streamID{} ||
			x.from.device[2*u].online || x.from.device[2*u+1].online {
			continue
		}
		x.fault(func(n *State) {
			n.faults.Expire--
			n.inbox[u] = inbox{known: b.known} // which outlives the inbox
			n.epoch[u]++
			x.m.notef("the inbox of %v expires", u)
		})
	}
}
