package verdict

import (
	"fmt"
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// changed is a history of a message of ann, which she edits on ann1.
type changed struct {
	history
	edit chat.Change
	m    chat.Message
}

func (c *changed) entry(kind record.Kind, device string) record.Entry {
	key := chat.KeyOf(c.edit.ID, c.edit.From)
	return record.Entry{Kind: kind, Device: device, User: c.edit.To, ID: key, Conversation: conv, Of: c.m.ID,
		Name: string(c.edit.Kind), At: c.edit.At, Text: record.TextOfChange(c.edit)}
}

// line returns the line of the message with the edit, or without it.
func (c *changed) line(applied bool) record.Line {
	if !applied {
		return lineOf(c.m)
	}
	var sum chat.Changes
	sum.Edited = &chat.Edited{Place: chat.Place{At: c.edit.At, ID: c.edit.ID}, Body: c.edit.Body}
	m := c.m
	m.Body = c.edit.Body
	l := record.LineOf(m, sum)
	l.ID = c.m.ID
	return l
}

// newChanged returns a clean history.
func newChanged() *changed {
	c := &changed{m: newMessage(1, "ann", "bob")}
	c.m.ID = "m1.ann"
	c.edit = chat.Change{ID: "c1", Conversation: conv, From: "ann", To: "bob", At: 2000, Kind: chat.KindEdit,
		Body: "edited"}
	h := &c.history
	for _, d := range everyone {
		h.add(record.Entry{Kind: record.Device, Device: d, User: d[:3]})
		h.add(record.Entry{Kind: record.Up, Device: d})
	}
	h.send(c.m)
	typed, shown := c.entry(record.Typed, "ann1"), c.entry(record.Shown, "")
	h.add(typed)
	h.add(c.entry(record.Frozen, "ann1"))
	state := func(device, state string) {
		h.add(record.Entry{Kind: record.State, Device: device, ID: typed.ID, Conversation: conv, Name: state})
	}
	state("ann1", "sent")
	for _, d := range []string{"ann2", "bob1", "bob2"} {
		shown.Device, shown.Name = d, "event"
		h.add(shown)
		if d != "ann2" {
			l := c.line(true)
			h.add(record.Entry{Kind: record.Folded, Device: d, ID: c.m.ID, Conversation: conv, Text: l.Text, Changed: l.Changed})
		}
	}
	h.add(record.Entry{Kind: record.Acked, Device: "bob1"})
	h.add(c.entry(record.Saved, ""))
	state("ann1", "delivered")
	c.show()
	h.add(record.Entry{Kind: record.Fault, Name: Opening})
	c.show()
	return c
}

// show adds the views of everyone.
func (c *changed) show() {
	from := len(c.history)
	c.views([]chat.Message{c.m})
	for i := range c.history[from:] {
		e := &c.history[from+i]
		state := e.Lines[0].State
		e.Lines[0] = c.line(true)
		e.Lines[0].State = state
	}
}

// alter replaces the line of bob2 in the end.
func (c *changed) alter(l record.Line) {
	for i, e := range slices.Backward(c.history) {
		if e.Kind == record.View && e.Device == "bob2" {
			c.history[i].Lines[0] = l
			return
		}
	}
}

func TestChanges(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rule   Rule // "": clean
		doctor func(c *changed)
	}{
		{"clean", "", func(*changed) {}},
		{"acknowledged without an effect", Lost, func(c *changed) {
			c.history = slices.DeleteFunc(c.history, func(e record.Entry) bool {
				return e.Kind == record.Folded && e.Device == "bob1"
			})
		}},
		{"no effect in the end", Lost, func(c *changed) { c.alter(c.line(false)) }},
		{"another text", Altered, func(c *changed) {
			l := c.line(true)
			l.Text++
			c.alter(l)
		}},
		{"a change that nobody has made", Altered, func(c *changed) {
			l := c.line(true)
			l.Changed = fmt.Sprintf("edit,c2.ann,2500,%x", uint64(l.Text))
			c.alter(l)
		}},
		{"saved before a device had it", EarlySaved, func(c *changed) {
			i := c.where(t, record.Saved, "", chat.KeyOf(c.edit.ID, "ann"))
			saved := c.history[i]
			c.history = slices.Insert(slices.Delete(c.history, i, i+1), c.where(t, record.Frozen, "ann1", saved.ID)+1, saved)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChanged()
			tc.doctor(c)
			r := Judge(c.history)
			if r.Changes != 1 {
				t.Errorf("%d changes were judged, want 1", r.Changes)
			}
			for _, rule := range Rules {
				if got := r.Counts[rule] > 0; got != (rule == tc.rule) {
					t.Errorf("%s: broken %v, want %v: %+v", rule, got, rule == tc.rule, r.Findings)
				}
			}
		})
	}
}
