package settle

import (
	"encoding/json"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// inboxState is what this instance knows about one epoch of one user's inbox, from all sockets of the user. All fields
// are guarded by Settler.mu.
type inboxState struct {
	s *Settler
	inboxKey

	windows int      // open
	settled inbox.ID // newest settled event, as last heard from Redis
	acked   inbox.ID // newest event that a device acknowledged

	// A copy of what the sockets were sent, so that it need not be read again: events holds all message events in
	// (base, top]. Lists that it does not cover are read from the stream.
	base, top inbox.ID
	events    []event
	bytes     int

	// Messages can be removed from the inbox while they wait (DESIGN §5, "Withdraw"). A device may have one of them: then
	// its ack must bring the message back.
	removals uint64                      // how often messages were removed, as last heard from Redis
	gone     uint64                      // of these removals no message is kept any more
	acks     map[inbox.Removals]inbox.ID // newest ack of each kind of cursor, until it is settled

	// Messages up to settled that are marked, and that the inbox may still have to forget, and their bytes.
	unforgotten, unforgottenBytes int
	early                         int // how many messages before forgetMessages the inbox forgets

	readMarks map[string]*readMark // that wait, by conversation

	progress *progress // of messages above settled, if a flush failed; nil: none. A flush in progress owns it

	due      time.Time     // when the next flush should include this state
	inFlight bool          // a flush is settling this state
	stale    bool          // the inbox has another epoch: acks of this one mean nothing
	failures int           // in a row
	retryAt  time.Time     // earliest time of the next attempt
	changed  chan struct{} // closed and replaced when settled, stale or readMarks have changed
}

// event is a message event that a socket was sent.
type event struct {
	id   inbox.ID
	kind string // wire.EventMessage or wire.EventChange
	data json.RawMessage
}

// maxEvents limits the events kept in memory for one state. The window of a socket is 256 messages, so a state exceeds
// it only if its acknowledged messages cannot be published.
const maxEvents = 600

// addWindow counts one more window and returns its state. The window starts at from. s.mu is held.
func (s *Settler) addWindow(key inboxKey, from inbox.ID) *inboxState {
	st := s.states[key]
	if st == nil {
		st = &inboxState{s: s, inboxKey: key, base: from, top: from, readMarks: map[string]*readMark{},
			acks: map[inbox.Removals]inbox.ID{}, changed: make(chan struct{})}
		st.forgot()
		s.states[key] = st
	} else if st.stale {
		st.becomeCurrent(from)
	}
	st.windows++
	return st
}

// An inbox forgets its marked messages when there are so many, or half as many, when its last window closes, and
// whenever a script looks for waiting messages, which happens every 30 s. Until then, they take memory in Redis.
const (
	forgetMessages = 64
	forgetBytes    = 64 << 10
)

// mustForget reports whether the inbox has so many marked messages that it forgets them.
func (st *inboxState) mustForget() bool {
	return st.unforgotten >= forgetMessages-st.early ||
		st.unforgottenBytes >= forgetBytes/forgetMessages*(forgetMessages-st.early)
}

// forgot records that the inbox has forgotten what was marked. This takes Redis half a millisecond or more, so the next
// time is random: the inboxes of people who write equally often shall not all forget at once. s.mu is held.
func (st *inboxState) forgot() {
	st.unforgotten, st.unforgottenBytes = 0, 0
	st.early = int(st.s.opts.Jitter(forgetMessages / 2))
}

// removeWindow counts one window less. s.mu is held.
func (s *Settler) removeWindow(st *inboxState) {
	st.windows--
	st.deleteIfUnused()
}

// deleteIfUnused deletes the state if it has neither a window nor anything to settle.
func (st *inboxState) deleteIfUnused() {
	if st.windows > 0 || st.inFlight || st.waits() {
		return
	}
	st.freeEvents()
	delete(st.s.states, st.inboxKey)
	delete(st.s.dirty, st)
}

// waits reports whether there is something to settle or to forget, or a read mark to publish.
func (st *inboxState) waits() bool {
	forget := st.windows == 0 && st.unforgotten > 0
	return (st.acked.After(st.settled) || st.mayRestore() || forget) && !st.stale || len(st.readMarks) > 0
}

// mayRestore reports whether an ack may bring back a removed message.
func (st *inboxState) mayRestore() bool {
	if st.removals <= st.gone {
		return false
	}
	for r := range st.acks {
		if r.Seen < st.removals {
			return true
		}
	}
	return false
}

// hearOfRemovals records how often messages were removed from the inbox. The events in memory may be among them, and
// not every device whose ack covers them has them, so they are discarded.
func (st *inboxState) hearOfRemovals(n uint64) {
	if n <= st.removals {
		return
	}
	st.removals = n
	st.discardEvents()
	st.base = st.top
	if st.mayRestore() && !st.stale {
		st.schedule(st.s.opts.gather)
	}
}

// raiseSettled records that everything up to id is settled.
func (st *inboxState) raiseSettled(id inbox.ID) {
	if !id.After(st.settled) {
		return
	}
	st.settled = id
	n := 0
	for n < len(st.events) && !st.events[n].id.After(id) {
		st.bytes -= len(st.events[n].data)
		st.s.keptBytes -= len(st.events[n].data)
		n++
	}
	st.events = append(st.events[:0], st.events[n:]...)
	st.notifyWaiters()
}

// notifyWaiters wakes all goroutines that wait for a change of the state.
func (st *inboxState) notifyWaiters() {
	close(st.changed)
	st.changed = make(chan struct{})
}

// recordSent records that a socket which had everything up to prev was sent e. seen is that of the socket's cursor.
func (st *inboxState) recordSent(prev inbox.ID, e inbox.Event, seen uint64) {
	if !e.ID.After(st.top) {
		return
	}
	if seen < st.removals && st.removals > st.gone {
		st.discardEvents() // e may be removed, and other sockets may be past its place without it
		st.base, st.top = e.ID, e.ID
		return
	}
	if st.base.After(prev) || prev.After(st.top) {
		// Between top and prev lie events that no socket of this instance was sent.
		st.discardEvents()
		st.base = prev
	}
	st.top = e.ID
	if !wire.Waits(e.Type) || !e.ID.After(st.settled) {
		return
	}
	if len(st.events) >= maxEvents || st.s.keptBytes+len(e.Data) > st.s.opts.keepBytes {
		st.discardEvents()
		st.base = e.ID
		return
	}
	st.events = append(st.events, event{e.ID, e.Type, e.Data})
	st.bytes += len(e.Data)
	st.s.keptBytes += len(e.Data)
}

// discardEvents discards the events in memory. They will be read from the stream.
func (st *inboxState) discardEvents() {
	if len(st.events) > 0 {
		st.s.counters.Forgotten.Add(1)
	}
	st.freeEvents()
}

func (st *inboxState) freeEvents() {
	st.s.keptBytes -= st.bytes
	st.events, st.bytes = nil, 0
}

// covers reports whether events holds every message in (from, to].
func (st *inboxState) covers(from, to inbox.ID) bool {
	return !st.base.After(from) && !to.After(st.top)
}

// acknowledge records that a device has stored everything up to id, which it was sent. r is of the acknowledged cursor.
func (st *inboxState) acknowledge(id inbox.ID, r inbox.Removals) {
	if st.stale {
		return
	}
	if id.After(st.acked) || r.Seen < st.removals {
		st.acks[r] = maxID(st.acks[r], id)
		if st.mayRestore() {
			st.schedule(st.s.opts.gather)
		}
	}
	if !id.After(st.acked) {
		return
	}
	from := maxID(st.acked, st.settled)
	st.acked = id
	if !id.After(st.settled) {
		return
	}
	if !st.covers(from, id) {
		st.schedule(st.s.opts.gather) // may contain messages
		return
	}
	messages, bytes := 0, 0
	for i := len(st.events) - 1; i >= 0 && st.events[i].id.After(from); i-- {
		if !st.events[i].id.After(id) {
			messages++
			bytes += len(st.events[i].data)
		}
	}
	if messages == 0 && from == st.settled {
		st.raiseSettled(id) // there are only receipts, which nobody needs to hear of
		return
	}
	if messages == 0 {
		st.schedule(gatherReceipts)
		return
	}
	st.s.queuedMessages += messages
	st.s.queuedBytes += bytes
	st.schedule(st.s.opts.gather)
}

// becomeCurrent makes a stale state current again: the inbox has its epoch after all, for example because a slot of a
// cluster moved away and back. The acks that were lost meanwhile hold no read mark back any more.
func (st *inboxState) becomeCurrent(from inbox.ID) {
	st.stale = false
	st.progress = nil
	st.acked = st.settled
	clear(st.acks)
	st.base, st.top = from, from
	for _, m := range st.readMarks {
		m.after = st.settled
	}
}
