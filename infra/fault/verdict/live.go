package verdict

import (
	"math"
	"slices"
	"time"
)

// Bounds are the bounds of LateLive.
type Bounds struct {
	LiveWithin     time.Duration // after the acceptance
	LiveAfterFault time.Duration // after the end of a fault of servers that overlaps with that time
}

// Bounds of Judge, for real time on a loaded machine. Both are shorter than the 30 s after which every instance
// compares what it sent with the stream: that comparison would hide a lost wake.
const (
	LiveWithin     = 10 * time.Second
	LiveAfterFault = 20 * time.Second
)

// span is a period of time, in microseconds. Its end is never while it lasts.
type span struct{ from, to int64 }

const never = math.MaxInt64

// newDevice returns a device that was never connected.
func newDevice(name string) *device {
	return &device{name: name, states: map[key]string{}, acked: -1, readTo: map[string]mark{},
		breaks: []span{{math.MinInt64, never}}, broken: true}
}

// interrupt begins a break.
func (d *device) interrupt(at int64) {
	if !d.broken {
		d.breaks, d.broken = append(d.breaks, span{at, never}), true
	}
}

// resume ends a break, unless the device has no caught-up socket or does not read.
func (d *device) resume(at int64) {
	if d.broken && d.up && !d.deaf {
		d.breaks[len(d.breaks)-1].to, d.broken = at, false
	}
}

// connectedThroughout reports whether d had a caught-up socket and read it, and the server reported no gap to it.
func (d *device) connectedThroughout(s span) bool {
	for _, b := range slices.Backward(d.breaks) {
		if b.to < s.from {
			return true
		}
		if b.from <= s.to {
			return false
		}
	}
	return true
}

// events are those of one message that one device got.
type events struct {
	first int64 // time
	n     int
}

func (e *events) add(at int64) {
	if e.n == 0 {
		e.first = at
	}
	e.n++
}

func (m *message) eventsOn(d *device) *events {
	e := m.events[d]
	if e == nil {
		e = &events{}
		m.events[d] = e
	}
	return e
}

// deadline returns by when every connected device must have the event of a message that was accepted at a time. A fault
// of servers that is active meanwhile, or has just ended, extends it.
func (j *judge) deadline(accepted int64) int64 {
	by := accepted + j.bounds.LiveWithin.Microseconds()
	for _, f := range j.faults { // sorted, because at most one is active
		if f.to == never && f.from <= by {
			return never
		}
		if extended := f.to + j.bounds.LiveAfterFault.Microseconds(); f.from <= by && extended > by {
			by = extended
		}
	}
	return by
}

// judgeLive checks that devices that were connected throughout got events in time, that others got them as well unless
// something was lost on the way, and that few events came again.
func (j *judge) judgeLive() {
	var after []int64
	for _, m := range j.order {
		_, erased := j.erased[m.to]
		_, gone := j.erased[m.typedOn.user]
		if m.accepted < 0 || m.refused || erased || gone {
			continue
		}
		accepted := m.acceptance()
		by := j.deadline(accepted)
		for _, user := range []string{m.to, m.typedOn.user} {
			for _, d := range j.devicesOf[user] {
				if d.misbehavior != "" {
					continue
				}
				e := m.eventsOn(d)
				j.judgeRepeats(m, d, e)
				if at, found := j.foundBy(m, d); e.n == 0 && found && j.sentEventLost(m, d, at) {
					continue // once the message is saved, whenever that is
				}
				came := e.n > 0 && e.first <= by
				until := by
				if came {
					until = e.first
				}
				if d == m.typedOn || until > j.ended || !d.connectedThroughout(span{accepted, until}) {
					continue
				}
				j.report.Live++
				if came {
					after = append(after, max(e.first-accepted, 0))
				} else {
					j.addFinding(LateLive, m, d.name, "not sent to a connected device within %v",
						time.Duration(by-accepted)*time.Microsecond)
				}
			}
		}
		j.judgeHistory(m)
	}
	j.report.LiveAfter = spread(after)
}

// acceptance returns when the server had certainly accepted m. The device that sent it may have lost the answer, and
// learn of it late, while other devices show the message.
func (m *message) acceptance() int64 {
	at := m.acceptedAt
	for _, s := range m.shown {
		if s.device != m.typedOn {
			at = min(at, s.at)
		}
	}
	return at
}

// foundBy returns when d found m in history. A change is not found alone, but with all others of its message.
func (j *judge) foundBy(m *message, d *device) (at int64, found bool) {
	if m.of != nil {
		return j.ended, j.showsInTheEnd(d, m)
	}
	for _, s := range m.shown {
		if s.device == d && s.history {
			return s.at, true
		}
	}
	return 0, false
}

// sentEventLost reports whether d found m in history because there is no sent event. That event has its own script. If
// a fault of servers, or a connection that it broke, keeps it from running, and the message is delivered before it is
// sent again, the sender's other devices learn of the message by its receipt, and then load history.
func (j *judge) sentEventLost(m *message, d *device, at int64) bool {
	return d.user == m.typedOn.user && slices.ContainsFunc(j.faults, func(f span) bool {
		return f.from <= at && (f.to == never || f.to+j.bounds.LiveAfterFault.Microseconds() >= m.frozenAt)
	})
}

// sentAlone reports whether m has no sent event because its sender had no other device, and d is that device, set back
// to a state without m. It learns of m by its receipt.
func (j *judge) sentAlone(m *message, d *device) bool {
	return d.setBack && d.user == m.typedOn.user &&
		!slices.ContainsFunc(j.devicesOf[d.user], func(o *device) bool { return o != j.devicesOf[d.user][0] && !o.setBack })
}

// judgeHistory finds devices that got m only from history although nothing excuses it: no loss of data in Redis, and no
// gap that the server reported to the device, after m was sent.
func (j *judge) judgeHistory(m *message) {
	for _, s := range m.shown {
		if !s.history || s.device.misbehavior != "" || m.eventsOn(s.device).n > 0 {
			continue
		}
		since := func(at int64) bool { return at >= m.frozenAt }
		wiped := func(w span) bool { return w.to >= m.frozenAt && w.from <= s.at }
		// The load after one gap can bring what a later gap skips.
		if slices.ContainsFunc(j.wipes, wiped) || slices.ContainsFunc(s.device.notResumed, since) {
			continue
		}
		if j.sentEventLost(m, s.device, s.at) || j.sentAlone(m, s.device) {
			continue
		}
		j.addFinding(OnlyHistory, m, s.device.name, "found in history, and no event brought it")
	}
}

// judgeRepeats checks how often d got events of m. The inbox has an event for each time that m was queued: m is sent
// again when a device of the sender reconnects, and a message that ceased to wait is queued again. Each reconnect of d
// can bring all of these events again that it had not acknowledged or stored, and each gap everything that is retained.
// During a fault of servers, a send without an answer is repeated.
func (j *judge) judgeRepeats(m *message, d *device, e *events) {
	since := func(at int64) bool { return at >= m.frozenAt }
	j.report.Repeated += max(0, e.n-1)
	queued := 1 + len(m.reused) + count(m.typedOn.connected, since)
	// A message that was withdrawn comes back if a device has it, and is sent to all again. A withdrawal is repeated
	// after a while, so it may have begun before the message.
	withdrawn := count(j.withdrawn[m.typedOn.user], since)
	if withdrawn == 0 && m.refusedAt > 0 {
		withdrawn = 1
	}
	queued += withdrawn
	for _, b := range j.blocksBetween(m.to, m.typedOn.user) {
		if b.to >= m.frozenAt {
			queued++
		}
	}
	read := 1 + count(d.connected, since) + count(d.notResumed, since)
	allowed := queued*read + 2*count(j.wipedAt, since)
	for _, f := range j.faults {
		if f.to >= m.frozenAt {
			allowed += 2
		}
	}
	if e.n > allowed {
		j.addFinding(Repeated, m, d.name, "%d events, and at most %d are explained", e.n, allowed)
	}
}

func count(times []int64, ok func(int64) bool) (n int) {
	for _, at := range times {
		if ok(at) {
			n++
		}
	}
	return n
}

// judgeEmpty finds a run in which too little happened for a verdict.
func (j *judge) judgeEmpty() {
	for _, what := range []struct {
		name string
		n    int
	}{
		{"typed", j.report.Typed}, {"accepted", j.report.Accepted}, {"saved", j.report.Saved},
		{"sent to a connected device", j.report.Live},
	} {
		if what.n == 0 {
			j.addFinding(Empty, nil, "", "nothing was %s", what.name)
		}
	}
}
