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

// keepAlive makes the client's pings and pongs count as signs of life.
func (s *session) keepAlive() {
	s.conn.SetPongHandler(func(string) error {
		s.extend()
		return nil
	})
	s.conn.SetPingHandler(func(data string) error {
		s.extend()
		err := s.conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		var timeout net.Error
		if errors.Is(err, websocket.ErrCloseSent) || errors.As(err, &timeout) && timeout.Timeout() {
			return nil // the writer is busy or done, and deals with it
		}
		return err
	})
}

// extend notes that the client was heard. After the end of the socket the
// deadline is the writer's, and before the hello it is fixed.
func (s *session) extend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil && s.uid != "" {
		_ = s.conn.SetReadDeadline(time.Now().Add(wire.DropAfter)) // an error shows in the read
	}
}

// next reads one frame. Errors of reading are errClosedByClient, errLost and
// errSilent, each with its cause; others are told to the client. An invalid frame with
// an id (a send) is answered here with the id and skipped, so that its client can show what
// was not sent instead of sending it again on every socket; any other ends the socket.
func (s *session) next() (wire.ClientFrame, error) {
	for {
		data, err := s.nextData()
		if err != nil {
			return wire.ClientFrame{}, err
		}
		s.extend()
		if s.ctx.Err() != nil {
			return wire.ClientFrame{}, nil
		}
		f, err := wire.DecodeClient(data)
		if err == nil {
			return f, nil
		}
		s.x.counts.badFrames.Add(1)
		if f.Type != wire.TypeSend || f.ID == "" || s.uid == "" {
			return f, err
		}
		s.log.Info("bad send frame", "error", err)
		if err := s.refuse(err, f.ID); err != nil {
			return f, err
		}
		if err := s.strike(); err != nil {
			return f, err
		}
	}
}

// nextData reads the next data frame into s.buf, which the result shares.
func (s *session) nextData() ([]byte, error) {
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return nil, readError(err)
	}
	if kind != websocket.TextMessage {
		return nil, wire.ErrBadFrame.WithCause(errors.New("a binary frame"))
	}
	// One byte more than allowed shows that a frame is too large, without
	// reading it. gorilla's own limit would close before the client is told.
	s.buf = s.buf[:0]
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

// handle does what f asks. An error ends the socket.
func (s *session) handle(f wire.ClientFrame) error {
	// An ack is never refused, however fast they come: a lost one could be the last.
	if wait, ok := take(s.frames); !ok && f.Type != wire.TypeAck {
		return s.tooFast(wait, f.ID)
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
		s.watch, s.newWatch = f.Users, true
		s.mu.Unlock()
		notify(s.poke)
	case wire.TypeToken:
		return s.handleToken(f)
	case wire.TypePing:
		s.push(wire.Pong{})
	case wire.TypeHello:
		return ErrHelloRepeated
	default:
		s.x.counts.unknownFrames.Add(1)
	}
	return nil
}

// handleSend checks a message and gives it to the worker, which keeps to the
// rates: a long outbox is slowed down, and only who does not wait is refused.
func (s *session) handleSend(f wire.ClientFrame) error {
	s.x.counts.sends.Add(1)
	m := chat.Message{ID: f.ID, Conversation: chat.ConversationID(s.uid, f.To),
		From: s.uid, To: f.To, Body: f.Body, At: f.At, ReplyTo: f.ReplyTo}
	if err := m.CheckSend(s.x.deps.Now()); err != nil {
		return s.refuse(err, f.ID)
	}
	select {
	case s.sends <- m:
		return nil
	default:
	}
	if s.throttled.Load() {
		return s.tooFast(s.x.deps.Limits.Sends.each(queueSends), f.ID)
	}
	s.x.counts.workRefused.Add(1)
	return s.refuse(problem.ErrUnavailable.WithCause(errors.New("too many sends wait on this socket")), f.ID)
}

// handleAck notes what the device has stored. A cursor that this server
// cannot have given is told; one of another life is dropped by the account.
func (s *session) handleAck(f wire.ClientFrame) error {
	c, err := inbox.ParseCursor(f.Cursor)
	if err != nil {
		s.x.counts.badFrames.Add(1)
		if err := s.refuse(err, ""); err != nil {
			return err
		}
		return s.strike()
	}
	s.account.Ack(c)
	notify(s.acked)
	return nil
}

// handleRead gives a read mark to the worker, unless a newer one of the same
// conversation waits there.
func (s *session) handleRead(f wire.ClientFrame) error {
	if _, err := chat.Other(f.Conversation, s.uid); err != nil {
		if err := s.refuse(err, ""); err != nil {
			return err
		}
		return s.strike()
	}
	if f.At.Time().Sub(s.x.deps.Now()) > chat.MaxAhead {
		return s.refuse(chat.ErrAtAhead.WithRetry(chat.MaxAhead), "")
	}
	s.mu.Lock()
	old, waits := s.marks[f.Conversation]
	full := !waits && len(s.marks) >= maxMarks
	if !full && f.At > old {
		s.marks[f.Conversation] = f.At
	}
	s.mu.Unlock()
	if full {
		return s.tooFast(time.Second, "")
	}
	notify(s.poke)
	return nil
}

// handleTyping gives a hint to the worker, or drops it.
func (s *session) handleTyping(f wire.ClientFrame) {
	if f.To == s.uid || !chat.ValidUID(f.To) {
		return
	}
	if _, ok := take(s.typing); ok {
		select {
		case s.hints <- f.To:
			return
		default:
		}
	}
	s.x.counts.hintsDropped.Add(1)
}

// handleToken lets the socket live as long as the fresh token. One that cannot
// be verified now, or has ended, leaves things as they were.
func (s *session) handleToken(f wire.ClientFrame) error {
	claims, err := s.x.deps.Verifier.Verify(s.ctx, f.Token)
	if err != nil {
		if errors.Is(err, problem.ErrUnauthenticated) {
			return err
		}
		return s.refuse(err, "")
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
		s.tokenEnd.Reset(claims.Expires.Sub(s.x.deps.Now()))
	}
	return nil
}

// refuse tells the client that the frame with this id was not done.
func (s *session) refuse(err error, id string) error {
	p := problem.Of(err)
	if p.Kind == problem.Internal {
		s.log.Error("frame failed", "error", err)
	}
	s.x.counts.refused.Add(1)
	s.push(wire.ErrorOf(p, id))
	return nil
}

// tooFast refuses a frame for its rate.
func (s *session) tooFast(wait time.Duration, id string) error {
	s.x.counts.rateLimited.Add(1)
	if err := s.refuse(ErrRateLimited.WithRetry(wait), id); err != nil {
		return err
	}
	return s.strike()
}

// strike counts a refused frame, and ends the socket of a client that goes on.
func (s *session) strike() error {
	if _, ok := take(s.strikes); !ok {
		return ErrRateLimited.WithRetry(30 * time.Second)
	}
	return nil
}

// notify puts a value into a channel that holds one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
