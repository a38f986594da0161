// Package wire is the WebSocket protocol chat.v1: the frames, their fields, their limits, and how to decode and encode
// them. DESIGN §4 describes the flow of a connection.
//
// Frames are JSON objects in text messages of at most [chat.MaxFrameSize] bytes. The field "type" tells them apart. The
// first frame of a client is hello. Both sides ignore unknown types and fields, so that old clients and new servers
// work together during a deploy.
//
// The files in testdata/frames are the golden frames, one JSON array per direction. The tests of this package, of the
// server and of both clients read them. Each entry is {name, frame, valid, code?, ignored?}:
//
//   - frame: the frame as a JSON value. If it is a JSON string, the text of that string is the frame, which need not be
//     valid JSON.
//   - valid: whether the receiver can decode it. A server answers an invalid frame with the error code. A client that
//     receives an invalid frame closes the socket, because it would otherwise lose the content of the frame.
//   - code with valid true: the frame can be decoded, and its content is refused with this code if the user
//     aliceUid0001 sends it.
//   - ignored: a type of a later version, which is decoded and then ignored without an answer.
package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Subprotocol is the value of Sec-WebSocket-Protocol.
const Subprotocol = "chat.v1"

// Limits of the protocol, besides those of package chat.
const (
	HelloWithin   = 10 * time.Second // from the upgrade to the hello
	PingEvery     = 30 * time.Second // interval of the server's WebSocket pings
	DropAfter     = 75 * time.Second // a client that is silent for this long is dropped
	MaxWatch      = 100              // users in one watch frame
	BackgroundFor = 60 * time.Second // age at which a background socket is closed
	MaxDevice     = 64               // bytes in a device id
	MaxToken      = 8 << 10          // bytes in a token
	MaxCursor     = 200              // bytes in a cursor
	MaxUnacked    = 256              // unacknowledged message events on one socket
	MaxDelivered  = 500              // messages in one delivered event
)

// Types of frames. A client sends those of the first group, a server those of the second. Both sides send typing.
const (
	TypeHello   = "hello"
	TypeSend    = "send"
	TypeChange  = "change"
	TypeAck     = "ack"
	TypeRead    = "read"
	TypeTyping  = "typing"
	TypeWatch   = "watch"
	TypeLooking = "looking"
	TypeToken   = "token"
	TypePing    = "ping"

	TypeWelcome  = "welcome"
	TypeEvent    = "event"
	TypeCaughtUp = "caught_up"
	TypeSent     = "sent"
	TypePresence = "presence"
	TypeProfile  = "profile"
	TypeGoaway   = "goaway"
	TypeError    = "error"
	TypePong     = "pong"
)

// Types of events. Events are the durable part of the protocol: they are stored in an inbox until they are settled.
const (
	EventMessage   = "message"
	EventSent      = "sent"
	EventChange    = "change"
	EventChanged   = "changed"
	EventDelivered = "delivered"
	EventRead      = "read"
	EventRefused   = "refused"
	EventCorrected = "corrected"
	EventSetting   = "setting"
)

// Waits reports whether events of a type wait in the inbox of their recipient until a device has acknowledged them.
// awaits_ack in package inbox's lua/inbox.lua is the same.
func Waits(event string) bool { return event == EventMessage || event == EventChange }

// GoawayReason is the reason of a goaway frame.
type GoawayReason string

// The reasons of a goaway.
const (
	GoawayDrain  GoawayReason = "drain"  // the instance is shutting down
	GoawayRotate GoawayReason = "rotate" // the socket nears the 60-minute limit of Cloud Run
	GoawayResync GoawayReason = "resync" // Redis came back, so outboxes should be sent again
)

// ClientFrame is a frame of any type that a client sends. Type decides which of the fields have a meaning; see DESIGN
// §4.
type ClientFrame struct {
	Type string `json:"type"`

	Token  string `json:"token,omitempty"`  // hello, token
	Device string `json:"device,omitempty"` // hello
	Cursor string `json:"cursor"`           // hello ("" on a first visit), ack

	ID           string      `json:"id,omitempty"`           // send, change
	To           string      `json:"to,omitempty"`           // send, change, typing
	Body         string      `json:"body,omitempty"`         // send, change
	At           chat.Micros `json:"at,omitempty"`           // send, change, read
	ReplyTo      string      `json:"reply_to,omitempty"`     // send
	Conversation string      `json:"conversation,omitempty"` // read

	Of    chat.Target     `json:"of,omitzero"`     // change
	Kind  chat.ChangeKind `json:"kind,omitempty"`  // change
	Emoji string          `json:"emoji,omitempty"` // change

	Users []string `json:"users,omitempty"` // watch

	// Looking says that a window of the device is visible and has the focus. Background says that the socket belongs to a
	// service worker, or to a short visit of a tab that sleeps.
	Looking    bool `json:"looking,omitempty"`    // hello, looking
	Background bool `json:"background,omitempty"` // hello
}

// Known reports whether the frame's type is one of this version of the protocol.
func (f ClientFrame) Known() bool {
	switch f.Type {
	case TypeHello, TypeSend, TypeChange, TypeAck, TypeRead, TypeTyping, TypeWatch, TypeLooking,
		TypeToken, TypePing:
		return true
	}
	return false
}

// Limits are the limits that a client must observe.
type Limits struct {
	Body    int   `json:"body"`       // code points
	Frame   int   `json:"frame"`      // bytes
	Unacked int   `json:"unacked"`    // message events in flight on a socket
	AheadMS int64 `json:"ahead_ms"`   // see chat.MaxAhead
	MaxAge  int64 `json:"max_age_ms"` // see chat.MaxAge
	Watch   int   `json:"watch"`      // users in a watch frame
	Sockets int   `json:"sockets"`    // of the user on one instance; the oldest one beyond is closed

	// Toward a person who has not written back yet:
	StrangerMessages int `json:"stranger_messages"` // waiting messages
	StrangerBytes    int `json:"stranger_bytes"`    // their size
	NewPeople        int `json:"new_people"`        // such people in a day, fewer before the user's address is confirmed
}

// DefaultLimits are the limits of a server with the default configuration.
func DefaultLimits() Limits {
	return Limits{Body: chat.MaxBody, Frame: chat.MaxFrameSize, Unacked: MaxUnacked,
		AheadMS: chat.MaxAhead.Milliseconds(), MaxAge: chat.MaxAge.Milliseconds(), Watch: MaxWatch,
		Sockets: 10, StrangerMessages: 5, StrangerBytes: 64 << 10, NewPeople: 20}
}

// Frames of a server. Each marshals with its type.
type (
	// Welcome answers hello. If Resumed is false, events may be missing between the client's cursor and the events that
	// follow. A second Welcome on the same socket means that events may be missing at this point.
	Welcome struct {
		UID     string      `json:"uid"`
		Now     chat.Micros `json:"now"`
		Resumed bool        `json:"resumed"`
		Limits  Limits      `json:"limits"`
		// Changes reports that the server accepts change frames. A client sends none to another server.
		Changes bool `json:"changes,omitempty"`
	}
	// EventFrame carries one durable event, byte for byte as in the inbox.
	EventFrame struct {
		Cursor string          `json:"cursor"`
		Event  json.RawMessage `json:"event"`
	}
	// CaughtUp reports that all retained events were sent. The events that follow are live.
	CaughtUp struct {
		Cursor string `json:"cursor"`
	}
	// Sent reports that a message is queued.
	Sent struct {
		ID         string      `json:"id"`
		AcceptedAt chat.Micros `json:"accepted_at"`
	}
	// Presence is a hint. It may be lost.
	Presence struct {
		User     string      `json:"user"`
		Online   bool        `json:"online"`
		LastSeen chat.Micros `json:"last_seen,omitempty"`
	}
	// Profile is a hint: the names, the picture or another public part of a user's profile have changed. It may be lost.
	Profile struct {
		User string `json:"user"`
	}
	// Typing is a hint. It may be lost.
	Typing struct {
		From string `json:"from"`
	}
	// Goaway asks the client to open a new socket, and then to close this one.
	Goaway struct {
		Reason   GoawayReason `json:"reason"`
		WithinMS int64        `json:"within_ms"`
	}
	// ErrorFrame refuses the frame with the given ID. Without an ID it concerns the socket as a whole.
	ErrorFrame struct {
		Code         string `json:"code"`
		Message      string `json:"message"`
		ID           string `json:"id,omitempty"`
		RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
	}
	// Pong answers ping.
	Pong struct{}
)

// ServerFrame is one of the frames above, or Unknown, which is only decoded.
type ServerFrame interface{ frameType() string }

func (Welcome) frameType() string    { return TypeWelcome }
func (EventFrame) frameType() string { return TypeEvent }
func (CaughtUp) frameType() string   { return TypeCaughtUp }
func (Sent) frameType() string       { return TypeSent }
func (Presence) frameType() string   { return TypePresence }
func (Profile) frameType() string    { return TypeProfile }
func (Typing) frameType() string     { return TypeTyping }
func (Goaway) frameType() string     { return TypeGoaway }
func (ErrorFrame) frameType() string { return TypeError }
func (Pong) frameType() string       { return TypePong }

// ErrorOf returns the error frame that answers the frame with the given id ("" for none) with err. It leaves out the
// cause of err, which is internal.
func ErrorOf(err error, id string) ErrorFrame {
	p := problem.Of(err)
	return ErrorFrame{Code: p.Code, Message: p.Message, ID: id, RetryAfterMS: p.RetryAfter.Milliseconds()}
}

// MarshalMessage encodes a MessageEvent of each type, and the message itself only once.
func MarshalMessage(m chat.Message) (message, sent []byte, err error) {
	return marshalEvents(m, EventMessage, EventSent)
}

// MarshalChange encodes a ChangeEvent of each type, and the change itself only once.
func MarshalChange(c chat.Change) (change, changed []byte, err error) {
	return marshalEvents(c, EventChange, EventChanged)
}

// marshalEvents encodes v, a JSON object, as events of two types.
func marshalEvents(v any, first, second string) (_, _ []byte, err error) {
	body, err := chat.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	event := func(kind string) []byte {
		out := make([]byte, 0, len(body)+len(kind)+len(`{"type":"",`))
		out = append(out, `{"type":"`...)
		out = append(out, kind...)
		out = append(out, `",`...)
		return append(out, body[1:]...)
	}
	return event(first), event(second), nil
}

// IsSent reports whether event is the sent or changed event of the message or change with this id and conversation, as
// MarshalMessage and MarshalChange encode it. It may report false for an equal event that something else has encoded.
func IsSent(event json.RawMessage, kind, id, conversation string) bool {
	rest := event
	for _, part := range [...]string{`{"type":"`, kind, `","id":"`, id, `","conversation":"`, conversation, `"`} {
		if len(rest) < len(part) || string(rest[:len(part)]) != part {
			return false
		}
		rest = rest[len(part):]
	}
	return true
}

// MessageID returns the id of the message of a message event, as MarshalMessage encodes it. It may report false for an
// equal event that something else has encoded.
func MessageID(event json.RawMessage) (id string, ok bool) {
	const begin, length = `{"type":"message","id":"`, len("019a0000-0000-7000-8000-000000000000")
	if len(event) < len(begin)+length || string(event[:len(begin)]) != begin {
		return "", false
	}
	return string(event[len(begin) : len(begin)+length]), true
}

// Encode encodes f, with its type as the first field.
func Encode(f ServerFrame) ([]byte, error) { return Append(nil, f) }

// Append appends f to out as Encode encodes it.
func Append(out []byte, f ServerFrame) ([]byte, error) {
	switch f := f.(type) {
	case EventFrame: // the most frequent frames are not copied through encoding/json
		return f.append(out)
	case Sent:
		out = append(out, `{"type":"sent","id":`...)
		out, err := appendString(out, f.ID)
		out = append(out, `,"accepted_at":`...)
		return append(strconv.AppendInt(out, int64(f.AcceptedAt), 10), '}'), err
	}
	body, err := chat.Marshal(f)
	if err != nil {
		return out, fmt.Errorf("encode %s frame: %w", f.frameType(), err)
	}
	out = append(out, `{"type":"`...)
	out = append(out, f.frameType()...)
	out = append(out, '"')
	if len(body) > 2 {
		out = append(out, ',')
	}
	return append(out, body[1:]...), nil
}

// append is Append for an event. It does not parse the event, so the event is sent byte for byte as it is in the inbox.
// Package inbox has checked that it is valid JSON.
func (f EventFrame) append(out []byte) ([]byte, error) {
	out = slices.Grow(out, len(f.Event)+len(f.Cursor)+40)
	out = append(out, `{"type":"event","cursor":`...)
	out, err := appendString(out, f.Cursor)
	out = append(out, `,"event":`...)
	out = append(out, f.Event...)
	return append(out, '}'), err
}

// appendString appends s as a JSON string.
func appendString(out []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, err := chat.Marshal(s)
			return append(out, quoted...), err
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"'), nil
}

// Events, as stored in an inbox and sent in EventFrame.Event.
type (
	// MessageEvent carries a message: with type "message" to the recipient's devices, with type "sent" to the sender's.
	MessageEvent struct {
		Type string `json:"type"`
		chat.Message
	}
	// MessageRef identifies a message and its place in the conversation.
	MessageRef struct {
		ID string      `json:"id"`
		At chat.Micros `json:"at"`
	}
	// ChangeEvent carries a change: with type "change" to the recipient's devices, with type "changed" to the sender's.
	ChangeEvent struct {
		Type string `json:"type"`
		chat.Change
	}
	// DeliveredEvent reports to the sender's devices that messages and changes were delivered. Changes have a list of
	// their own, so that no device looks for a message with the id of a change.
	DeliveredEvent struct {
		Type         string       `json:"type"`
		Conversation string       `json:"conversation"`
		Messages     []MessageRef `json:"messages"`
		Changes      []MessageRef `json:"changes,omitempty"`
		DeliveredAt  chat.Micros  `json:"delivered_at"`
	}
	// RefusedEvent reports to the sender's devices that queued messages and changes will never be delivered, for example
	// because their recipient no longer exists. Code and Message are as in ErrorFrame.
	RefusedEvent struct {
		Type         string       `json:"type"`
		Conversation string       `json:"conversation"`
		Messages     []MessageRef `json:"messages"`
		Changes      []MessageRef `json:"changes,omitempty"`
		Code         string       `json:"code"`
		Message      string       `json:"message"`
	}
	// CorrectedEvent reports to the devices of both members what the archive holds under the key of a message, because
	// its sender has used the id again, with other content. Devices show this content instead of the other.
	CorrectedEvent struct {
		Type string `json:"type"`
		chat.Message
		DeliveredAt chat.Micros `json:"delivered_at"`
	}
	// SettingEvent reports to the devices of a user which of their choices about a conversation or a message counts.
	SettingEvent struct {
		Type string `json:"type"`
		chat.Setting
	}
	// ReadEvent reports to the devices of both members, or only to those of By, that By has seen everything up to At.
	ReadEvent struct {
		Type         string      `json:"type"`
		Conversation string      `json:"conversation"`
		By           string      `json:"by"`
		At           chat.Micros `json:"at"`
	}
)

// Refs are references to messages and to changes, as delivered and refused events have them.
type Refs struct{ Messages, Changes []MessageRef }

// Add adds a reference to an event of a type that waits.
func (r *Refs) Add(event string, ref MessageRef) {
	if r.Messages == nil {
		r.Messages = []MessageRef{} // in JSON, a list and not null
	}
	if event == EventChange {
		r.Changes = append(r.Changes, ref)
	} else {
		r.Messages = append(r.Messages, ref)
	}
}
