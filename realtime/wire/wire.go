// Package wire is the WebSocket protocol chat.v1, told once: the frames, their
// fields, their limits, and how they are read and written.
//
// Frames are JSON objects in text messages of at most [chat.MaxFrameSize]
// bytes, told apart by "type". The first frame of a client is hello. Unknown
// types and fields are ignored by both sides, so that old clients and new
// servers meet during a deploy.
//
// The files in testdata/frames are the golden frames, one JSON array per
// direction, read by the tests of this package, of the server and of both
// clients. Each entry is {name, frame, valid, code?, ignored?}:
//
//   - frame: the frame as a JSON value; where it is a JSON string, that string
//     is the text on the wire, which need not be JSON.
//   - valid: whether the receiver can read it. A frame that is not valid is
//     answered with the error code, if a client sent it; a client that gets one
//     from a server drops it, and with it the socket, since what it holds would
//     be lost otherwise.
//   - code with valid true: the frame can be read, and its content is refused
//     with this code when the user aliceUid0001 sends it.
//   - ignored: a later version's word, read and passed over without an answer.
package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Subprotocol is the value of Sec-WebSocket-Protocol.
const Subprotocol = "chat.v1"

// Limits of the protocol beside those of package chat.
const (
	HelloWithin  = 10 * time.Second // from the upgrade to hello
	PingEvery    = 30 * time.Second // WebSocket-level pings of the server
	DropAfter    = 75 * time.Second // of silence
	MaxWatch     = 100              // users in one watch frame
	MaxDevice    = 64               // bytes in a device id
	MaxToken     = 8 << 10          // bytes in a token
	MaxCursor    = 200              // bytes in a cursor
	MaxUnacked   = 256              // unacknowledged message events on one socket
	MaxDelivered = 500              // messages in one delivered event
)

// Types of frames. A client sends the first group, a server the second; ping
// and pong are a client's question and a server's answer.
const (
	TypeHello  = "hello"
	TypeSend   = "send"
	TypeAck    = "ack"
	TypeRead   = "read"
	TypeTyping = "typing"
	TypeWatch  = "watch"
	TypeToken  = "token"
	TypePing   = "ping"

	TypeWelcome  = "welcome"
	TypeEvent    = "event"
	TypeCaughtUp = "caught_up"
	TypeSent     = "sent"
	TypePresence = "presence"
	TypeGoaway   = "goaway"
	TypeError    = "error"
	TypePong     = "pong"
)

// Types of events, the durable part of the protocol.
const (
	EventMessage   = "message"
	EventSent      = "sent"
	EventDelivered = "delivered"
	EventRead      = "read"
	EventRefused   = "refused"
)

// Reasons of goaway.
const (
	GoawayDrain  = "drain"  // the instance is leaving
	GoawayRotate = "rotate" // the socket nears the 60-minute limit of Cloud Run
	GoawayResync = "resync" // Redis came back: outboxes should send again
)

// ClientFrame is any frame that a client sends: Type says which, and which of
// the fields have a meaning. See DESIGN §4.
type ClientFrame struct {
	Type string `json:"type"`

	Token  string `json:"token,omitempty"`  // hello, token
	Device string `json:"device,omitempty"` // hello
	Cursor string `json:"cursor"`           // hello ("" on a first visit), ack

	ID           string      `json:"id,omitempty"`           // send
	To           string      `json:"to,omitempty"`           // send, typing
	Body         string      `json:"body,omitempty"`         // send
	At           chat.Micros `json:"at,omitempty"`           // send, read
	ReplyTo      string      `json:"reply_to,omitempty"`     // send
	Conversation string      `json:"conversation,omitempty"` // read

	Users []string `json:"users,omitempty"` // watch
}

// Known reports whether the frame's type is one of this version of the protocol.
func (f ClientFrame) Known() bool {
	switch f.Type {
	case TypeHello, TypeSend, TypeAck, TypeRead, TypeTyping, TypeWatch, TypeToken, TypePing:
		return true
	}
	return false
}

// Limits tells a client what it must keep to.
type Limits struct {
	Body    int   `json:"body"`       // code points
	Frame   int   `json:"frame"`      // bytes
	Unacked int   `json:"unacked"`    // message events in flight on a socket
	AheadMS int64 `json:"ahead_ms"`   // see chat.MaxAhead
	MaxAge  int64 `json:"max_age_ms"` // see chat.MaxAge
	Watch   int   `json:"watch"`      // users in a watch frame
}

// DefaultLimits are the limits of this server.
func DefaultLimits() Limits {
	return Limits{Body: chat.MaxBody, Frame: chat.MaxFrameSize, Unacked: MaxUnacked,
		AheadMS: chat.MaxAhead.Milliseconds(), MaxAge: chat.MaxAge.Milliseconds(), Watch: MaxWatch}
}

// Frames of a server. Each marshals with its type.
type (
	// Welcome answers hello. Resumed false: events may be missing between the
	// client's cursor and what follows. A second Welcome on the same socket
	// says the same of the place where it comes.
	Welcome struct {
		UID     string      `json:"uid"`
		Now     chat.Micros `json:"now"`
		Resumed bool        `json:"resumed"`
		Limits  Limits      `json:"limits"`
	}
	// EventFrame carries one durable event, as it stands in the inbox.
	EventFrame struct {
		Cursor string          `json:"cursor"`
		Event  json.RawMessage `json:"event"`
	}
	// CaughtUp says that what was retained has been sent; live from here.
	CaughtUp struct {
		Cursor string `json:"cursor"`
	}
	// Sent says that a message is queued.
	Sent struct {
		ID         string      `json:"id"`
		AcceptedAt chat.Micros `json:"accepted_at"`
	}
	// Presence is a hint, lost without harm.
	Presence struct {
		User     string      `json:"user"`
		Online   bool        `json:"online"`
		LastSeen chat.Micros `json:"last_seen,omitempty"`
	}
	// Typing is a hint, lost without harm.
	Typing struct {
		From string `json:"from"`
	}
	// Goaway asks the client to open a new socket, then to close this one.
	Goaway struct {
		Reason   string `json:"reason"`
		WithinMS int64  `json:"within_ms"`
	}
	// ErrorFrame answers the frame with ID, or the socket as a whole.
	ErrorFrame struct {
		Code         string `json:"code"`
		Message      string `json:"message"`
		ID           string `json:"id,omitempty"`
		RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
	}
	// Pong answers ping.
	Pong struct{}
)

// ServerFrame is one of the frames above, or Unknown, which is only read.
type ServerFrame interface{ frameType() string }

func (Welcome) frameType() string    { return TypeWelcome }
func (EventFrame) frameType() string { return TypeEvent }
func (CaughtUp) frameType() string   { return TypeCaughtUp }
func (Sent) frameType() string       { return TypeSent }
func (Presence) frameType() string   { return TypePresence }
func (Typing) frameType() string     { return TypeTyping }
func (Goaway) frameType() string     { return TypeGoaway }
func (ErrorFrame) frameType() string { return TypeError }
func (Pong) frameType() string       { return TypePong }

// ErrorOf returns the frame that tells err to a client, answering the frame
// with the given id ("" for none). Causes stay inside.
func ErrorOf(err error, id string) ErrorFrame {
	p := problem.Of(err)
	return ErrorFrame{Code: p.Code, Message: p.Message, ID: id, RetryAfterMS: p.RetryAfter.Milliseconds()}
}

// Encode writes f with its type as the first field.
func Encode(f ServerFrame) ([]byte, error) {
	if e, ok := f.(EventFrame); ok {
		return encodeEvent(e)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode %s frame: %w", f.frameType(), err)
	}
	out := make([]byte, 0, len(body)+len(f.frameType())+12)
	out = append(out, `{"type":"`...)
	out = append(out, f.frameType()...)
	out = append(out, '"')
	if len(body) > 2 {
		out = append(out, ',')
	}
	return append(out, body[1:]...), nil
}

// encodeEvent is Encode for the frame that is sent most: the event is neither
// parsed nor copied through encoding/json, so it goes out byte for byte as it
// stands in the inbox. Whoever reads an inbox has checked that it is JSON.
func encodeEvent(e EventFrame) ([]byte, error) {
	cursor, err := json.Marshal(e.Cursor)
	if err != nil {
		return nil, fmt.Errorf("encode event frame: %w", err)
	}
	out := make([]byte, 0, len(e.Event)+len(cursor)+40)
	out = append(out, `{"type":"event","cursor":`...)
	out = append(out, cursor...)
	out = append(out, `,"event":`...)
	out = append(out, e.Event...)
	return append(out, '}'), nil
}

// Events, as they stand in an inbox and in EventFrame.Event.
type (
	// MessageEvent tells the recipient's devices of a message; with type
	// "sent", the sender's own.
	MessageEvent struct {
		Type string `json:"type"`
		chat.Message
	}
	// MessageRef names a message in its place.
	MessageRef struct {
		ID string      `json:"id"`
		At chat.Micros `json:"at"`
	}
	// DeliveredEvent tells the sender's devices that messages were delivered.
	DeliveredEvent struct {
		Type         string       `json:"type"`
		Conversation string       `json:"conversation"`
		Messages     []MessageRef `json:"messages"`
		DeliveredAt  chat.Micros  `json:"delivered_at"`
	}
	// RefusedEvent tells the sender's devices that queued messages will never
	// be delivered, because their recipient's account is gone. Code and Message
	// are as in ErrorFrame.
	RefusedEvent struct {
		Type         string       `json:"type"`
		Conversation string       `json:"conversation"`
		Messages     []MessageRef `json:"messages"`
		Code         string       `json:"code"`
		Message      string       `json:"message"`
	}
	// ReadEvent tells the devices of both people that By has seen everything up to At.
	ReadEvent struct {
		Type         string      `json:"type"`
		Conversation string      `json:"conversation"`
		By           string      `json:"by"`
		At           chat.Micros `json:"at"`
	}
)
