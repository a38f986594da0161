// Package chat defines messages and conversations for both services: the types, their identifiers, and the rules and
// limits for every message. It does not depend on the packages that store or deliver messages.
package chat

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of a message. The welcome frame reports them to clients.
const (
	MaxBody      = 8000                // code points in a body
	MaxFrameSize = 64 << 10            // bytes in a WebSocket frame
	MaxAhead     = 5 * time.Second     // how far At may lie in the future
	MaxAge       = 30 * 24 * time.Hour // how far At may lie in the past
	MaxUID       = 128                 // bytes in a uid; Firebase Auth's own limit
)

// Micros is a time in microseconds since the Unix epoch. It fits a JavaScript number exactly.
type Micros int64

// MicrosOf returns t as Micros, truncated to microseconds.
func MicrosOf(t time.Time) Micros { return Micros(t.UnixMicro()) }

// Time returns m as a time in UTC.
func (m Micros) Time() time.Time { return time.UnixMicro(int64(m)).UTC() }

// Message is one message between two users. The sending device sets every field except AcceptedAt, and nothing changes
// them afterwards. Conversation, From and ID identify it: another user may use the same ID.
type Message struct {
	ID           string `json:"id"`           // UUIDv7 that the sending device creates
	Conversation string `json:"conversation"` // see ConversationID
	From         string `json:"from"`
	To           string `json:"to"`
	Body         string `json:"body"`
	At           Micros `json:"at"`                 // sort key, with Key
	AcceptedAt   Micros `json:"accepted_at"`        // the server's time when it was queued
	ReplyTo      string `json:"reply_to,omitempty"` // key of the message that this one answers
}

// Key identifies m in its conversation: "<id>.<from>". All ids have the same length, so keys sort by id, then by
// sender.
func (m Message) Key() string { return KeyOf(m.ID, m.From) }

// KeyOf returns the key of a message.
func KeyOf(id, from string) string { return id + "." + from }

// MaxKey is the largest number of bytes of a key.
const MaxKey = idLength + 1 + MaxUID

// ParseKey splits a key. It reports whether a message can have it.
func ParseKey(key string) (id, from string, ok bool) {
	id, from, ok = strings.Cut(key, ".")
	return id, from, ok && ValidMessageID(id) && ValidUID(from)
}

// Marshal encodes v as JSON like json.Marshal, but leaves <, > and & as they are. Escaped for HTML, a body of such
// characters would take six times its size in Redis and Pub/Sub, and nothing puts this JSON into a page.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// SameContent reports whether a and b agree in all fields that the sender sets, so in all except AcceptedAt.
func SameContent(a, b Message) bool {
	a.AcceptedAt = b.AcceptedAt
	return a == b
}

// Digest returns a hash of the fields that the sender sets (all except AcceptedAt). It distinguishes a repeated send
// from a different message with the same id.
func (m Message) Digest() string {
	// The length before each field keeps messages apart whose fields only join to the same text.
	b := make([]byte, 0, 256)
	for _, field := range [...]string{m.ID, m.Conversation, m.From, m.To, m.Body, m.ReplyTo} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	b = binary.AppendVarint(b, int64(m.At))
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// Before reports whether m sorts before o in their conversation: by At, then by Key.
func (m Message) Before(o Message) bool {
	if m.At != o.At {
		return m.At < o.At
	}
	if m.ID != o.ID {
		return m.ID < o.ID
	}
	return m.From < o.From
}

// Errors of CheckSend. An error without RetryAfter is final: the client shows "Not sent" with the message.
var (
	ErrIDInvalid = problem.New(problem.Invalid, "id_invalid",
		"The app could not send this message correctly. Reload the page and try again.")
	ErrSelf        = problem.New(problem.Invalid, "recipient_self", "You cannot write to yourself.")
	ErrRecipient   = problem.New(problem.Invalid, "recipient_invalid", "This person could not be found.")
	ErrBodyEmpty   = problem.New(problem.Invalid, "body_empty", "An empty message cannot be sent.")
	ErrBodyTooLong = problem.New(problem.Invalid, "body_too_long",
		"A message can have at most 8,000 characters.")
	ErrBodyInvalid = problem.New(problem.Invalid, "body_invalid",
		"The message contains characters that cannot be sent.")
	ErrReplyInvalid = problem.New(problem.Invalid, "reply_invalid",
		"The message you are replying to could not be found.")
	ErrAtAhead = problem.New(problem.Invalid, "at_ahead",
		"The clock of this device is ahead. The message will be sent a little later.")
	ErrAtTooOld = problem.New(problem.Invalid, "at_too_old",
		"This message waited for more than 30 days, so it was not sent.")
)

// CheckSend checks m against the rules for a message that m.From sends now. The error is one of the problems above.
// ErrAtAhead has RetryAfter set to the time to wait.
func (m Message) CheckSend(now time.Time) error {
	if err := checkParties(m.ID, m.From, m.To); err != nil {
		return err
	}
	if err := CheckBody(m.Body); err != nil {
		return err
	}
	if err := m.CheckReply(); err != nil {
		return err
	}
	return checkAt(m.At, now)
}

// checkParties checks the id, the sender and the recipient of a message or a change.
func checkParties(id, from, to string) error {
	switch {
	case !ValidMessageID(id):
		return ErrIDInvalid
	case to == from:
		return ErrSelf
	case !ValidUID(to):
		return ErrRecipient
	}
	return nil
}

// checkAt checks the At of a message or a change that is sent now.
func checkAt(at Micros, now time.Time) error {
	if ahead := at.Time().Sub(now); ahead > MaxAhead {
		return ErrAtAhead.WithRetry(min(ahead-MaxAhead, time.Hour) + time.Millisecond)
	}
	if now.Sub(at.Time()) > MaxAge {
		return ErrAtTooOld
	}
	return nil
}

// CheckReply checks ReplyTo: empty, or the key of a message that one of the two users can have written. The error is
// ErrReplyInvalid.
func (m Message) CheckReply() error {
	if m.ReplyTo == "" {
		return nil
	}
	if _, from, ok := ParseKey(m.ReplyTo); !ok || (from != m.From && from != m.To) {
		return ErrReplyInvalid
	}
	return nil
}

// CheckBody checks a body: 1 to MaxBody code points of valid UTF-8, something visible, and no control characters
// except line feed, carriage return and tab. Bidirectional controls are allowed, because users paste them with
// right-to-left text. The code that displays a body must isolate it.
func CheckBody(body string) error {
	if !strings.ContainsFunc(body, visible) {
		return ErrBodyEmpty
	}
	if !utf8.ValidString(body) {
		return ErrBodyInvalid
	}
	if utf8.RuneCountInString(body) > MaxBody {
		return ErrBodyTooLong
	}
	for _, r := range body {
		if (r < 0x20 && r != '\n' && r != '\r' && r != '\t') || (r >= 0x7f && r <= 0x9f) {
			return ErrBodyInvalid
		}
	}
	return nil
}

const idLength = 36 // of a message id

// ValidMessageID reports whether id is a UUIDv7 in its canonical lower-case form.
func ValidMessageID(id string) bool {
	if len(id) != idLength || strings.ToLower(id) != id {
		return false
	}
	u, err := uuid.Parse(id)
	return err == nil && u.Version() == 7 && u.Variant() == uuid.RFC4122
}

// ValidUID reports whether uid is a Firebase Auth user id that can be part of a conversation id, a Redis key and a
// Firestore path: 1 to MaxUID letters, digits, '_' and '-'.
func ValidUID(uid string) bool {
	if uid == "" || len(uid) > MaxUID {
		return false
	}
	for i := range len(uid) {
		c := uid[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// ConversationID returns the id of the conversation of a and b: the two uids, sorted and joined by "~". The order of
// the arguments does not matter.
func ConversationID(a, b string) string {
	if b < a {
		a, b = b, a
	}
	return a + "~" + b
}

// Members returns the two members of a conversation, sorted. The error has the code "conversation_invalid" if
// ConversationID cannot have made id.
func Members(id string) (a, b string, err error) {
	a, b, ok := strings.Cut(id, "~")
	if !ok || !ValidUID(a) || !ValidUID(b) || a >= b {
		return "", "", problem.Wrap(fmt.Errorf("conversation id %.80q", id), problem.Invalid,
			"conversation_invalid", "This conversation could not be found.")
	}
	return a, b, nil
}

// Other returns the other member of the conversation id, seen from the member uid. The error has the code
// "conversation_invalid" if id is invalid, and is problem.ErrForbidden if uid is not a member.
func Other(id, uid string) (string, error) {
	a, b, err := Members(id)
	switch {
	case err != nil:
		return "", err
	case uid == a:
		return b, nil
	case uid == b:
		return a, nil
	}
	return "", problem.ErrForbidden
}
