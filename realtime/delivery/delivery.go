// Package delivery defines the data of one Pub/Sub message on the topic delivery-acks (DESIGN §6). It is the contract
// between realtime, which publishes messages that devices have acknowledged, and functions/persist, which saves them.
//
// Pub/Sub messages may arrive in any order and repeat entries of earlier ones, so saving an entry must be idempotent.
package delivery

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// Versions of the data. This package reads both, and writes VersionChanges only if there are changes: a program that
// does not know of them makes such data a dead letter, from which it can be replayed, and would lose the changes
// otherwise.
const (
	Version        = 1
	VersionChanges = 2
)

// Limits of one Pub/Sub message. Beyond them, the publisher starts another one.
const (
	MaxMessages = 500       // entries in all lists together
	MaxBytes    = 400 << 10 // of encoded JSON; Pub/Sub's own limit is 10 MB
)

// Batch is the data of one Pub/Sub message.
type Batch struct {
	V         int         `json:"v"`
	Delivered []Delivered `json:"delivered,omitempty"`
	Changed   []Changed   `json:"changed,omitempty"`
	Read      []Read      `json:"read,omitempty"`
	Seen      []Seen      `json:"seen,omitempty"` // a program that does not know of them ignores them
}

// Delivered is a message that a device of its recipient has stored and acknowledged.
type Delivered struct {
	chat.Message
	DeliveredAt chat.Micros `json:"delivered_at"`

	// Changes is the sum of the changes of a message in the archive, whose body is then the changed one. It is empty in a
	// Pub/Sub message.
	Changes chat.Changes `json:"changes,omitzero"`
}

// Changed is a change that a device of its recipient has stored and acknowledged.
type Changed struct {
	chat.Change
	DeliveredAt chat.Micros `json:"delivered_at"`
}

// Read is a read mark: the user By has seen the conversation up to At.
type Read struct {
	Conversation string      `json:"conversation"`
	By           string      `json:"by"`
	At           chat.Micros `json:"at"`
}

// Seen is the use of a sign-in: it has opened a socket.
type Seen struct {
	UID    string      `json:"uid"`
	SignIn chat.Micros `json:"sign_in"` // auth_time
	At     chat.Micros `json:"at"`
	useragent.Client
}

// Encode returns b as the data of a Pub/Sub message, with its version.
func (b Batch) Encode() ([]byte, error) {
	b.V = version(len(b.Changed))
	return chat.Marshal(b)
}

// version returns the version of data with this number of changes.
func version(changes int) int {
	if changes > 0 {
		return VersionChanges
	}
	return Version
}

// Raw is a Batch whose entries are not decoded yet, so that a malformed entry does not affect the others.
type Raw struct {
	V         int               `json:"v"`
	Delivered []json.RawMessage `json:"delivered"`
	Changed   []json.RawMessage `json:"changed"`
	Read      []json.RawMessage `json:"read"`
	Seen      []json.RawMessage `json:"seen"`
}

// Encode returns r as the data of a Pub/Sub message, with its version. The entries must be valid JSON.
func (r Raw) Encode() []byte {
	size := len(`{"v":1,"delivered":[],"changed":[],"read":[]}`)
	for _, list := range [...][]json.RawMessage{r.Delivered, r.Changed, r.Read} {
		for _, entry := range list {
			size += len(entry) + 1
		}
	}
	out := append(make([]byte, 0, size), `{"v":`...)
	out = strconv.AppendInt(out, int64(version(len(r.Changed))), 10)
	out = appendList(out, "delivered", r.Delivered)
	out = appendList(out, "changed", r.Changed)
	out = appendList(out, "read", r.Read)
	return append(out, '}')
}

// appendList appends a field with a list, unless the list is empty.
func appendList(out []byte, name string, list []json.RawMessage) []byte {
	if len(list) == 0 {
		return out
	}
	out = append(append(append(out, `,"`...), name...), `":[`...)
	for i, entry := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, entry...)
	}
	return append(out, ']')
}

// Decode splits data into entries. It returns an error if data is not a JSON object or has another version.
func Decode(data []byte) (Raw, error) {
	var r Raw
	if err := json.Unmarshal(data, &r); err != nil {
		return Raw{}, fmt.Errorf("delivery: data is not a JSON object: %w", err)
	}
	if r.V != Version && r.V != VersionChanges {
		return Raw{}, fmt.Errorf("delivery: data has version %d, this program reads versions up to %d", r.V, VersionChanges)
	}
	return r, nil
}

// DecodeSeen decodes and checks one entry of Raw.Seen.
func DecodeSeen(raw json.RawMessage) (Seen, error) {
	var s Seen
	if err := json.Unmarshal(raw, &s); err != nil {
		return Seen{}, fmt.Errorf("delivery: entry is not the use of a sign-in: %w", err)
	}
	if !chat.ValidUID(s.UID) || s.SignIn <= 0 || s.At <= 0 || !s.Client.Valid() {
		return Seen{}, fmt.Errorf("use of a sign-in of %.140q: a field is not valid", s.UID)
	}
	return s, nil
}

// DecodeDelivered decodes and checks one entry of Raw.Delivered.
func DecodeDelivered(raw json.RawMessage) (Delivered, error) {
	var d Delivered
	if err := json.Unmarshal(raw, &d); err != nil {
		return Delivered{}, fmt.Errorf("delivery: entry is not a message: %w", err)
	}
	return d, d.Check()
}

// Check returns an error if d cannot be saved: its id is invalid, its users are not those of the conversation, its
// body is invalid, or a time is missing. It accepts messages of any age.
func (d Delivered) Check() error {
	if !chat.ValidMessageID(d.ID) {
		return fmt.Errorf("message id %.60q is not a UUIDv7", d.ID)
	}
	if other, err := chat.Other(d.Conversation, d.From); err != nil || other != d.To {
		return fmt.Errorf("message %s: conversation %.80q is not that of its sender and recipient", d.ID, d.Conversation)
	}
	if err := chat.CheckBody(d.Body); err != nil {
		return fmt.Errorf("message %s: %w", d.ID, err)
	}
	if d.At <= 0 || d.AcceptedAt <= 0 || d.DeliveredAt <= 0 {
		return fmt.Errorf("message %s: at, accepted_at and delivered_at must be positive", d.ID)
	}
	if d.CheckReply() != nil {
		return fmt.Errorf("message %s: reply_to is not a key of this conversation", d.ID)
	}
	if !d.Changes.Empty() {
		return fmt.Errorf("message %s: has changes, which are entries of their own", d.ID)
	}
	return nil
}

// DecodeChanged decodes and checks one entry of Raw.Changed.
func DecodeChanged(raw json.RawMessage) (Changed, error) {
	var c Changed
	if err := json.Unmarshal(raw, &c); err != nil {
		return Changed{}, fmt.Errorf("delivery: entry is not a change: %w", err)
	}
	return c, c.Check()
}

// Check returns an error if c cannot be saved: its id is invalid, its users are not those of the conversation, what it
// does is invalid, or a time is missing. It accepts changes of any age.
func (c Changed) Check() error {
	if !chat.ValidMessageID(c.ID) {
		return fmt.Errorf("change id %.60q is not a UUIDv7", c.ID)
	}
	if other, err := chat.Other(c.Conversation, c.From); err != nil || other != c.To {
		return fmt.Errorf("change %s: conversation %.80q is not that of its sender and recipient", c.ID, c.Conversation)
	}
	if c.At <= 0 || c.AcceptedAt <= 0 || c.DeliveredAt <= 0 {
		return fmt.Errorf("change %s: at, accepted_at and delivered_at must be positive", c.ID)
	}
	if err := c.CheckContent(); err != nil {
		return fmt.Errorf("change %s: %w", c.ID, err)
	}
	return nil
}

// DecodeRead decodes and checks one entry of Raw.Read.
func DecodeRead(raw json.RawMessage) (Read, error) {
	var r Read
	if err := json.Unmarshal(raw, &r); err != nil {
		return Read{}, fmt.Errorf("delivery: entry is not a read mark: %w", err)
	}
	if _, err := chat.Other(r.Conversation, r.By); err != nil {
		return Read{}, fmt.Errorf("read mark: %w", err)
	}
	if r.At <= 0 {
		return Read{}, fmt.Errorf("read mark in %s: at must be positive", r.Conversation)
	}
	return r, nil
}
