package judge

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/anishathalye/porcupine"
)

// This file divides the operations of a run into the partitions that porcupine checks, and adds those that follow from
// the end of the record.

// partitions yields all partitions.
func (h *history) partitions() iter.Seq[partition] {
	return func(yield func(partition) bool) {
		for _, m := range h.inOrder {
			h.complete(m)
			if !yield(m.partition(len(h.wipes) > 0)) {
				return
			}
			m.steps = nil
			if p, ok := h.foldPartition(m); ok && !yield(p) {
				return
			}
		}
		for _, t := range h.threads {
			for p := range t.partitions() {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// Limits of the partitions of a thread. The time and the memory of a check grow with the square of its operations.
const (
	maxDeeds = 4000 // in one partition, beside those that it repeats
	maxOwn   = 50   // of the last own messages are repeated, because a refusal gives several of them another place
)

// partitions yields the operations of a thread in parts. Each begins with the operations before it that its model
// depends on: the last message that was seen, and the last own ones.
func (t *thread) partitions() iter.Seq[partition] {
	return func(yield func(partition) bool) {
		var before []int // the operations that the next part begins with, in their order
		for from := 0; from < len(t.deeds); from += maxDeeds {
			to := min(from+maxDeeds, len(t.deeds))
			p := partition{name: "order: " + t.name, model: orderModel}
			part := before
			for i := from; i < to; i++ {
				part = append(part, i)
			}
			for _, i := range part {
				p.operations = append(p.operations,
					porcupine.Operation{Input: t.deeds[i], Call: t.spans[i].from, Return: t.spans[i].to, Metadata: i})
			}
			if !yield(p) {
				return
			}
			before = t.repeated(part)
		}
	}
}

// repeated returns which of some operations those after them depend on.
func (t *thread) repeated(part []int) []int {
	seen := -1
	var out []int
	for _, i := range part {
		switch d := t.deeds[i]; d.kind {
		case sees:
			if seen < 0 || t.deeds[seen].place.before(d.place) {
				seen = i
			}
		case writes:
			out = append(out, i)
		}
	}
	out = slices.Clone(out[max(0, len(out)-maxOwn):])
	if seen >= 0 {
		n, _ := slices.BinarySearch(out, seen)
		out = slices.Insert(out, n, seen)
	}
	return out
}

// complete adds the operations that no entry has alone.
func (h *history) complete(m *message) {
	if m.fixedLast > 0 {
		during := span{m.fixedLast, never} // if nothing shows that it was accepted, it may or may not have been
		if m.evidence > 0 {
			during.to = max(m.evidence, m.fixedLast)
		}
		m.add(during, send, nil, answer{})
	}
	if m.author != nil {
		for _, user := range []string{m.author.user, m.to} {
			if entry := h.erased[user]; entry > 0 {
				m.add(span{entry, entry}, erase, nil, answer{})
			}
		}
		for _, to := range []string{"", m.to} {
			if entry := h.withdrawn[[2]string{m.author.user, to}]; entry > 0 {
				m.add(span{entry, entry}, withdraw, nil, answer{})
			}
		}
		for _, d := range h.devicesOf[m.to] {
			if d.ahead > 0 {
				m.add(span{d.ahead, d.ahead}, ackAhead, d, answer{})
			}
		}
	}
	for _, w := range h.wipes {
		if m.fixedFirst > 0 && m.fixedFirst < w.to && (m.stored == 0 || m.stored > w.from) {
			m.add(w, wipe, nil, answer{})
		}
	}
	c := h.conversation(m.conversation)
	marks := c.marks[m.to]
	n, _ := slices.BinarySearchFunc(marks, m.content.at, func(r readMark, at int64) int { return cmp.Compare(r.at, at) })
	if m.content.at > 0 && n < len(marks) {
		m.add(span{marks[n].entry, marks[n].entry}, mark, nil, answer{})
	}
	h.completeEnd(m, c)
}

// completeEnd adds who has left, and the final reads that did not have the message. Without a final read, nothing is
// there.
func (h *history) completeEnd(m *message, c *conversation) {
	if m.dropped && m.evidence == 0 {
		return
	}
	acted := []*device{m.author}
	inView := map[*device]bool{}
	listed := false
	for _, s := range m.steps {
		if s.device != nil && !slices.Contains(acted, s.device) {
			acted = append(acted, s.device)
		}
		switch s.action {
		case view:
			inView[s.device] = true
		case list:
			listed = true
		}
	}
	for _, d := range acted {
		if d != nil && d.left > 0 {
			m.add(span{d.left, d.left}, leave, d, answer{})
		}
	}
	end := span{h.now + 1, h.now + 1}
	if !listed {
		m.add(cmp.Or(c.listed, end), list, nil, answer{})
	}
	if m.author == nil {
		return
	}
	for _, user := range []string{m.author.user, m.to} {
		for _, d := range h.devicesOf[user] {
			if d.left > 0 {
				continue
			}
			if !inView[d] {
				m.add(cmp.Or(c.views[d], end), view, d, answer{})
			}
			if h.opened > 0 {
				h.completeQuiet(m, d)
			}
		}
	}
}

// completeQuiet adds how a device has got the message when all is quiet and it has opened nothing yet.
func (h *history) completeQuiet(m *message, d *device) {
	quiet := span{h.opened, h.opened}
	// After a loss in Redis, devices may have to find older messages in history.
	if !slices.ContainsFunc(h.wipes, func(w span) bool { return m.fixedFirst == 0 || m.fixedFirst <= w.to }) {
		m.add(quiet, glance, d, answer{})
	}
	if d == m.author || d.erratic {
		return
	}
	if d.gap > m.fixedFirst {
		m.add(span{d.gap, d.gap}, gap, d, answer{})
	}
	// The sender's other devices get an event of their own, which a fault of servers can keep back. They learn of the
	// message by its receipt then, and look for it in history.
	if d.user == m.author.user && h.disturbed > 0 && h.disturbed < m.fromHistory[d] {
		return
	}
	// A sender with one device gets no event. If that device is set back, it looks for the message in the same way.
	if d.user == m.author.user && d.setBack && h.hasOneDevice(d.user) {
		return
	}
	m.add(quiet, account, d, answer{})
}

// hasOneDevice reports whether a user has one device, which may have been set back several times.
func (h *history) hasOneDevice(user string) bool {
	n := 0
	for _, d := range h.devicesOf[user] {
		if !d.setBack {
			n++
		}
	}
	return n == 1
}

// Models of a message.
var (
	strictLife   = lifeModel(false)
	exceptedLife = lifeModel(true)
)

// partition returns the operations on the message. Exception: Redis has lost data in this run.
func (m *message) partition(exception bool) partition {
	p := partition{name: fmt.Sprintf("message %s in %s", m.key, m.conversation), model: strictLife}
	if exception {
		p.exception = &exceptedLife
	}
	slots := []*device{m.author}
	for i, s := range m.steps {
		c := call{action: s.action, slot: -1, name: "the API"}
		if s.device != nil {
			if c.slot = slices.Index(slots, s.device); c.slot < 0 {
				c.slot = len(slots)
				slots = append(slots, s.device)
			}
			c.name = s.device.name
			c.role = m.role(s.device)
		}
		p.operations = append(p.operations, porcupine.Operation{
			Input: c, Output: s.answer, Call: s.from, Return: s.to, Metadata: i,
		})
	}
	return p
}

func (m *message) role(d *device) role {
	switch {
	case d == m.author:
		return author
	case m.author == nil:
		return other
	case d.user == m.author.user:
		return sender
	case d.user == m.to:
		return recipient
	}
	return other
}
