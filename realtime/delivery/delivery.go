// Package delivery is the contract between realtime/, which publishes what
// devices have acknowledged, and functions/persist, which saves it: the data
// of one Pub/Sub message on the topic delivery-acks (DESIGN §6).
//
// Both lists may repeat what earlier messages held and may arrive in any
// order; whoever reads them must not mind.
package delivery

import (
	"encoding/json"
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Version is the version of the data that this package writes and reads.
const Version = 1

// Limits of one flush; a publisher starts another message beyond them.
const (
	MaxMessages = 500
	MaxBytes    = 400 << 10 // of encoded JSON; Pub/Sub's own limit is 10 MB
)

// Batch is the data of one Pub/Sub message.
type Batch struct {
	V         int         `json:"v"`
	Delivered []Delivered `json:"delivered,omitempty"`
	Read      []Read      `json:"read,omitempty"`
}

// Delivered is a message that a device of its recipient has stored and acknowledged.
type Delivered struct {
	chat.Message
	DeliveredAt chat.Micros `json:"delivered_at"`
}

// Read says that By has seen everything in the conversation up to At.
type Read struct {
	Conversation string      `json:"conversation"`
	By           string      `json:"by"`
	At           chat.Micros `json:"at"`
}

// Encode returns b as Pub/Sub data with the current version.
func (b Batch) Encode() ([]byte, error) {
	b.V = Version
	return json.Marshal(b)
}

// Raw is a Batch whose entries are not yet decoded, so that a malformed entry
// does not spoil the good ones beside it.
type Raw struct {
	V         int               `json:"v"`
	Delivered []json.RawMessage `json:"delivered"`
	Read      []json.RawMessage `json:"read"`
}

// Decode splits data into entries. The error says why the data as a whole is
// no batch: no JSON, or of another version.
func Decode(data []byte) (Raw, error) {
	var r Raw
	if err := json.Unmarshal(data, &r); err != nil {
		return Raw{}, fmt.Errorf("delivery data is no JSON object: %w", err)
	}
	if r.V != Version {
		return Raw{}, fmt.Errorf("delivery data has version %d; this program reads %d", r.V, Version)
	}
	return r, nil
}

// DecodeDelivered decodes and checks one entry of Raw.Delivered.
func DecodeDelivered(raw json.RawMessage) (Delivered, error) {
	var d Delivered
	if err := json.Unmarshal(raw, &d); err != nil {
		return Delivered{}, fmt.Errorf("entry is no message: %w", err)
	}
	return d, d.Check()
}

// Check reports what makes d impossible to save: a bad id, members that do
// not match the conversation, a bad body, a missing time. Age is no reason.
func (d Delivered) Check() error {
	if !chat.ValidMessageID(d.ID) {
		return fmt.Errorf("message id %.60q is no UUIDv7", d.ID)
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
	if d.ReplyTo != "" && !chat.ValidMessageID(d.ReplyTo) {
		return fmt.Errorf("message %s: reply_to is no UUIDv7", d.ID)
	}
	return nil
}

// DecodeRead decodes and checks one entry of Raw.Read.
func DecodeRead(raw json.RawMessage) (Read, error) {
	var r Read
	if err := json.Unmarshal(raw, &r); err != nil {
		return Read{}, fmt.Errorf("entry is no read mark: %w", err)
	}
	if _, err := chat.Other(r.Conversation, r.By); err != nil {
		return Read{}, fmt.Errorf("read mark: %w", err)
	}
	if r.At <= 0 {
		return Read{}, fmt.Errorf("read mark in %s: at must be positive", r.Conversation)
	}
	return r, nil
}
