package session

import (
	"encoding/json"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// readEvents is the number of events that one read of the stream returns.
const readEvents = 128

// feeder is the state of the task that sends the inbox to the socket. Only this task uses it.
type feeder struct {
	pos      inbox.Position // everything up to here was sent, or the client knows that it may be missing
	resumed  bool           // for the first welcome
	first    *inbox.Page    // read when the socket was attached; nil: it was sent
	welcomed bool           // the first welcome was sent
	behind   bool           // the stream must be read, because wakes alone may not carry every event
	full     bool           // too many messages are unacknowledged: wait for acks
	caughtUp bool           // caught_up was sent after the last welcome
	waiting  bool           // alarmRead is set, after a failed read
	echoes   int            // number of echoes that were skipped since the last event
}

// maxEchoes is how many sent events in a row are not sent to the socket that sent their messages. The cursor of the
// client does not move past such an event before the next one comes, so a client that resumes gets at most so many
// events again.
const maxEchoes = 15

// feedEvents is the feeder: it sends what there is to send.
func (s *session) feedEvents() {
	defer s.flush()
	f := &s.feeder
	if !f.welcomed {
		f.welcomed = true
		if !s.sendWelcome(f.resumed) {
			return
		}
	}
	if s.retryRead.Swap(false) {
		f.waiting = false
	}
	s.reopenWindow()
	if f.first != nil {
		s.catchUp() // before the wakes, which are newer
	}
	s.relayWakes()
	s.relayPresence()
	if f.behind && !f.full && !f.waiting {
		s.catchUp()
	}
}

// reopenWindow continues after a pause for acks when half of the window is free. Reading the stream after every ack
// would cost as much as the wakes that these reads replace.
func (s *session) reopenWindow() {
	if s.feeder.full && s.window.Unacked() <= wire.MaxUnacked/2 {
		s.feeder.full = false
		s.ackWaited.Store(false)
	}
}

// sendWelcome starts a sequence of events.
func (s *session) sendWelcome(resumed bool) bool {
	s.feeder.caughtUp = false
	return s.queueFrame(wire.Welcome{
		UID: s.uid, Now: chat.MicrosOf(s.deps.Now()), Resumed: resumed, Limits: s.limits(),
		Changes: true,
	})
}

// relayWakes sends what the feed has received.
func (s *session) relayWakes() {
	f := &s.feeder
	wakes, lost := s.feed.ReadWakes()
	if lost {
		f.behind = true
	}
	for _, w := range wakes {
		switch {
		case w.Hint != nil:
			if !s.background {
				s.relayHint(w.Hint)
			}
		case f.behind:
			// The event will be read from the stream.
		case f.pos.RelationTo(w) == inbox.Detached:
			f.behind = true
		case f.pos.RelationTo(w) == inbox.Next:
			if s.isEcho(w.Event) && f.echoes < maxEchoes {
				s.skipEcho(w.Event)
			} else if !s.sendEvent(w.Event) {
				f.behind = true
			}
		}
	}
}

// skipEcho moves the position past e without sending it.
func (s *session) skipEcho(e inbox.Event) {
	f := &s.feeder
	f.echoes++
	s.counters.Echoes.Add(1)
	f.pos = f.pos.AdvanceTo(e)
	s.window.Sent(f.pos.Cursor, e)
}

// relayPresence sends the changed states of watched users, and whose profiles have changed.
func (s *session) relayPresence() {
	if !s.presenceDue.Swap(false) {
		return
	}
	s.mu.Lock()
	w := s.watcher
	s.mu.Unlock()
	for _, st := range w.ReadChanges() {
		s.queueHint(wire.Presence{User: st.User, Online: st.Online, LastSeen: st.LastSeen})
	}
	for _, uid := range w.ReadProfiles() {
		s.queueHint(wire.Profile{User: uid})
	}
}

// catchUp reads the stream to its end, or until the client must acknowledge messages first.
func (s *session) catchUp() {
	f := &s.feeder
	for s.ctx.Err() == nil {
		s.flush() // before the wait for Redis
		page, err := s.readPage()
		if err != nil {
			s.retryLater(err)
			return
		}
		if page.Gap {
			s.counters.Gaps.Add(1)
			s.log().Info("events may be missing; sending a new welcome", "new_epoch", page.NewEpoch)
			start := page.Next
			start.ID = inbox.ID{} // nothing of another epoch was sent yet
			if start.Epoch == f.pos.Epoch {
				start.ID = f.pos.ID
			}
			f.pos = start
			if !s.sendWelcome(false) {
				return
			}
			if page.NewEpoch {
				// After a random time, because all sockets detect a new epoch at the same moment.
				s.setAlarm(alarmResync, s.deps.Jitter(s.deps.ResyncOver))
			}
		}
		f.pos.Removals = page.Next.Removals
		for _, e := range page.Events {
			if s.isPoison(e) {
				f.pos = f.pos.AdvanceTo(e)
				continue
			}
			if !s.sendEvent(e) {
				return
			}
		}
		f.pos = page.Next
		s.feed.ReadUpTo(f.pos.Cursor)
		if !page.More {
			break
		}
	}
	f.behind = false
	if !f.caughtUp && s.queueFrame(wire.CaughtUp{Cursor: f.pos.Cursor.String()}) {
		f.caughtUp = true
	}
}

// readPage returns the events after the position.
func (s *session) readPage() (page inbox.Page, err error) {
	if first := s.feeder.first; first != nil {
		s.feeder.first = nil
		return *first, nil
	}
	return s.deps.Inboxes.Read(s.ctx, s.uid, s.feeder.pos, readEvents)
}

// isPoison reports whether no client could decode e. The feeder then skips the event. A client that received it would
// close the socket, and would receive it again on every following socket. Only events read from the stream are checked.
// Wakes are published by our scripts alone, whereas a foreign entry can only be in the stream.
func (s *session) isPoison(e inbox.Event) bool {
	_, err := wire.DecodeEvent(e.Data)
	if err == nil {
		return false
	}
	s.counters.Poison.Add(1)
	s.log().Error("skipped an inbox event that no client can decode", "entry", e.ID.String(), "error", err)
	return true
}

// retryLater schedules the next read after a failed one.
func (s *session) retryLater(err error) {
	if s.ctx.Err() != nil {
		return
	}
	s.counters.ReadFailed.Add(1)
	s.feeder.waiting = true
	s.log().Info("reading the inbox failed; retrying", "error", err)
	s.setAlarm(alarmRead, retryRedisMin+s.deps.Jitter(retryRedisMax-retryRedisMin))
}

// sendEvent queues e and reports whether it did. It does not if the client must acknowledge messages first.
func (s *session) sendEvent(e inbox.Event) bool {
	f := &s.feeder
	if wire.Waits(e.Type) && s.window.Unacked() >= wire.MaxUnacked {
		if !f.full {
			s.counters.WindowFull.Add(1)
		}
		f.full = true
		s.ackWaited.Store(true)
		s.wake(taskFeeder) // for an ack that arrived before the reader could see ackWaited
		return false
	}
	pos := f.pos.AdvanceTo(e)
	// Recorded before the event is queued, because the ack can arrive as soon as the writer has the frame.
	s.window.Sent(pos.Cursor, e)
	if !s.queueFrame(wire.EventFrame{Cursor: pos.Cursor.String(), Event: e.Data}) {
		return false
	}
	s.counters.Events.Add(1)
	if e.Type == wire.EventMessage {
		s.expectAck(e.ID)
	}
	if wire.Waits(e.Type) {
		s.countLive(e)
		if id, ok := wire.MessageID(e.Data); ok && trace.Traced(id, s.uid) {
			trace.Log(s.log(), trace.Delivered, id)
		}
	}
	f.pos, f.echoes = pos, 0
	return true
}

// liveWithin is how long people wait for a message before they notice, from its acceptance until it is queued for the
// socket of its recipient.
const liveWithin = 2 * time.Second

// countLive counts a message that was accepted while the socket was open, and whether it was late. The id of an event
// has the time of its acceptance, in milliseconds.
func (s *session) countLive(e inbox.Event) {
	accepted := time.UnixMilli(int64(e.ID.Ms))
	if accepted.Before(s.opened) {
		return
	}
	s.counters.Live.Add(1)
	if s.deps.Now().Sub(accepted) > liveWithin {
		s.counters.LiveLate.Add(1)
	}
}

// relayHint sends a hint that an instance has published, if this version knows its type.
func (s *session) relayHint(data json.RawMessage) {
	frame, err := wire.DecodeServer(data)
	if err != nil {
		s.log().Warn("dropped a hint that cannot be decoded", "error", err)
		return
	}
	switch frame := frame.(type) {
	case wire.Typing:
		s.queueHint(frame)
	case wire.Profile:
		s.queueHint(frame)
	}
}
