// Package record is the append-only log of a fault run. It holds what every device wrote, stored, showed and
// acknowledged, what the store saved and when, the faults, and what everyone shows in the end. Package verdict judges
// a run from this record alone.
//
// One [Log] takes the entries of all devices and of the store, which live in one process. The order of the entries is
// therefore the order of events: a device adds its entry inside the transaction that stores a message, and the store
// adds its entry before it answers.
package record

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Kind is the kind of an Entry. Each kind is listed with the fields that it fills, beside T. The kinds of the first
// group also fill Device, and From where they fill ID.
type Kind string

// Kinds of entries.
const (
	Device     Kind = "device"      // User, Name (a misbehavior or ""): the device takes part from here on
	Typed      Kind = "typed"       // ID, Conversation, User (the recipient), Text: written by the user
	Frozen     Kind = "frozen"      // ID, Conversation, At, Sum: fixed, and about to be sent for the first time
	Shown      Kind = "shown"       // ID, Conversation, At, Sum, Text, Name (outbox, event or history): stored and shown
	State      Kind = "state"       // ID, Name: an own message reached this state
	Acked      Kind = "acked"       // acknowledged everything that was shown until now
	ReadTo     Kind = "read"        // Conversation, At: seen by the user
	Up         Kind = "up"          // a socket is caught up, and none was before
	Down       Kind = "down"        // no socket is caught up anymore
	Moved      Kind = "moved"       // a new socket was caught up before the old one closed
	NotResumed Kind = "not_resumed" // the server sent resumed: false
	Load       Kind = "load"        // one request for history
	Asked      Kind = "asked"       // Call, Conversation, Name (before): began to request a page of history
	Page       Kind = "page"        // Call, Conversation, Name (before), Lines, More: the page that was returned
	Offline    Kind = "offline"     // the device has lost its network, or its app has ended
	Online     Kind = "online"      // the device has its network and its app again
	Left       Kind = "left"        // the device never comes back
	View       Kind = "view"        // Conversation, Lines: what the device shows in the end

	Saved  Kind = "saved"  // ID, From, Conversation, At, Sum, Text: the store creates the document
	Stored Kind = "stored" // ID, From, Conversation: the store has confirmed that
	Fault  Kind = "fault"  // Name: the fault begins
	Healed Kind = "healed" // Name: the fault has ended

	Unfinished Kind = "unfinished" // the time of the run is over while messages still make progress
	Erased     Kind = "erased"     // User: deleted, or never existed
	Withdrawn  Kind = "withdrawn"  // User: what waits from them is being withdrawn
	Checked    Kind = "checked"    // Name (what was checked), Detail (what was found), Broken: a check that a fault made
	Wiped      Kind = "wiped"      // Name (the fault): Redis has lost accepted writes since the Fault entry of this name
	History    Kind = "history"    // Conversation, Lines: what the API lists in the end
)

// Entry is one event of a run.
type Entry struct {
	T            int64       `json:"t"` // microseconds since the log began; set by Add
	Kind         Kind        `json:"kind"`
	Device       string      `json:"device,omitempty"`
	User         string      `json:"user,omitempty"`
	ID           string      `json:"id,omitempty"`
	From         string      `json:"from,omitempty"` // sender of the message ID
	Conversation string      `json:"conversation,omitempty"`
	At           chat.Micros `json:"at,omitempty"`
	Sum          Hash        `json:"sum,omitempty"`  // of everything that the sender fixed
	Text         Hash        `json:"text,omitempty"` // identifies a typed message whatever its id; see TextOf
	Name         string      `json:"name,omitempty"`
	Lines        []Line      `json:"lines,omitempty"`
	Call         int64       `json:"call,omitempty"` // number of a request, unique in the run
	More         bool        `json:"more,omitempty"` // there are older messages than those of the page
	Detail       string      `json:"detail,omitempty"`
	Broken       bool        `json:"broken,omitempty"`
}

// Line is a message in the final view of a conversation.
type Line struct {
	ID    string      `json:"id"`
	From  string      `json:"from,omitempty"`
	At    chat.Micros `json:"at"`
	Sum   Hash        `json:"sum"`
	Text  Hash        `json:"text"`
	State string      `json:"state,omitempty"` // on a device of the sender
}

// Hash is a hash of a message's content. In JSON it is a string, because JSON numbers lose bits of a uint64.
type Hash uint64

// MarshalText writes h in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(h), 16), nil }

// UnmarshalText reads the format of MarshalText.
func (h *Hash) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	*h = Hash(n)
	return err
}

// SumOf returns the hash of everything that the sender of m fixed.
func SumOf(m chat.Message) Hash {
	return hash(m.ID, m.Conversation, m.From, m.To, m.Body, m.ReplyTo, strconv.FormatInt(int64(m.At), 10))
}

// TextOf returns the hash that identifies a typed message. A run never types the same body twice in a conversation.
func TextOf(m chat.Message) Hash { return hash(m.Conversation, m.From, m.Body) }

func hash(parts ...string) Hash {
	h := uint64(14695981039346656037) // FNV-1a by hand, because hash/fnv would copy each string
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * 1099511628211
		}
		h *= 1099511628211 // ends each part with a zero byte
	}
	return Hash(h)
}

// Log is a record in memory. Its methods are safe for concurrent use.
type Log struct {
	start time.Time

	mu       sync.Mutex
	entries  []Entry           // guarded by mu
	progress int               // see Progress; guarded by mu
	interned map[string]string // one copy of each string; guarded by mu
}

// New returns an empty log that begins now.
func New() *Log { return &Log{start: time.Now(), interned: map[string]string{}} }

// Add appends e, with the time since the log began.
func (l *Log) Add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.T = time.Since(l.start).Microseconds()
	for _, s := range []*string{&e.Device, &e.User, &e.ID, &e.From, &e.Conversation, &e.Name} {
		if *s == "" {
			continue
		}
		if k, ok := l.interned[*s]; ok {
			*s = k
		} else {
			l.interned[*s] = *s
		}
	}
	l.entries = append(l.entries, e)
	switch e.Kind {
	case Shown, State, Saved:
		l.progress++
	}
}

// Progress returns a number that grows whenever a message makes progress: shown somewhere, in another state, or
// saved. Repeated attempts do not count, so it stays the same once everything has arrived, or nothing can.
func (l *Log) Progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// Entries returns the entries so far. The caller must not change them.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[:len(l.entries):len(l.entries)]
}

// Write writes entries as lines of JSON.
func Write(w io.Writer, entries []Entry) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for i := range entries {
		if err := enc.Encode(&entries[i]); err != nil {
			return fmt.Errorf("write entry %d: %w", i, err)
		}
	}
	return b.Flush()
}

// Read reads entries in the format of Write.
func Read(r io.Reader) ([]Entry, error) {
	var entries []Entry
	for dec := json.NewDecoder(bufio.NewReader(r)); ; {
		var e Entry
		switch err := dec.Decode(&e); err {
		case nil:
			entries = append(entries, e)
		case io.EOF:
			return entries, nil
		default:
			return nil, fmt.Errorf("read entry %d: %w", len(entries), err)
		}
	}
}
