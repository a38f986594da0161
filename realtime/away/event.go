package away

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Limits of an event.
const (
	MaxIDs  = 100      // messages of an event that an instance makes; the oldest ones are left out
	MaxText = 300      // code points of the text; a push shows fewer
	MaxData = 16 << 10 // bytes of encoded data
)

// Event is the data of a message of the topic notify.
type Event struct {
	V            int         `json:"v"`
	UID          string      `json:"uid"` // the recipient
	Conversation string      `json:"conversation"`
	From         string      `json:"from"`
	IDs          []string    `json:"ids"`            // of messages from one sender, the newest last
	Text         string      `json:"text"`           // of the newest
	At           chat.Micros `json:"at"`             // when the event was made
	Only         []string    `json:"only,omitempty"` // devices that an earlier attempt has not reached; nil: all
}

// Decode reads and checks the data of an event. An error may contain a part of the text.
func Decode(data []byte) (e Event, err error) {
	if len(data) > MaxData {
		return e, fmt.Errorf("%d bytes", len(data))
	}
	if err = json.Unmarshal(data, &e); err != nil {
		return e, err
	}
	other, err := chat.Other(e.Conversation, e.UID)
	switch {
	case err != nil:
		return e, err
	case e.V != 1:
		return e, fmt.Errorf("version %d", e.V)
	case other != e.From:
		return e, errors.New("the sender is not in the conversation")
	case len(e.IDs) == 0 || e.At <= 0:
		return e, errors.New("no message, or no time")
	}
	for _, id := range e.IDs {
		if !chat.ValidMessageID(id) {
			return e, errors.New("an id is not valid")
		}
	}
	return e, nil
}

// add adds a message to an event of the same conversation, unless the event has it.
func (e *Event) add(m chat.Message) {
	for _, id := range e.IDs {
		if id == m.ID {
			return
		}
	}
	e.IDs = append(e.IDs, m.ID)
	if len(e.IDs) > MaxIDs {
		e.IDs = append(e.IDs[:0], e.IDs[len(e.IDs)-MaxIDs:]...)
	}
	e.Text = cut(m.Body)
}

// cut returns the beginning of a text.
func cut(text string) string {
	points := 0
	for i := range text {
		if points == MaxText {
			return text[:i]
		}
		points++
	}
	return text
}
