// Package store is the port to everything that is kept: people, the archive of
// delivered messages, and the operator's records. Its implementations are
// storebolt (one machine, on disk) and storefirestore (Firestore); storetest
// is the conformance suite that both pass.
//
// What holds for every method, unless its comment says otherwise:
//
//   - Blocking: until the change is durable or the context ends. No method
//     starts work that goes on after it has returned.
//   - Failure: a backend that is down, slow, full or locked gives
//     problem.ErrUnavailable with the cause; then the call may or may not have taken
//     effect, and repeating it is safe. A thing that does not exist gives
//     problem.ErrNotFound. Errors that a method gives beside these are named.
//   - Order: what one call has written, every later call sees.
//   - Retention: for ever, unless the comment says what ends it.
//   - Concurrency: all methods may be called by many goroutines and processes at once.
//
// Lists page by an opaque cursor: "" begins, and a returned "" says that the
// end is reached. A page holds at most the asked number of entries, may hold
// fewer before the end, and stays correct (nothing skipped or doubled among
// what did not move) while others write. A cursor that no store gave, or that
// belongs to another list, gives ErrCursor.
package store

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Store is all of the port. Code that needs less should ask for less.
type Store interface {
	Signups
	Users
	Erasure
	Archive
	Records
	Limits
}

// Errors beside those of package problem.
var (
	ErrCursor        = problem.New(problem.Invalid, "cursor_invalid", "This list cannot go on from there. Load it again.")
	ErrUsernameTaken = &problem.Error{Kind: problem.Conflict, Code: "username_taken", Message: "This username is taken. Choose another.",
		Fields: map[string]string{"username": "This username is taken. Choose another."}}
	ErrSignupBusy  = problem.New(problem.Conflict, "signup_busy", "A sign-up for this email address is just running. Try again in a moment.")
	ErrSignupLost  = problem.New(problem.Conflict, "signup_lost", "Another sign-up for this email address came between. Try again.")
	ErrLastAdmin   = problem.New(problem.Conflict, "last_admin", "This is the last admin. Make another person admin first.")
	ErrBlockedFull = problem.New(problem.Conflict, "blocked_full", "You have blocked 1,000 people, which is the most there can be. Unblock someone first.")
)

// Limits of lists and values.
const (
	MaxPage    = 200  // entries that one page may hold; larger limits are cut to this, smaller than 1 raised to 1
	MaxUnread  = 1000 // unread messages are counted up to this
	MaxBlocked = 1000 // people that one person may have blocked
	MaxPreview = 200  // code points of a preview's text
)

// PageSize returns limit brought into 1…MaxPage.
func PageSize(limit int) int { return min(max(limit, 1), MaxPage) }

// Archive keeps the messages that a device of their recipient has acknowledged.
// Everything in it may be written repeatedly and in any order.
type Archive interface {
	// Save stores messages and read marks. A message whose id its conversation
	// already holds is left as it is, whatever it says; the conversation's last_at and
	// read marks only ever rise; its preview is that of the newest message (of several with one At, of any).
	// Entries must have passed delivery.DecodeDelivered and DecodeRead. Read
	// marks may come before their conversation. It reads nothing from a paid
	// backend, and writes each message and each conversation once.
	// On error some entries may be saved; repeating the call saves the rest.
	Save(ctx context.Context, delivered []delivery.Delivered, read []delivery.Read) error

	// Conversations lists those of uid that hold messages, newest first, each with
	// the number of messages to uid after its read mark.
	Conversations(ctx context.Context, uid, cursor string, limit int) ([]Listed, string, error)

	// Messages returns at most limit messages of the conversation that sort
	// before the position, newest last, and whether there are older ones. A
	// conversation that does not exist is an empty one.
	Messages(ctx context.Context, conversation string, before Position, limit int) ([]delivery.Delivered, bool, error)

	// MessagesOn counts the saved messages that were accepted on a UTC day ("2006-01-02").
	MessagesOn(ctx context.Context, day string) (int64, error)
}

// Position is a place in a conversation: before the message with this At and
// ID, or, with an empty ID, before every message of that At. The zero Position is the end.
type Position struct {
	At chat.Micros
	ID string
}

// Preview is what a list shows of a conversation's newest message.
type Preview struct {
	ID   string      `json:"id"`
	From string      `json:"from"`
	Text string      `json:"text"` // the body, cut to MaxPreview code points
	At   chat.Micros `json:"at"`
}

// PreviewOf returns the preview of m.
func PreviewOf(m chat.Message) Preview {
	text, n := m.Body, 0
	for i := range text {
		if n == MaxPreview {
			text = text[:i]
			break
		}
		n++
	}
	return Preview{ID: m.ID, From: m.From, Text: text, At: m.At}
}

// Conversation is one between two people.
type Conversation struct {
	ID      string
	LastAt  chat.Micros // At of the newest message
	Preview Preview
	Read    map[string]chat.Micros // uid → everything up to this was seen by uid
}

// Listed is a conversation as one of its members sees it in the list.
type Listed struct {
	Conversation
	Unread int // messages to that member after their read mark, at most MaxUnread
}
