package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Audit is one entry of the audit log: one thing that an admin did or tried.
type Audit struct {
	ID      string      `json:"id"` // made by the caller; a repeated id is left as it is
	At      chat.Micros `json:"at"`
	By      string      `json:"by"`      // uid of the admin, or "command:<who ran it>"
	ByName  string      `json:"by_name"` // as it was then
	Action  string      `json:"action"`
	On      string      `json:"on"`      // uid, conversation id or dead letter id; "" where there is none
	OnName  string      `json:"on_name"` // as it was then
	Reason  string      `json:"reason"`
	Outcome string      `json:"outcome"` // "" (taken up) or "failed: <code>"
}

// MaxLetter is how many bytes of data a dead letter holds. A flush has at most
// delivery.MaxBytes; what is longer is nothing that could be saved as it is.
const MaxDeadLetter = 800 << 10

// Letter is data that persist could not save: a whole Pub/Sub message, or one
// entry of one, put in the form of a message with this entry alone. Make it with NewLetter.
type DeadLetter struct {
	ID     string      `json:"id"` // repeated puts of one id are one letter
	At     chat.Micros `json:"at"` // when it was given up
	Reason string      `json:"reason"`
	Data   []byte      `json:"data"` // what the topic delivery-acks would carry
}

// NewLetter returns a letter that every store can keep: its id has only letters, digits,
// '.', '_' and '-', its reason at most 1,000 bytes, its data at most MaxLetter.
func NewDeadLetter(id string, at chat.Micros, reason string, data []byte) DeadLetter {
	id = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, id)
	id = "l" + id[:min(len(id), 200)] // never "", ".", ".." or "__…__"
	if len(data) > MaxDeadLetter {
		reason = fmt.Sprintf("(cut from %d bytes) %s", len(data), reason)
		data = data[:MaxDeadLetter]
	}
	return DeadLetter{ID: id, At: at, Reason: strings.ToValidUTF8(reason[:min(len(reason), 1000)], "\uFFFD"), Data: data}
}

// Records keeps what only operators see.
type Records interface {
	// AddAudit appends to the audit log. There is no method that changes or removes.
	AddAudit(ctx context.Context, a Audit) error

	// AuditLog lists the log, newest first.
	AuditLog(ctx context.Context, cursor string, limit int) ([]Audit, string, error)

	// PutLetters keeps dead letters until RemoveLetter.
	PutDeadLetters(ctx context.Context, letters []DeadLetter) error

	// Letters lists the dead letters, oldest first.
	DeadLetters(ctx context.Context, cursor string, limit int) ([]DeadLetter, string, error)

	// Letter returns one.
	DeadLetter(ctx context.Context, id string) (DeadLetter, error)

	// RemoveLetter drops one; one that does not exist is problem.ErrNotFound,
	// so that of two who drop it at once only one is told to have done so.
	RemoveDeadLetter(ctx context.Context, id string) error

	// CountLetters counts them.
	CountDeadLetters(ctx context.Context) (int64, error)
}

// Limits counts events per key in windows of time, for rate limits that hold across
// instances without state.
type Limits interface {
	// Hit counts one event under key in the window that contains now, and returns how many
	// there have been, this one included, and when the window ends. A
	// window begins with its first event. Counts are dropped some time after their window.
	Hit(ctx context.Context, key string, window time.Duration, now chat.Micros) (count int64, ends chat.Micros, err error)
}
