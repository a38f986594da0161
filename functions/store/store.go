// Package store is the port to everything that is stored: the users, the archive of delivered messages, and the
// records of the admins. Its implementations are storebolt (on the disk of one machine) and storefirestore (in
// Firestore). Both pass the conformance suite in storetest. Rules that an implementation could get wrong, such as
// those of [User], [Name] and [Signup], are here.
//
// Every method keeps this contract, unless its comment says otherwise:
//
//   - Blocking: a method blocks until the change is durable or the context ends. It does not start work that
//     continues after it has returned.
//   - Errors: if the backend is down, slow, full or locked, the error is problem.ErrUnavailable with the cause. Then
//     the call may or may not have taken effect, and repeating it is safe. If a thing does not exist, the error is
//     problem.ErrNotFound. A comment names the other errors of its method.
//   - Order: every later call sees what a call has written.
//   - Retention: data is kept until a method deletes it, unless the comment says what ends it.
//   - Concurrency: all methods are safe for concurrent use, also by several processes.
//
// Lists are paged by an opaque cursor. "" is the start of the list, and a returned "" means that the end is reached.
// A page has at most as many entries as asked for, and may have fewer before the end. While others write, no entry
// that keeps its place is skipped or returned twice. A cursor that no store returned, or that belongs to another
// list, gives ErrCursor.
package store

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Store is the whole port. Code that needs less should ask for less.
type Store interface {
	Signups
	Users
	Pictures
	UserChoices
	Subscriptions
	Reports
	Sanctions
	SecondFactors
	Erasure
	Archive
	Changes
	Records
	Limits
}

// Errors beside those of package problem.
var (
	ErrCursor = problem.New(problem.Invalid, "cursor_invalid",
		"This position in the list is not valid. Reload the list.")
	ErrUsernameTaken = &problem.Error{Kind: problem.Conflict, Code: "username_taken",
		Message: "This username is taken. Choose another.",
		Fields:  map[string]string{"username": "This username is taken. Choose another."}}
	ErrRenames = &problem.Error{Kind: problem.TooMany, Code: "too_many_renames",
		Message: "You can change your username twice in 30 days. Try again later.",
		Fields:  map[string]string{"username": "You can change your username twice in 30 days. Try again later."}}
	ErrSignupBusy = problem.New(problem.Conflict, "signup_busy",
		"Somebody is signing up with this email address right now. Try again in a moment.")
	ErrSignupLost = problem.New(problem.Conflict, "signup_lost",
		"Somebody else signed up with this email address or username at the same time. Try again.")
	ErrLastAdmin = problem.New(problem.Conflict, "last_admin",
		"This is the last admin. Make somebody else an admin first.")
	ErrBlockedFull = problem.New(problem.Conflict, "blocked_full",
		"You can block at most 1,000 people. Unblock somebody first.")
)

// Limits of lists and values.
const (
	MaxPage    = 200  // entries of one page; see PageSize
	MaxUnread  = 1000 // unread messages that are counted
	MaxBlocked = 1000 // users that one user may block
	MaxPreview = 200  // code points of a preview's text
)

// PageSize returns limit, or the nearest number in 1…MaxPage.
func PageSize(limit int) int { return min(max(limit, 1), MaxPage) }

// Archive keeps the messages that a device of their recipient has acknowledged. Everything may be written repeatedly
// and in any order.
type Archive interface {
	// Save stores messages and read marks. It does not overwrite a message whose key exists in its conversation,
	// whatever it contains: it returns each such message, as it is stored, if its content differs (chat.SameContent),
	// also after a call that failed and is repeated. The conversation's last_at and read marks only rise. Its preview is
	// that of the newest message (of any, if several have the same At). Read marks may arrive before their conversation.
	// Entries must have passed delivery.DecodeDelivered and DecodeRead.
	//
	// Save does not read a new message or its conversation from a paid backend, and writes each of them once. After an
	// error some entries may be saved. Repeating the call saves the rest.
	Save(ctx context.Context, delivered []delivery.Delivered, read []delivery.Read) (kept []delivery.Delivered, err error)

	// Conversations lists the conversations of uid that have messages, newest first, each with the number of messages to
	// uid after its read mark, at most MaxUnread. Its cost grows neither with the messages that uid has read or written
	// nor with the unread messages beyond MaxUnread.
	Conversations(ctx context.Context, uid, cursor string, limit int) ([]Listed, string, error)

	// Messages returns at most limit messages of the conversation that sort before the position, newest last, and
	// whether there are older ones. A conversation that does not exist is empty.
	Messages(ctx context.Context, conversation string, before Position, limit int) ([]delivery.Delivered, bool, error)

	// Message returns a message by its key, and whether it is saved. A paid backend charges for one read.
	Message(ctx context.Context, conversation, key string) (m delivery.Delivered, saved bool, err error)

	// Writers returns the members of a conversation who have written a message that Save was given, and those who have
	// accepted the other member's request (UserChoices.Choose), in no particular order. Somebody who has accepted counts
	// only if a message of the other member was saved. A paid backend charges for one read.
	Writers(ctx context.Context, conversation string) ([]string, error)

	// MessagesOn counts the saved messages that were accepted on a UTC day, such as "2006-01-02".
	MessagesOn(ctx context.Context, day string) (int64, error)
}

// Position is a position in a conversation: before the message with this At and Key or, if Key is "", before every
// message of that At. The zero Position is the end.
type Position struct {
	At  chat.Micros
	Key string
}

// Kept collects what Save returns: each stored message whose content a call did not change.
type Kept struct {
	list []delivery.Delivered
	seen map[[2]string]bool // conversation, key
}

// Compare adds a stored message, unless it has the content that was given, or was added before. The body that the
// sender gave an edited message does not matter, and nothing of a deleted one does.
func (k *Kept) Compare(stored, given delivery.Delivered) {
	id := [2]string{stored.Conversation, stored.Key()}
	if stored.Changes.Edited != nil {
		given.Body = stored.Body
	}
	if stored.Changes.Deleted != nil || chat.SameContent(stored.Message, given.Message) || k.seen[id] {
		return
	}
	if k.seen == nil {
		k.seen = map[[2]string]bool{}
	}
	k.seen[id] = true
	k.list = append(k.list, stored)
}

// List returns what was added.
func (k *Kept) List() []delivery.Delivered { return k.list }

// Preview is the part of a conversation's newest message that a list shows.
type Preview struct {
	ID   string      `json:"id"`
	From string      `json:"from"`
	Text string      `json:"text"` // the body, truncated to MaxPreview code points; "": the message was deleted
	At   chat.Micros `json:"at"`
}

// PreviewOf returns the preview of m. Its text ends between two characters as readers see them, so that emoji, flags
// and letters with marks stay whole.
func PreviewOf(m chat.Message) Preview {
	return Preview{ID: m.ID, From: m.From, Text: truncate(m.Body, MaxPreview), At: m.At}
}

// truncate returns the first characters of text, of at most limit code points. A first character that is longer is cut
// between two code points.
func truncate(text string, limit int) string {
	end, points, state := 0, 0, -1
	for rest := text; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		points += utf8.RuneCountInString(cluster)
		if points > limit {
			break
		}
		end += len(cluster)
	}
	if end == 0 {
		for i := range text {
			if limit == 0 {
				return text[:i]
			}
			limit--
		}
		return text
	}
	return text[:end]
}

// Conversation is a conversation between two users.
type Conversation struct {
	ID      string
	LastAt  chat.Micros // At of the newest message
	Preview Preview
	Read    map[string]chat.Micros // by uid: messages up to this At were seen
	Writers []string               // as Archive.Writers returns them, sorted
}

// Writers returns the result of Archive.Writers, sorted, for a conversation in which some members have written and some
// have accepted.
func Writers(conversation string, wrote, accepted []string) []string {
	writers := slices.Clone(wrote)
	for _, uid := range accepted {
		if other, err := chat.Other(conversation, uid); err == nil && slices.Contains(wrote, other) &&
			!slices.Contains(writers, uid) {
			writers = append(writers, uid)
		}
	}
	slices.Sort(writers)
	return writers
}

// Listed is a conversation in the list of one of its members.
type Listed struct {
	Conversation
	Unread int // messages to the member after their read mark, at most MaxUnread
}
