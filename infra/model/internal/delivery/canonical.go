package delivery

import (
	"math/bits"
	"unsafe"
)

// canonicalize replaces a state by an equivalent one, the same for as many states as possible: it clears fields that
// are not read again before they are set, numbers the stream IDs anew without gaps, and sorts the tasks. Equivalent
// states have the same successors, up to equivalence, and break the same promises. A mutant that does read such a field
// turns off the clearing.
//
// IDs are not renumbered if the clock of a new primary may be behind, because the distance to lost IDs then matters.
func (m *Model) canonicalize(s *State) {
	for d := range s.device {
		m.clearDead(s, device(d))
	}
	for i := range s.tasks {
		t := &s.tasks[i]
		if t.kind == ackTask && t.epoch != s.epoch[t.dev.user()] && !m.breaks(MarkOfAnyEpoch) {
			t.upto, t.base = 0, 0 // the mark will have no effect
		}
	}
	for u := range user(users) {
		s.forgetRemovals(u)
		if b := &s.inbox[u]; b.marked <= b.settled || b.markedIn != s.epoch[u] && !m.breaks(MarkOfAnyEpoch) {
			b.marked, b.markedIn = 0, 0
		}
	}
	var sending messages
	for i := range s.tasks {
		if t := &s.tasks[i]; t.kind == sendTask {
			sending.add(t.msg)
		}
	}
	s.witnessed &= sending
	if !m.ClockBehind {
		for u := range user(users) {
			s.renumber(u)
		}
	}
	s.sortTasks()
}

// clearDead clears the fields of a device that are not read again before they are set.
func (m *Model) clearDead(s *State, d device) {
	v := &s.device[d]
	for i := range message(m.Messages) {
		if v.status[i] == delivered {
			v.tried.remove(i)
			v.rotated.remove(i)
			v.early.remove(i)
			v.refusals.remove(i)
		}
		if v.status[i] == refused {
			v.tried.remove(i)
			v.rotated.remove(i)
			v.refusals.remove(i)
		}
	}
	if v.used && v.epoch != s.epoch[d.user()] && !m.breaks(AckOfAnyEpoch|CursorOfAnyEpoch) {
		// The device starts over with the next read or the next socket. Whether it had caught up still matters.
		up := m.caughtUp(s, d)
		v.cursor, v.position, v.caughtUpAt, v.ackDue = 0, [2]streamID{}, 0, false
		v.claim, v.claims = claim{}, [2]claim{}
		if !up {
			v.caughtUpAt = notYet
		}
	}
}

// forgetRemovals restarts the count of removals if none of the removed messages is kept, and clears claims that say
// nothing about one that is.
func (s *State) forgetRemovals(u user) {
	b := &s.inbox[u]
	if b.removals == 0 {
		return
	}
	kept := b.removedID != [maxMessages]streamID{}
	if !kept {
		b.removals = 0
	}
	for d := 2 * u; d < 2*u+2; d++ {
		v := &s.device[d]
		for _, c := range []*claim{&v.claim, &v.claims[0], &v.claims[1]} {
			switch {
			case !kept:
				*c = claim{}
			case c.held != 0 && !b.holds(*c):
				*c = claim{seen: c.seen, base: c.seen}
			}
		}
	}
}

// holds reports whether a removed message is kept that a device has by the held part of its claim.
func (b *inbox) holds(c claim) bool {
	for i, id := range b.removedID {
		if id != 0 && b.removedNo[i] <= c.seen && c.includes(0, b.removedNo[i], id) {
			return true
		}
	}
	return false
}

// notYet is the caughtUpAt of a device that starts over before it has caught up.
const notYet streamID = 63

// renumber maps the stream IDs of a user to 0, 1, 2, …, in the same order.
func (s *State) renumber(u user) {
	var live uint64
	s.eachID(u, func(id *streamID) { live |= 1 << *id })
	live |= 1
	if live&(live+1) == 0 {
		return
	}
	s.eachID(u, func(id *streamID) { *id = streamID(bits.OnesCount64(live & (1<<*id - 1))) })
}

// eachID visits every stream ID of a user's inbox.
func (s *State) eachID(u user, visit func(*streamID)) {
	s.inbox[u].eachID(visit)
	if s.lagging[u] {
		s.replica[u].eachID(visit)
	}
	visit(&s.newestID[u])
	for d := 2 * u; d < 2*u+2; d++ {
		v := &s.device[d]
		visit(&v.cursor)
		visit(&v.position[0])
		visit(&v.position[1])
		visit(&v.claim.held)
		visit(&v.claims[0].held)
		visit(&v.claims[1].held)
		if v.caughtUpAt != notYet {
			visit(&v.caughtUpAt)
		}
	}
	for i := range s.tasks {
		if t := &s.tasks[i]; t.kind == ackTask && t.dev.user() == u {
			visit(&t.upto)
			visit(&t.base)
		} else if t.kind == withdrawTask && t.msg.recipient() == u {
			visit(&t.upto)
		}
	}
}

func (b *inbox) eachID(visit func(*streamID)) {
	for i := range b.events[:b.count] {
		visit(&b.events[i].id)
	}
	for i := range b.pendingID {
		visit(&b.pendingID[i])
		visit(&b.removedID[i])
	}
	visit(&b.last)
	visit(&b.floor)
	visit(&b.settled)
	visit(&b.marked)
}

// sortTasks sorts the tasks, whose order means nothing. Empty ones come last.
func (s *State) sortTasks() {
	for i := 1; i < maxTasks; i++ {
		for j := i; j > 0 && s.tasks[j].kind != noTask && s.tasks[j].before(&s.tasks[j-1]); j-- {
			s.tasks[j], s.tasks[j-1] = s.tasks[j-1], s.tasks[j]
		}
	}
}

// before is a total order of tasks.
func (t *task) before(o *task) bool {
	if t.kind != o.kind {
		return t.kind > o.kind
	}
	x := (*[unsafe.Sizeof(task{})]byte)(unsafe.Pointer(t))
	y := (*[unsafe.Sizeof(task{})]byte)(unsafe.Pointer(o))
	return string(x[:]) > string(y[:])
}
