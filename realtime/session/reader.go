package session

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// read is the reader: the hello first, then frames until the socket ends.
func (s *session) read() {
	defer s.endOnPanic("reader")
	defer s.reportGreeted()
	s.handleControlFrames()
	if err := s.do("hello", s.hello); err != nil {
		s.end(err)
	}
	s.reportGreeted()
	for s.readNext() {
	}
}

// readNext waits for the next frame and handles it. It reports whether there may be another one. Most sockets wait
// here, so readNext and its callers use little of the stack, which otherwise would stay larger than necessary.
func (s *session) readNext() (more bool) {
	kind, r, err := s.conn.NextReader()
	if err == nil {
		err = s.handleNext(kind, r)
	} else {
		err = readError(err)
	}
	if err != nil {
		s.end(err)
	}
	return !isReadError(err)
}

// handleNext reads, decodes and handles a frame that has begun to arrive. An invalid send frame with an id is answered
// here, so that the client can mark that message as not sent, instead of sending it again on every socket. Any other
// invalid frame ends the socket. Its variables are not part of the stack of a reader that waits.
//
//go:noinline
func (s *session) handleNext(kind int, r io.Reader) error {
	f, err := s.decodeFrame(kind, r)
	switch {
	case err == nil && s.ctx.Err() == nil:
		return s.handleFrame(f)
	case err == nil || f.Type != wire.TypeSend && f.Type != wire.TypeChange || f.ID == "" || isReadError(err):
		return err
	}
	s.log().Info("bad send frame", "error", err)
	s.refuse(err, f.ID)
	return s.strike()
}

// isReadError reports whether err means that nothing more can be read. After any other error the reader keeps reading
// until the client has answered the close frame, because closing a connection with unread bytes discards what was
// written to it (RFC 9293, section 3.6.1: the peer receives a reset).
func isReadError(err error) bool {
	return errors.Is(err, errClosedByClient) || errors.Is(err, errLost) || errors.Is(err, errSilent)
}

// handleControlFrames makes the client's pings and pongs extend the read deadline, and answers its pings. The farewell
// answers a close frame.
func (s *session) handleControlFrames() {
	s.conn.SetPongHandler(func(string) error {
		s.extendReadDeadline()
		return nil
	})
	s.conn.SetPingHandler(func(data string) error {
		s.extendReadDeadline()
		s.pushControl(opPong, []byte(data))
		return nil
	})
	s.conn.SetCloseHandler(func(int, string) error { return nil })
}

// extendReadDeadline is called whenever something arrives from the client. It has no effect before the hello, when
// the deadline is fixed, or after the end of the socket, when the farewell sets it. The client has DropAfter from
// now on, or up to deadlineSlack more.
func (s *session) extendReadDeadline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.ctx.Err() == nil && s.uid != "" && s.readDeadline.Sub(now) < wire.DropAfter {
		s.readDeadline = now.Add(wire.DropAfter + deadlineSlack)
		_ = s.in.SetReadDeadline(s.readDeadline) // if this fails, reading fails too
	}
}

// decodeFrame reads and decodes a frame that has begun to arrive. After the end of the socket it returns an empty one.
// Errors of reading are errClosedByClient, errLost and errSilent, each with its cause; the client receives any other
// error.
func (s *session) decodeFrame(kind int, r io.Reader) (wire.ClientFrame, error) {
	if kind != websocket.TextMessage {
		return wire.ClientFrame{}, wire.ErrBadFrame.WithCause(errors.New("a binary frame"))
	}
	b := getBuffer()
	defer b.free()
	if err := b.readFrom(r); err != nil {
		return wire.ClientFrame{}, readError(err)
	}
	s.extendReadDeadline()
	if s.ctx.Err() != nil {
		return wire.ClientFrame{}, nil
	}
	f, err := wire.DecodeClient(b.b)
	if err != nil {
		s.counters.BadFrames.Add(1)
	}
	return f, err
}

// readFrom reads r to its end, or one byte more than the limit of a frame, which shows that the frame is too large. The
// limit of gorilla/websocket (SetReadLimit) would close the connection before the client receives the error.
func (b *buffer) readFrom(r io.Reader) error {
	for len(b.b) <= chat.MaxFrameSize {
		b.b = slices.Grow(b.b, 512)
		free := b.b[len(b.b):min(cap(b.b), chat.MaxFrameSize+1)]
		n, err := r.Read(free)
		b.b = b.b[:len(b.b)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readError classifies an error of reading.
func readError(err error) error {
	var closed *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return fmt.Errorf("%w: %w", errClosedByClient, err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", errSilent, err)
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// handleFrame carries out f. An error ends the socket.
func (s *session) handleFrame(f wire.ClientFrame) error {
	// An ack is never refused, no matter how fast acks arrive: it could be the last one.
	if wait, ok := allow(s.limit().frames); !ok && f.Type != wire.TypeAck {
		return s.refuseTooFast(wait, f.ID)
	} else if !ok {
		if err := s.strike(); err != nil {
			return err
		}
	}
	switch f.Type {
	case wire.TypeSend:
		m := chat.Message{ID: f.ID, Conversation: chat.ConversationID(s.uid, f.To),
			From: s.uid, To: f.To, Body: f.Body, At: f.At, ReplyTo: f.ReplyTo}
		s.handleSend(inbox.OfMessage(m), m.CheckSend(s.deps.Now()))
	case wire.TypeChange:
		c := chat.Change{ID: f.ID, Conversation: chat.ConversationID(s.uid, f.To),
			From: s.uid, To: f.To, At: f.At, Of: f.Of, Kind: f.Kind, Body: f.Body, Emoji: f.Emoji}
		s.handleSend(inbox.OfChange(c), c.CheckSend(s.deps.Now()))
	case wire.TypeAck:
		return s.handleAck(f)
	case wire.TypeRead:
		return s.handleRead(f)
	case wire.TypeTyping:
		s.handleTyping(f)
	case wire.TypeWatch:
		if !s.background {
			s.queueLists(func() { s.watchList, s.hasWatchList = f.Users, true })
		}
	case wire.TypeLooking:
		return s.handleLooking(f)
	case wire.TypeToken:
		return s.handleToken(f)
	case wire.TypePing:
		s.push(wire.Pong{})
	case wire.TypeHello:
		return ErrHelloRepeated
	default:
		s.counters.UnknownFrames.Add(1)
		if !s.limit().unknown.Allow() {
			return s.strike()
		}
	}
	return nil
}

// handleSend queues a message or a change, of which invalid is what CheckSend returned, for the worker, which applies
// the rate limits. If the queue is full, it waits, and nothing more is read from the client. A long outbox is therefore
// slowed down, and so is a flood.
func (s *session) handleSend(i inbox.Item, invalid error) {
	s.counters.Sends.Add(1)
	if invalid != nil {
		s.refuse(invalid, i.ID())
		return
	}
	if s.isQueued(i) {
		s.counters.SendsRepeated.Add(1)
		return
	}
	if !s.queueSend(i) {
		s.counters.Stalled.Add(1)
		s.in.pause()
		s.queueWhenFree(i)
		s.in.resume()
		s.extendReadDeadline() // the client was not silent: nobody listened
	}
}

// isQueued reports whether the same item waits already, because the client has sent it again before it was answered.
// The one answer then serves both.
func (s *session) isQueued(i inbox.Item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.sends, i.Equal)
}

// queueSend queues i for the worker, or reports that the queue is full.
func (s *session) queueSend(i inbox.Item) bool {
	s.mu.Lock()
	full := len(s.sends) >= queueSends
	s.mu.Unlock()
	if full || !s.user.reserve(s, sendSize(i)) {
		return false
	}
	s.mu.Lock()
	s.sends = append(s.sends, i) // nobody else adds, so there still is room
	s.mu.Unlock()
	s.wake(taskWorker)
	return true
}

// queueWhenFree queues i when the queue has room, or drops it when the socket ends.
func (s *session) queueWhenFree(i inbox.Item) {
	room, done := s.user.wait(s)
	defer done()
	for !s.queueSend(i) {
		select {
		case <-room:
		case <-s.ctx.Done():
			return
		}
	}
}

// queueLists calls change, which may change the watch list and the read marks, with the lock, and wakes the worker.
func (s *session) queueLists(change func()) {
	s.mu.Lock()
	change()
	s.listsDue = true
	s.mu.Unlock()
	s.wake(taskWorker)
}

// handleAck records what the device has stored. A cursor that this server cannot have issued is refused. The window
// ignores a cursor of another epoch.
func (s *session) handleAck(f wire.ClientFrame) error {
	c, err := inbox.ParseCursor(f.Cursor)
	if err != nil {
		s.counters.BadFrames.Add(1)
		s.refuse(err, "")
		return s.strike()
	}
	s.window.Ack(c)
	s.acked()
	if s.ackWaited.Load() {
		s.wake(taskFeeder)
	}
	return nil
}

// handleRead queues a read mark for the worker, unless a newer one of the same conversation is already queued.
func (s *session) handleRead(f wire.ClientFrame) error {
	if _, err := chat.Other(f.Conversation, s.uid); err != nil {
		s.refuse(err, "")
		return s.strike()
	}
	if f.At.Time().Sub(s.deps.Now()) > chat.MaxAhead {
		s.refuse(chat.ErrAtAhead.WithRetry(chat.MaxAhead), "")
		return nil
	}
	full := false
	s.queueLists(func() {
		old, queued := s.readMarks[f.Conversation]
		if full = !queued && len(s.readMarks) >= maxReadMarks; !full && f.At > old {
			if s.readMarks == nil {
				s.readMarks = map[string]chat.Micros{}
			}
			s.readMarks[f.Conversation] = f.At
		}
	})
	if full {
		return s.refuseTooFast(time.Second, "")
	}
	return nil
}

// handleTyping queues a typing hint for the worker, or drops it.
func (s *session) handleTyping(f wire.ClientFrame) {
	if f.To == s.uid || !chat.ValidUID(f.To) || s.background {
		return
	}
	ok := false
	if _, allowed := allow(s.limit().typing); allowed {
		s.mu.Lock()
		if ok = len(s.typingTo) < queueTyping; ok {
			s.typingTo = append(s.typingTo, f.To)
		}
		s.mu.Unlock()
	}
	if !ok {
		s.counters.HintsDropped.Add(1)
		return
	}
	s.wake(taskWorker)
}

// handleToken extends the life of the socket to that of the new token. A token that cannot be verified now, or that has
// expired, changes nothing.
func (s *session) handleToken(f wire.ClientFrame) error {
	var claims identity.Claims
	err := s.do("token", func() (err error) {
		claims, err = s.deps.Verifier.Verify(s.ctx, f.Token)
		return err
	})
	if err != nil {
		if errors.Is(err, problem.ErrUnauthenticated) {
			return err
		}
		s.refuse(err, "")
		return nil
	}
	if claims.UID != s.uid {
		return ErrOtherUser
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.gate.Admit(claims.AuthTime); err != nil {
		return err
	}
	if claims.Expires.After(s.claims.Expires) {
		s.claims = claims
		s.setAlarmLocked(alarmToken, claims.Expires.Sub(s.deps.Now()))
	}
	return nil
}

// signal sends to a channel of capacity one, unless a signal is already waiting there.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
