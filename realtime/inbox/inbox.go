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

// unsafe reports whether id is beyond what scripts can compute with, and therefore write.
func (id ID) unsafe() bool { return id.Ms >= 1<<53 || id.Seq >= 1<<53 }

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
	Epoch    string // "<primary epoch>.<nonce>"; contains no ':'
	ID       ID
	Removals Removals
}

// Removals is the part of a Cursor that tells which removed messages the device has (DESIGN §5, "Withdraw"). Calls that
// remove messages from an inbox are numbered. The device has every message up to the cursor that a call after Seen
// removed, and every one up to Held that a call after Base, up to Seen, removed.
type Removals struct {
	Seen, Base uint64
	Held       ID
}

// AllSeen returns the part of a cursor whose device has none of the messages that n calls removed.
func AllSeen(n uint64) Removals { return Removals{Seen: n, Base: n} }

// String returns "epoch:ms-seq", followed by ":seen" unless nothing was seen, and by ":base:held" if something is held.
func (c Cursor) String() string {
	s := c.Epoch + ":" + c.ID.String()
	r := c.Removals
	if r == (Removals{}) {
		return s
	}
	s += ":" + strconv.FormatUint(r.Seen, 10)
	if r != AllSeen(r.Seen) {
		s += ":" + strconv.FormatUint(r.Base, 10) + ":" + r.Held.String()
	}
	return s
}

// args returns r as arguments of scripts.
func (r Removals) args() []any { return []any{r.Seen, r.Base, r.Held.String()} }

// ErrCursor reports a cursor that this server cannot have issued.
var ErrCursor = problem.New(problem.Invalid, "cursor_invalid",
	"The server could not read what this app sent. Reload the page.")

// ParseCursor parses the format that String writes. The error is ErrCursor with the cause.
func ParseCursor(s string) (Cursor, error) {
	part := strings.Split(s, ":")
	if len(part) < 2 || part[0] == "" {
		return Cursor{}, ErrCursor.WithCause(fmt.Errorf("parse cursor %.60q: no epoch", s))
	}
	id, err := ParseID(part[1])
	c := Cursor{Epoch: part[0], ID: id}
	switch len(part) {
	case 2:
	case 3, 5:
		var errs [3]error
		c.Removals.Seen, errs[0] = strconv.ParseUint(part[2], 10, 53)
		c.Removals.Base = c.Removals.Seen
		if len(part) == 5 {
			c.Removals.Base, errs[1] = strconv.ParseUint(part[3], 10, 53)
			c.Removals.Held, errs[2] = ParseID(part[4])
		}
		err = errors.Join(err, errs[0], errs[1], errs[2])
		if c.Removals.Held.unsafe() {
			err = errors.Join(err, fmt.Errorf("parse cursor %.60q: no script wrote such an id", s))
		}
	default:
		err = errors.Join(err, fmt.Errorf("parse cursor %.60q: %d parts", s, len(part)))
	}
	if err != nil {
		return Cursor{}, ErrCursor.WithCause(err)
	}
	return c, nil
}

// Event is one entry of an inbox.
type Event struct {
	ID   ID
	Type string          // wire.EventMessage, …
	Data json.RawMessage // the event as JSON, relayed to sockets unchanged
}
