package settle

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Window is the flow-control window of one socket: the events that the socket was sent, and how many of them its
// device has acknowledged. It is safe for concurrent use, but Sent must be called in the order of the events.
type Window struct {
	// immutable after construction
	s *Settler

	// guarded by s.mu
	state   *inboxState // of the epoch whose events the socket is sent
	sent    inbox.ID    // newest event that the socket was sent
	claimed inbox.ID    // newest event that the device acknowledged; may lie beyond sent
	unacked []inbox.ID  // messages and changes that were sent and are not acknowledged
	closed  bool
}

// Open returns the window of a socket of uid that was attached at a. If a was resumed, its cursor counts as an ack.
// The caller must close the window.
func (s *Settler) Open(uid string, a inbox.Attachment) *Window {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &Window{s: s, sent: a.From.ID}
	w.state = s.addWindow(inboxKey{uid, a.Epoch}, a.From.ID)
	w.state.hearOfRemovals(a.Removals)
	w.state.raiseSettled(a.Settled)
	if a.Resumed {
		w.claimed = a.From.ID
		// Attach has brought back the removed messages that the device has.
		w.state.acknowledge(a.From.ID, inbox.AllSeen(a.Removals))
	}
	return w
}

// Sent records that e is in the write queue of the socket or was sent, and its cursor with it. The caller must record
// every event of any type, in order, before the device can acknowledge it. An event of another epoch discards the acks
// of the old epoch that are not applied yet.
func (w *Window) Sent(c inbox.Cursor, e inbox.Event) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.closed {
		return
	}
	if c.Epoch != w.state.epoch {
		old := w.state
		w.state = s.addWindow(inboxKey{old.uid, c.Epoch}, inbox.ID{})
		s.removeWindow(old)
		w.sent, w.claimed, w.unacked = inbox.ID{}, inbox.ID{}, nil
	}
	if !e.ID.After(w.sent) {
		return
	}
	if w.state.stale {
		w.state.becomeCurrent(w.sent)
	}
	w.state.hearOfRemovals(c.Removals.Seen)
	w.state.recordSent(w.sent, e, c.Removals.Seen)
	w.sent = e.ID
	if wire.Waits(e.Type) {
		w.unacked = append(w.unacked, e.ID)
	}
	if !e.ID.After(w.claimed) {
		w.acknowledge(e.ID, c.Removals)
	}
}

// Ack records that the device has stored everything up to c. An ack of another epoch is dropped. An ack beyond what
// the socket was sent is remembered, and applied as the events are sent. Ack does not block.
func (w *Window) Ack(c inbox.Cursor) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.Acks.Add(1)
	if w.closed || c.Epoch != w.state.epoch {
		s.counters.AcksDropped.Add(1)
		return
	}
	if c.ID.After(w.claimed) {
		w.claimed = c.ID
	}
	if c.ID.After(w.sent) {
		s.counters.AcksEarly.Add(1)
		c.ID = w.sent
	}
	w.acknowledge(c.ID, c.Removals)
}

// acknowledge applies an ack up to id, which must not lie beyond sent. s.mu is held.
func (w *Window) acknowledge(id inbox.ID, r inbox.Removals) {
	n := 0
	for n < len(w.unacked) && !w.unacked[n].After(id) {
		n++
	}
	w.unacked = append(w.unacked[:0], w.unacked[n:]...)
	w.state.acknowledge(id, r)
}

// Unacked returns the number of message and change events that the socket was sent and its device has not acknowledged.
func (w *Window) Unacked() int {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return len(w.unacked)
}

// Acked returns the place up to which the device has acknowledged what the socket was sent.
func (w *Window) Acked() inbox.Cursor {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return inbox.Cursor{Epoch: w.state.epoch, ID: minID(w.claimed, w.sent), Removals: inbox.AllSeen(w.state.removals)}
}

// Newest returns the newest event that the socket was sent.
func (w *Window) Newest() inbox.ID {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.sent
}

// Read queues a read mark. After the acks that came before it, the mark is published and appended as a read event to
// the inboxes of both users. r.By must be the user of the window. Read returns problem.ErrUnavailable if too many marks
// wait or the window is closed.
func (w *Window) Read(r delivery.Read) error { return w.read(r, false) }

// ReadPrivately is Read for a mark that the other user must not see. Its event goes only to the inbox of the reader.
func (w *Window) ReadPrivately(r delivery.Read) error { return w.read(r, true) }

func (w *Window) read(r delivery.Read, private bool) error {
	a, b, err := chat.Members(r.Conversation)
	if err != nil {
		return err
	}
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.closed {
		return problem.ErrUnavailable.WithCause(errors.New("settle: read mark after the window was closed"))
	}
	if !w.state.queueReadMark(r, [2]string{a, b}, private) {
		s.counters.ReadsRefused.Add(1)
		return problem.ErrUnavailable.WithCause(errors.New("settle: too many read marks wait"))
	}
	w.state.schedule(s.opts.gather)
	return nil
}

// Close closes the window. It returns nil after everything that its device acknowledged is settled and no read mark of
// the user waits. It returns problem.ErrUnavailable if ctx ends first; settling then continues in the background while
// Run runs. Closing the last window of a user flushes at once. Call Close once.
func (w *Window) Close(ctx context.Context) error {
	s := w.s
	s.mu.Lock()
	w.closed = true
	st := w.state
	want := minID(w.claimed, w.sent)
	s.removeWindow(st)
	if st.waits() {
		within := s.opts.gather
		if st.windows == 0 {
			within = 0
		}
		st.schedule(within)
	}
	for {
		if st.stale || (!want.After(st.settled) && len(st.readMarks) == 0 && !st.mayRestore()) {
			s.mu.Unlock()
			return nil
		}
		changed := st.changed
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

func maxID(a, b inbox.ID) inbox.ID {
	if a.After(b) {
		return a
	}
	return b
}
