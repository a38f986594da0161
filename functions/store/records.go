package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Audit is an entry of the audit log: an action that an admin began, or that failed.
type Audit struct {
	ID      string      `json:"id"` // chosen by the caller; an id that exists is not overwritten
	At      chat.Micros `json:"at"`
	By      string      `json:"by"`      // uid of the admin, or "command:<author>"
	ByName  string      `json:"by_name"` // at that time
	Action  string      `json:"action"`
	On      string      `json:"on"`      // uid, conversation id or dead letter id; "": none
	OnName  string      `json:"on_name"` // at that time
	Reason  string      `json:"reason"`
	Outcome string      `json:"outcome"` // "" (begun) or "failed: <code>"
}

// AuditKey is the key under which log records have a copy of an entry of the audit log. The filter of the sink that
// keeps these records selects them by it (infra/terraform/audit.tf).
const AuditKey = "audit"

// MaxDeadLetter limits the bytes of data of a dead letter. Data of the realtime service has at most
// delivery.MaxBytes. Anything longer could not be saved anyway.
const MaxDeadLetter = 800 << 10

// DeadLetter is data that persist could not save. It is a whole Pub/Sub message, or one entry of it in the form of a
// message with this entry alone. Create it with NewDeadLetter.
type DeadLetter struct {
	ID     string      `json:"id"` // an id that is put twice is one dead letter
	At     chat.Micros `json:"at"` // when persist gave up
	Reason string      `json:"reason"`
	Data   []byte      `json:"data"` // as the topic delivery-acks would carry it
}

// NewDeadLetter returns a dead letter that every store can keep. Its id has only letters, digits, '.', '_' and '-',
// its reason at most 1,000 bytes, and its data at most MaxDeadLetter.
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

// Records keeps what only admins see: the audit log and the dead letters.
type Records interface {
	// AddAudit appends to the audit log. Entries cannot be changed or removed. On Google Cloud, only the admin function
	// and operators may read and append.
	AddAudit(ctx context.Context, a Audit) error

	// AuditLog lists the log, newest first.
	AuditLog(ctx context.Context, cursor string, limit int) ([]Audit, string, error)

	// PutDeadLetters stores dead letters, until RemoveDeadLetter.
	PutDeadLetters(ctx context.Context, dead []DeadLetter) error

	// DeadLetters lists the dead letters, oldest first.
	DeadLetters(ctx context.Context, cursor string, limit int) ([]DeadLetter, string, error)

	// DeadLetter returns one.
	DeadLetter(ctx context.Context, id string) (DeadLetter, error)

	// RemoveDeadLetter deletes one. If it does not exist, the error is problem.ErrNotFound, so that of two concurrent
	// calls only one succeeds.
	RemoveDeadLetter(ctx context.Context, id string) error

	// CountDeadLetters counts them.
	CountDeadLetters(ctx context.Context) (int64, error)
}

// Limits counts events per key in windows of time, for rate limits that apply across instances.
type Limits interface {
	// Take takes n of the limit events that key has in the window that contains now, or all that are left if they are
	// fewer. It returns how many it took, and when the window ends. A window begins with its first event. If nothing is
	// left, Take does not write, so that a caller beyond the limit costs no write. A count is deleted some time after the
	// end of its window.
	Take(ctx context.Context, key string, n, limit int64, window time.Duration,
		now chat.Micros) (taken int64, ends chat.Micros, err error)
}

// Window is the count of one key in one window of time. The zero Window has ended.
type Window struct {
	Count int64
	Ends  chat.Micros
}

// Take returns w after n events at now, or as many as the limit admits, and their number. If w has ended, it begins a
// new window of the given length.
func (w Window) Take(n, limit int64, length time.Duration, now chat.Micros) (Window, int64) {
	if w.Ends <= now {
		w = Window{Ends: now + chat.Micros(length.Microseconds())}
	}
	taken := min(n, max(limit-w.Count, 0))
	w.Count += taken
	return w, taken
}
