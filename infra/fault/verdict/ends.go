package verdict

import (
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// final is what somebody shows of a conversation in the end.
type final struct {
	name  string
	of    *device // nil: the list of the API
	lines []record.Line
	place map[string]int // of each message id
}

func newFinal(e *record.Entry, d *device) *final {
	f := &final{name: e.Device, of: d, lines: e.Lines, place: make(map[string]int, len(e.Lines))}
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

// ends holds each final view to itself: nothing twice, everything as sent and
// in its place, every own message delivered.
func (j *judge) ends() {
	for conversation, finals := range j.finals {
		for _, f := range finals {
			texts := make(map[record.Hash]string, len(f.lines))
			for i, l := range f.lines {
				m := j.messages[l.ID]
				if m == nil {
					m = j.message(&record.Entry{ID: l.ID, Conversation: conversation})
				}
				if id, twice := texts[l.Text]; twice {
					j.find(Doubled, m, f.name, "shown in the end beside %s", id)
					continue
				}
				texts[l.Text] = l.ID
				if l.At != 0 { // an own message that was never sent has no place yet
					j.content(m, f.name, l.Sum, l.Text, int64(l.At))
				}
				if i > 0 && l.At != 0 && !inOrder(f.lines[i-1], l) {
					j.find(OutOfOrder, m, f.name, "stands behind %s, which is later", f.lines[i-1].ID)
				}
				if f.of == nil || m.typedOn == nil || m.typedOn.person != f.of.person {
					continue
				}
				// Where messages still arrive, a state may be newer than the view.
				if was := f.of.last[l.ID]; rank[l.State] < rank[was] && !j.cut {
					j.find(Backwards, m, f.name, "from %s to %s", was, l.State)
				}
				if m.saved >= 0 && rank[l.State] < rank["delivered"] {
					j.find(j.late(Lost), m, f.name, "still shown as %s in the end", l.State)
				}
			}
		}
	}
}

func inOrder(a, b record.Line) bool { return a.At < b.At || a.At == b.At && a.ID < b.ID }

// presence finds what is missing, and what nobody wrote.
func (j *judge) presence() {
	for _, m := range j.order {
		if m.accepted >= 0 {
			j.report.Accepted++
		}
		if j.erased[m.to] && m.saved < 0 {
			j.told(m)
			continue
		}
		if m.refused {
			j.find(Refused, m, m.typedBy, "refused")
			continue
		}
		missing := j.missing(m)
		switch {
		case missing == "":
		case m.accepted >= 0 && j.excepted(m):
			j.report.Excepted++
		case m.accepted >= 0 && j.stranded(m):
			j.report.Stranded++
		case m.accepted >= 0 && m.confirmed() && !m.storedBy(m.to, false) && !j.vouched(m):
			j.find(Lost, m, m.typedBy, "called delivered, and missing %s", missing)
		case m.accepted >= 0:
			j.find(j.late(Lost), m, m.typedBy, "missing %s", missing)
		case !m.typedOn.gone:
			j.find(j.late(Unsent), m, m.typedBy, "missing %s", missing)
		}
	}
	for _, m := range j.messages {
		if m.typed < 0 {
			j.find(Altered, m, "", "nobody typed it")
		}
	}
}

// late is r, or Backlog where the run's time was up while messages still
// arrived: what is missing then may be on its way.
func (j *judge) late(r Rule) Rule {
	if j.cut {
		return Backlog
	}
	return r
}

// confirmed reports whether the device that sent m was told that it is delivered:
// it does not send it again.
func (m *message) confirmed() bool {
	return rank[m.typedOn.last[m.id]] >= rank["delivered"]
}

// told holds a message that nobody can be given to its word: its sender knows.
func (j *judge) told(m *message) {
	switch {
	case m.refused:
		j.report.Told++
	case m.typedOn.gone:
	case m.accepted >= 0:
		j.find(j.late(Lost), m, m.typedBy, "its recipient has no account, and its sender was not told")
	default:
		j.find(j.late(Unsent), m, m.typedBy, "its recipient has no account, and it was not refused")
	}
}

// missing says where m is not in the end; "" where it is everywhere.
func (j *judge) missing(m *message) string {
	var where []string
	if m.saved < 0 {
		where = append(where, "in the store")
	}
	shown := map[string]bool{}
	listed := false
	for _, f := range j.finals[m.conversation] {
		_, has := f.place[m.id]
		if f.of == nil {
			listed = has
		} else if has {
			shown[f.name] = true
		}
	}
	if !listed {
		where = append(where, "in the list of the API")
	}
	for _, person := range []string{m.to, m.typedOn.person} {
		for _, d := range j.people[person] {
			if !d.gone && !shown[d.name] {
				where = append(where, "on "+d.name)
			}
		}
	}
	return strings.Join(where, ", ")
}

// sequence compares the order of all final views, and holds it to what each
// device had typed and seen.
func (j *judge) sequence() {
	seen := map[string]map[*device]*record.Line{} // the last line in the reference order that a device has seen, by conversation
	for conversation, finals := range j.finals {
		seen[conversation] = map[*device]*record.Line{}
		for _, f := range finals[1:] {
			j.compare(finals[0], f)
		}
	}
	for i := range j.entries {
		e := &j.entries[i]
		if e.Kind != record.Shown && e.Kind != record.Frozen {
			continue
		}
		finals := j.finals[e.Conversation]
		if len(finals) == 0 {
			continue
		}
		at, there := finals[0].place[e.ID]
		if !there {
			continue
		}
		line := &finals[0].lines[at]
		d := j.devices[e.Device]
		before := seen[e.Conversation][d]
		later := before == nil || finals[0].place[before.ID] < at
		if e.Kind == record.Frozen && !later && before.ID != e.ID {
			j.find(OutOfOrder, j.messages[e.ID], e.Device, "precedes %s, which its sender had seen or sent before", before.ID)
		}
		if later {
			seen[e.Conversation][d] = line
		}
	}
	j.typing()
}

// typing holds the order of each device's messages to the order in which they were typed.
func (j *judge) typing() {
	type key struct{ device, conversation string }
	last := map[key]*message{}
	for _, m := range j.order {
		finals := j.finals[m.conversation]
		if len(finals) == 0 {
			continue
		}
		at, there := finals[0].place[m.id]
		if !there {
			continue
		}
		k := key{m.typedBy, m.conversation}
		if p := last[k]; p != nil && finals[0].place[p.id] > at {
			j.find(OutOfOrder, m, m.typedBy, "stands before %s, which was typed before it", p.id)
			continue
		}
		last[k] = m
	}
}

// compare finds where two views show the same messages in another order.
func (j *judge) compare(a, b *final) {
	last, lastID := -1, ""
	for _, l := range b.lines {
		at, there := a.place[l.ID]
		if !there {
			continue
		}
		if at < last {
			j.find(OutOfOrder, j.messages[l.ID], b.name, "stands behind %s, but before it on %s", lastID, a.name)
			continue
		}
		last, lastID = at, l.ID
	}
}
