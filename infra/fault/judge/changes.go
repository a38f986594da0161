package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// This file is the model of the changes of one message in the archive. It is a register that keeps, of the edits, of
// the deletions and of the reactions of each person, the greatest one. A save of a change takes effect between its
// beginning and its confirmation. Each read of the message must have exactly what the register has then, so nothing
// that was deleted comes back, and no confirmed change is missing.

// change is a change of a message, and what the record says about its way.
type change struct {
	of     *message
	key    string
	author string // of the change
	kind   string
	text   record.Hash
	at     int64
	to     string
	acked  bool // a device of the recipient has had it, and acknowledged it or something later
	saved  int64
	stored int64
	early  bool   // it was saved before that
	wrong  string // how the saved change differs from what was made
}

// reading is what a read of the archive had of a message.
type reading struct {
	span
	changed string
	text    record.Hash
}

// addChange adds an entry about a change, and reports whether it is one.
func (h *history) addChange(e *record.Entry, d *device) bool {
	id := [2]string{e.Conversation, e.ID}
	c := h.changes[id]
	switch {
	case c == nil && e.Kind == record.Typed && e.Of != "":
		m := h.message(e.Conversation, e.Of)
		c = &change{of: m, key: e.ID, author: d.user, kind: e.Name, text: e.Text, to: e.User}
		h.changes[id] = c
		m.changes = append(m.changes, c)
		return true
	case c == nil && e.Of != "": // saved or shown, and nobody has made it
		m := h.message(e.Conversation, e.Of)
		c = &change{of: m, key: e.ID, kind: e.Name, text: e.Text, at: int64(e.At), saved: h.now,
			wrong: "nobody has made it"}
		h.changes[id] = c
		m.changes = append(m.changes, c)
		return true
	case c == nil:
		return false
	}
	switch e.Kind {
	case record.Frozen:
		c.at = int64(e.At)
	case record.Shown, record.Repeated:
		if d.user == c.to {
			d.unackedChanges = append(d.unackedChanges, c)
		}
	case record.Saved:
		if c.saved = h.now; e.Name != c.kind || e.Text != c.text || int64(e.At) != c.at || e.Of != c.of.key {
			c.wrong = "it is saved otherwise than it was made"
		}
		_, author, _ := strings.Cut(c.of.key, ".")
		if c.kind != "react" && c.author != author {
			c.wrong = "it changes the message of another person"
		}
		c.early = !c.acked
	case record.Stored:
		c.stored = h.now
	}
	return true
}

// readChanges adds what a read of the archive had of a message.
func (m *message) readChanges(s span, l *record.Line) {
	m.readings = append(m.readings, reading{s, l.Changed, l.Text})
}

// winners is the state of the model: by slot, the place and the text.
type winners map[string]record.Winner

func slotOf(w record.Winner) string {
	if w.Kind != "react" {
		return w.Kind
	}
	_, from, _ := strings.Cut(w.ID, ".")
	return w.Kind + " of " + from
}

// put returns the register after a change.
func (s winners) put(w record.Winner) winners {
	if _, deleted := s["delete"]; deleted && w.Kind != "delete" {
		return s
	}
	n := winners{}
	if w.Kind != "delete" {
		n = maps.Clone(s)
	} else if had, ok := s["delete"]; ok {
		n["delete"] = had
	}
	if had, ok := n[slotOf(w)]; !ok || had.At < w.At || had.At == w.At && had.ID < w.ID {
		n[slotOf(w)] = w
	}
	return n
}

// foldModel is the model of the changes of one message.
var foldModel = porcupine.Model{
	Init: func() any { return winners{} },
	Step: func(state, input, _ any) (bool, any) {
		s := state.(winners)
		switch in := input.(type) {
		case *change:
			w := record.Winner{Kind: in.kind, ID: in.key, At: chat.Micros(in.at), Text: in.text}
			return in.wrong == "" && !in.early, s.put(w)
		case reading:
			got := winners{}
			for _, w := range record.Winners(in.changed) {
				got[slotOf(w)] = w
				if (w.Kind == "edit" || w.Kind == "delete") && w.Text != in.text {
					return false, s
				}
			}
			return maps.Equal(got, s), s
		}
		return false, s
	},
	Equal: func(a, b any) bool { return maps.Equal(a.(winners), b.(winners)) },
	DescribeOperation: func(input, _ any) string {
		switch in := input.(type) {
		case *change:
			return fmt.Sprintf("the change %s is saved: %s; early: %v", in.key, in.wrong, in.early)
		case reading:
			return fmt.Sprintf("the archive has the changes %q", in.changed)
		}
		return ""
	},
}

// foldPartition returns the operations on the changes of a message, and whether there is something to check. What a
// deleted user has changed is removed, so those conversations are left out.
func (h *history) foldPartition(m *message) (partition, bool) {
	a, b, _ := strings.Cut(m.conversation, "~")
	if len(m.changes) == 0 || h.erased[a] > 0 || h.erased[b] > 0 {
		return partition{}, false
	}
	p := partition{name: fmt.Sprintf("changes of %s in %s", m.key, m.conversation), model: foldModel}
	add := func(in any, s span) {
		p.operations = append(p.operations,
			porcupine.Operation{Input: in, Call: s.from, Return: s.to, Metadata: len(p.operations)})
	}
	for _, c := range m.changes {
		vouched := slices.ContainsFunc(h.devicesOf[c.to], func(d *device) bool { return d.ahead > 0 })
		if c.early = c.early && !vouched; c.saved > 0 {
			end := int64(never)
			if c.stored > 0 {
				end = c.stored
			}
			add(c, span{c.saved, end})
		}
	}
	for _, r := range m.readings {
		add(r, r.span)
	}
	return p, true
}
