package servertest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Socket is the client's end of a WebSocket, without any of the client's rules. It reads frames in the background
// unless it is paused.
type Socket struct {
	UID string

	t      testing.TB
	conn   *websocket.Conn
	frames chan frame
	wg     sync.WaitGroup
	mu     sync.Mutex
	paused chan struct{} // closed: not paused
	heard  time.Time     // when the frame that was returned last arrived
}

type frame struct {
	data []byte
	err  error
	at   time.Time
}

// DialOptions change a handshake.
type DialOptions struct {
	Origin      string // default: Origin; "-": none
	Subprotocol string // default: chat.v1; "-": none
	From        string // X-Forwarded-For; default: none
}

// Connect opens a connection to the instance, for clients with their own WebSocket library. It is safe for concurrent
// use.
func (in *Instance) Connect() (net.Conn, error) { return in.listener.dial() }

// Dial opens a socket to the instance, and sends nothing.
func (in *Instance) Dial(t testing.TB, o DialOptions) *Socket {
	t.Helper()
	s, status := in.TryDial(t, o)
	if s == nil {
		t.Fatalf("the upgrade was refused: %d", status)
	}
	return s
}

// TryDial is like Dial, but the upgrade may be refused: it then returns nil and the HTTP status (0: no response).
func (in *Instance) TryDial(t testing.TB, o DialOptions) (*Socket, int) {
	t.Helper()
	h := http.Header{}
	switch o.Origin {
	case "":
		h.Set("Origin", Origin)
	case "-":
	default:
		h.Set("Origin", o.Origin)
	}
	if o.From != "" {
		h.Set("X-Forwarded-For", o.From)
	}
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		return in.listener.dial()
	}}
	switch o.Subprotocol {
	case "":
		d.Subprotocols = []string{wire.Subprotocol}
	case "-":
	default:
		d.Subprotocols = []string{o.Subprotocol}
	}
	conn, resp, err := d.Dial("ws://pipe/ws", h)
	if err != nil {
		if resp == nil {
			return nil, 0
		}
		return nil, resp.StatusCode
	}
	return newSocket(t, conn), resp.StatusCode
}

// DialURL opens a socket to a server on a real port, at http://host:port, and sends nothing.
func DialURL(t testing.TB, url string) *Socket {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}}
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(url, "http")+"/ws", http.Header{"Origin": {Origin}})
	if err != nil {
		t.Fatal(err)
	}
	return newSocket(t, conn)
}

func newSocket(t testing.TB, conn *websocket.Conn) *Socket {
	s := &Socket{t: t, conn: conn, frames: make(chan frame, 100_000), paused: make(chan struct{})}
	close(s.paused)
	s.wg.Go(s.read)
	t.Cleanup(s.Break)
	return s
}

func (s *Socket) read() {
	for {
		s.mu.Lock()
		paused := s.paused
		s.mu.Unlock()
		<-paused
		_, data, err := s.conn.ReadMessage()
		s.frames <- frame{data, err, time.Now()}
		if err != nil {
			return
		}
	}
}

// Pause stops reading, as a browser does when it freezes a tab. One more frame may be read.
func (s *Socket) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = make(chan struct{})
}

// Resume ends a Pause.
func (s *Socket) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.paused:
	default:
		close(s.paused)
	}
}

// Text sends a text frame.
func (s *Socket) Text(text string) { s.write(websocket.TextMessage, []byte(text)) }

// Binary sends a binary frame.
func (s *Socket) Binary(data []byte) { s.write(websocket.BinaryMessage, data) }

// SendWhenRead sends a frame, and returns when the server has read it, however long that takes. It returns an error if
// the connection has ended.
func (s *Socket) SendWhenRead(f wire.ClientFrame) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_ = s.conn.SetWriteDeadline(time.Time{})
	return s.conn.WriteMessage(websocket.TextMessage, data)
}

// Raw sends bytes that need not be a complete or valid WebSocket frame. It returns an error if the connection has
// ended. It must not wait for the server when the server pings.
func (s *Socket) Raw(data []byte) error {
	conn := s.conn.NetConn()
	_ = conn.SetWriteDeadline(time.Time{}) // the library has left its own
	_, err := conn.Write(data)
	return err
}

// RawFrame returns a masked WebSocket frame whose header begins with the byte first (RFC 6455, section 5.2). The
// payload has at most 125 bytes.
func RawFrame(first byte, payload string) []byte {
	frame := append([]byte{first, 0x80 | byte(len(payload))}, 0, 0, 0, 0) // a mask of zeros changes nothing
	return append(frame, payload...)
}

func (s *Socket) write(kind int, data []byte) {
	s.t.Helper()
	_ = s.conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
	if err := s.conn.WriteMessage(kind, data); err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		s.t.Logf("write: %v", err) // the server may have closed the socket; the test reads its last frames
	}
}

// Send sends a frame.
func (s *Socket) Send(f wire.ClientFrame) {
	s.t.Helper()
	data, err := json.Marshal(f)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Text(string(data))
}

// Next returns the next frame, within 15 s.
func (s *Socket) Next() wire.ServerFrame {
	s.t.Helper()
	f, ok := s.Wait(15 * time.Second)
	if !ok {
		s.t.Fatalf("%s: no frame arrived in 15 s", s.UID)
	}
	return f
}

// Quiet checks that no frame arrives for d.
func (s *Socket) Quiet(d time.Duration) {
	s.t.Helper()
	select {
	case f := <-s.frames:
		s.t.Fatalf("%s: a frame arrived, or the socket ended: %s %v", s.UID, describe(f.data), f.err)
	case <-time.After(d):
	}
}

// Closed checks that the socket ends with the close code, and returns the last error frame before that (empty without
// one). It ignores other frames.
func (s *Socket) Closed(code int) wire.ErrorFrame {
	s.t.Helper()
	var last wire.ErrorFrame
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case f := <-s.frames:
			var closed *websocket.CloseError
			switch {
			case f.err == nil:
				if e, ok := s.decode(f.data).(wire.ErrorFrame); ok {
					last = e
				}
			case errors.As(f.err, &closed):
				if closed.Code != code {
					s.t.Fatalf("%s: closed with %d %q, want %d (last error %+v)",
						s.UID, closed.Code, closed.Text, code, last)
				}
				return last
			default:
				s.t.Fatalf("%s: ended without a close frame: %v (last error %+v)", s.UID, f.err, last)
			}
		case <-deadline:
			s.t.Fatalf("%s: still open", s.UID)
		}
	}
}

func (s *Socket) decode(data []byte) wire.ServerFrame {
	s.t.Helper()
	got, err := wire.DecodeServer(data)
	if err != nil {
		s.t.Fatalf("%s: %v in %s", s.UID, err, describe(data))
	}
	return got
}

// Close closes the socket as a browser does, and waits for the server's close frame.
func (s *Socket) Close() {
	s.t.Helper()
	normal := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, normal, time.Now().Add(time.Second))
	s.wg.Wait()
	_ = s.conn.Close()
}

// Break closes the connection without a close frame.
func (s *Socket) Break() {
	s.Resume()
	_ = s.conn.Close()
	s.wg.Wait()
}

// As returns the next frame, which must be a T. It ignores presence and typing frames, unless T is one of them.
func As[T wire.ServerFrame](s *Socket) T {
	s.t.Helper()
	for {
		f := s.Next()
		if got, ok := f.(T); ok {
			return got
		}
		switch f.(type) {
		case wire.Presence, wire.Typing:
		default:
			var want T
			s.t.Fatalf("%s: got %T %+v, want %T", s.UID, f, f, want)
		}
	}
}

// Until returns the next frame that is a T. It ignores all others.
func Until[T wire.ServerFrame](s *Socket) T {
	s.t.Helper()
	for {
		if f, ok := s.Next().(T); ok {
			return f
		}
	}
}

// Wait returns the next frame, and whether one arrived within d.
func (s *Socket) Wait(d time.Duration) (wire.ServerFrame, bool) {
	s.t.Helper()
	select {
	case f := <-s.frames:
		if f.err != nil {
			s.t.Fatalf("%s: the socket ended: %v", s.UID, f.err)
		}
		s.heard = f.at
		return s.decode(f.data), true
	case <-time.After(d):
		return nil, false
	}
}

// Heard returns when the frame that was last returned arrived.
func (s *Socket) Heard() time.Time { return s.heard }

// TryNext returns the next frame, if one has arrived, without waiting. open is false once the socket has ended and
// every frame was returned.
func (s *Socket) TryNext() (f wire.ServerFrame, open, ok bool) {
	s.t.Helper()
	select {
	case f := <-s.frames:
		if f.err != nil {
			return nil, false, false
		}
		s.heard = f.at
		return s.decode(f.data), true, true
	default:
		return nil, true, false
	}
}
