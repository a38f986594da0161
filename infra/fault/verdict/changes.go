package verdict

import (
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Changes are judged as messages are, with these differences: no list has a line for a change, but the line of its
// message says which changes count; a change that was superseded, or whose message was deleted, is where the other one
// is.

// addChangeEvent processes an event that brings a change to a device.
func (j *judge) addChangeEvent(i int, e *record.Entry, d *device, m *message) {
	m.eventsOn(d).add(e.T)
	if m.of != nil && d.user == m.to {
		d.unacked = append(d.unacked, m)
	}
	if !slices.ContainsFunc(m.shown, func(s sighting) bool { return s.device == d }) {
		m.shown = append(m.shown, sighting{device: d, index: i, at: e.T})
	}
}

// addChanged processes an entry about a message that was changed, or something that was not sent.
func (j *judge) addChanged(e *record.Entry, d *device) {
	m := j.message(e)
	switch e.Kind {
	case record.Retyped:
		if m.frozen >= 0 || d != m.typedOn {
			j.addFinding(Altered, m, e.Device, "edited in the outbox after it was sent")
		}
		delete(j.texts, m.text)
		m.text = e.Text
		j.texts[e.Text] = e.ID
	case record.Dropped:
		m.dropped = true
	default:
		if m.changed == nil {
			m.changed = map[*device]string{}
		}
		m.changed[d] = e.Changed
		deleted := strings.Contains(e.Changed, string(chat.KindDelete)+",")
		if m.deleted[d] && !deleted {
			j.addFinding(Backwards, m, e.Device, "shown again after it was deleted")
		}
		if m.deleted == nil {
			m.deleted = map[*device]bool{}
		}
		m.deleted[d] = m.deleted[d] || deleted
	}
}

// addAcked checks what a device acknowledges: it shows each change of a message that it has, or one that beats it.
func (d *device) addAcked() {
	for _, c := range d.unacked {
		has := slices.ContainsFunc(c.of.shown, func(s sighting) bool { return s.device == d }) || c.of.typedOn == d
		if has && !covers(c.of.changed[d], c) {
			c.ignoredBy = append(c.ignoredBy, d)
		}
	}
	d.unacked = nil
}

// mayRead reports whether a text that is not what was sent may be shown instead: its user has edited or deleted it.
func (m *message) mayRead(text record.Hash) bool {
	return slices.ContainsFunc(m.changes, func(c *message) bool {
		return c.typedOn.user == m.typedOn.user && c.text == text && c.kind != string(chat.KindReact)
	})
}

// judgeDropped reports whether m left the outbox of its device without being sent. Then nobody has it.
func (j *judge) judgeDropped(m *message) bool {
	if !m.dropped || m.accepted >= 0 {
		return false
	}
	if m.of == nil && (m.frozen >= 0 || len(m.shown) > 0 || m.saved >= 0) {
		j.addFinding(Altered, m, m.typedBy, "its user has deleted it before it was sent, and somebody has it")
	}
	return true
}

// covers reports whether the changes of a line include c or one that beats it.
func covers(changed string, c *message) bool {
	for _, w := range record.Winners(changed) {
		_, from, _ := chat.ParseKey(w.ID)
		switch {
		case w.Kind == string(chat.KindDelete) && c.kind != w.Kind:
			return true
		case w.Kind != c.kind || from != c.typedOn.user:
		case int64(w.At) > c.at || int64(w.At) == c.at && w.ID >= c.id:
			return true
		}
	}
	return false
}

// missingChange says where a change has no effect in the end, although its message is there.
func (j *judge) missingChange(c *message) string {
	var where []string
	for _, f := range j.views[c.conversation] {
		at, has := f.place[c.of.id]
		if !has || covers(f.lines[at].Changed, c) {
			continue
		}
		if f.device == nil {
			where = append(where, "in the list of the API")
		} else if !f.device.left {
			where = append(where, "on "+f.name)
		}
	}
	return strings.Join(where, ", ")
}

// judgeChanges checks that everything that counts in the end was made by somebody who may do that, with this content,
// and that devices applied changes when their events arrived. A device that did not would have them in the end from a
// load.
func (j *judge) judgeChanges() {
	for _, m := range j.order {
		if m.of != nil {
			j.judgeApplied(m)
		}
	}
	for conversation, views := range j.views {
		for _, f := range views {
			for _, l := range f.lines {
				j.judgeWinners(f, conversation, &l)
			}
		}
	}
}

// judgeApplied checks that no device of the recipient acknowledged a change of a message that it shows without applying
// it.
func (j *judge) judgeApplied(c *message) {
	_, gone := j.erased[c.typedOn.user]
	_, erased := j.erased[c.to]
	for _, d := range c.ignoredBy {
		if !gone && !erased && c.counts() {
			j.addFinding(Lost, c, d.name, "acknowledged, and it has no effect")
		}
	}
}

// counts reports whether the user who has made a change may make it.
func (m *message) counts() bool {
	_, author, _ := chat.ParseKey(m.of.id)
	return m.kind == string(chat.KindReact) || m.typedOn.user == author
}

func (j *judge) judgeWinners(f *view, conversation string, l *record.Line) {
	m := j.message(&record.Entry{ID: l.ID, Conversation: conversation})
	_, author, _ := chat.ParseKey(l.ID)
	deleted, edited := false, false
	for _, w := range record.Winners(l.Changed) {
		c := j.message(&record.Entry{ID: w.ID, Conversation: conversation})
		_, from, _ := chat.ParseKey(w.ID)
		switch {
		case c.of != m || c.kind != w.Kind || c.at != int64(w.At) || c.text != w.Text:
			j.addFinding(Altered, m, f.name, "has the change %s, which nobody has made so", w.ID)
		case w.Kind != string(chat.KindReact) && from != author:
			j.addFinding(Altered, m, f.name, "has the change %s of another person", w.ID)
		case c.dropped && c.accepted < 0 && len(c.shown) == 0:
			j.addFinding(Altered, m, f.name, "has the change %s, which was not sent", w.ID)
		}
		switch w.Kind {
		case string(chat.KindDelete):
			deleted = true
		case string(chat.KindEdit):
			edited = true
		}
		if (w.Kind == string(chat.KindEdit) || w.Kind == string(chat.KindDelete)) && l.Text != w.Text {
			j.addFinding(Altered, m, f.name, "its text is not that of its change %s", w.ID)
		}
	}
	if m.deleted[f.device] && !deleted {
		j.addFinding(Backwards, m, f.name, "shown in the end although it was deleted")
	}
	if !edited && !deleted && l.Sum == 0 {
		j.addFinding(Altered, m, f.name, "its text is another one without a change")
	}
}
