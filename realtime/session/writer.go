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

// writeFrames is the writer, the only goroutine that writes data frames.
func (s *session) writeFrames() {
	ping := time.NewTicker(wire.PingEvery)
	defer ping.Stop()
	var goaways chan wire.Goaway // s.goaways, once the client has its welcome
	for {
		var err error
		select {
		case <-s.ctx.Done():
			s.writeFarewell()
			return
		case g := <-goaways:
			var data []byte
			if data, err = wire.Encode(g); err == nil {
				err = s.writeFrame(data, writeWithin)
			}
		case data := <-s.out:
			err = s.writeFrame(data, writeWithin)
			s.outBytes.Release(outSize(data))
			goaways = s.goaways
		case <-ping.C:
			err = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin))
		}
		if err != nil {
			s.end(writeError(err))
		}
	}
}

// writeFrame writes one frame.
func (s *session) writeFrame(data []byte, within time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, data)
}

// writeError classifies an error of writing.
func writeError(err error) error {
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return errors.Join(errSlow, err)
	}
	return errors.Join(errLost, err)
}

// writeFarewell writes the frames that are still queued, the error that ended the socket, and the close frame. It then
// gives the reader a moment to receive the client's close frame.
func (s *session) writeFarewell() {
	// The reader must return in every case.
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
			s.outBytes.Release(outSize(data))
			if s.writeFrame(data, time.Until(deadline)) != nil {
				s.conn.Close()
				return
			}
		default:
			queued = false
		}
	}
	// A client that stayed after a goaway gets no error frame: nothing went wrong.
	if p.Kind != problem.GoingAway {
		data, err := wire.Encode(wire.ErrorOf(p, ""))
		if err != nil || s.writeFrame(data, time.Until(deadline)) != nil {
			s.conn.Close()
			return
		}
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(p.Kind.CloseCode(), p.Code), deadline)
}
