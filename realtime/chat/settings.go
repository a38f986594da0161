package chat

import (
	"errors"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Setting is a choice of one user about a conversation or a message, which applies on all of the user's devices. Nobody
// else sees it. Of two settings of a kind about the same thing, the later one counts (see Choice.Beats).
type Setting struct {
	Conversation string      `json:"conversation"`
	Message      string      `json:"message,omitempty"` // key of the message; only of SettingStar
	Kind         SettingKind `json:"kind"`
	Choice
}

// Choice is the content of a setting, and its place in time.
type Choice struct {
	Value Micros `json:"value"` // 0: off, 1: on; of SettingMute the time until which it is on, of SettingRemove see there
	At    Micros `json:"at"`    // of the choice, by the server's time
	ID    string `json:"id"`    // UUIDv7
}

// SettingKind is a kind of setting.
type SettingKind string

// The kinds of settings.
const (
	SettingPin     SettingKind = "pin"     // the conversation is at the top of the list
	SettingMute    SettingKind = "mute"    // its messages cause no notification
	SettingArchive SettingKind = "archive" // it is not in the list, but among the archived ones
	SettingUnread  SettingKind = "unread"  // it is marked as unread, without regard to its messages
	SettingStar    SettingKind = "star"    // the message is among the starred ones

	// SettingAccept accepts the message request of a stranger: the user has answered, as if they had written. It cannot be
	// taken back.
	SettingAccept SettingKind = "accept"
	// SettingRemove removes a message request from the user's list. Value is the At up to which messages were removed: a
	// later one brings the request back. It is no answer.
	SettingRemove SettingKind = "remove"
)

// MutedAlways is the Value of a mute without an end.
const MutedAlways = Micros(1<<53 - 1)

// ErrSettingInvalid reports a setting that no client of ours sends.
var ErrSettingInvalid = errors.New("the setting has an unknown kind, or a value or a message that its kind cannot have")

// ErrRequestUnknown reports that a user accepts the request of somebody who has never written to them.
var ErrRequestUnknown = problem.New(problem.NotFound, "request_unknown",
	"There is no request that you could accept. Reload the page.")

// Check returns why uid cannot make the setting at the time now: an error of Other, ErrIDInvalid, ErrSettingInvalid, or
// one of the errors of a message's At.
func (s Setting) Check(uid string, now time.Time) error {
	if _, err := Other(s.Conversation, uid); err != nil {
		return err
	}
	if !ValidMessageID(s.ID) {
		return ErrIDInvalid
	}
	valid := s.Message == ""
	switch s.Kind {
	case SettingPin, SettingArchive, SettingUnread:
		valid = valid && (s.Value == 0 || s.Value == 1)
	case SettingMute:
		valid = valid && s.Value >= 0 && s.Value <= MutedAlways
	case SettingAccept:
		valid = valid && s.Value == 1
	case SettingRemove: // messages that may come later stay
		valid = valid && s.Value >= 0 && s.Value <= s.At+Micros(MaxAhead.Microseconds())
	case SettingStar:
		_, from, ok := ParseKey(s.Message)
		_, err := Other(s.Conversation, from)
		valid = ok && err == nil && (s.Value == 0 || s.Value == 1)
	default:
		valid = false
	}
	if !valid || s.At <= 0 || s.At > MutedAlways {
		return ErrSettingInvalid
	}
	return checkAt(s.At, now)
}

// Beats reports whether c counts, and not o.
func (c Choice) Beats(o Choice) bool {
	if c.At != o.At {
		return c.At > o.At
	}
	return c.ID > o.ID || c.ID == o.ID && c.Value > o.Value
}

// Off reports whether c has no effect at the time now, so that it may be forgotten if there is no room.
func (c Choice) Off(now Micros) bool { return c.Value == 0 || c.Value > 1 && c.Value <= now }
