package inbox

import (
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Item is what a device sends and a device of its recipient must acknowledge: a message or a change. Both take the same
// path. Exactly one of the two is set. It must have passed CheckSend.
type Item struct {
	Message *chat.Message
	Change  *chat.Change
}

// OfMessage returns the item of a message.
func OfMessage(m chat.Message) Item { return Item{Message: &m} }

// OfChange returns the item of a change.
func OfChange(c chat.Change) Item { return Item{Change: &c} }

// IsZero reports whether there is no item.
func (i Item) IsZero() bool { return i == Item{} }

// Equal reports whether both items are the same message or the same change.
func (i Item) Equal(o Item) bool {
	if i.Message != nil && o.Message != nil {
		return *i.Message == *o.Message
	}
	return i.Change != nil && o.Change != nil && *i.Change == *o.Change
}

// ID returns the id of the item. Of one conversation and sender, a message and a change do not share one.
func (i Item) ID() string {
	if i.Change != nil {
		return i.Change.ID
	}
	return i.Message.ID
}

// From returns the sender of the item.
func (i Item) From() string {
	if i.Change != nil {
		return i.Change.From
	}
	return i.Message.From
}

// To returns the recipient of the item.
func (i Item) To() string {
	if i.Change != nil {
		return i.Change.To
	}
	return i.Message.To
}

// Conversation returns the conversation of the item.
func (i Item) Conversation() string {
	if i.Change != nil {
		return i.Change.Conversation
	}
	return i.Message.Conversation
}

// Ref returns the reference to the item in receipts.
func (i Item) Ref() wire.MessageRef {
	if i.Change != nil {
		return wire.MessageRef{ID: i.Change.ID, At: i.Change.At}
	}
	return wire.MessageRef{ID: i.Message.ID, At: i.Message.At}
}

// Event returns the type of the event for the recipient.
func (i Item) Event() string {
	if i.Change != nil {
		return wire.EventChange
	}
	return wire.EventMessage
}

// Echo returns the type of the event for the sender's other devices.
func (i Item) Echo() string {
	if i.Change != nil {
		return wire.EventChanged
	}
	return wire.EventSent
}

// Size returns the number of bytes of the text of the item.
func (i Item) Size() int {
	if i.Change != nil {
		return len(i.Change.Body) + len(i.Change.Emoji)
	}
	return len(i.Message.Body)
}

func (i Item) digest() string {
	if i.Change != nil {
		return i.Change.Digest()
	}
	return i.Message.Digest()
}

// acceptedAt returns when the item was accepted.
func (i Item) acceptedAt() chat.Micros {
	if i.Change != nil {
		return i.Change.AcceptedAt
	}
	return i.Message.AcceptedAt
}

// accepted returns a copy of the item with another AcceptedAt.
func (i Item) accepted(at chat.Micros) Item {
	if i.Change != nil {
		c := *i.Change
		c.AcceptedAt = at
		return OfChange(c)
	}
	m := *i.Message
	m.AcceptedAt = at
	return OfMessage(m)
}

// marshal encodes the events for the recipient and for the sender's other devices.
func (i Item) marshal() (event, echo []byte, err error) {
	if i.Change != nil {
		event, echo, err = wire.MarshalChange(*i.Change)
	} else {
		event, echo, err = wire.MarshalMessage(*i.Message)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s %s: %w", i.Event(), i.ID(), err)
	}
	return event, echo, nil
}

// Item decodes the item of an event that waits.
func (e Event) Item() (Item, error) {
	if e.Type != wire.EventChange {
		m, err := e.Message()
		return OfMessage(m), err
	}
	decoded, err := wire.DecodeEvent(e.Data)
	if err != nil {
		return Item{}, fmt.Errorf("decode change event %s: %w", e.ID, err)
	}
	c, ok := decoded.(wire.ChangeEvent)
	if !ok || !chat.ValidMessageID(c.ID) || !chat.ValidUID(c.From) || !chat.ValidUID(c.To) {
		return Item{}, fmt.Errorf("decode change event %s: not a change, or invalid id, from or to", e.ID)
	}
	return OfChange(c.Change), nil
}
