package settle

import (
	"encoding/json"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// person is what this instance knows of one life of one user's inbox, from
// all of the user's sockets. All fields are guarded by Settler.mu.
type person struct {
	s *Settler
	place

	accounts int
	settled  inbox.ID // settled, as last heard
	acked    inbox.ID // acknowledged by a device

	// What sockets were sent: all message events in (base, top] are in events.
	// It saves reading them again; lists that it does not cover are read from the stream.
	base, top inbox.ID
	events    []event
	bytes     int

	reads      map[string]chat.Micros // read marks that wait, by conversation
	readsOut   map[string]chat.Micros // those that a flush has taken
	readsAfter inbox.ID               // acks that must be settled before

	due      time.Time // when the next flush should take it
	inFlight bool      // a flush is at it
	dead     bool      // the inbox lives another life: acks mean nothing any more
	failures int       // in a row
	retryAt  time.Time
	changed  chan struct{} // closed and replaced when acked, dead or the read marks changed
}

// event is a message event that a socket was sent.
type event struct {
	id   inbox.ID
	data json.RawMessage
}

// maxEvents bounds what is kept for one person. The window of a socket is 256
// messages, so more is acknowledged and cannot be published.
const maxEvents = 600

// enter returns the person of a place for one more account. from is where the account starts.
func (s *Settler) enter(at place, from inbox.ID) *person {
	p := s.persons[at]
	if p == nil {
		p = &person{s: s, place: at, base: from, top: from, reads: map[string]chat.Micros{},
			readsOut: map[string]chat.Micros{}, changed: make(chan struct{})}
		s.persons[at] = p
	} else if p.dead {
		p.revive(from)
	}
	p.accounts++
	return p
}

// leave takes an account away.
func (s *Settler) leave(p *person) {
	p.accounts--
	p.forgetIfDone()
}

func (p *person) forgetIfDone() {
	if p.accounts > 0 || p.inFlight || (p.waiting() && !p.dead) || len(p.reads) > 0 {
		return
	}
	p.drop()
	delete(p.s.persons, p.place)
	delete(p.s.dirty, p)
}

// waiting reports whether there is something to settle.
func (p *person) waiting() bool {
	return (p.acked.After(p.settled) && !p.dead) || len(p.reads) > 0
}

// learn notes that everything up to id is settled.
func (p *person) learn(id inbox.ID) {
	if !id.After(p.settled) {
		return
	}
	p.settled = id
	n := 0
	for n < len(p.events) && !p.events[n].id.After(id) {
		p.bytes -= len(p.events[n].data)
		p.s.kept -= len(p.events[n].data)
		n++
	}
	p.events = append(p.events[:0], p.events[n:]...)
	p.tell()
}

// tell wakes whoever waits for the person.
func (p *person) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// observe notes that a socket which had everything up to prev was sent e.
func (p *person) observe(prev inbox.ID, e inbox.Event) {
	if !e.ID.After(p.top) {
		return
	}
	if p.base.After(prev) || prev.After(p.top) {
		// Something lies between that no socket of this instance was sent.
		p.forget()
		p.base = prev
	}
	p.top = e.ID
	if e.Type != wire.EventMessage || !e.ID.After(p.settled) {
		return
	}
	if len(p.events) >= maxEvents || p.s.kept+len(e.Data) > p.s.opts.KeepBytes {
		p.forget()
		p.base = e.ID
		return
	}
	p.events = append(p.events, event{e.ID, e.Data})
	p.bytes += len(e.Data)
	p.s.kept += len(e.Data)
}

// forget gives up what is in memory; what it held is read from the stream.
func (p *person) forget() {
	if len(p.events) > 0 {
		p.s.n.forgotten.Add(1)
	}
	p.drop()
}

func (p *person) drop() {
	p.s.kept -= p.bytes
	p.events, p.bytes = nil, 0
}

// covers reports whether events holds every message in (from, to].
func (p *person) covers(from, to inbox.ID) bool {
	return !p.base.After(from) && !to.After(p.top)
}

// acknowledge notes that a device has everything up to id, which it was sent.
func (p *person) acknowledge(id inbox.ID) {
	if p.dead || !id.After(p.acked) {
		return
	}
	from := p.acked
	if p.settled.After(from) {
		from = p.settled
	}
	p.acked = id
	if !id.After(p.settled) {
		return
	}
	if !p.covers(from, id) {
		p.mark(p.s.opts.Gather) // perhaps messages
		return
	}
	messages, bytes := 0, 0
	for i := len(p.events) - 1; i >= 0 && p.events[i].id.After(from); i-- {
		if !p.events[i].id.After(id) {
			messages++
			bytes += len(p.events[i].data)
		}
	}
	if messages == 0 {
		p.mark(p.s.opts.GatherRest) // only receipts: nobody waits for these
		return
	}
	p.s.messages += messages
	p.s.bytes += bytes
	p.mark(p.s.opts.Gather)
}

// mark has the person settled within the given time, or at once where enough has come together.
func (p *person) mark(within time.Duration) {
	s := p.s
	s.dirty[p] = struct{}{}
	if s.messages >= s.opts.MaxMessages || s.bytes >= s.opts.MaxBytes {
		within = 0
	}
	due := time.Now().Add(within)
	if p.due.IsZero() || due.Before(p.due) {
		p.due = due
	}
	if !p.inFlight { // else the end of that flush looks at it
		s.flushBy(due)
	}
}

// revive begins again what was given up: the inbox lives this life after all
// (a slot of a cluster moved away and back).
func (p *person) revive(from inbox.ID) {
	p.dead = false
	p.acked = p.settled
	p.base, p.top = from, from
}

// flushBy has Run flush at t at the latest. mu is held.
func (s *Settler) flushBy(t time.Time) {
	if !s.due.IsZero() && !t.Before(s.due) {
		return
	}
	s.due = t
	select {
	case s.poke <- struct{}{}:
	default:
	}
}
