package wire

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Unknown is a server's frame of a type that this version does not know. It is
// passed over.
type Unknown struct{ Type string }

func (u Unknown) frameType() string { return u.Type }

// UnknownEvent is an event of a type that this version does not know. Its
// frame's cursor counts; the rest is passed over.
type UnknownEvent struct{ Type string }

// DecodeServer reads one frame of a server, for clients written in Go: the
// result is one of the frame types of this package, or Unknown. An error says
// that data is no frame, or lacks a field without which it has no meaning.
func DecodeServer(data []byte) (ServerFrame, error) {
	var head struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("server frame: %w", err)
	}
	if head.Type == nil || *head.Type == "" {
		return nil, errors.New("server frame has no type")
	}
	switch t := *head.Type; t {
	case TypeWelcome:
		return decodeAs[Welcome](t, data, "uid", "now", "resumed", "limits")
	case TypeEvent:
		f, err := decodeAs[EventFrame](t, data, "cursor", "event")
		if err != nil {
			return nil, err
		}
		if _, err := DecodeEvent(f.Event); err != nil {
			return nil, err
		}
		return f, nil
	case TypeCaughtUp:
		return decodeAs[CaughtUp](t, data, "cursor")
	case TypeSent:
		return decodeAs[Sent](t, data, "id", "accepted_at")
	case TypePresence:
		return decodeAs[Presence](t, data, "user", "online")
	case TypeTyping:
		return decodeAs[Typing](t, data, "from")
	case TypeGoaway:
		return decodeAs[Goaway](t, data, "reason", "within_ms")
	case TypeError:
		return decodeAs[ErrorFrame](t, data, "code", "message")
	case TypePong:
		return Pong{}, nil
	default:
		return Unknown{t}, nil
	}
}

// DecodeEvent reads the event of an EventFrame: a MessageEvent (types message
// and sent), DeliveredEvent, RefusedEvent, ReadEvent or UnknownEvent.
func DecodeEvent(data json.RawMessage) (any, error) {
	var head struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	if head.Type == nil || *head.Type == "" {
		return nil, errors.New("event has no type")
	}
	switch t := *head.Type; t {
	case EventMessage, EventSent:
		return decodeAs[MessageEvent](t, data, "id", "conversation", "from", "to", "body", "at", "accepted_at")
	case EventDelivered:
		e, err := decodeAs[DeliveredEvent](t, data, "conversation", "messages", "delivered_at")
		if err != nil {
			return nil, err
		}
		return e, checkRefs(t, e.Messages)
	case EventRefused:
		e, err := decodeAs[RefusedEvent](t, data, "conversation", "messages", "code", "message")
		if err != nil {
			return nil, err
		}
		return e, checkRefs(t, e.Messages)
	case EventRead:
		return decodeAs[ReadEvent](t, data, "conversation", "by", "at")
	default:
		return UnknownEvent{t}, nil
	}
}

// decodeAs reads data as a T in which each of the named fields is given, and
// no text among them is empty but a body.
func decodeAs[T any](what string, data []byte, required ...string) (T, error) {
	var v T
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	for _, name := range required {
		switch value, ok := fields[name]; {
		case !ok, string(value) == "null", string(value) == `""` && name != "body":
			return v, fmt.Errorf("%s: field %q is missing", what, name)
		}
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

func checkRefs(what string, refs []MessageRef) error {
	for _, r := range refs {
		if r.ID == "" || r.At <= 0 {
			return fmt.Errorf("%s: a message without an id or a time", what)
		}
	}
	return nil
}
