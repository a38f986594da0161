package verdict

import (
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// view is what a device, or the API, shows of a conversation in the end.
type view struct {
	name   string
	device *device // nil: the list of the API
	lines  []record.Line
	place  map[string]int // index of each message id
}

func newView(e *record.Entry, d *device) *view {
	f := &view{name: e.Device, device: d, lines: e.Lines, place: make(map[string]int, len(e.Lines))}
	if d == nil {
		f.name = "the list of the API"
	}
	for i, l := range e.Lines {
		if _, twice := f.place[l.ID]; !twice {
			f.place[l.ID] = i
		}
	}
	return f
}

// judgeViews checks each view alone: no message twice, everything as it was sent and in its order, every own message
// delivered.
func (j *judge) judgeViews(all map[string][]*view) {
	for conversation, views := range all {
		for _, f := range views {
			texts := make(map[record.Hash]string, len(f.lines))
			for i, l := range f.lines {
				m := j.message(&record.Entry{ID: l.ID, Conversation: conversation})
				if id, twice := texts[l.Text]; twice && l.Sum != 0 {
					j.addFinding(Doubled, m, f.name, "shown in the end beside %s", id)
					continue
				}
				texts[l.Text] = l.ID
				if slices.Contains(m.reused, l.Sum) && l.Sum != m.sum {
					j.addFinding(Altered, m, f.name, "shown in the end with content that was sent later with its id")
				} else if l.At != 0 { // an own message that was never sent has no at yet
					j.checkContent(m, f.name, l.Sum, l.Text, int64(l.At))
				}
				if i > 0 && l.At != 0 && !inOrder(f.lines[i-1], l) {
					j.addFinding(OutOfOrder, m, f.name, "is after %s, which is later", f.lines[i-1].ID)
				}
				if f.device == nil || m.typedOn == nil || m.typedOn.user != f.device.user {
					continue
				}
				// While messages still arrive, a state may be newer than the view.
				if was := f.device.states[m.key()]; rank[l.State] < rank[was] && !j.cutShort {
					j.addFinding(Backwards, m, f.name, "from %s to %s", was, l.State)
				}
				if m.saved >= 0 && rank[l.State] < rank["delivered"] {
					j.addFinding(j.lateRule(Lost), m, f.name, "shown as %s in the end", l.State)
				}
			}
		}
	}
}

func inOrder(a, b record.Line) bool { return a.At < b.At || a.At == b.At && a.ID < b.ID }

// judgeMissing finds messages that are missing, and messages that nobody wrote.
func (j *judge) judgeMissing() {
	for _, m := range j.order {
		if m.accepted >= 0 && m.of == nil {
			j.report.Accepted++
		}
		if j.judgeDropped(m) {
			continue
		}
		if _, erased := j.erased[m.typedOn.user]; erased {
			continue // what they wrote was deleted
		}
		if _, erased := j.erased[m.to]; erased && m.saved < 0 {
			j.judgeUndeliverable(m)
			continue
		}
		if m.refused && j.hasCause(m) && !j.heldByRecipient(m) {
			j.report.Withdrawn++
			continue
		}
		if m.refused {
			j.addFinding(Refused, m, m.typedBy, "refused: %s", m.refusal)
			continue
		}
		missing := j.missing(m)
		switch {
		case missing == "":
		case m.accepted >= 0 && j.excepted(m):
			j.report.Excepted++
			j.loose[m.conversation] = true
		case m.accepted >= 0 && j.stranded(m):
			j.report.Stranded++
			j.loose[m.conversation] = true
		case m.accepted >= 0 && m.confirmed() && !m.storedBy(m.to) && !j.mayBeVouched(m):
			j.addFinding(Lost, m, m.typedBy, "shown as delivered, and missing %s", missing)
		case m.accepted >= 0:
			j.addFinding(j.lateRule(Lost), m, m.typedBy, "missing %s", missing)
		case !m.typedOn.left:
			j.addFinding(j.lateRule(Unsent), m, m.typedBy, "missing %s", missing)
		}
	}
	for _, m := range j.messages {
		if m.typed < 0 {
			j.addFinding(Altered, m, "", "nobody typed it")
		}
	}
}

// lateRule returns r, or Backlog if the time of the run was over while messages still arrived: a missing message may
// then be on its way.
func (j *judge) lateRule(r Rule) Rule {
	if j.cutShort {
		return Backlog
	}
	return r
}

// confirmed reports whether the device that sent m shows it as delivered. It does not send m again.
func (m *message) confirmed() bool {
	return rank[m.typedOn.states[m.key()]] >= rank["delivered"]
}

// heldByRecipient reports whether m must be delivered although it was withdrawn, because a device of the recipient
// has it that can still say so: Redis was not lost since.
func (j *judge) heldByRecipient(m *message) bool {
	return m.saved >= 0 || slices.ContainsFunc(m.shown, func(s sighting) bool {
		lost := slices.ContainsFunc(j.wiped, func(w int) bool { return w > s.index })
		return s.device.user == m.to && !s.device.left && !lost
	})
}

// judgeUndeliverable checks that the sender of a message without a recipient knows that it was refused.
func (j *judge) judgeUndeliverable(m *message) {
	switch {
	case m.refused && j.hasCause(m):
		j.report.Undeliverable++
	case m.refused:
		j.addFinding(Refused, m, m.typedBy, "refused: %s", m.refusal)
	case m.typedOn.left:
	case m.accepted >= 0:
		j.addFinding(j.lateRule(Lost), m, m.typedBy, "its recipient does not exist, and its sender was not notified")
	default:
		j.addFinding(j.lateRule(Unsent), m, m.typedBy, "its recipient does not exist, and it was not refused")
	}
}

// missing says where m is missing in the end. It is "" if m is everywhere.
func (j *judge) missing(m *message) string {
	if m.of != nil {
		return j.missingChange(m)
	}
	var where []string
	if m.saved < 0 {
		where = append(where, "in the store")
	}
	shown := map[string]bool{}
	listed := false
	for _, f := range j.views[m.conversation] {
		_, has := f.place[m.id]
		if f.device == nil {
			listed = has
		} else if has {
			shown[f.name] = true
		}
	}
	if !listed {
		where = append(where, "in the list of the API")
	}
	for _, user := range []string{m.to, m.typedOn.user} {
		for _, d := range j.devicesOf[user] {
			if !d.left && !shown[d.name] {
				where = append(where, "on "+d.name)
			}
		}
	}
	return strings.Join(where, ", ")
}

// judgeOrder compares the order of all final views, and checks that each message follows what its sender had seen or
// sent before.
func (j *judge) judgeOrder() {
	// By conversation and device: the last line, in the order of the first view, that the device has seen.
	seen := map[string]map[*device]*record.Line{}
	for conversation, views := range j.views {
		seen[conversation] = map[*device]*record.Line{}
		for _, f := range slices.Concat(views[1:], j.early[conversation]) {
			j.compareViews(conversation, views[0], f)
		}
	}
	for e := range j.entries {
		if e.Kind != record.Shown && e.Kind != record.Frozen {
			continue
		}
		views := j.views[e.Conversation]
		if len(views) == 0 {
			continue
		}
		at, there := views[0].place[e.ID]
		if !there {
			continue
		}
		line := &views[0].lines[at]
		d := j.devices[e.Device]
		before := seen[e.Conversation][d]
		later := before == nil || views[0].place[before.ID] < at
		if e.Kind == record.Frozen && !later && before.ID != e.ID {
			j.addFinding(OutOfOrder, j.messages[key{e.Conversation, e.ID}], e.Device,
				"is before %s, which its sender had seen or sent earlier", before.ID)
		}
		if later {
			seen[e.Conversation][d] = line
		}
	}
	j.judgeTypingOrder()
}

// judgeTypingOrder checks that the messages of each device are in the order of typing.
func (j *judge) judgeTypingOrder() {
	type writer struct{ device, conversation string }
	last := map[writer]*message{}
	for _, m := range j.order {
		views := j.views[m.conversation]
		if len(views) == 0 {
			continue
		}
		at, there := views[0].place[m.id]
		if !there {
			continue
		}
		k := writer{m.typedBy, m.conversation}
		if p := last[k]; p != nil && views[0].place[p.id] > at {
			j.addFinding(OutOfOrder, m, m.typedBy, "is before %s, which was typed earlier", p.id)
			continue
		}
		last[k] = m
	}
}

// compareViews finds messages that two views show in different orders.
func (j *judge) compareViews(conversation string, a, b *view) {
	last, lastID := -1, ""
	for _, l := range b.lines {
		at, there := a.place[l.ID]
		if !there {
			continue
		}
		if at < last {
			m := j.messages[key{conversation, l.ID}]
			j.addFinding(OutOfOrder, m, b.name, "is after %s, but before it on %s", lastID, a.name)
			continue
		}
		last, lastID = at, l.ID
	}
}
