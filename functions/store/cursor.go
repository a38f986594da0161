package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Mark is a place in a list, as implementations put it into their cursors:
// the sort values of the last entry that was given.
type Mark struct {
	List string `json:"l"`           // which list, with its order and its owner: a cursor of another is refused
	Text string `json:"t,omitempty"` // sort value, where it is text
	Num  int64  `json:"n,omitempty"` // sort value, where it is a number
	ID   string `json:"i"`           // tells equals apart
}

// Cursor returns m as an opaque cursor.
func (m Mark) Cursor() string {
	b, err := json.Marshal(m)
	if err != nil { // strings and an integer only: cannot happen
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseMark reads a cursor of the given list. A nil Mark is the beginning.
// The error is ErrCursor with the cause.
func ParseMark(cursor, list string) (*Mark, error) {
	if cursor == "" {
		return nil, nil
	}
	if len(cursor) > 2048 {
		return nil, ErrCursor.WithCause(fmt.Errorf("cursor of %d bytes", len(cursor)))
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, ErrCursor.WithCause(err)
	}
	var m Mark
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, ErrCursor.WithCause(err)
	}
	if m.List != list || m.ID == "" {
		return nil, ErrCursor.WithCause(fmt.Errorf("cursor of list %.40q used on %.40q", m.List, list))
	}
	return &m, nil
}
