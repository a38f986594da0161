package session

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// readEvents is how many events are read from the stream at once.
const readEvents = 128

// feeder brings the inbox to the socket. It is the feeder goroutine's alone.
type feeder struct {
	*session
	pos      inbox.Position // up to where the socket has everything, or was told
	behind   bool           // the stream must be read: wakes alone do not tell everything
	full     bool           // too many messages are unacknowledged: waits for acks
	caughtUp bool           // said so since the last welcome
	retry    *time.Timer    // reads again after a failed read
	waiting  bool           // for retry
}

// feedEvents is the feeder.
func (s *session) feedEvents() {
	f := &feeder{session: s, pos: s.attach.From, behind: true, retry: time.NewTimer(time.Hour)}
	defer f.retry.Stop()
	if !f.welcome(s.attach.Resumed) {
		return
	}
	for s.ctx.Err() == nil {
		if f.behind && !f.full && !f.waiting {
			f.catchUp()
		}
		select {
		case <-s.ctx.Done():
		case <-s.feed.Ready():
			f.live()
		case <-s.watcher.Ready():
			for _, st := range s.watcher.ReadChanges() {
				s.hint(wire.Presence{User: st.User, Online: st.Online, LastSeen: st.LastSeen})
			}
		case <-s.acked:
			// Room for a half at least: a read of the stream for each ack would cost as much as the wakes that it replaces.
			if f.full && s.account.Unacked() <= wire.MaxUnacked/2 {
				f.full = false
			}
		case <-f.retry.C:
			f.waiting = false
		}
	}
}

// welcome begins a sequence of events.
func (f *feeder) welcome(resumed bool) bool {
	f.caughtUp = false
	return f.push(wire.Welcome{UID: f.uid, Now: chat.MicrosOf(f.x.deps.Now()), Resumed: resumed, Limits: wire.DefaultLimits()})
}

// live hands on what the feed has.
func (f *feeder) live() {
	wakes, lost := f.feed.ReadWakes()
	if lost {
		f.behind = true
	}
	for _, w := range wakes {
		switch {
		case w.Hint != nil:
			f.passHint(w.Hint)
		case f.behind:
			// The stream has it.
		case f.pos.RelationTo(w) == inbox.Detached:
			f.behind = true
		case f.pos.RelationTo(w) == inbox.Next:
			if !f.send(w.Event) {
				f.behind = true
			}
		}
	}
}

// catchUp reads the stream until its end, or until the client must first
// acknowledge what it has.
func (f *feeder) catchUp() {
	for f.ctx.Err() == nil {
		page, err := f.x.deps.Inboxes.Read(f.ctx, f.uid, f.pos, readEvents)
		if err != nil {
			f.failed(err)
			return
		}
		if page.Gap {
			f.x.counts.gaps.Add(1)
			f.log.Info("events may be missing: a new welcome", "other_life", page.NewEpoch)
			start := page.Next
			start.ID = inbox.ID{} // of another life nothing was sent yet
			if start.Epoch == f.pos.Epoch {
				start.ID = f.pos.ID
			}
			f.pos = start
			if !f.welcome(false) {
				return
			}
			if page.NewEpoch {
				// Not at once: all sockets find out at the same time.
				f.after(rand.N(f.x.deps.ResyncOver), func() { f.goaway(wire.GoawayResync, f.x.deps.GoawayWithin) })
			}
		}
		for _, e := range page.Events {
			if f.poison(e) {
				f.pos = f.pos.AdvanceTo(e)
				continue
			}
			if !f.send(e) {
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

// poison reports whether no client could read e, which then is passed over,
// counted and logged: a client gives up a socket that brings such an event, and
// with every socket that follows it would come to the same place. What scripts
// publish is not asked, since nobody else writes events; a foreign entry only
// stands in the stream.
func (f *feeder) poison(e inbox.Event) bool {
	_, err := wire.DecodeEvent(e.Data)
	if err == nil {
		return false
	}
	f.x.counts.poison.Add(1)
	f.log.Error("an inbox has an event that no client can read; it is passed over", "entry", e.ID.String(), "error", err)
	return true
}

// failed plans the next try.
func (f *feeder) failed(err error) {
	if f.ctx.Err() != nil {
		return
	}
	f.x.counts.readFailed.Add(1)
	f.waiting = true
	f.log.Info("reading the inbox failed; it will be tried again", "error", err)
	f.retry.Reset(retryRedisMin + rand.N(retryRedisMax-retryRedisMin))
}

// send queues e for the writer, unless the client must first acknowledge what
// it has, and reports whether it did.
func (f *feeder) send(e inbox.Event) bool {
	if e.Type == wire.EventMessage && f.account.Unacked() >= wire.MaxUnacked {
		if !f.full {
			f.x.counts.windowFull.Add(1)
		}
		f.full = true
		return false
	}
	pos := f.pos.AdvanceTo(e)
	// Noted first: the ack can come as soon as the writer has it.
	f.account.Sent(pos.Epoch, e)
	if !f.push(wire.EventFrame{Cursor: pos.Cursor.String(), Event: e.Data}) {
		return false
	}
	f.x.counts.events.Add(1)
	f.pos = pos
	return true
}

// passHint sends a hint that another instance, or this one, has published. Only what
// this version knows goes on.
func (f *feeder) passHint(data json.RawMessage) {
	frame, err := wire.DecodeServer(data)
	if err != nil {
		f.log.Warn("a hint cannot be read", "error", err)
		return
	}
	if typing, ok := frame.(wire.Typing); ok {
		f.hint(typing)
	}
}
