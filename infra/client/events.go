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

// event stores a durable event with its effects and the cursor, and schedules the acknowledgment on the socket that
// delivered it.
func (m *machine) event(now time.Time, s *socket, f wire.EventFrame) {
	e, err := wire.DecodeEvent(f.Event)
	if err != nil { // cannot happen: DecodeServer has decoded it
		m.drop(now, s, m.pace.RetryFirst)
		return
	}
	var done []rowKey // own messages and changes that need not be sent again
	kind, from := "", ""
	m.store.commit(func(d *durable) {
		switch e := e.(type) {
		case wire.MessageEvent:
			kind, from = e.Type, e.Conversation
			if m.credible(e.Type == wire.EventSent, e.ID, e.Conversation, e.From, e.To) {
				done = m.keepEvent(d, now, e)
				if e.Type == wire.EventSent {
					m.answered(d, now, e.Conversation, false)
				}
			}
		case wire.ChangeEvent:
			kind, from = e.Type, e.Conversation
			if m.credible(e.Type == wire.EventChanged, e.ID, e.Conversation, e.From, e.To) {
				done = m.keepChange(d, now, e)
				if e.Type == wire.EventChanged {
					m.answered(d, now, e.Conversation, false)
				}
			}
		case wire.DeliveredEvent:
			if m.isMember(e.Conversation) {
				m.answered(d, now, e.Conversation, true)
			}
			r := receipt{state: Delivered, at: e.DeliveredAt}
			done = m.applyReceipts(d, now, e.Conversation, e.Messages, e.Changes, r)
		case wire.RefusedEvent:
			r := receipt{state: Refused, code: e.Code}
			done = m.applyReceipts(d, now, e.Conversation, e.Messages, e.Changes, r)
		case wire.CorrectedEvent:
			if m.isMember(e.Conversation) && e.Conversation == chat.ConversationID(e.From, e.To) {
				m.keepSaved(d, e.Message, chat.Changes{}, FromCorrection)
				done = append(done, rowOf(e.Message))
			}
		case wire.ReadEvent:
			if _, err := chat.Other(e.Conversation, e.By); err == nil && m.isMember(e.Conversation) {
				m.applyReadMark(d, now, e.Conversation, e.By, e.At)
			}
		}
		if s == m.newestWelcomed() {
			m.heard(d, now, f.Cursor)
		}
	})
	if wire.Waits(kind) && m.holds[from].forStranger {
		delete(m.holds, from) // the other user has answered
	}
	s.ackCursor = f.Cursor
	// Only events that wait need a timely acknowledgment; the next one covers receipts.
	if wire.Waits(kind) && s.ackDue.IsZero() {
		s.ackDue = laterOf(now, s.ackedAt.Add(m.pace.AckEvery)).Add(m.misbehavior.AckDelay)
	}
	for _, row := range done {
		m.dequeue(row)
	}
	m.tick(now)
}

// isMember reports whether the user takes part in the conversation.
func (m *machine) isMember(conversation string) bool {
	_, err := chat.Other(conversation, m.store.uid)
	return err == nil
}

// credible reports whether the event of a message or change can belong to this user, who has sent it if it is an echo.
// Other events are skipped: the cursor moves on, and nothing is shown.
func (m *machine) credible(echo bool, id, conversation, from, to string) bool {
	if !chat.ValidMessageID(id) || conversation != chat.ConversationID(from, to) {
		return false
	}
	if echo {
		from, to = to, from
	}
	return to == m.store.uid && from != m.store.uid
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// ownRow returns the row of a message or change of the user that a receipt names.
func (m *machine) ownRow(conversation, id string) rowKey {
	return rowKey{conversation, chat.KeyOf(id, m.store.uid)}
}

// keepEvent stores a message or sent event. For a sent event it returns the own message that need not be sent again. It
// does not change the content of a known message: that of history or a correction, which wins, may have come first.
func (m *machine) keepEvent(d *durable, now time.Time, e wire.MessageEvent) []rowKey {
	row := rowOf(e.Message)
	known := d.messages[row]
	if known == nil {
		m.show(d, e.Message, chat.Changes{}, FromEvent)
		known = d.messages[row]
		known.heard = now
	} else {
		m.note(Note{NoteKind: NoteRepeated, Message: e.Message})
	}
	if known.AcceptedAt == 0 {
		known.AcceptedAt = e.AcceptedAt
	}
	if e.Type != wire.EventSent {
		return nil
	}
	m.raiseState(d, known, Sent, "")
	return []rowKey{row}
}

// keepSaved stores a message as it is saved, from history or a correction. Its content replaces what the device shows
// under its key: the sender has used the id more than once. The archive does not keep the body that a change replaced.
func (m *machine) keepSaved(d *durable, msg chat.Message, sum chat.Changes, from string) {
	k := d.messages[rowOf(msg)]
	if k != nil && (!sum.SameText(chat.Changes{}) || k.changes.Deleted != nil) {
		msg.Body = k.Body
	}
	switch {
	case k == nil:
		m.show(d, msg, sum, from)
		k = d.messages[rowOf(msg)]
	case !chat.SameContent(k.Message, msg):
		c := d.conv(msg.Conversation)
		if k.At != 0 {
			c.remove(k)
		}
		k.Message = msg
		c.insert(k)
		m.note(k.note(NoteCorrected, from))
	default:
		k.AcceptedAt = msg.AcceptedAt
	}
	k.heard = time.Time{}
	m.raiseState(d, k, Delivered, "")
	if msg.From == m.store.uid {
		d.conv(msg.Conversation).answered = true
	}
	m.fold(d, rowOf(msg), sum)
	m.finishFetched(d, k)
}

// show stores a message that this device did not have, in its order, with the changes and receipts that arrived before
// it.
func (m *machine) show(d *durable, msg chat.Message, sum chat.Changes, from string) {
	row := rowOf(msg)
	k := &stored{Message: msg, changes: sum.Merge(d.early[row])}
	delete(d.early, row)
	d.messages[row] = k
	c := d.conv(msg.Conversation)
	c.insert(k)
	c.change = max(c.change, newestChange(k.changes))
	m.note(k.note(NoteShown, from))
	k.forgetDeleted(m.store.uid)
	delete(d.backfills, backfillKey(msg.Conversation, msg.Key(), 0))
	delete(d.backfills, backfillKey(msg.Conversation, "", msg.At))
	if r, early := d.receipts[row]; early {
		delete(d.receipts, row)
		m.raiseState(d, k, r.state, r.code)
	}
}

// raiseState moves an own message to a later state, never back. It removes the message from the outbox once it need
// not be sent again.
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
		d.leaveOutbox(rowOf(k.Message))
		k.forgetDeleted(m.store.uid)
	}
	m.note(Note{NoteKind: NoteState, Message: k.Message, State: state, Refusal: k.refusal})
	if state == Refused {
		m.dropChanges(d, k, func(c *waitingChange) bool { return c.state == Waiting })
	}
}

// leaveOutbox removes an own message or change from the outbox.
func (d *durable) leaveOutbox(row rowKey) {
	if i := slices.Index(d.outbox, row); i >= 0 {
		d.outbox = slices.Delete(d.outbox, i, i+1)
	}
}

// applyReceipts applies the receipts of own messages and changes, and returns their rows.
func (m *machine) applyReceipts(
	d *durable, now time.Time, conv string, messages, changes []wire.MessageRef, r receipt,
) (done []rowKey) {
	for _, ref := range messages {
		row := m.ownRow(conv, ref.ID)
		if k := d.messages[row]; k != nil {
			m.raiseState(d, k, r.state, r.code)
		} else if d.keepReceipt(row, r); r.state == Delivered { // a refused message is not in history
			m.addBackfill(d, now, backfill{conversation: conv, key: row.key, at: ref.At})
		}
		done = append(done, row)
	}
	for _, ref := range changes {
		row := m.ownRow(conv, ref.ID)
		m.applyChangeReceipt(d, now, row, r)
		done = append(done, row)
	}
	return done
}

// keepReceipt stores a receipt of a message or change that is not here yet.
func (d *durable) keepReceipt(row rowKey, r receipt) {
	if early, ok := d.receipts[row]; !ok || r.state > early.state {
		d.receipts[row] = r
	}
}

// applyReadMark moves a read mark forward, and with it the delivered own messages below it. An own message that is
// not delivered yet stays, because its at can lie below a mark that was set before the recipient had it. If now is
// zero, a mark of a message that is not here adds no backfill.
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

// answered handles that something of the user was queued in a conversation, or was delivered. If it is the first, the
// other user has not got the read mark so far, so it counts as unsent again. A message that is only queued may be the
// first once more, after Redis was wiped.
func (m *machine) answered(d *durable, now time.Time, conv string, delivered bool) {
	c := d.conv(conv)
	if c.answered {
		return
	}
	c.answered = delivered
	if at := max(c.unsent, c.read[m.store.uid]); at > 0 {
		c.unsent = at
		m.readAt = now
	}
}

func backfillKey(conversation, message string, at chat.Micros) string {
	if message != "" {
		return conversation + " " + message
	}
	return conversation + " @" + at.Time().Format(time.RFC3339Nano)
}

// addBackfill adds a backfill unless the device has the same one already.
func (m *machine) addBackfill(d *durable, now time.Time, pending backfill) {
	key := backfillKey(pending.conversation, pending.key, pending.at)
	if d.backfills[key] == nil {
		pending.since = now
		pending.due = now.Add(m.pace.BackfillFirst) // a message that was just delivered may not be saved yet
		d.backfills[key] = &pending
	}
}
