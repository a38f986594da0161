// Package inbox keeps every user's events in Redis: one stream per user, in
// which a message waits until a device of its recipient has it (DESIGN §5).
//
// [Inboxes] is safe for use by many goroutines. All methods take part in
// nothing but Redis; they block for at most their context or the configured
// operation timeout, whichever is shorter, and give problem.ErrUnavailable
// (with the cause) when Redis does not answer in that time, refuses
// connections or is out of memory. Every method may be repeated after an
// error: the scripts are idempotent.
package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// ID is the id of a stream entry, given by Redis: milliseconds and a sequence number.
// The zero ID is before every entry.
type ID struct{ Ms, Seq uint64 }

// String returns the id as Redis writes it, "ms-seq".
func (id ID) String() string {
	return strconv.FormatUint(id.Ms, 10) + "-" + strconv.FormatUint(id.Seq, 10)
}

// Compare returns -1, 0 or 1.
func (id ID) Compare(o ID) int {
	switch {
	case id.Ms != o.Ms && id.Ms < o.Ms, id.Ms == o.Ms && id.Seq < o.Seq:
		return -1
	case id == o:
		return 0
	}
	return 1
}

// After reports whether id comes after o.
func (id ID) After(o ID) bool { return id.Compare(o) > 0 }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return ID{}, fmt.Errorf("stream id %.40q has no dash", s)
	}
	m, err1 := strconv.ParseUint(ms, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return ID{}, fmt.Errorf("stream id %.40q: %w", s, err)
	}
	return ID{m, n}, nil
}

// Cursor is the last event that a device has stored: a place in one life of an
// inbox. Clients see only its String.
type Cursor struct {
	Epoch string // no ':' in it
	ID    ID
}

// String returns "epoch:ms-seq".
func (c Cursor) String() string { return c.Epoch + ":" + c.ID.String() }

// ErrCursor answers a cursor that this server cannot have given.
var ErrCursor = problem.New(problem.Invalid, "cursor_invalid", "The server could not read what this app sent. Reload the page.")

// ParseCursor reads what String writes. The error is ErrCursor with the cause.
func ParseCursor(s string) (Cursor, error) {
	epoch, id, ok := strings.Cut(s, ":")
	if !ok || epoch == "" {
		return Cursor{}, ErrCursor.WithCause(fmt.Errorf("cursor %.60q has no epoch", s))
	}
	p, err := ParseID(id)
	if err != nil {
		return Cursor{}, ErrCursor.WithCause(err)
	}
	return Cursor{epoch, p}, nil
}

// Event is one entry of an inbox.
type Event struct {
	ID   ID
	Type string          // wire.EventMessage, …
	Data json.RawMessage // the event as JSON, relayed to sockets as it is
}
