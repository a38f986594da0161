package client

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// maxInflight bounds the own messages on a socket that have no answer yet.
const maxInflight = 32

// write puts a message of the user into the outbox, durably, and returns its id. ReplyTo is the key of the message that
// it answers, or "".
func (m *machine) write(now time.Time, to, body, replyTo string) string {
	msg := chat.Message{
		ID: freshID(m.wall(), m.ids), Conversation: chat.ConversationID(m.store.uid, to),
		From: m.store.uid, To: to, Body: body, ReplyTo: replyTo,
	}
	if m.newID != nil {
		msg.ID = m.newID(msg.Conversation, msg.ID)
	}
	m.store.commit(func(d *durable) {
		d.messages[rowOf(msg)] = &stored{Message: msg}
		d.conv(msg.Conversation) // a conversation exists from its first message on, sent or not
		m.enqueue(d, msg.ID, rowOf(msg))
		m.note(Note{NoteKind: NoteTyped, Message: msg})
	})
	m.tick(now)
	return msg.ID
}

// enqueue puts a message or change of the user at the end of the outbox.
func (m *machine) enqueue(d *durable, id string, row rowKey) {
	d.own[id] = row
	d.outbox = append(d.outbox, row)
	for _, s := range m.sockets {
		if s.phase == live {
			s.queue = append(s.queue, row)
		}
	}
}

// outgoing is an own message or change. Both take the same path from the outbox to the receipt.
type outgoing interface {
	place() *chat.Micros // at; 0 until it is frozen
	progress() State
	frame() []byte
}

func (k *stored) place() *chat.Micros { return &k.At }
func (k *stored) progress() State     { return k.state }
func (k *stored) frame() []byte       { return encodeSend(k.Message) }

// outgoing returns the own message or change of a row, or nil.
func (d *durable) outgoing(row rowKey) outgoing {
	if k := d.messages[row]; k != nil {
		return k
	}
	if k := d.changes[row]; k != nil {
		return k
	}
	return nil
}

// accepted applies the state of an own message or change that a server has accepted or refused.
func (m *machine) accepted(d *durable, row rowKey, at chat.Micros, state State, refusal string) {
	switch k := d.outgoing(row).(type) {
	case *stored:
		if k.AcceptedAt == 0 {
			k.AcceptedAt = at
		}
		m.raiseState(d, k, state, refusal)
	case *waitingChange:
		m.raiseChange(d, k, state, refusal)
	}
}

// freeze fixes the at of an own message or change.
func (m *machine) freeze(now time.Time, d *durable, k outgoing) {
	switch k := k.(type) {
	case *stored:
		k.At = m.placeAt(now, d, k.Conversation)
		d.conv(k.Conversation).insert(k)
		m.note(Note{NoteKind: NoteFrozen, Message: k.Message})
	case *waitingChange:
		k.At = max(m.placeAt(now, d, k.Conversation), m.targetAt(d, k)+1)
		m.note(Note{NoteKind: NoteFrozen, Change: k.Change})
	}
}

// thaw lets an own message or change be frozen again.
func (d *durable) thaw(k outgoing) {
	if k, ok := k.(*stored); ok {
		d.conv(k.Conversation).remove(k)
	}
	*k.place() = 0
}

// freshID returns a UUIDv7 for now. Its random part comes from a source of the machine, so that a seed repeats it.
func freshID(now time.Time, source *rand.Rand) string {
	var u uuid.UUID
	ms := uint64(now.UnixMilli())
	hi, lo := source.Uint64(), source.Uint64()
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

// pump sends the messages and changes that may be sent. In each conversation it keeps the order of the outbox and stops
// at one that was never accepted, so a change waits for its message. Those that were accepted before are repeated
// without waiting for each answer.
func (m *machine) pump(now time.Time) {
	m.holdEnds = time.Time{} // also if nothing is held: an end in the past would be due forever
	s := m.up()
	if s == nil || len(s.queue) == 0 {
		return
	}
	blocked := map[string]bool{}
	for _, row := range s.queue {
		if len(s.inflight) >= maxInflight {
			return
		}
		m.store.mu.Lock()
		k := m.store.d.outgoing(row)
		gap := m.store.d.gap
		m.store.mu.Unlock()
		conv := row.conversation
		if blocked[conv] {
			continue
		}
		if _, open := s.inflight[row]; open {
			blocked[conv] = k.progress() == Waiting
			continue
		}
		if _, change := k.(*waitingChange); change && !s.changes {
			continue // another release of the server may accept it
		}
		if h := m.holds[conv]; now.Before(h.until) {
			if m.holdEnds.IsZero() || h.until.Before(m.holdEnds) {
				m.holdEnds = h.until
			}
			blocked[conv] = true
			continue
		}
		if *k.place() != 0 && gap { // history may have it: load that first
			blocked[conv] = true
			continue
		}
		if *k.place() == 0 {
			m.store.commit(func(d *durable) { m.freeze(now, d, k) })
		}
		s.inflight[row] = now
		m.fx.write(s.n, k.frame())
		blocked[conv] = k.progress() == Waiting
	}
}

// dequeue removes an own message or change from the queues of all sockets. It was accepted, delivered or refused for
// good.
func (m *machine) dequeue(row rowKey) {
	for _, s := range m.sockets {
		delete(s.inflight, row)
		if i := slices.Index(s.queue, row); i >= 0 {
			s.queue = slices.Delete(s.queue, i, i+1)
		}
	}
}

func (m *machine) sent(now time.Time, f wire.Sent) {
	var row rowKey
	m.store.commit(func(d *durable) {
		row = d.own[f.ID]
		m.accepted(d, row, f.AcceptedAt, Sent, "")
		delete(m.holds, row.conversation)
		if row.conversation != "" {
			m.answered(d, now, row.conversation, false)
		}
	})
	m.dequeue(row)
	m.tick(now)
}

// errorFrame handles an error: a retryable or a final one of a message or change, or one of the socket.
func (m *machine) errorFrame(now time.Time, s *socket, f wire.ErrorFrame) {
	wait := time.Duration(f.RetryAfterMS) * time.Millisecond
	if f.ID == "" {
		s.refusedAt, s.refusedWait = now, wait // for the close that may follow
		return
	}
	m.store.mu.Lock()
	row, known := m.store.d.own[f.ID]
	m.store.mu.Unlock()
	if wait > maxClockDifference && f.Code == chat.ErrAtAhead.Code && m.freezeAgain(now, s, row) {
		return
	}
	if wait > 0 {
		if known {
			h := m.holds[row.conversation]
			spread := wait << min(h.tries, 4)
			if f.Code == chat.ErrAtAhead.Code {
				spread = time.Second // the wait is exact, and each message has its own
			}
			h.until = now.Add(wait + m.jitter(spread))
			h.tries++
			h.forStranger = f.Code == inbox.ErrAnswerAwaited.Code || f.Code == inbox.ErrTooManyNewPeople.Code
			m.holds[row.conversation] = h
		}
		delete(s.inflight, row)
		m.tick(now)
		return
	}
	m.store.commit(func(d *durable) { m.accepted(d, row, 0, Refused, f.Code) })
	m.dequeue(row)
	m.tick(now)
}

// maxClockDifference is the most by which the clocks of two instances differ.
const maxClockDifference = 10 * time.Second

// freezeAgain gives an own message or change that is too far ahead for every instance another at, and all after it in
// the outbox of its conversation, in order. No instance can have accepted the old ones, so they may change. It reports
// whether it did so. Otherwise, the message was accepted before, and the server's clock was set back since.
func (m *machine) freezeAgain(now time.Time, s *socket, row rowKey) bool {
	ok, wrongClock := false, false
	m.store.commit(func(d *durable) {
		first := d.outgoing(row)
		if ok = first != nil && first.progress() == Waiting && *first.place() != 0; !ok {
			return
		}
		// An at that this device would choose now as well says that its idea of the server's time is wrong.
		wrongClock = first.place().Time().Sub(m.clock.time(now)) <= maxClockDifference
		from := slices.Index(d.outbox, row)
		for _, later := range d.outbox[from:] {
			k := d.outgoing(later)
			if later.conversation == row.conversation && k.progress() == Waiting && *k.place() != 0 {
				d.thaw(k)
			}
		}
	})
	if !ok {
		return false
	}
	for _, o := range m.sockets {
		delete(o.inflight, row)
	}
	if wrongClock {
		m.drop(now, s, 0) // the next welcome has the time
	}
	m.tick(now)
	return true
}

// Frames of a client. Each has only the fields of its type.

func encodeHello(token, device, cursor string, looking, background bool) []byte {
	return encode(struct {
		Type       string `json:"type"`
		Token      string `json:"token"`
		Device     string `json:"device"`
		Cursor     string `json:"cursor"`
		Looking    bool   `json:"looking,omitempty"`
		Background bool   `json:"background,omitempty"`
	}{wire.TypeHello, token, device, cursor, looking && !background, background})
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

func encodeChange(c chat.Change) []byte {
	return encode(struct {
		Type  string          `json:"type"`
		ID    string          `json:"id"`
		To    string          `json:"to"`
		At    chat.Micros     `json:"at"`
		Of    chat.Target     `json:"of"`
		Kind  chat.ChangeKind `json:"kind"`
		Body  string          `json:"body,omitempty"`
		Emoji string          `json:"emoji,omitempty"`
	}{wire.TypeChange, c.ID, c.To, c.At, c.Of, c.Kind, c.Body, c.Emoji})
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
