package load

import (
	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// recordNote adds what a device reports to the record.
func (c *Crowd) recordNote(device string, n client.Note) {
	m := n.Message
	e := record.Entry{Device: device, Conversation: m.Conversation}
	if m.ID != "" {
		e.ID = m.Key()
		l := record.LineOf(m, n.Changes)
		e.Sum, e.Text, e.Changed = l.Sum, l.Text, l.Changed
	}
	if change := n.Change; change.ID != "" {
		e.ID, e.Conversation = chat.KeyOf(change.ID, change.From), change.Conversation
		m.At, m.To = change.At, change.To
		if change.Of.ID != "" {
			e.Of, e.Text = change.Of.Key(), record.TextOfChange(change)
		}
	}
	switch n.NoteKind {
	case client.NoteTyped:
		if c.opts.Reused > 0 && n.Change.ID == "" {
			c.learnID(m)
		}
		e.Kind, e.User, e.Name = record.Typed, m.To, string(n.Change.Kind)
	case client.NoteFrozen:
		e.Kind, e.At = record.Frozen, m.At
	case client.NoteShown:
		e.Kind, e.At, e.Name = record.Shown, m.At, n.From
	case client.NoteState:
		e.Kind, e.Name, e.Detail, e.Sum, e.Text, e.Changed = record.State, n.State.String(), n.Refusal, 0, 0, ""
	case client.NoteRepeated:
		e.Kind, e.At = record.Repeated, m.At
	case client.NoteCorrected:
		e.Kind, e.At = record.Corrected, m.At
	case client.NoteFolded:
		e.Kind = record.Folded
	case client.NoteRetyped:
		e.Kind = record.Retyped
	case client.NoteDropped:
		e.Kind = record.Dropped
	case client.NoteAcked:
		e.Kind = record.Acked
	case client.NoteRead:
		e.Kind, e.Conversation, e.At = record.ReadTo, n.Conversation, n.At
	case client.NoteUp:
		e.Kind = record.Up
	case client.NoteDown:
		e.Kind = record.Down
	case client.NoteMoved:
		e.Kind = record.Moved
	case client.NoteNotResumed:
		e.Kind = record.NotResumed
	case client.NoteLoad:
		e.Kind = record.Load
	}
	c.log.Add(e)
}
