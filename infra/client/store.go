package client

import (
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Store is what one device keeps for one account: it survives the app. Its
// changes are atomic, as IndexedDB's transactions are, and durable at once.
// The exported methods may be called by several goroutines at once.
type Store struct {
	uid, device string

	mu sync.Mutex
	d  durable // guarded by mu
}

// NewStore returns the empty store of a device that sees the chat for the first time.
func NewStore(uid, device string) *Store {
	return &Store{uid: uid, device: device, d: durable{
		messages:      map[string]*stored{},
		conversations: map[string]*conversation{},
		receipts:      map[string]receipt{},
		backfills:     map[string]*backfill{},
	}}
}

// UID and Device say whose store this is.
func (s *Store) UID() string { return s.uid }

// Device returns the device's id.
func (s *Store) Device() string { return s.device }

// durable is the content of a Store.
type durable struct {
	cursor        string
	outbox        []string // ids of own messages not yet delivered, seen in history or refused, as typed
	messages      map[string]*stored
	conversations map[string]*conversation
	receipts      map[string]receipt     // receipts for messages not known yet, by id
	gap           bool                   // events may be missing: load history
	gapSince      map[string]chat.Micros // how far back, by conversation: what was newest when the debt arose
	reloads       []time.Time            // when to load the newest pages again, sorted
	backfills     map[string]*backfill   // by debtKey
}

// oweHistory notes that events may be missing after what is shown now, less a
// margin, or after the oldest own message that is still in the outbox: history
// is asked for it before it is sent again. An older debt reaches further back
// and stays as it is.
func (d *durable) recordGap(margin chat.Micros) {
	if d.gap {
		return
	}
	d.gap, d.gapSince = true, map[string]chat.Micros{}
	for id, c := range d.conversations {
		if c.newest > 0 {
			d.gapSince[id] = c.newest - margin
		}
	}
	for _, id := range d.outbox {
		if k := d.messages[id]; k.At > 0 {
			d.gapSince[k.Conversation] = min(d.gapSince[k.Conversation], k.At)
		}
	}
}

type stored struct {
	chat.Message
	state   State
	refusal string // code of the refusal
}

type receipt struct {
	state State
	code  string
}

// idDebt is something that a receipt spoke of and that is not here yet.
type backfill struct {
	conversation string
	id           string // "" for a read mark: any message at exactly at
	at           chat.Micros
	tries        int
	since, due   time.Time
}

type conversation struct {
	shown  []*stored              // frozen messages by (at, id), the order on the screen
	newest chat.Micros            // greatest at among shown
	read   map[string]chat.Micros // marks by uid
	unsent chat.Micros            // own mark that no read event has confirmed; 0 for none
}

func (d *durable) conv(id string) *conversation {
	c := d.conversations[id]
	if c == nil {
		c = &conversation{read: map[string]chat.Micros{}}
		d.conversations[id] = c
	}
	return c
}

// insert puts a frozen message in its place.
func (c *conversation) insert(m *stored) {
	i := len(c.shown)
	for i > 0 && i > len(c.shown)-8 && m.Before(c.shown[i-1].Message) {
		i--
	}
	if i > 0 && m.Before(c.shown[i-1].Message) {
		i = sort.Search(i, func(k int) bool { return m.Before(c.shown[k].Message) })
	}
	c.shown = slices.Insert(c.shown, i, m)
	c.newest = max(c.newest, m.At)
}

// holds reports whether a message with this at is shown.
func (c *conversation) hasMessageAt(at chat.Micros) bool {
	i := sort.Search(len(c.shown), func(k int) bool { return c.shown[k].At >= at })
	return i < len(c.shown) && c.shown[i].At == at
}

// Line is a message as a conversation shows it.
type Line struct {
	chat.Message
	State   State  // of an own message
	Refusal string // code of the refusal, where State is Refused
}

// Conversation returns what the device shows of a conversation, in its order;
// own messages that were not sent yet stand at the end.
func (s *Store) Conversation(id string) []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.d.conversations[id]
	if c == nil {
		return nil
	}
	lines := make([]Line, 0, len(c.shown))
	for _, m := range c.shown {
		lines = append(lines, Line{m.Message, m.state, m.refusal})
	}
	for _, oid := range s.d.outbox {
		if m := s.d.messages[oid]; m.Conversation == id && m.At == 0 {
			lines = append(lines, Line{m.Message, m.state, m.refusal})
		}
	}
	return lines
}

// Conversations returns the ids of the conversations that the device knows, sorted.
func (s *Store) Conversations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.d.conversations))
	for id := range s.d.conversations {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Newest returns the newest message that the device shows in a conversation.
func (s *Store) Newest(conversation string) (Line, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.d.conversations[conversation]
	if c == nil || len(c.shown) == 0 {
		return Line{}, false
	}
	m := c.shown[len(c.shown)-1]
	return Line{m.Message, m.state, m.refusal}, true
}

// Outbox returns how many own messages are not yet delivered, seen in history or refused.
func (s *Store) Outbox() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.d.outbox)
}

// Debts returns how many loads of history are owed.
func (s *Store) Backfills() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.d.backfills)
	if s.d.gap {
		n++
	}
	return n
}

// Owed names the loads of history that are owed, for people who look for why.
func (s *Store) PendingBackfills() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Sorted(maps.Keys(s.d.backfills))
	if s.d.gap {
		out = append(out, "history")
	}
	return out
}

// Cursor returns the place up to which the device has stored its inbox.
func (s *Store) Cursor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.cursor
}

// Snapshot returns a copy of the store as it is now, for a device that will be
// set back to it (restored from a backup, or a tab that wakes after long).
func (s *Store) Snapshot() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := NewStore(s.uid, s.device)
	c.d.cursor, c.d.gap = s.d.cursor, s.d.gap
	c.d.gapSince = maps.Clone(s.d.gapSince)
	c.d.outbox, c.d.reloads = slices.Clone(s.d.outbox), slices.Clone(s.d.reloads)
	for id, m := range s.d.messages {
		k := *m
		c.d.messages[id] = &k
	}
	for id, conv := range s.d.conversations {
		k := c.d.conv(id)
		k.newest, k.unsent = conv.newest, conv.unsent
		for uid, at := range conv.read {
			k.read[uid] = at
		}
		for _, m := range conv.shown {
			k.shown = append(k.shown, c.d.messages[m.ID])
		}
	}
	for id, r := range s.d.receipts {
		c.d.receipts[id] = r
	}
	for key, backfillAt := range s.d.backfills {
		k := *backfillAt
		c.d.backfills[key] = &k
	}
	return c
}

// Unseen returns the place of the newest message of others in a conversation,
// where it lies beyond what the person was known to have seen.
func (s *Store) Unseen(conversation string) (at chat.Micros, unseen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.d.conversations[conversation]
	if c == nil {
		return 0, false
	}
	for _, m := range slices.Backward(c.shown) {
		if m.From != s.uid {
			return m.At, m.At > max(c.read[s.uid], c.unsent)
		}
	}
	return 0, false
}
