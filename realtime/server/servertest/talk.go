package servertest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// The steps of a chat that most tests take on a socket.

// Hello opens a socket and says hello as uid. It returns the socket when it is caught up, with the welcome and the
// events that arrived before.
func (in *Instance) Hello(t testing.TB, uid, cursor string) (*Socket, wire.Welcome, []wire.EventFrame) {
	t.Helper()
	s := in.Dial(t, DialOptions{})
	w, events := s.Hello(uid, cursor)
	return s, w, events
}

// Hello says hello as uid. It returns when the socket is caught up, with the welcome and the events that arrived
// before.
func (s *Socket) Hello(uid, cursor string) (wire.Welcome, []wire.EventFrame) {
	s.t.Helper()
	return s.HelloFrom(uid, "d-"+uid, cursor)
}

// HelloFrom is Hello from a device with a name.
func (s *Socket) HelloFrom(uid, device, cursor string) (wire.Welcome, []wire.EventFrame) {
	s.t.Helper()
	s.UID = uid
	s.Send(wire.ClientFrame{Type: wire.TypeHello, Token: Token(uid, nil), Device: device, Cursor: cursor})
	w := As[wire.Welcome](s)
	events, _ := s.CaughtUp()
	return w, events
}

// Join is Hello for a first visit whose events do not matter.
func (in *Instance) Join(t testing.TB, uid string) *Socket {
	t.Helper()
	s, _, _ := in.Hello(t, uid, "")
	return s
}

// CaughtUp reads until caught_up. It returns the events before it, and its cursor.
func (s *Socket) CaughtUp() (events []wire.EventFrame, cursor string) {
	s.t.Helper()
	for {
		switch f := s.Next().(type) {
		case wire.EventFrame:
			events = append(events, f)
		case wire.CaughtUp:
			return events, f.Cursor
		case wire.Presence, wire.Typing:
		default:
			s.t.Fatalf("%s: got %T %+v before caught_up", s.UID, f, f)
		}
	}
}

// Message returns a send frame with a new message.
func Message(to, body string) wire.ClientFrame {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return wire.ClientFrame{Type: wire.TypeSend, ID: id.String(), To: to, Body: body, At: chat.MicrosOf(time.Now())}
}

// Change returns a frame with a new change of a message, which one of its two people sends to the other.
func Change(to string, of chat.Target, kind chat.ChangeKind, content string) wire.ClientFrame {
	f := Message(to, "")
	f.Type, f.Of, f.Kind = wire.TypeChange, of, kind
	f.At = max(f.At, of.At+1)
	if kind == chat.KindEdit {
		f.Body = content
	} else {
		f.Emoji = content
	}
	return f
}

// Say sends a message, and returns its id when it is queued. It ignores events of the sender's own inbox.
func (s *Socket) Say(to, body string) string {
	s.t.Helper()
	m := Message(to, body)
	s.Send(m)
	for {
		switch f := s.Next().(type) {
		case wire.Sent:
			if f.ID != m.ID {
				s.t.Fatalf("%s: sent for %s, want %s", s.UID, f.ID, m.ID)
			}
			return m.ID
		case wire.ErrorFrame:
			s.t.Fatalf("%s: the message was refused: %+v", s.UID, f)
		}
	}
}

// Event returns the next event of the given type, as a T (wire.MessageEvent, …), and its cursor. It ignores events of
// other types, replies and hints.
func Event[T any](s *Socket, name string) (T, string) {
	s.t.Helper()
	for {
		f, ok := s.Next().(wire.EventFrame)
		if !ok {
			continue
		}
		var head struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(f.Event, &head); err != nil {
			s.t.Fatal(err)
		}
		if head.Type != name {
			continue
		}
		e, err := wire.DecodeEvent(f.Event)
		if err != nil {
			s.t.Fatal(err)
		}
		return e.(T), f.Cursor
	}
}

// Ack acknowledges everything up to cursor.
func (s *Socket) Ack(cursor string) {
	s.t.Helper()
	s.Send(wire.ClientFrame{Type: wire.TypeAck, Cursor: cursor})
}

// Refused checks that the next error frame has the code, and returns it. It ignores other frames.
func (s *Socket) Refused(code string) wire.ErrorFrame {
	s.t.Helper()
	for {
		if f, ok := s.Next().(wire.ErrorFrame); ok {
			if f.Code != code {
				s.t.Fatalf("%s: error %q, want %q", s.UID, f.Code, code)
			}
			return f
		}
	}
}
