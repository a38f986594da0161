package wire

import (
	"encoding/json"
	"fmt"
)

// Unknown is a server's frame of a type that this version does not know. Clients ignore it.
type Unknown struct{ Type string }

func (u Unknown) frameType() string { return u.Type }

// UnknownEvent is an event of a type that this version does not know. A client stores the cursor of its frame and
// ignores the rest.
type UnknownEvent struct{ Type string }

// typeOf returns the type of a server frame or an event. what names it in errors.
func typeOf(what string, data []byte) (string, error) {
	var head struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if head.Type == nil || *head.Type == "" {
		return "", fmt.Errorf("%s has no type", what)
	}
	return *head.Type, nil
}

// DecodeServer decodes one frame of a server, for clients written in Go. The result is one of the frame types of this
// package, or Unknown. The error reports that data is not a frame, or that a required field is missing.
func DecodeServer(data []byte) (ServerFrame, error) {
	t, err := typeOf("server frame", data)
	if err != nil {
		return nil, err
	}
	switch t {
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
	case TypeProfile:
		return decodeAs[Profile](t, data, "user")
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

// DecodeEvent decodes the event of an EventFrame. The result is a MessageEvent (types message and sent), a ChangeEvent
// (types change and changed), a DeliveredEvent, a RefusedEvent, a CorrectedEvent, a ReadEvent, a SettingEvent or an
// UnknownEvent.
func DecodeEvent(data json.RawMessage) (any, error) {
	t, err := typeOf("event", data)
	if err != nil {
		return nil, err
	}
	switch t {
	case EventMessage, EventSent:
		return decodeAs[MessageEvent](t, data, "id", "conversation", "from", "to", "body", "at", "accepted_at")
	case EventChange, EventChanged:
		e, err := decodeAs[ChangeEvent](t, data, "id", "conversation", "from", "to", "at", "accepted_at", "of", "kind")
		if err == nil && (e.Of.ID == "" || e.Of.From == "" || e.Of.At <= 0) {
			err = fmt.Errorf("%s: the message of the change has no id, sender or time", t)
		}
		return e, err
	case EventDelivered:
		e, err := decodeAs[DeliveredEvent](t, data, "conversation", "messages", "delivered_at")
		if err != nil {
			return nil, err
		}
		return e, checkRefs(t, e.Messages, e.Changes)
	case EventRefused:
		e, err := decodeAs[RefusedEvent](t, data, "conversation", "messages", "code", "message")
		if err != nil {
			return nil, err
		}
		return e, checkRefs(t, e.Messages, e.Changes)
	case EventCorrected:
		return decodeAs[CorrectedEvent](t, data, "id", "conversation", "from", "to", "body", "at", "accepted_at",
			"delivered_at")
	case EventRead:
		return decodeAs[ReadEvent](t, data, "conversation", "by", "at")
	case EventSetting:
		return decodeAs[SettingEvent](t, data, "conversation", "kind", "value", "at", "id")
	default:
		return UnknownEvent{t}, nil
	}
}

// decodeAs decodes data into a T. Each of the required fields must be given and, except for a body, must not be an
// empty string. what names the frame or event in errors.
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

func checkRefs(what string, lists ...[]MessageRef) error {
	for _, refs := range lists {
		for _, r := range refs {
			if r.ID == "" || r.At <= 0 {
				return fmt.Errorf("%s: a message or a change has no id or no time", what)
			}
		}
	}
	return nil
}
