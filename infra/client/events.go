package client

import (
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// commit changes the store in one step.
func (s *Store) commit(change func(*durable)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.d)
}

// event stores a durable event, what follows from it and the cursor, and plans
// the acknowledgement on the socket that brought it.
func (m *machine) event(now time.Time, s *socket, f wire.EventFrame) {
	e, err := wire.DecodeEvent(f.Event)
	if err != nil { // DecodeServer has read it already: cannot happen
		m.drop(now, s, m.pace.RetryFirst)
		return
	}
	var settled []string // own messages that need no sending any more
	m.store.commit(func(d *durable) {
		switch e := e.(type) {
		case wire.MessageEvent:
			if m.credible(e) {
				settled = m.keepEvent(d, e)
			}
		case wire.DeliveredEvent:
			for _, r := range e.Messages {
				m.applyReceipt(d, now, e.Conversation, r, receipt{state: Delivered})
				settled = append(settled, r.ID)
			}
		case wire.RefusedEvent:
			for _, r := range e.Messages {
				m.applyReceipt(d, now, e.Conversation, r, receipt{Refused, e.Code})
				settled = append(settled, r.ID)
			}
		case wire.ReadEvent:
			if _, err := chat.Other(e.Conversation, e.By); err == nil && m.isMember(e.Conversation) {
				m.applyReadMark(d, now, e.Conversation, e.By, e.At)
			}
		}
		if s == m.newestWelcomed() {
			d.cursor = f.Cursor
		}
	})
	s.ackCursor = f.Cursor
	// Only message events wait for an acknowledgement; receipts ride along.
	if me, ok := e.(wire.MessageEvent); ok && me.Type == wire.EventMessage && s.ackDue.IsZero() {
		s.ackDue = laterOf(now, s.ackedAt.Add(m.pace.AckEvery)).Add(m.misbehavior.AckDelay)
	}
	for _, id := range settled {
		m.dequeue(id)
	}
	m.tick(now)
}

// mine reports whether the user is in the conversation.
func (m *machine) isMember(conversation string) bool {
	_, err := chat.Other(conversation, m.store.uid)
	return err == nil
}

// credible reports whether a message or sent event can be this user's. What
// cannot is passed over: the cursor goes on, and nothing is shown.
func (m *machine) credible(e wire.MessageEvent) bool {
	if !chat.ValidMessageID(e.ID) || e.Conversation != chat.ConversationID(e.From, e.To) {
		return false
	}
	if e.Type == wire.EventSent {
		return e.From == m.store.uid && e.To != m.store.uid
	}
	return e.To == m.store.uid && e.From != m.store.uid
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// keepEvent stores a message or sent event, and returns the id of the own
// message that it answers.
func (m *machine) keepEvent(d *durable, e wire.MessageEvent) []string {
	known := d.messages[e.ID]
	if known == nil {
		m.show(d, e.Message, FromEvent)
		known = d.messages[e.ID]
	}
	if known.AcceptedAt == 0 {
		known.AcceptedAt = e.AcceptedAt
	}
	if e.Type != wire.EventSent {
		return nil
	}
	m.raiseState(d, known, Sent, "")
	return []string{e.ID}
}

// show stores a message that this device did not know, in its place, with the
// receipts that came before it.
func (m *machine) show(d *durable, msg chat.Message, from string) {
	k := &stored{Message: msg}
	d.messages[msg.ID] = k
	c := d.conv(msg.Conversation)
	c.insert(k)
	m.note(Note{NoteKind: NoteShown, Message: msg, From: from})
	delete(d.backfills, backfillKey(msg.Conversation, msg.ID, 0))
	delete(d.backfills, backfillKey(msg.Conversation, "", msg.At))
	if r, early := d.receipts[msg.ID]; early {
		delete(d.receipts, msg.ID)
		m.raiseState(d, k, r.state, r.code)
	}
}

// raise moves an own message to a later state, never back, and takes it out of
// the outbox where it need not be sent again.
func (m *machine) raiseState(d *durable, k *stored, state State, refusal string) {
	if k.From != m.store.uid {
		return
	}
	if state == Delivered && d.conv(k.Conversation).read[k.To] >= k.At {
		state = Read
	}
	if state <= k.state {
		return
	}
	k.state, k.refusal = state, ""
	if state == Refused {
		k.refusal = refusal
	}
	if state >= Refused {
		if i := slices.Index(d.outbox, k.ID); i >= 0 {
			d.outbox = slices.Delete(d.outbox, i, i+1)
		}
	}
	m.note(Note{NoteKind: NoteState, Message: k.Message, State: state})
}

// receipt applies a receipt, or remembers it for a message that is not here yet.
func (m *machine) applyReceipt(d *durable, now time.Time, conv string, ref wire.MessageRef, r receipt) {
	if k := d.messages[ref.ID]; k != nil {
		m.raiseState(d, k, r.state, r.code)
		return
	}
	if early, ok := d.receipts[ref.ID]; !ok || r.state > early.state {
		d.receipts[ref.ID] = r
	}
	if r.state == Delivered { // a refused one was never saved: history cannot pay for it
		m.addBackfill(d, now, backfill{conversation: conv, id: ref.ID, at: ref.At})
	}
}

// mark moves a read mark forward. Own messages below it that were delivered
// are read; those that were not may have come to the reader's place in time
// after it was passed. With a zero now nothing is owed for a mark that names
// no message known here.
func (m *machine) applyReadMark(d *durable, now time.Time, conv, by string, at chat.Micros) {
	c := d.conv(conv)
	if by == m.store.uid && at >= c.unsent {
		c.unsent = 0
	}
	before := c.read[by]
	if at <= before {
		return
	}
	c.read[by] = at
	for _, k := range slices.Backward(c.shown) {
		if k.At <= before {
			break
		}
		if by != m.store.uid && k.At <= at && k.state == Delivered {
			m.raiseState(d, k, Read, "")
		}
	}
	if !now.IsZero() && !c.hasMessageAt(at) {
		m.addBackfill(d, now, backfill{conversation: conv, at: at})
	}
}

func backfillKey(conversation, id string, at chat.Micros) string {
	if id != "" {
		return conversation + " " + id
	}
	return conversation + " @" + at.Time().Format(time.RFC3339Nano)
}

func (m *machine) addBackfill(d *durable, now time.Time, backfillAt backfill) {
	key := backfillKey(backfillAt.conversation, backfillAt.id, backfillAt.at)
	if d.backfills[key] == nil {
		backfillAt.since = now
		backfillAt.due = now.Add(m.pace.BackfillFirst) // what was delivered just now is still on its way to the archive
		d.backfills[key] = &backfillAt
	}
}
