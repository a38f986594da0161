package settle

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Account is what one socket was sent and has acknowledged. It may be used by
// several goroutines; Sent must be called in the order of the events.
type Window struct {
	// fixed after construction
	s *Settler

	// guarded by s.mu
	p       *person    // of the life whose events the socket is sent
	sent    inbox.ID   // newest event that the socket was sent
	claim   inbox.ID   // newest that the device acknowledged, also beyond sent
	unacked []inbox.ID // message events that were sent and not acknowledged
	closed  bool
}

// Open begins the account of a socket of uid, attached at a. Where a was
// resumed, its cursor counts as an ack. Close it.
func (s *Settler) Open(uid string, a inbox.Attachment) *Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	acc := &Window{s: s, sent: a.From.ID}
	acc.p = s.enter(place{uid, a.Epoch}, a.From.ID)
	acc.p.learn(a.Settled)
	if a.Resumed {
		acc.claim = a.From.ID
		acc.p.acknowledge(a.From.ID)
	}
	return acc
}

// Sent notes that the socket was sent e (or that e is in its write queue), an
// event of the given epoch. Every event that the socket is sent must be noted,
// of any type, in order, before the device can acknowledge it. An event of
// another epoch forgets the acks of the old one that are not yet applied.
func (a *Window) Sent(epoch string, e inbox.Event) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.closed {
		return
	}
	if epoch != a.p.epoch {
		old := a.p
		a.p = s.enter(place{old.uid, epoch}, inbox.ID{})
		s.leave(old)
		a.sent, a.claim, a.unacked = inbox.ID{}, inbox.ID{}, nil
	}
	if !e.ID.After(a.sent) {
		return
	}
	if a.p.dead {
		a.p.revive(a.sent)
	}
	a.p.observe(a.sent, e)
	a.sent = e.ID
	if e.Type == wire.EventMessage {
		a.unacked = append(a.unacked, e.ID)
	}
	if !e.ID.After(a.claim) {
		a.apply(e.ID)
	}
}

// Ack notes that the device has stored everything up to c. An ack of another
// epoch is dropped; one beyond what the socket was sent is remembered, and
// applied as it is sent. It does not block.
func (a *Window) Ack(c inbox.Cursor) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.acks.Add(1)
	if a.closed || c.Epoch != a.p.epoch {
		s.n.acksDropped.Add(1)
		return
	}
	if c.ID.After(a.claim) {
		a.claim = c.ID
	}
	if c.ID.After(a.sent) {
		s.n.acksEarly.Add(1)
		c.ID = a.sent
	}
	a.apply(c.ID)
}

// apply settles up to id, which the socket was sent. s.mu is held.
func (a *Window) apply(id inbox.ID) {
	n := 0
	for n < len(a.unacked) && !a.unacked[n].After(id) {
		n++
	}
	a.unacked = append(a.unacked[:0], a.unacked[n:]...)
	a.p.acknowledge(id)
}

// Unacked returns the number of message events that the socket was sent and
// has not acknowledged, for flow control.
func (a *Window) Unacked() int {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return len(a.unacked)
}

// Read queues a read mark of the user, to be published, and then put as a read
// event into the inboxes of both people, after the acks that came before it.
// r must be checked, and by the account's user. The error is problem.ErrUnavailable when too many wait.
func (a *Window) Read(r delivery.Read) error {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.closed {
		return problem.ErrUnavailable.WithCause(errors.New("the socket is closed"))
	}
	p := a.p
	at, waits := p.reads[r.Conversation]
	if !waits {
		if s.reads >= s.opts.MaxReads {
			s.n.readsRefused.Add(1)
			return problem.ErrUnavailable.WithCause(errors.New("too many read marks wait"))
		}
		s.reads++
	}
	p.reads[r.Conversation] = max(at, r.At)
	if p.acked.After(p.readsAfter) {
		p.readsAfter = p.acked
	}
	p.mark(s.opts.Gather)
	return nil
}

// Close ends the account and returns when what it acknowledged is settled, or
// with problem.ErrUnavailable when ctx ends before; settling then goes on in
// the background for as long as Run does. The last account of a user flushes
// at once. Call it once.
func (a *Window) Close(ctx context.Context) error {
	s := a.s
	s.mu.Lock()
	a.closed = true
	p := a.p
	want := minID(a.claim, a.sent)
	s.leave(p)
	if p.waiting() {
		within := s.opts.Gather
		if p.accounts == 0 {
			within = 0
		}
		p.mark(within)
	}
	for {
		if p.dead || (!want.After(p.settled) && len(p.reads) == 0 && len(p.readsOut) == 0) {
			s.mu.Unlock()
			return nil
		}
		changed := p.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return problem.ErrUnavailable.WithCause(context.Cause(ctx))
		}
		s.mu.Lock()
	}
}

func minID(a, b inbox.ID) inbox.ID {
	if a.After(b) {
		return b
	}
	return a
}
