package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Mark is a position in a list: the sort values of the last entry of a page. Implementations encode it as a cursor.
type Mark struct {
	List string `json:"l"`           // identifies the list, its order and its owner; a cursor of another list is refused
	Text string `json:"t,omitempty"` // sort value, if it is text
	Num  int64  `json:"n,omitempty"` // sort value, if it is a number
	ID   string `json:"i"`           // distinguishes entries with the same sort value
}

// Cursor encodes m as an opaque cursor.
func (m Mark) Cursor() string {
	b, err := json.Marshal(m)
	if err != nil { // cannot happen: m has only strings and an integer
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseMark decodes a cursor of the given list. A nil Mark is the start of the list. The error is ErrCursor with the
// cause.
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
