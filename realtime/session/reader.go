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
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// read is the reader: the hello first, then frames until the socket ends.
func (s *session) read() {
	defer s.endOnPanic("reader")
	defer s.greeted()
	s.handlePings()
	if err := s.hello(); err != nil {
		s.end(err)
	}
	s.greeted()
	for {
		f, err := s.readFrame()
		if err == nil && s.ctx.Err() == nil {
			err = s.handleFrame(f)
		}
		if err != nil {
			s.end(err)
		}
		if isReadError(err) {
			return
		}
	}
}

// isReadError reports whether err means that nothing more can be read. After any other error the reader keeps reading
// until the client has answered the close frame, because closing a connection with unread bytes discards what was
// written to it (RFC 9293, section 3.6.1: the peer receives a reset).
func isReadError(err error) bool {
	return errors.Is(err, errClosedByClient) || errors.Is(err, errLost) || errors.Is(err, errSilent)
}

// handlePings makes the client's pings and pongs extend the read deadline, and answers its pings.
func (s *session) handlePings() {
	s.conn.SetPongHandler(func(string) error {
		s.extendReadDeadline()
		return nil
	})
	s.conn.SetPingHandler(func(data string) error {
		s.extendReadDeadline()
		if s.ctx.Err() != nil {
			return nil
		}
		err := s.conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		var timeout net.Error
		if errors.Is(err, websocket.ErrCloseSent) || errors.As(err, &timeout) && timeout.Timeout() {
			return nil // the writer is closing or is blocked, and ends the socket itself
		}
		return err
	})
}

// extendReadDeadline is called whenever something arrives from the client. It has no effect before the hello, when the
// deadline is fixed, or after the end of the socket, when the writer sets it.
func (s *session) extendReadDeadline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil && s.uid != "" {
		_ = s.conn.SetReadDeadline(time.Now().Add(wire.DropAfter)) // if this fails, reading fails too
	}
}

// readFrame reads one frame. Errors of reading are errClosedByClient, errLost and errSilent, each with its cause; the
// client receives any other error. An invalid send frame with an id is answered here and skipped, so that the client
// can mark that message as not sent, instead of sending it again on every socket. Any other invalid frame ends the
// socket.
func (s *session) readFrame() (wire.ClientFrame, error) {
	for {
		data, err := s.readData()
		if err != nil {
			return wire.ClientFrame{}, err
		}
		s.extendReadDeadline()
		if s.ctx.Err() != nil {
			return wire.ClientFrame{}, nil
		}
		f, err := wire.DecodeClient(data)
		if err == nil {
			return f, nil
		}
		s.counters.BadFrames.Add(1)
		if f.Type != wire.TypeSend || f.ID == "" || s.uid == "" {
			return f, err
		}
		s.log.Info("bad send frame", "error", err)
		s.refuse(err, f.ID)
		if err := s.strike(); err != nil {
			return f, err
		}
	}
}

// readData reads the next data frame into s.buf, which backs the result.
func (s *session) readData() ([]byte, error) {
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return nil, readError(err)
	}
	if kind != websocket.TextMessage {
		return nil, wire.ErrBadFrame.WithCause(errors.New("a binary frame"))
	}
	// Reading one byte more than the limit shows that a frame is too large, without reading all of it. The limit of
	// gorilla/websocket (SetReadLimit) would close the connection before the client receives the error.
	s.buf = s.buf[:0]
	if cap(s.buf) > keepBuffer {
		s.buf = nil
	}
	limited := io.LimitReader(r, chat.MaxFrameSize+1)
	for {
		s.buf = slices.Grow(s.buf, 512)
		n, err := limited.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if err == io.EOF {
			return s.buf, nil
		}
		if err != nil {
			return nil, readError(err)
		}
	}
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
	if wait, ok := allow(s.frames); !ok && f.Type != wire.TypeAck {
		return s.refuseTooFast(wait, f.ID)
	} else if !ok {
		if err := s.strike(); err != nil {
			return err
		}
	}
	switch f.Type {
	case wire.TypeSend:
		return s.handleSend(f)
	case wire.TypeAck:
		return s.handleAck(f)
	case wire.TypeRead:
		return s.handleRead(f)
	case wire.TypeTyping:
		s.handleTyping(f)
	case wire.TypeWatch:
		s.mu.Lock()
		s.watchList, s.hasWatchList = f.Users, true
		s.mu.Unlock()
		signal(s.workerWake)
	case wire.TypeToken:
		return s.handleToken(f)
	case wire.TypePing:
		s.push(wire.Pong{})
	case wire.TypeHello:
		return ErrHelloRepeated
	default:
		s.counters.UnknownFrames.Add(1)
		if !s.unknown.Allow() {
			return s.strike()
		}
	}
	return nil
}

// handleSend checks a message and queues it for the worker, which applies the rate limits. If the queue is full, it
// waits, and nothing more is read from the client. A long outbox is therefore slowed down, and so is a flood.
func (s *session) handleSend(f wire.ClientFrame) error {
	s.counters.Sends.Add(1)
	m := &chat.Message{ID: f.ID, Conversation: chat.ConversationID(s.uid, f.To),
		From: s.uid, To: f.To, Body: f.Body, At: f.At, ReplyTo: f.ReplyTo}
	if err := m.CheckSend(s.deps.Now()); err != nil {
		s.refuse(err, f.ID)
		return nil
	}
	if !s.beginSending(m) {
		s.counters.SendsRepeated.Add(1)
		return nil
	}
	if s.user.reserve(s, sendSize(m)) {
		select {
		case s.sends <- m:
			return nil
		default:
			s.user.release(s, sendSize(m))
		}
	}
	s.counters.Stalled.Add(1)
	s.in.pause()
	s.queueWhenFree(m)
	s.in.resume()
	s.extendReadDeadline() // the client was not silent: nobody listened
	return nil
}

// queueWhenFree queues m when the queue has room, or drops it when the socket ends.
func (s *session) queueWhenFree(m *chat.Message) {
	s.user.wait(1)
	defer s.user.wait(-1)
	for !s.user.reserve(s, sendSize(m)) {
		select {
		case <-s.room:
		case <-s.ctx.Done():
			return
		}
	}
	select {
	case s.sends <- m:
	case <-s.ctx.Done():
		s.user.release(s, sendSize(m))
	}
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
	signal(s.ackArrived)
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
	s.mu.Lock()
	old, queued := s.readMarks[f.Conversation]
	full := !queued && len(s.readMarks) >= maxReadMarks
	if !full && f.At > old {
		s.readMarks[f.Conversation] = f.At
	}
	s.mu.Unlock()
	if full {
		return s.refuseTooFast(time.Second, "")
	}
	signal(s.workerWake)
	return nil
}

// handleTyping queues a typing hint for the worker, or drops it.
func (s *session) handleTyping(f wire.ClientFrame) {
	if f.To == s.uid || !chat.ValidUID(f.To) {
		return
	}
	if _, ok := allow(s.typing); ok {
		select {
		case s.typingTo <- f.To:
			return
		default:
		}
	}
	s.counters.HintsDropped.Add(1)
}

// handleToken extends the life of the socket to that of the new token. A token that cannot be verified now, or that has
// expired, changes nothing.
func (s *session) handleToken(f wire.ClientFrame) error {
	claims, err := s.deps.Verifier.Verify(s.ctx, f.Token)
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
		s.tokenEnd.Reset(claims.Expires.Sub(s.deps.Now()))
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
