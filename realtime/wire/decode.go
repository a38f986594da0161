package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// ErrBadFrame answers data that cannot be decoded as a frame.
var ErrBadFrame = problem.New(problem.Invalid, "bad_frame",
	"The server could not read what this app sent. Reload the page.")

// ErrTooLarge answers a frame that is larger than chat.MaxFrameSize.
var ErrTooLarge = problem.New(problem.TooLarge, "frame_too_large", "This is too large to send.")

// maxAt is the largest time that a JavaScript number holds exactly. A browser would turn a larger one into a different
// time.
const maxAt = chat.Micros(1<<53 - 1)

// DecodeClient decodes one frame of a client. Field names are case-sensitive. The error is
//
//   - ErrTooLarge if data exceeds chat.MaxFrameSize;
//   - ErrBadFrame, with the cause, if data is not a JSON object, is not valid UTF-8 (an unpaired surrogate written as
//     \u included), has no type, has a field twice or a field of the wrong JSON type, or has a required field that is
//     missing or too long.
//
// With ErrBadFrame the returned frame has Type and ID if these could be decoded, so that the error frame can refer to
// them. A frame of an unknown type is returned without an error; see Known. DecodeClient does not check what the fields
// mean (whether the recipient exists, whether the body is too long).
func DecodeClient(data []byte) (ClientFrame, error) {
	if len(data) > chat.MaxFrameSize {
		return ClientFrame{}, ErrTooLarge
	}
	if !utf8.Valid(data) {
		return ClientFrame{}, ErrBadFrame.WithCause(errors.New("not valid UTF-8"))
	}
	f, ok := decodeFlat(data)
	var err error
	if !ok {
		if err := checkSurrogates(data); err != nil {
			return ClientFrame{}, ErrBadFrame.WithCause(err)
		}
		f, err = decodeFields(data)
	}
	if err == nil {
		err = f.checkForm()
	}
	if err != nil {
		return ClientFrame{Type: f.Type, ID: f.ID}, ErrBadFrame.WithCause(err)
	}
	return f, nil
}

// decodeFields decodes the object field by field. encoding/json would accept "TYPE" for a struct's field "type", and
// use the last of two equal fields, unlike other decoders of the same bytes. After an error the frame has the fields
// that could be decoded, so that a valid id before or after an invalid field is known.
func decodeFields(data []byte) (f ClientFrame, err error) {
	err = decodeObject(data, f.field)
	return f, err
}

// decodeObject decodes an object into what field returns for the names of its fields, or ignores a field for which it
// returns nil.
func decodeObject(data []byte, field func(name string) any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	start, err := dec.Token()
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if start != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := make(map[string]bool, 8)
	var firstErr error
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		name, ok := token.(string)
		if !ok {
			return errors.New("not a JSON object")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		if seen[name] {
			return fmt.Errorf("field %.40q is given twice", name)
		}
		seen[name] = true
		if target := field(name); target != nil {
			if err := json.Unmarshal(value, target); err != nil && firstErr == nil {
				firstErr = fmt.Errorf("field %q: %w", name, err)
			}
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("data after the JSON object")
	}
	return firstErr
}

// target is a chat.Target that is decoded as strictly as a frame.
type target chat.Target

// UnmarshalJSON implements json.Unmarshaler.
func (t *target) UnmarshalJSON(data []byte) error {
	return decodeObject(data, func(name string) any {
		switch name {
		case "id":
			return &t.ID
		case "from":
			return &t.From
		case "at":
			return &t.At
		}
		return nil
	})
}

// field returns a pointer to the named field, or nil for a field of a later version.
func (f *ClientFrame) field(name string) any {
	switch name {
	case "type":
		return &f.Type
	case "token":
		return &f.Token
	case "device":
		return &f.Device
	case "cursor":
		return &f.Cursor
	case "id":
		return &f.ID
	case "to":
		return &f.To
	case "body":
		return &f.Body
	case "at":
		return &f.At
	case "reply_to":
		return &f.ReplyTo
	case "conversation":
		return &f.Conversation
	case "of":
		return (*target)(&f.Of)
	case "kind":
		return &f.Kind
	case "emoji":
		return &f.Emoji
	case "users":
		return &f.Users
	case "looking":
		return &f.Looking
	case "background":
		return &f.Background
	}
	return nil
}

// checkSurrogates reports an unpaired surrogate among the \u escapes. encoding/json would silently replace it by
// U+FFFD, and the message would differ from the one that its sender keeps.
func checkSurrogates(data []byte) error {
	if !bytes.Contains(data, []byte(`\ud`)) && !bytes.Contains(data, []byte(`\uD`)) {
		return nil
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		first, ok := escapedUnit(data[i:])
		switch {
		case !ok:
			i++ // \n, \\ and the like
		case first >= 0xd800 && first < 0xdc00:
			if second, ok := escapedUnit(data[i+6:]); !ok || second < 0xdc00 || second > 0xdfff {
				return fmt.Errorf("unpaired surrogate at byte %d", i)
			}
			i += 11
		case first >= 0xdc00 && first <= 0xdfff:
			return fmt.Errorf("unpaired surrogate at byte %d", i)
		default:
			i += 5
		}
	}
	return nil
}

// escapedUnit reads \uXXXX at the start of b.
func escapedUnit(b []byte) (unit uint64, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return unit, err == nil
}

// checkForm reports a required field that is missing, and a field that is too long or malformed.
func (f ClientFrame) checkForm() error {
	bad := func(field string) error {
		return fmt.Errorf("%s: field %q is missing, too long or malformed", f.Type, field)
	}
	within := func(s string, limit int) bool { return s != "" && len(s) <= limit }
	switch f.Type {
	case "":
		return errors.New("no type")
	case TypeHello:
		if !within(f.Token, MaxToken) {
			return bad("token")
		}
		if !within(f.Device, MaxDevice) {
			return bad("device")
		}
		if len(f.Cursor) > MaxCursor {
			return bad("cursor")
		}
	case TypeToken:
		if !within(f.Token, MaxToken) {
			return bad("token")
		}
	case TypeSend, TypeChange:
		if !within(f.ID, 64) {
			return bad("id")
		}
		if !within(f.To, chat.MaxUID) {
			return bad("to")
		}
		if f.At <= 0 || f.At > maxAt {
			return bad("at")
		}
		if f.Type == TypeChange && (!within(f.Of.ID, 64) || !within(f.Of.From, chat.MaxUID) ||
			f.Of.At <= 0 || f.Of.At > maxAt) {
			return bad("of")
		}
		if f.Type == TypeChange && !within(string(f.Kind), 64) {
			return bad("kind")
		}
	case TypeAck:
		if !within(f.Cursor, MaxCursor) {
			return bad("cursor")
		}
	case TypeRead:
		if !within(f.Conversation, 2*chat.MaxUID+1) {
			return bad("conversation")
		}
		if f.At <= 0 || f.At > maxAt {
			return bad("at")
		}
	case TypeTyping:
		if !within(f.To, chat.MaxUID) {
			return bad("to")
		}
	case TypeWatch:
		if len(f.Users) > MaxWatch {
			return bad("users")
		}
		for _, u := range f.Users {
			if !chat.ValidUID(u) {
				return bad("users")
			}
		}
	}
	return nil
}
