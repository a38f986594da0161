// Package record is the memory of a fault run: an append-only log of what
// every device wrote, stored, showed and acknowledged, of what the store saved
// and when, of the faults, and of what everyone shows in the end. Package
// verdict judges from it alone; nothing else that a run knows counts.
//
// One [Log] takes the entries of all devices and of the store of a run, which
// live in one process, so that the order of entries is the order of what
// happened: a device enters what it stored from inside the transaction, the
// store enters what it saves before it answers.
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

// Kind says what an entry tells. The fields that it fills stand behind it,
// beside T and, for the first group, Device.
type Kind string

// Kinds of entries.
const (
	Device     Kind = "device"  // Person, Name ("" or its bad manners): the device takes part from here on
	Typed      Kind = "typed"   // ID, Conversation, Person (recipient), Text: written by the person
	Frozen     Kind = "frozen"  // ID, Conversation, At, Sum: fixed, and about to be sent for the first time
	Shown      Kind = "shown"   // ID, Conversation, At, Sum, Text, Name (outbox, event or history): stored, and shown from now on
	State      Kind = "state"   // ID, Name: an own message came to this state
	Acked      Kind = "acked"   // told a server that all that was shown until now is stored
	ReadTo     Kind = "read"    // Conversation, At: seen by the person
	Up         Kind = "up"      // a socket is caught up, none was before
	Down       Kind = "down"    // none is any more
	Moved      Kind = "moved"   // a new socket was caught up before the old one closed
	NotResumed Kind = "not_resumed"  // the server said resumed: false
	Load       Kind = "load"    // one read of history
	Offline    Kind = "offline" // the device's own network, or the app, is gone
	Online     Kind = "online"  // and back
	Left       Kind = "left"    // the device never comes back
	View       Kind = "view"    // Conversation, Lines: what it shows in the end

	Saved  Kind = "saved"  // ID, Sum, Text, Conversation: the store has created the document
	Fault  Kind = "fault"  // Name: begins
	Healed Kind = "healed" // Name: ended

	Unfinished Kind = "unfinished" // the run's time is up, and messages still come further
	Erased     Kind = "erased"     // Person: has no account from here on, or never had one
	Checked    Kind = "checked"    // Name (what was checked), Detail (what was found), Broken: bad input was met as it should, or not
	Wiped      Kind = "wiped"      // Redis has lost accepted writes, before this entry and since the Fault of the same Name
	History    Kind = "history"    // Conversation, Lines: what the API lists in the end
)

// Entry is one thing that happened.
type Entry struct {
	T            int64       `json:"t"` // microseconds since the log began; set by Add
	Kind         Kind        `json:"kind"`
	Device       string      `json:"device,omitempty"`
	User         string      `json:"user,omitempty"`
	ID           string      `json:"id,omitempty"`
	Conversation string      `json:"conversation,omitempty"`
	At           chat.Micros `json:"at,omitempty"`
	Sum          Hash        `json:"sum,omitempty"`  // of all that the sender fixed
	Text         Hash        `json:"text,omitempty"` // of conversation, sender and body: which typed message it is, whatever its id
	Name         string      `json:"name,omitempty"`
	Lines        []Line      `json:"lines,omitempty"`
	Detail       string      `json:"detail,omitempty"`
	Broken       bool        `json:"broken,omitempty"`
}

// Line is a message in the end, in its place.
type Line struct {
	ID    string      `json:"id"`
	At    chat.Micros `json:"at"`
	Sum   Hash        `json:"sum"`
	Text  Hash        `json:"text"`
	State string      `json:"state,omitempty"` // on a device of the sender
}

// Hash is a hash of a message's content; in JSON it is text, since numbers lose bits there.
type Hash uint64

// MarshalText writes h in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(h), 16), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	*h = Hash(n)
	return err
}

// SumOf returns the hash of all that the sender of m fixed.
func SumOf(m chat.Message) Hash {
	return hash(m.ID, m.Conversation, m.From, m.To, m.Body, m.ReplyTo, strconv.FormatInt(int64(m.At), 10))
}

// TextOf returns the hash of which typed message m is; a run never types the
// same body twice in a conversation.
func TextOf(m chat.Message) Hash { return hash(m.Conversation, m.From, m.Body) }

func hash(parts ...string) Hash {
	h := uint64(14695981039346656037) // FNV-1a, written out: hash/fnv would copy each text
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * 1099511628211
		}
		h *= 1099511628211 // a zero byte ends each part
	}
	return Hash(h)
}

// Log is a record in memory. Its methods may be called by several goroutines at once.
type Log struct {
	start time.Time

	mu       sync.Mutex
	entries  []Entry           // guarded by mu
	progress int               // see Progress; guarded by mu
	interned map[string]string // one copy of each id; guarded by mu
}

// New returns an empty log that begins now.
func New() *Log { return &Log{start: time.Now(), interned: map[string]string{}} }

// Add appends e, with the time since the log began.
func (l *Log) Add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.T = time.Since(l.start).Microseconds()
	for _, s := range []*string{&e.Device, &e.User, &e.ID, &e.Conversation, &e.Name} {
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

// Progress grows whenever a message comes further: shown somewhere, in another
// state, saved. Repeated attempts do not count, so that it stands still when all has arrived,
// or nothing can.
func (l *Log) Progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// Entries returns what was added so far. The caller must not change it.
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

// Read reads what Write wrote.
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
