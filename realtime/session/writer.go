package session

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// write is the writer: it alone writes data frames.
func (s *session) write() {
	ping := time.NewTicker(wire.PingEvery)
	defer ping.Stop()
	var goaways chan wire.Goaway // s.goaways once the client has its welcome
	for {
		var err error
		select {
		case <-s.ctx.Done():
			s.farewell()
			return
		case g := <-goaways:
			var data []byte
			if data, err = wire.Encode(g); err == nil {
				err = s.put(data, writeWithin)
			}
		case data := <-s.out:
			err = s.put(data, writeWithin)
			goaways = s.goaways
		case <-ping.C:
			err = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin))
		}
		if err != nil {
			s.end(broken(err))
		}
	}
}

// put writes one frame.
func (s *session) put(data []byte, within time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, data)
}

// broken sorts an error of writing.
func broken(err error) error {
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return errors.Join(errSlow, err)
	}
	return errors.Join(errLost, err)
}

// farewell sends what is queued, why the socket ends, and the close frame, and
// lets the reader wait for the client's answer to it, for a moment.
func (s *session) farewell() {
	// Whatever happens, the reader must come back.
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = s.conn.SetReadDeadline(time.Now().Add(echoWithin))
	}()
	why := s.why()
	var p *problem.Error
	if !errors.As(why, &p) {
		if !errors.Is(why, errClosedByClient) {
			s.conn.Close()
		}
		return
	}
	deadline := time.Now().Add(farewellTime)
	for queued := true; queued; {
		select {
		case data := <-s.out:
			if s.put(data, time.Until(deadline)) != nil {
				s.conn.Close()
				return
			}
		default:
			queued = false
		}
	}
	// A socket that was asked to go and stayed is closed without an error:
	// nothing is wrong.
	if p.Kind != problem.GoingAway {
		data, err := wire.Encode(wire.ErrorOf(p, ""))
		if err != nil || s.put(data, time.Until(deadline)) != nil {
			s.conn.Close()
			return
		}
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(p.Kind.CloseCode(), p.Code), deadline)
}

// push queues f for the writer. It waits for room, which comes, or the socket
// ends: a client that does not read is ended by the writer's deadline. It
// reports whether f was queued.
func (s *session) push(f wire.ServerFrame) bool {
	data, err := wire.Encode(f)
	if err != nil {
		s.end(problem.Of(err))
		return false
	}
	select {
	case s.out <- data:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// hint queues f for the writer if there is room, else drops it.
func (s *session) hint(f wire.ServerFrame) {
	data, err := wire.Encode(f)
	if err != nil {
		s.end(problem.Of(err))
		return
	}
	select {
	case s.out <- data:
		s.x.counts.hints.Add(1)
	default:
		s.x.counts.hintsDropped.Add(1)
	}
}
