package chat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// ChangeKind is what a change does to its message.
type ChangeKind string

// Kinds of changes.
const (
	KindEdit   ChangeKind = "edit"   // replaces the body
	KindDelete ChangeKind = "delete" // removes the body, for everyone
	KindReact  ChangeKind = "react"  // sets or withdraws the reaction of one person
)

// Target names the message that a change is about. With the conversation, From and ID identify it. At only says where
// to look for it, and nothing compares it with the message.
type Target struct {
	ID   string `json:"id"`
	From string `json:"from"`
	At   Micros `json:"at"`
}

// Key returns the key of the message.
func (t Target) Key() string { return KeyOf(t.ID, t.From) }

// Change edits a message, deletes it for everyone, or reacts to it. Like a message it is delivered, kept and archived,
// and the sending device sets every field except AcceptedAt. Conversation, From and ID identify it.
type Change struct {
	ID           string     `json:"id"`           // UUIDv7 that the sending device creates
	Conversation string     `json:"conversation"` // see ConversationID
	From         string     `json:"from"`
	To           string     `json:"to"`
	At           Micros     `json:"at"`          // sort key, above that of the message
	AcceptedAt   Micros     `json:"accepted_at"` // the server's time when it was queued
	Of           Target     `json:"of"`
	Kind         ChangeKind `json:"kind"`
	Body         string     `json:"body,omitempty"`  // of an edit
	Emoji        string     `json:"emoji,omitempty"` // of a reaction; "" withdraws it
}

// changeMark begins the digest of a change, and never that of a message.
const changeMark = "~"

// IsChangeDigest reports whether a digest is that of a change, and not of a message.
func IsChangeDigest(digest string) bool { return strings.HasPrefix(digest, changeMark) }

// Digest returns a hash of the fields that the sender sets (all except AcceptedAt). It never equals that of a message.
func (c Change) Digest() string {
	b := make([]byte, 0, 256)
	for _, field := range [...]string{c.ID, c.Conversation, c.From, c.To, c.Of.ID, c.Of.From, string(c.Kind), c.Body,
		c.Emoji} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	b = binary.AppendVarint(binary.AppendVarint(b, int64(c.At)), int64(c.Of.At))
	sum := sha256.Sum256(b)
	return changeMark + base64.RawURLEncoding.EncodeToString(sum[:15])
}

// Errors of Change.CheckSend, besides those of a message. All are final.
var (
	ErrChangeInvalid = problem.New(problem.Invalid, "change_invalid",
		"The message that you want to change could not be found.")
	ErrChangeForbidden = problem.New(problem.Forbidden, "change_forbidden",
		"You can only edit or delete your own messages.")
	ErrChangeTooEarly = problem.New(problem.Invalid, "change_too_early",
		"The app could not change this message correctly. Reload the page and try again.")
	ErrKindUnknown = problem.New(problem.Invalid, "change_unknown",
		"The server does not know this kind of change. Reload the page and try again.")
	ErrEmojiInvalid = problem.New(problem.Invalid, "emoji_invalid", "This emoji cannot be used as a reaction.")
)

// CheckSend checks c against the rules for a change that c.From sends now. The error is one of the problems above or of
// Message.CheckSend, with ErrAtAhead as there.
func (c Change) CheckSend(now time.Time) error {
	if err := checkParties(c.ID, c.From, c.To); err != nil {
		return err
	}
	if err := c.CheckContent(); err != nil {
		return err
	}
	return checkAt(c.At, now)
}

// CheckContent checks what c does to which message, so everything but its own id, its recipient and its age.
func (c Change) CheckContent() error {
	if !ValidMessageID(c.Of.ID) || c.Of.From != c.From && c.Of.From != c.To {
		return ErrChangeInvalid
	}
	if c.Of.At <= 0 || c.At <= c.Of.At {
		return ErrChangeTooEarly
	}
	switch c.Kind {
	case KindEdit, KindDelete:
		if c.Of.From != c.From {
			return ErrChangeForbidden
		}
	case KindReact:
	default:
		return ErrKindUnknown
	}
	if c.Kind != KindEdit && c.Body != "" || c.Kind != KindReact && c.Emoji != "" {
		return ErrChangeInvalid
	}
	if c.Kind == KindEdit {
		return CheckBody(c.Body)
	}
	if c.Emoji != "" && !ValidEmoji(c.Emoji) {
		return ErrEmojiInvalid
	}
	return nil
}

// Changes is the sum of the changes of one message. It keeps the place in the order of each change that counts, of a
// withdrawn reaction too; otherwise an older change that arrives late would win. The zero value stands for no changes.
// Merge and Of never modify a Changes, so copies may share its parts.
type Changes struct {
	Edited    *Edited             `json:"edited,omitempty"`
	Deleted   *Place              `json:"deleted,omitempty"`
	Reactions map[string]Reaction `json:"reactions,omitempty"` // by uid
}

// Place is the place of a change in the order of changes.
type Place struct {
	At Micros `json:"at"`
	ID string `json:"id"`
}

// Edited is the edit that counts.
type Edited struct {
	Place
	Body string `json:"body"`
}

// Reaction is the reaction of one person that counts.
type Reaction struct {
	Place
	Emoji string `json:"emoji,omitempty"` // "": withdrawn
}

// Changes returns the effect of c alone on its message. It is empty if c has none, because its kind is unknown, it
// edits or deletes the message of another person, or its sender is not in the conversation.
func (c Change) Changes() Changes {
	if _, err := Other(c.Conversation, c.From); err != nil {
		return Changes{}
	}
	place := Place{c.At, c.ID}
	own := c.From == c.Of.From
	switch {
	case c.Kind == KindEdit && own:
		return Changes{Edited: &Edited{place, c.Body}}
	case c.Kind == KindDelete && own:
		return Changes{Deleted: &place}
	case c.Kind == KindReact:
		return Changes{Reactions: map[string]Reaction{c.From: {place, c.Emoji}}}
	}
	return Changes{}
}

// Merge returns the sum of two sets of changes of one message. Of the edits, of the deletions, and of the reactions of
// each person, the one with the greatest place counts, and of equal places the one with the greater content as UTF-8
// bytes. A deletion beats all edits and reactions. Merge is commutative, associative and idempotent.
func (s Changes) Merge(o Changes) Changes {
	if s.Deleted != nil || o.Deleted != nil {
		return Changes{Deleted: later(s.Deleted, o.Deleted, func(a, b Place) bool { return a.before(b, "", "") })}
	}
	m := Changes{Edited: later(s.Edited, o.Edited,
		func(a, b Edited) bool { return a.before(b.Place, a.Body, b.Body) })}
	if len(s.Reactions)+len(o.Reactions) == 0 {
		return m
	}
	m.Reactions = maps.Clone(s.Reactions)
	if m.Reactions == nil {
		m.Reactions = map[string]Reaction{}
	}
	for uid, r := range o.Reactions {
		if had, ok := m.Reactions[uid]; !ok || had.before(r.Place, had.Emoji, r.Emoji) {
			m.Reactions[uid] = r
		}
	}
	return m
}

// Empty reports whether there are no changes.
func (s Changes) Empty() bool { return s.Edited == nil && s.Deleted == nil && len(s.Reactions) == 0 }

// Equal reports whether both sums are the same.
func (s Changes) Equal(o Changes) bool {
	return equal(s.Edited, o.Edited) && equal(s.Deleted, o.Deleted) && maps.Equal(s.Reactions, o.Reactions)
}

// Body returns the body of the changed message, which had the given body when it was sent.
func (s Changes) Body(sent string) string {
	switch {
	case s.Deleted != nil:
		return ""
	case s.Edited != nil:
		return s.Edited.Body
	}
	return sent
}

// before reports whether p comes before o, where the contents decide about equal places.
func (p Place) before(o Place, content, other string) bool {
	if p.At != o.At {
		return p.At < o.At
	}
	if p.ID != o.ID {
		return p.ID < o.ID
	}
	return content < other
}

// later returns the one that is not before the other. nil comes before all.
func later[T any](a, b *T, before func(a, b T) bool) *T {
	if a == nil || b != nil && before(*a, *b) {
		return b
	}
	return a
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// SameText reports whether both sums have the same effect on the body.
func (s Changes) SameText(o Changes) bool {
	return equal(s.Edited, o.Edited) && equal(s.Deleted, o.Deleted)
}
