package settle

import (
	"fmt"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Memory does not grow with the number of users who have been here.
func TestNothingIsKeptOfUsersWhoLeft(t *testing.T) {
	x := start(t, redistest.Mini(t), newTopic(), Options{})
	for i := range 4 {
		uid := fmt.Sprint("ben", i)
		phone, laptop := x.attach(t, uid, ""), x.attach(t, uid, "")
		m := x.send(t, "ann", uid, "one")
		phone.receive()
		laptop.receive()
		if i&1 != 0 {
			phone.ack()
		}
		if i&2 != 0 {
			laptop.read(m)
		}
		phone.close()
		laptop.close()
	}
	testwait.Until(t, "all states are deleted", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.states) == 0
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	same(t, "users to settle", len(x.dirty), 0)
	same(t, "bytes of events in memory", x.keptBytes, 0)
	same(t, "read marks", x.Settler.readMarks, 0)
}

// list returns what the next flush would settle, and whether memory has all of it.
func (s *Settler) list(t *testing.T) (ids []uint64, covered bool) {
	t.Helper()
	batch, _ := s.nextBatch(true)
	if len(batch) != 1 {
		t.Fatalf("%d states in the flush, want 1", len(batch))
	}
	it := s.collect(batch)[0]
	for _, e := range it.list {
		ids = append(ids, e.id.Ms)
	}
	return ids, it.covered
}

// Events in memory are bounded, for each user and for all. Beyond that, lists are read from Redis.
func TestEventsInMemoryAreBounded(t *testing.T) {
	types := make([]string, maxEvents+1)
	for i := range types {
		types[i] = wire.EventMessage
	}
	for name, c := range map[string]struct {
		keepBytes, sent int
		covered         bool
	}{
		"events": {1 << 20, maxEvents, true}, "too many events": {1 << 20, maxEvents + 1, false},
		"bytes": {30, 3, true}, "too many bytes": {30, 4, false},
	} {
		s := stopped(Options{keepBytes: c.keepBytes, maxMessages: 1000})
		w := s.sent("ben", types[:c.sent]...)
		w.Ack(at(uint64(c.sent)))
		ids, covered := s.list(t)
		same(t, name+": covered", covered, c.covered)
		kept := 0
		if c.covered {
			kept = c.sent
		}
		same(t, name+": messages in the list", len(ids), kept)
		same(t, name+": bytes in memory", s.keptBytes, 10*kept)
		same(t, name+": discarded", s.Counters().Forgotten.Load() == 0, c.covered)
	}
}

// Memory covers a list only if the sockets of the instance were sent all of it.
func TestMemoryWithAGapIsNotUsed(t *testing.T) {
	for from, want := range map[uint64]bool{2: true, 3: true, 4: false} {
		s := stopped(Options{})
		phone := s.sent("ben", wire.EventMessage, wire.EventMessage, wire.EventMessage)
		// The laptop is attached further on, and is sent the events after that.
		laptop := s.Open("ben", inbox.Attachment{Epoch: epoch, From: inbox.Position{Cursor: at(from)}})
		laptop.Sent(at(6), inbox.Event{ID: inbox.ID{Ms: 6}, Type: wire.EventMessage, Data: []byte(`{}`)})
		phone.Ack(at(2))
		laptop.Ack(at(6))
		ids, covered := s.list(t)
		same(t, fmt.Sprint("covered with a device from ", from), covered, want)
		if want {
			same(t, "list", ids, []uint64{1, 2, 3, 6})
		}
	}
}

// Only what was acknowledged is settled, at most a Pub/Sub message of it at a time.
func TestListEndsAtTheAckAndAtTheLimit(t *testing.T) {
	s := stopped(Options{maxMessages: 2})
	w := s.sent("ben", wire.EventMessage, wire.EventDelivered, wire.EventMessage, wire.EventMessage, wire.EventMessage)
	w.Ack(at(4))
	ids, covered := s.list(t)
	same(t, "list", ids, []uint64{1, 3})
	same(t, "covered", covered, true)
}

// A message was removed from the inbox after a device had received it. The ack of a cursor from before the removal may
// bring the message back, even if another device has acknowledged more, so Redis must be asked.
func TestAckFromBeforeARemovalIsReadFromTheStream(t *testing.T) {
	for name, c := range map[string]struct {
		seen uint64 // of the acknowledged cursor
		want bool
	}{"before the removal": {0, true}, "after the removal": {1, false}} {
		s := stopped(Options{})
		phone := s.sent("ben", wire.EventMessage, wire.EventMessage)
		laptop := s.sent("ben", wire.EventMessage, wire.EventMessage)
		removed := at(3)
		removed.Removals = inbox.AllSeen(1)
		laptop.Sent(removed, inbox.Event{ID: removed.ID, Type: wire.EventDelivered, Data: []byte(`{}`)})
		laptop.Ack(removed)
		s.mu.Lock()
		st := laptop.state
		st.raiseSettled(removed.ID)
		st.acks = map[inbox.Removals]inbox.ID{}
		s.mu.Unlock()
		old := at(2)
		old.Removals = inbox.AllSeen(c.seen)
		phone.Ack(old)
		s.mu.Lock()
		same(t, name+": waits", st.waits(), c.want)
		s.mu.Unlock()
		if c.want {
			ids, covered := s.list(t)
			same(t, name+": list in memory", len(ids), 0)
			same(t, name+": covered", covered, false)
			s.mu.Lock()
			st.gone = 1 // the flush has learned that nothing is kept any more
			same(t, name+": waits after the flush", st.waits(), false)
			s.mu.Unlock()
		}
	}
}

// Another instance has settled a part of a list meanwhile.
func TestSkipTo(t *testing.T) {
	for settled, want := range map[uint64][]uint64{1: nil, 2: {4, 5}, 3: {4, 5}, 4: {5}, 5: nil, 6: nil} {
		it := &item{began: inbox.ID{Ms: 1}, to: inbox.ID{Ms: 5}}
		for _, id := range []uint64{2, 4, 5} {
			it.messages = append(it.messages, inbox.SettledMessage{ID: inbox.ID{Ms: id}})
		}
		it.delivered, it.events = make([]delivered, 3), make([][]byte, 3)
		ok := it.skipTo(inbox.ID{Ms: settled})
		same(t, fmt.Sprint("within the list at ", settled), ok, want != nil)
		if !ok {
			continue
		}
		var left []uint64
		for _, m := range it.messages {
			left = append(left, m.ID.Ms)
		}
		same(t, fmt.Sprint("left from ", settled), left, want)
		same(t, "deliveries", len(it.delivered), len(want))
		same(t, "begins at", it.began.Ms, settled)
	}
}

// After a removal, a socket that has not heard of it may be sent a message that is removed. Other sockets may be past
// its place without it, so memory is not used until nothing is kept of the removed messages.
func TestEventOfASocketThatHasNotHeardOfARemoval(t *testing.T) {
	for gone, want := range map[uint64]bool{0: false, 1: true} {
		s := stopped(Options{})
		phone := s.sent("ben", wire.EventMessage, wire.EventMessage)
		laptop := s.sent("ben", wire.EventMessage, wire.EventMessage)
		cursor := func(id, seen uint64) inbox.Cursor {
			c := at(id)
			c.Removals = inbox.AllSeen(seen)
			return c
		}
		sent := func(w *Window, c inbox.Cursor) {
			w.Sent(c, inbox.Event{ID: c.ID, Type: wire.EventMessage, Data: []byte(`{}`)})
		}
		sent(laptop, cursor(3, 1))
		s.mu.Lock()
		laptop.state.gone = gone
		laptop.state.raiseSettled(inbox.ID{Ms: 2})
		s.mu.Unlock()
		sent(phone, cursor(4, 0))
		sent(laptop, cursor(4, 1))
		laptop.Ack(cursor(4, 1))
		ids, covered := s.list(t)
		same(t, fmt.Sprint("covered with gone at ", gone), covered, want)
		if want {
			same(t, "list", ids, []uint64{3, 4})
		}
	}
}

// A Pub/Sub message is filled up to its limits, which count the comma behind each entry and the JSON around all.
func TestRoomInAPubSubMessage(t *testing.T) {
	p := &pubMessages{maxMessages: 2, maxBytes: 64 + 50 + 50}
	if p.withRoom(1) != nil {
		t.Error("no Pub/Sub message has room before there is one")
	}
	m := p.add(49)
	same(t, "room for the rest", p.withRoom(50) == m, true)
	same(t, "room for a byte more", p.withRoom(51) == m, false)
	m.Delivered = append(m.Delivered, nil)
	same(t, "room for another entry", p.withRoom(1) == m, true)
	m.Read = append(m.Read, nil)
	same(t, "room for an entry too many", p.withRoom(1) == m, false)
	same(t, "the entry too many is in the same", p.add(1) == m, false)
}

// The progress of what is settled is forgotten, and the rest kept.
func TestProgressIsTrimmed(t *testing.T) {
	id := func(ms uint64) inbox.ID { return inbox.ID{Ms: ms} }
	it := &item{}
	p := it.keepProgress()
	p.published[id(1)], p.published[id(2)] = 5, 6
	p.setReported(id(1), id(2))
	p.receipts = []receipt{{messages: []inbox.ID{id(1)}}, {messages: []inbox.ID{id(1), id(2)}}}
	p = p.trim(id(1))
	same(t, "published", len(p.published), 1)
	same(t, "reported", len(p.reported), 1)
	same(t, "receipts to repeat", len(p.receipts), 1)
	same(t, "kept", p.trim(id(1)) != nil, true)
	same(t, "kept after everything is settled", p.trim(id(2)) != nil, false)
}
