package verdict

import (
	"slices"
	"time"
)

// VisitWithin is how much longer than LiveWithin a message may take to a user all of whose devices sleep. A push is
// gathered for some seconds. If none comes, a device finds the message at its next visit, which its timer makes every
// few seconds in a run.
const VisitWithin = 10 * time.Second

// napAt returns the nap of the device at a time.
func (d *device) napAt(at int64) (nap span, asleep bool) {
	for _, n := range slices.Backward(d.naps) {
		if n.from <= at {
			return n, at < n.to
		}
	}
	return span{}, false
}

// judgeAsleep checks that a message reaches a user whose devices sleep, or are away, when it is accepted: by a push, or
// with a visit. Those that are awake are held to live delivery.
func (j *judge) judgeAsleep() {
	var after []int64
	for _, m := range j.order {
		_, erased := j.erased[m.to]
		_, gone := j.erased[m.typedOn.user]
		if m.of != nil || m.accepted < 0 || m.refused || m.refusedAt > 0 || erased || gone {
			continue
		}
		accepted := m.acceptance()
		by := j.deadline(accepted)
		if by != never {
			by += VisitWithin.Microseconds()
		}
		first := int64(never)
		for _, s := range m.shown {
			if s.device.user == m.to {
				first = min(first, s.at)
			}
		}
		until := min(by, first)
		if until > j.ended || !j.sleepsAt(m.to, accepted, until) {
			continue
		}
		j.report.Asleep++
		if first <= by {
			after = append(after, max(first-accepted, 0))
		} else {
			j.addFinding(LateLive, m, m.to, "no device that sleeps has it within %v",
				time.Duration(by-accepted)*time.Microsecond)
		}
	}
	j.report.AwokeAfter = spread(after)
}

// sleepsAt reports whether a device of the user sleeps from one time to another, and no device has a socket at the
// first one.
func (j *judge) sleepsAt(user string, from, to int64) (sleeps bool) {
	for _, d := range j.devicesOf[user] {
		if d.misbehavior != "" || d.left || d.connectedThroughout(span{from, from}) {
			return false
		}
		nap, asleep := d.napAt(from)
		sleeps = sleeps || asleep && nap.to >= to
	}
	return sleeps
}
