package client

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// maxInflight bounds the own messages on a socket that have no answer yet.
const maxInflight = 32

// write puts a message of the user into the outbox, durably, and returns its id.
func (m *machine) write(now time.Time, to, body, replyTo string) string {
	msg := chat.Message{
		ID: m.freshID(m.wall()), Conversation: chat.ConversationID(m.store.uid, to),
		From: m.store.uid, To: to, Body: body, ReplyTo: replyTo,
	}
	if m.newID != nil {
		msg.ID = m.newID(msg.Conversation, msg.ID)
	}
	m.store.commit(func(d *durable) {
		d.messages[msg.ID] = &stored{Message: msg}
		d.conv(msg.Conversation) // a conversation exists from its first message on, sent or not
		d.outbox = append(d.outbox, msg.ID)
		m.note(Note{NoteKind: NoteTyped, Message: msg})
	})
	for _, s := range m.sockets {
		if s.phase == live {
			s.queue = append(s.queue, msg.ID)
		}
	}
	m.tick(now)
	return msg.ID
}

// freshID returns a UUIDv7 for now. Its random part comes from the machine, so that a seed repeats it.
func (m *machine) freshID(now time.Time) string {
	var u uuid.UUID
	ms := uint64(now.UnixMilli())
	hi, lo := m.ids.Uint64(), m.ids.Uint64()
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[7] = 0x70|byte(hi>>8)&0x0f, byte(hi)
	for i := range 8 {
		u[8+i] = byte(lo >> (56 - 8*i))
	}
	u[8] = 0x80 | u[8]&0x3f
	return u.String()
}

// pump sends the messages that may be sent. In each conversation it keeps the order of the outbox and stops at a
// message that was never accepted. Messages that were accepted before are repeated without waiting for each answer.
func (m *machine) pump(now time.Time) {
	m.holdEnds = time.Time{} // also if nothing is held: an end in the past would be due forever
	s := m.up()
	if s == nil || len(s.queue) == 0 {
		return
	}
	blocked := map[string]bool{}
	for _, id := range s.queue {
		if len(s.inflight) >= maxInflight {
			return
		}
		m.store.mu.Lock()
		k := m.store.d.messages[id]
		gap := m.store.d.gap
		m.store.mu.Unlock()
		conv := k.Conversation
		if blocked[conv] {
			continue
		}
		if _, open := s.inflight[id]; open {
			blocked[conv] = k.state == Waiting
			continue
		}
		if h := m.holds[conv]; now.Before(h.until) {
			if m.holdEnds.IsZero() || h.until.Before(m.holdEnds) {
				m.holdEnds = h.until
			}
			blocked[conv] = true
			continue
		}
		if k.At != 0 && gap { // history may have it: load that first
			blocked[conv] = true
			continue
		}
		if k.At == 0 {
			m.store.commit(func(d *durable) {
				c := d.conv(conv)
				k.At = m.placeAt(now, c)
				c.insert(k)
				m.note(Note{NoteKind: NoteFrozen, Message: k.Message})
			})
		}
		s.inflight[id] = now
		m.fx.write(s.n, encodeSend(k.Message))
		blocked[conv] = k.state == Waiting
	}
}

// dequeue removes an own message from the queues of all sockets. It was accepted, delivered or refused for good.
func (m *machine) dequeue(id string) {
	for _, s := range m.sockets {
		delete(s.inflight, id)
		if i := slices.Index(s.queue, id); i >= 0 {
			s.queue = slices.Delete(s.queue, i, i+1)
		}
	}
}

func (m *machine) sent(now time.Time, s *socket, f wire.Sent) {
	m.store.commit(func(d *durable) {
		if k := d.messages[f.ID]; k != nil {
			if k.AcceptedAt == 0 {
				k.AcceptedAt = f.AcceptedAt
			}
			m.raiseState(d, k, Sent, "")
			delete(m.holds, k.Conversation)
		}
	})
	m.dequeue(f.ID)
	m.tick(now)
}

// errorFrame handles an error: a retryable one of a message, a final one of a message, or one of the socket.
func (m *machine) errorFrame(now time.Time, s *socket, f wire.ErrorFrame) {
	wait := time.Duration(f.RetryAfterMS) * time.Millisecond
	if f.ID == "" {
		s.refusedAt, s.refusedWait = now, wait // for the close that may follow
		return
	}
	if wait > maxClockDifference && f.Code == chat.ErrAtAhead.Code && m.freezeAgain(now, s, f.ID) {
		return
	}
	if wait > 0 {
		m.store.mu.Lock()
		k := m.store.d.messages[f.ID]
		m.store.mu.Unlock()
		if k != nil {
			h := m.holds[k.Conversation]
			h.until = now.Add(wait + m.jitter(wait<<min(h.tries, 4)))
			h.tries++
			h.forStranger = f.Code == inbox.ErrAnswerAwaited.Code || f.Code == inbox.ErrTooManyNewPeople.Code
			m.holds[k.Conversation] = h
		}
		delete(s.inflight, f.ID)
		m.tick(now)
		return
	}
	m.store.commit(func(d *durable) {
		if k := d.messages[f.ID]; k != nil {
			m.raiseState(d, k, Refused, f.Code)
		}
	})
	m.dequeue(f.ID)
	m.tick(now)
}

// maxClockDifference is the most by which the clocks of two instances differ.
const maxClockDifference = 10 * time.Second

// freezeAgain gives an own message that is too far ahead for every instance another at, and all after it in the outbox
// of its conversation, in order. No instance can have accepted the old ones, so they may change. It reports whether it
// did so. Otherwise, the message was accepted before, and the server's clock was set back since.
func (m *machine) freezeAgain(now time.Time, s *socket, id string) bool {
	var first *stored
	wrongClock := false
	m.store.commit(func(d *durable) {
		first = d.messages[id]
		if first == nil || first.state != Waiting || first.At == 0 {
			first = nil
			return
		}
		// An at that this device would choose now as well says that its idea of the server's time is wrong.
		wrongClock = first.At.Time().Sub(m.clock.time(now)) <= maxClockDifference
		from := slices.Index(d.outbox, id)
		for _, later := range d.outbox[from:] {
			if k := d.messages[later]; k.Conversation == first.Conversation && k.state == Waiting && k.At != 0 {
				d.conv(k.Conversation).remove(k)
				k.At = 0
			}
		}
	})
	if first == nil {
		return false
	}
	for _, o := range m.sockets {
		delete(o.inflight, id)
	}
	if wrongClock {
		m.drop(now, s, 0) // the next welcome has the time
	}
	m.tick(now)
	return true
}

// Frames of a client. Each has only the fields of its type.

func encodeHello(token, device, cursor string) []byte {
	return encode(struct {
		Type   string `json:"type"`
		Token  string `json:"token"`
		Device string `json:"device"`
		Cursor string `json:"cursor"`
	}{wire.TypeHello, token, device, cursor})
}

func encodeSend(k chat.Message) []byte {
	return encode(struct {
		Type    string      `json:"type"`
		ID      string      `json:"id"`
		To      string      `json:"to"`
		Body    string      `json:"body"`
		At      chat.Micros `json:"at"`
		ReplyTo string      `json:"reply_to,omitempty"`
	}{wire.TypeSend, k.ID, k.To, k.Body, k.At, k.ReplyTo})
}

func encodeAck(cursor string) []byte {
	return encode(struct {
		Type   string `json:"type"`
		Cursor string `json:"cursor"`
	}{wire.TypeAck, cursor})
}

func encodeRead(conversation string, at chat.Micros) []byte {
	return encode(struct {
		Type         string      `json:"type"`
		Conversation string      `json:"conversation"`
		At           chat.Micros `json:"at"`
	}{wire.TypeRead, conversation, at})
}

func encodeToken(token string) []byte {
	return encode(struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}{wire.TypeToken, token})
}

func encodePing() []byte { return []byte(`{"type":"ping"}`) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // cannot happen: strings and integers only
		panic(err)
	}
	return b
}
