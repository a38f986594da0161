package wire

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// decodeFlat decodes the frames that clients usually send: an object without white space between its parts, whose
// fields are all known, occur once, and are strings or plain numbers. It is much faster than decodeFields. It reports
// false for everything else, valid or not. decodeFields accepts what decodeFlat accepts, with the same result. data
// must be valid UTF-8.
func decodeFlat(data []byte) (f ClientFrame, ok bool) {
	d := flat{data: data}
	var seen flatFields
	if !d.object(func(name []byte) bool { return d.value(&f, &seen, name) }) {
		return ClientFrame{}, false
	}
	return f, true
}

// DecodeMessage decodes the message of an event, as MarshalMessage or another JSON encoder has encoded it. Fields that
// it does not know are ignored.
func DecodeMessage(event []byte) (m chat.Message, err error) {
	if utf8.Valid(event) {
		if m, ok := decodeFlatMessage(event); ok {
			return m, nil
		}
	}
	err = json.Unmarshal(event, &m)
	return m, err
}

// decodeFlatMessage decodes what MarshalMessage returns. It is as strict as decodeFlat.
func decodeFlatMessage(event []byte) (m chat.Message, ok bool) {
	d := flat{data: event}
	var seen flatFields
	if !d.object(func(name []byte) bool { return d.messageValue(&m, &seen, name) }) {
		return chat.Message{}, false
	}
	return m, true
}

// flat is the state of a decoder.
type flat struct {
	data []byte
	at   int // in data
}

// object decodes data, which must be one object. It calls value after the name of each field.
func (d *flat) object(value func(name []byte) bool) bool {
	if !d.skip('{') {
		return false
	}
	for {
		name, ok := d.plainString()
		if !ok || !d.skip(':') || !value(name) {
			return false
		}
		if !d.skip(',') {
			return d.skip('}') && d.at == len(d.data)
		}
	}
}

// flatFields is a set of fields.
type flatFields uint16

// add adds the field with the number n, and reports whether it is new.
func (s *flatFields) add(n int) bool {
	bit := flatFields(1) << n
	isNew := *s&bit == 0
	*s |= bit
	return isNew
}

// skip skips c and reports whether it was next.
func (d *flat) skip(c byte) bool {
	if d.at < len(d.data) && d.data[d.at] == c {
		d.at++
		return true
	}
	return false
}

// value decodes the value of the named field. users is not among the fields, because few frames have it.
func (d *flat) value(f *ClientFrame, seen *flatFields, name []byte) (ok bool) {
	var to *string
	field := 0
	switch string(name) {
	case "type":
		var kind []byte
		if kind, ok = d.plainString(); ok {
			f.Type = typeName(kind)
		}
		return ok && seen.add(0)
	case "at":
		f.At, ok = d.number()
		return ok && seen.add(1)
	case "token":
		field, to = 2, &f.Token
	case "device":
		field, to = 3, &f.Device
	case "cursor":
		field, to = 4, &f.Cursor
	case "id":
		field, to = 5, &f.ID
	case "to":
		field, to = 6, &f.To
	case "body":
		field, to = 7, &f.Body
	case "reply_to":
		field, to = 8, &f.ReplyTo
	case "conversation":
		field, to = 9, &f.Conversation
	default:
		return false
	}
	*to, ok = d.string()
	return ok && seen.add(field)
}

// messageValue decodes the value of the named field of the event of a message.
func (d *flat) messageValue(m *chat.Message, seen *flatFields, name []byte) (ok bool) {
	var to *string
	field := 0
	switch string(name) {
	case "type":
		_, ok = d.plainString()
		return ok && seen.add(0)
	case "at":
		m.At, ok = d.number()
		return ok && seen.add(1)
	case "accepted_at":
		m.AcceptedAt, ok = d.number()
		return ok && seen.add(2)
	case "id":
		field, to = 3, &m.ID
	case "conversation":
		field, to = 4, &m.Conversation
	case "from":
		field, to = 5, &m.From
	case "to":
		field, to = 6, &m.To
	case "body":
		field, to = 7, &m.Body
	case "reply_to":
		field, to = 8, &m.ReplyTo
	default:
		return false
	}
	*to, ok = d.string()
	return ok && seen.add(field)
}

// typeName returns a type as a string, without an allocation if this version knows it.
func typeName(b []byte) string {
	switch string(b) {
	case TypeSend:
		return TypeSend
	case TypeAck:
		return TypeAck
	case TypeRead:
		return TypeRead
	case TypeTyping:
		return TypeTyping
	case TypeLooking:
		return TypeLooking
	case TypePing:
		return TypePing
	}
	return string(b)
}

// plainString returns the content of a string without escapes. It is part of data.
func (d *flat) plainString() (content []byte, ok bool) {
	if !d.skip('"') {
		return nil, false
	}
	for i := d.at; i < len(d.data); i++ {
		switch c := d.data[i]; {
		case c == '"':
			content = d.data[d.at:i]
			d.at = i + 1
			return content, true
		case c == '\\' || c < 0x20:
			return nil, false
		}
	}
	return nil, false
}

// string returns a string, which may have escapes except \u.
func (d *flat) string() (string, bool) {
	start := d.at
	if content, ok := d.plainString(); ok {
		return string(content), true
	}
	d.at = start
	if !d.skip('"') {
		return "", false
	}
	var b strings.Builder
	for d.at < len(d.data) {
		c := d.data[d.at]
		d.at++
		switch {
		case c == '"':
			return b.String(), true
		case c < 0x20:
			return "", false
		case c == '\\':
			if d.at == len(d.data) {
				return "", false
			}
			if c = unescape(d.data[d.at]); c == 0 {
				return "", false
			}
			d.at++
		}
		b.WriteByte(c)
	}
	return "", false
}

// unescape returns the character for which \c stands, or 0 if that takes more than one byte to tell.
func unescape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// flatDigits is a number of digits that always fit an int64.
const flatDigits = 18

// number returns a number of 1 to flatDigits digits, of which the first is not 0.
func (d *flat) number() (n chat.Micros, ok bool) {
	start := d.at
	for d.at < len(d.data) && d.data[d.at] >= '0' && d.data[d.at] <= '9' {
		if d.at-start == flatDigits {
			return 0, false
		}
		n = 10*n + chat.Micros(d.data[d.at]-'0')
		d.at++
	}
	return n, d.at > start && d.data[start] != '0'
}
