// Package inbox keeps every user's events in Redis. Each user has one stream, in which a message waits until a device
// of its recipient has stored it (DESIGN §5).
//
// [Inboxes] is safe for concurrent use. Its methods do I/O with Redis only. They block until their context ends or the
// operation timeout passes, whichever comes first. If Redis does not answer in that time, refuses connections or is out
// of memory, they return problem.ErrUnavailable with the cause. Any call may be repeated after an error, because the
// scripts are idempotent.
package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// ID is the id of a stream entry: milliseconds and a sequence number. The zero ID comes before every entry.
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

// previous returns the id right before id.
func (id ID) previous() ID {
	switch {
	case id.Seq > 0:
		return ID{id.Ms, id.Seq - 1}
	case id.Ms > 0:
		return ID{id.Ms - 1, 1<<53 - 1} // the scripts compute with doubles, which are exact up to 2^53
	}
	return ID{}
}

// ParseID parses the format that String writes.
func ParseID(s string) (ID, error) {
	ms, seq, ok := strings.Cut(s, "-")
	if !ok {
		return ID{}, fmt.Errorf("parse stream id %.40q: no dash", s)
	}
	m, err1 := strconv.ParseUint(ms, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return ID{}, fmt.Errorf("parse stream id %.40q: %w", s, err)
	}
	return ID{m, n}, nil
}

// Cursor identifies the last event that a device has stored: an id within one epoch of an inbox. Clients see only its
// String.
type Cursor struct {
	Epoch string // "<primary epoch>.<nonce>"; contains no ':'
	ID    ID
}

// String returns "epoch:ms-seq".
func (c Cursor) String() string { return c.Epoch + ":" + c.ID.String() }

// ErrCursor reports a cursor that this server cannot have issued.
var ErrCursor = problem.New(problem.Invalid, "cursor_invalid",
	"The server could not read what this app sent. Reload the page.")

// ParseCursor parses the format that String writes. The error is ErrCursor with the cause.
func ParseCursor(s string) (Cursor, error) {
	epoch, id, ok := strings.Cut(s, ":")
	if !ok || epoch == "" {
		return Cursor{}, ErrCursor.WithCause(fmt.Errorf("parse cursor %.60q: no epoch", s))
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
	Data json.RawMessage // the event as JSON, relayed to sockets unchanged
}
