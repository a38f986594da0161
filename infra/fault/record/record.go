// Package record is the append-only log of a fault run. It holds what every device wrote, stored, showed and
// acknowledged, what the store saved and when, the faults, and what everyone shows in the end. Package verdict judges
// a run from this record alone.
//
// One [Log] takes the entries of all devices and of the store, which live in one process. The order of the entries is
// therefore the order of events: a device adds its entry inside the transaction that stores a message, and the store
// adds its entry before it answers.
//
// A Log streams its entries to a file, one line of JSON each, so that the length of a run is bounded by the disk and
// not by memory. Readers iterate over the file.
package record

import (
	"strconv"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Kind is the kind of an Entry. Each kind is listed with the fields that it fills, beside T. The kinds of the first
// group also fill Device.
type Kind string

// Kinds of entries.
const (
	Device     Kind = "device"      // User, Name (a misbehavior or ""): the device takes part from here on
	Typed      Kind = "typed"       // ID, Conversation, User (the recipient), Text: written; Of, Name (kind): a change
	Retyped    Kind = "retyped"     // ID, Conversation, Text: the user has edited it before it was sent
	Dropped    Kind = "dropped"     // ID, Conversation: left the outbox, because its user or another change undoes it
	Folded     Kind = "folded"      // ID, Conversation, Changed: shown with these changes from now on; none that waits
	Frozen     Kind = "frozen"      // ID, Conversation, At, Sum: fixed, and about to be sent for the first time
	Shown      Kind = "shown"       // ID, Conversation, At, Sum, Text, Name (outbox, event or history): stored and shown
	Repeated   Kind = "repeated"    // ID, Conversation: an event of a message that the device has already
	Corrected  Kind = "corrected"   // ID, Conversation, At, Sum, Text: shown from now on with the content that was saved
	State      Kind = "state"       // ID, Name, Detail (code of a refusal): an own message or change reached this state
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
	Asleep     Kind = "asleep"      // the device sleeps: it has no socket, but for visits
	Awake      Kind = "awake"       // the device does not sleep anymore
	Deaf       Kind = "deaf"        // the device stops reading its sockets
	Hears      Kind = "hears"       // the device reads its sockets again
	Left       Kind = "left"        // the device never comes back
	Restored   Kind = "restored"    // Conversation, Lines: what a device that was set back begins with
	View       Kind = "view"        // Conversation, Lines: what the device shows before the end and in the end
	List       Kind = "list"        // List: the conversations that the device shows before the end and in the end

	Published Kind = "published" // ID, Conversation: Pub/Sub has it, and is about to confirm that; may repeat
	Saved     Kind = "saved"     // ID, Conversation, At, Sum, Text: the store creates the document; Of: merges the change
	Stored    Kind = "stored"    // ID, Conversation: the store has confirmed that
	Fault     Kind = "fault"     // Name, Detail (Servers or ""): the fault begins
	Healed    Kind = "healed"    // Name: the fault has ended

	Unfinished Kind = "unfinished" // the time of the run is over while messages still make progress
	Erased     Kind = "erased"     // User: deleted, or never existed
	Withdrawn  Kind = "withdrawn"  // User: disabled, and what waits from them is being withdrawn
	Blocked    Kind = "blocked"    // User, Name (another user): the user blocks the other
	Unblocked  Kind = "unblocked"  // User, Name (another user): the block has ended
	Reused     Kind = "reused"     // ID, Conversation, Sum, Text: about to be sent again with this other content
	Listed     Kind = "listed"     // User, List: the conversations that the API lists in the end
	Checked    Kind = "checked"    // Name (what was checked), Detail (what was found), Broken: a check that a fault made
	Wiped      Kind = "wiped"      // Name (the fault): Redis has lost accepted writes since the Fault entry of this name
	Kept       Kind = "kept"       // what was accepted before must outlive the loss that the next Wiped entry reports
	History    Kind = "history"    // Conversation, Lines: what the API lists in the end
)

// Servers is the Detail of a Fault entry if the fault hits parts of the system, and not only devices or users.
const Servers = "servers"

// Entry is one event of a run.
type Entry struct {
	T            int64       `json:"t"` // microseconds since the log began; set by Add
	Kind         Kind        `json:"kind"`
	Device       string      `json:"device,omitempty"`
	User         string      `json:"user,omitempty"`
	ID           string      `json:"id,omitempty"` // the key of a message or change
	Conversation string      `json:"conversation,omitempty"`
	At           chat.Micros `json:"at,omitempty"`
	Sum          Hash        `json:"sum,omitempty"`  // of everything that the sender fixed; 0: changes altered the text
	Text         Hash        `json:"text,omitempty"` // identifies a typed message whatever its id; see TextOf
	Name         string      `json:"name,omitempty"`
	Lines        []Line      `json:"lines,omitempty"`
	List         []Item      `json:"list,omitempty"`
	Call         int64       `json:"call,omitempty"` // number of a request, unique in the run
	More         bool        `json:"more,omitempty"` // there are older messages than those of the page
	Detail       string      `json:"detail,omitempty"`
	Broken       bool        `json:"broken,omitempty"`
	Of           string      `json:"of,omitempty"`      // the key of the message that a change is about
	Changed      string      `json:"changed,omitempty"` // see ChangesOf
}

// Line is a message in the final view of a conversation.
type Line struct {
	ID    string      `json:"id"`
	At    chat.Micros `json:"at"`
	Sum   Hash        `json:"sum"`
	Text  Hash        `json:"text"`
	State string      `json:"state,omitempty"` // on a device of the sender

	Changed string `json:"changed,omitempty"` // see ChangesOf
}

// Item is a conversation in a list of conversations, newest first.
type Item struct {
	Conversation string                 `json:"conversation"`
	ID           string                 `json:"id"` // of the newest message that is saved
	At           chat.Micros            `json:"at"`
	LastAt       chat.Micros            `json:"last_at,omitempty"` // the at by which the API sorts
	Text         Hash                   `json:"text"`
	Unread       int                    `json:"unread"`
	Read         map[string]chat.Micros `json:"read"` // by uid
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
