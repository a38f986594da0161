package client

import (
	"maps"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// waitingChange is an own change that is not known to be delivered or refused. The device shows it as applied. It is
// in the outbox of the device on which the user has made it.
type waitingChange struct {
	chat.Change
	state State
}

// maxFinished bounds the finished changes that a device remembers. One that was forgotten does no harm if its event or
// its receipt is repeated: the device loads what was changed once more.
const maxFinished = 1000

// finishedChanges are the newest own changes that are delivered or refused, so that a repeated event has no effect.
type finishedChanges struct {
	states map[rowKey]State // Refused or Delivered
	order  []rowKey         // of finishing
}

func (f *finishedChanges) put(row rowKey, state State) {
	if _, known := f.states[row]; !known {
		f.order = append(f.order, row)
	}
	f.states[row] = state
	for len(f.order) > maxFinished {
		delete(f.states, f.order[0])
		f.order = f.order[1:]
	}
}

func (f *finishedChanges) clone() finishedChanges {
	return finishedChanges{maps.Clone(f.states), slices.Clone(f.order)}
}

func (k *waitingChange) place() *chat.Micros { return &k.At }
func (k *waitingChange) progress() State     { return k.state }
func (k *waitingChange) frame() []byte       { return encodeChange(k.Change) }

// target returns the row of the message that is changed.
func target(c chat.Change) rowKey { return rowKey{c.Conversation, c.Of.Key()} }

func rowOfChange(c chat.Change) rowKey { return rowKey{c.Conversation, chat.KeyOf(c.ID, c.From)} }

// covers reports whether a sum has the effect of a change, or one that beats it.
func covers(sum chat.Changes, c chat.Change) bool { return sum.Merge(c.Changes()).Equal(sum) }

// shownChanges returns the changes of a message, with the own ones that wait.
func (d *durable) shownChanges(k *stored) chat.Changes {
	sum := k.changes
	for _, c := range d.changes {
		if target(c.Change) == rowOf(k.Message) {
			sum = sum.Merge(waitingSum(c.Change))
		}
	}
	return sum
}

// waitingSum returns the effect of an own change. One that was not frozen yet comes after all others.
func waitingSum(c chat.Change) chat.Changes {
	if c.At == 0 {
		c.At = maxMicros
	}
	return c.Changes()
}

// note returns a note about the message as it is shown without the changes that wait.
func (k *stored) note(kind NoteKind, from string) Note {
	m := k.Message
	m.Body = k.changes.Body(m.Body)
	return Note{NoteKind: kind, Message: m, Changes: k.changes, From: from}
}

// forgetDeleted removes the body of a deleted message, unless it is an own one that may have to be sent again.
func (k *stored) forgetDeleted(uid string) {
	if k.changes.Deleted != nil && (k.From != uid || k.state >= Refused) {
		k.Body = ""
	}
}

// newestChange returns the greatest at in a sum.
func newestChange(sum chat.Changes) (at chat.Micros) {
	if sum.Edited != nil {
		at = max(at, sum.Edited.At)
	}
	if sum.Deleted != nil {
		at = max(at, sum.Deleted.At)
	}
	for _, r := range sum.Reactions {
		at = max(at, r.At)
	}
	return at
}

// change changes a message of a conversation as the user wants it: content is the body of an edit, or the emoji of a
// reaction. It returns the id of the change, or "" if the change needs none, or if the user may not make it.
//
// An edit or the deletion of a message that was never transmitted is applied to the message. Otherwise the change is
// put at the end of the outbox, so behind its message, in the place of an untransmitted one of its kind.
func (m *machine) change(now time.Time, conversation, key string, kind chat.ChangeKind, content string) (id string) {
	m.store.commit(func(d *durable) {
		k := d.messages[rowKey{conversation, key}]
		if k == nil || k.From != m.store.uid && kind != chat.KindReact || k.state == Refused ||
			d.shownChanges(k).Deleted != nil {
			return
		}
		if k.From == m.store.uid && k.At == 0 && kind != chat.KindReact {
			m.changeUnsent(d, k, kind, content)
			return
		}
		other, err := chat.Other(conversation, m.store.uid)
		if err != nil {
			return
		}
		c := chat.Change{
			ID: freshID(m.wall(), m.changeIDs), Conversation: conversation, From: m.store.uid, To: other,
			Of: chat.Target{ID: k.ID, From: k.From, At: k.At}, Kind: kind,
		}
		switch kind {
		case chat.KindEdit:
			c.Body = content
		case chat.KindReact:
			c.Emoji = content
		}
		m.dropChanges(d, k, func(o *waitingChange) bool { return o.At == 0 && o.Kind == kind })
		d.changes[rowOfChange(c)] = &waitingChange{Change: c}
		m.enqueue(d, c.ID, rowOfChange(c))
		m.note(Note{NoteKind: NoteTyped, Change: c})
		id = c.ID
	})
	m.tick(now)
	return id
}

// changeUnsent applies an edit or the deletion to an own message that was never transmitted.
func (m *machine) changeUnsent(d *durable, k *stored, kind chat.ChangeKind, body string) {
	if kind == chat.KindEdit {
		k.Body = body
		m.note(Note{NoteKind: NoteRetyped, Message: k.Message})
		return
	}
	row := rowOf(k.Message)
	m.dropChanges(d, k, func(*waitingChange) bool { return true })
	d.leaveOutbox(row)
	m.dequeue(row)
	delete(d.messages, row)
	delete(d.own, k.ID)
	m.note(Note{NoteKind: NoteDropped, Message: k.Message})
}

// targetAt sets the at of the message that a change is about, and returns it. The message may have got it after the
// change was made.
func (m *machine) targetAt(d *durable, c *waitingChange) chat.Micros {
	if k := d.messages[target(c.Change)]; k != nil {
		c.Of.At = k.At
	}
	return c.Of.At
}

// dropChanges ends own changes of a message that are not to be sent anymore. What a server has accepted of them
// nevertheless, its receipts make the device load.
func (m *machine) dropChanges(d *durable, k *stored, which func(*waitingChange) bool) {
	for _, row := range slices.Clone(d.outbox) {
		if c := d.changes[row]; c != nil && target(c.Change) == rowOf(k.Message) && which(c) {
			m.note(Note{NoteKind: NoteDropped, Change: c.Change})
			m.endChange(d, c, Refused)
		}
	}
}

// raiseChange moves an own change to a later state. A delivered one belongs to its message from then on. A refused one
// ends, so that the message is shown without it.
func (m *machine) raiseChange(d *durable, c *waitingChange, state State, refusal string) {
	if state <= c.state {
		return
	}
	c.state = state
	m.note(Note{NoteKind: NoteState, Change: c.Change, State: state, Refusal: refusal})
	if state < Refused {
		return
	}
	m.endChange(d, c, state)
	if state == Delivered {
		m.fold(d, target(c.Change), c.Changes())
	}
}

// endChange removes an own change that is refused, delivered or without an effect.
func (m *machine) endChange(d *durable, c *waitingChange, state State) {
	row := rowOfChange(c.Change)
	delete(d.changes, row)
	delete(d.own, c.ID)
	d.finished.put(row, state)
	d.leaveOutbox(row)
	m.dequeue(row)
	conv := d.conv(c.Conversation)
	conv.change = max(conv.change, c.At)
}

// finishFetched ends the own changes of a message that equal what was fetched, or that it supersedes.
func (m *machine) finishFetched(d *durable, k *stored) {
	for _, c := range d.changes {
		if c.At != 0 && target(c.Change) == rowOf(k.Message) && covers(k.changes, c.Change) {
			m.note(Note{NoteKind: NoteDropped, Change: c.Change})
			m.endChange(d, c, Delivered)
		}
	}
}

// fold adds changes to a message. If it is not here yet, they are kept until it is.
func (m *machine) fold(d *durable, row rowKey, sum chat.Changes) {
	c := d.conv(row.conversation)
	c.change = max(c.change, newestChange(sum))
	k := d.messages[row]
	if k == nil {
		if !sum.Empty() {
			d.early[row] = d.early[row].Merge(sum)
		}
		return
	}
	merged := k.changes.Merge(sum)
	if merged.Equal(k.changes) {
		return
	}
	k.changes = merged
	k.forgetDeleted(m.store.uid)
	m.note(k.note(NoteFolded, ""))
}

// keepChange stores a change or changed event. For a changed event it returns the own change that need not be sent
// again.
func (m *machine) keepChange(d *durable, now time.Time, e wire.ChangeEvent) []rowKey {
	row, of := rowOfChange(e.Change), target(e.Change)
	c := d.conv(e.Conversation)
	c.change = max(c.change, e.At)
	sum := d.early[of]
	if k := d.messages[of]; k != nil {
		sum = k.changes
	} else if !e.Changes().Empty() {
		m.addBackfill(d, now, backfill{conversation: e.Conversation, key: of.key, at: e.Of.At})
	}
	known := d.changes[row] != nil || covers(sum, e.Change)
	if d.finished.states[row] != Waiting {
		known = true
	}
	kind := NoteShown
	if known {
		kind = NoteRepeated
	}
	m.note(Note{NoteKind: kind, Change: e.Change, From: FromEvent})
	if e.Type == wire.EventChange {
		m.fold(d, of, e.Changes())
		return nil
	}
	switch waiting := d.changes[row]; {
	case waiting != nil:
		m.raiseChange(d, waiting, Sent, "")
	case d.finished.states[row] == Delivered: // its receipt came first
		m.fold(d, of, e.Changes())
	case !known: // made on another device of the user: it may still be refused
		waiting = &waitingChange{Change: e.Change}
		d.changes[row] = waiting
		m.raiseChange(d, waiting, Sent, "")
	}
	return []rowKey{row}
}

// applyChangeReceipt applies the receipt of an own change. If a change was delivered that the device does not have, it
// loads what was changed.
func (m *machine) applyChangeReceipt(d *durable, now time.Time, row rowKey, r receipt) {
	if c := d.changes[row]; c != nil {
		m.raiseChange(d, c, r.state, r.code)
		return
	}
	if d.finished.states[row] >= r.state {
		return
	}
	d.finished.put(row, r.state)
	if id, from, _ := chat.ParseKey(row.key); r.state == Delivered {
		c := chat.Change{ID: id, Conversation: row.conversation, From: from}
		m.note(Note{NoteKind: NoteState, State: Delivered, Change: c})
		d.lackChanges(r.at, m.pace.Margin)
		d.planChanges(now.Add(m.pace.BackfillFirst), now, m.pace.Reload) // it may not be saved yet
	}
}

// lackChanges records that changes may be missing that were saved since a time of the server. Commits become visible
// out of order, so they are loaded from a margin before it.
func (d *durable) lackChanges(since chat.Micros, margin time.Duration) {
	since = max(since-chat.Micros(margin.Microseconds()), 1)
	if d.changedSince == 0 || since < d.changedSince {
		d.changedSince = since
	}
	d.changedLacks = true
}

// planChanges plans loads of what was changed: the first one, and its repetitions. They replace those of an earlier
// plan, except its first one.
func (d *durable) planChanges(first, now time.Time, reload []time.Duration) {
	if len(d.changedDue) > 0 {
		first = earlier(first, d.changedDue[0])
	}
	d.changedDue = []time.Time{first}
	for _, after := range reload {
		d.changedDue = append(d.changedDue, now.Add(after))
	}
}

// withChanges makes a job load what was changed as well, if changes may be missing.
func (d *durable) withChanges(job loadJob) loadJob {
	job.changes, job.changedSince = d.changedSince > 0, d.changedSince
	return job
}

// changesLoaded stores what was changed of the messages that the device has. Others have their changes when they are
// loaded.
func (m *machine) changesLoaded(d *durable, now time.Time, job loadJob, r loadResult) {
	for _, msg := range r.changed {
		if d.messages[rowOf(msg.Message)] != nil {
			m.keepSaved(d, msg.Message, msg.Changes, FromHistory)
		}
	}
	if r.reload {
		for _, c := range d.conversations {
			c.stale = true
		}
	}
	d.changedDue = slices.DeleteFunc(d.changedDue, func(t time.Time) bool { return !now.Before(t) })
	if job.changedSince != d.changedSince {
		return // a gap was found during the load
	}
	d.changedLacks = false
	// A load that ends a gap plans its repetitions. The last one of all ends the backfill.
	if !d.gap && len(d.changedDue) == 0 && !slices.ContainsFunc(d.reloads, now.Before) {
		d.changedSince = 0
	}
}
