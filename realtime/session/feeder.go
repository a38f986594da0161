package session

import (
	"encoding/json"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// readEvents is the number of events that one read of the stream returns.
const readEvents = 128

// feeder sends the inbox to the socket. Only the feeder goroutine uses it.
type feeder struct {
	*session
	pos      inbox.Position // everything up to here was sent, or the client knows that it may be missing
	behind   bool           // the stream must be read, because wakes alone may not carry every event
	full     bool           // too many messages are unacknowledged: wait for acks
	caughtUp bool           // caught_up was sent after the last welcome
	retry    *time.Timer    // reads again after a failed read
	waiting  bool           // retry is set
}

// feedEvents is the feeder.
func (s *session) feedEvents() {
	f := &feeder{session: s, pos: s.attach.From, behind: true, retry: time.NewTimer(time.Hour)}
	defer f.retry.Stop()
	if !f.sendWelcome(s.attach.Resumed) {
		return
	}
	for s.ctx.Err() == nil {
		if f.behind && !f.full && !f.waiting {
			f.catchUp()
		}
		select {
		case <-s.ctx.Done():
		case <-s.feed.Ready():
			f.relayWakes()
		case <-s.watcher.Ready():
			for _, st := range s.watcher.ReadChanges() {
				s.pushHint(wire.Presence{User: st.User, Online: st.Online, LastSeen: st.LastSeen})
			}
		case <-s.ackArrived:
			// Continue only when half of the window is free. Reading the stream after every ack would cost as much as the wakes
			// that these reads replace.
			if f.full && s.window.Unacked() <= wire.MaxUnacked/2 {
				f.full = false
			}
		case <-f.retry.C:
			f.waiting = false
		}
	}
}

// sendWelcome starts a sequence of events.
func (f *feeder) sendWelcome(resumed bool) bool {
	f.caughtUp = false
	return f.push(wire.Welcome{
		UID: f.uid, Now: chat.MicrosOf(f.deps.Now()), Resumed: resumed, Limits: f.deps.Announced,
	})
}

// relayWakes sends what the feed has received.
func (f *feeder) relayWakes() {
	wakes, lost := f.feed.ReadWakes()
	if lost {
		f.behind = true
	}
	for _, w := range wakes {
		switch {
		case w.Hint != nil:
			f.relayHint(w.Hint)
		case f.behind:
			// The event will be read from the stream.
		case f.pos.RelationTo(w) == inbox.Detached:
			f.behind = true
		case f.pos.RelationTo(w) == inbox.Next:
			if !f.sendEvent(w.Event) {
				f.behind = true
			}
		}
	}
}

// catchUp reads the stream to its end, or until the client must acknowledge messages first.
func (f *feeder) catchUp() {
	for f.ctx.Err() == nil {
		page, err := f.deps.Inboxes.Read(f.ctx, f.uid, f.pos, readEvents)
		if err != nil {
			f.retryLater(err)
			return
		}
		if page.Gap {
			f.counters.Gaps.Add(1)
			f.log.Info("events may be missing; sending a new welcome", "new_epoch", page.NewEpoch)
			start := page.Next
			start.ID = inbox.ID{} // nothing of another epoch was sent yet
			if start.Epoch == f.pos.Epoch {
				start.ID = f.pos.ID
			}
			f.pos = start
			if !f.sendWelcome(false) {
				return
			}
			if page.NewEpoch {
				// After a random time, because all sockets detect a new epoch at the same moment.
				f.after(f.deps.Jitter(f.deps.ResyncOver), func() { f.goaway(wire.GoawayResync, f.deps.GoawayWithin) })
			}
		}
		f.pos.Removals = page.Next.Removals
		for _, e := range page.Events {
			if f.isPoison(e) {
				f.pos = f.pos.AdvanceTo(e)
				continue
			}
			if !f.sendEvent(e) {
				return
			}
		}
		f.pos = page.Next
		f.feed.ReadUpTo(f.pos.Cursor)
		if !page.More {
			break
		}
	}
	f.behind = false
	if !f.caughtUp && f.push(wire.CaughtUp{Cursor: f.pos.Cursor.String()}) {
		f.caughtUp = true
	}
}

// isPoison reports whether no client could decode e. The feeder then skips the event. A client that received it would
// close the socket, and would receive it again on every following socket. Only events read from the stream are checked.
// Wakes are published by our scripts alone, whereas a foreign entry can only be in the stream.
func (f *feeder) isPoison(e inbox.Event) bool {
	_, err := wire.DecodeEvent(e.Data)
	if err == nil {
		return false
	}
	f.counters.Poison.Add(1)
	f.log.Error("skipped an inbox event that no client can decode", "entry", e.ID.String(), "error", err)
	return true
}

// retryLater schedules the next read after a failed one.
func (f *feeder) retryLater(err error) {
	if f.ctx.Err() != nil {
		return
	}
	f.counters.ReadFailed.Add(1)
	f.waiting = true
	f.log.Info("reading the inbox failed; retrying", "error", err)
	f.retry.Reset(retryRedisMin + f.deps.Jitter(retryRedisMax-retryRedisMin))
}

// sendEvent queues e for the writer and reports whether it did. It does not if the client must acknowledge messages
// first.
func (f *feeder) sendEvent(e inbox.Event) bool {
	if e.Type == wire.EventMessage && f.window.Unacked() >= wire.MaxUnacked {
		if !f.full {
			f.counters.WindowFull.Add(1)
		}
		f.full = true
		return false
	}
	pos := f.pos.AdvanceTo(e)
	// Recorded before push, because the ack can arrive as soon as the writer has the frame.
	f.window.Sent(pos.Cursor, e)
	if !f.push(wire.EventFrame{Cursor: pos.Cursor.String(), Event: e.Data}) {
		return false
	}
	f.counters.Events.Add(1)
	f.pos = pos
	return true
}

// relayHint sends a hint that an instance has published, if this version knows its type.
func (f *feeder) relayHint(data json.RawMessage) {
	frame, err := wire.DecodeServer(data)
	if err != nil {
		f.log.Warn("dropped a hint that cannot be decoded", "error", err)
		return
	}
	if typing, ok := frame.(wire.Typing); ok {
		f.pushHint(typing)
	}
}
