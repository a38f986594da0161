package client

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Store is the durable store of one device for one user. It survives the app. Its changes are atomic, as those of
// IndexedDB transactions are, and durable at once. The exported methods are safe for concurrent use.
type Store struct {
	uid, device string

	mu sync.Mutex
	d  durable // guarded by mu
}

// NewStore returns the empty store of a device that opens the chat for the first time.
func NewStore(uid, device string) *Store {
	return &Store{uid: uid, device: device, d: durable{
		messages:      map[rowKey]*stored{},
		own:           map[string]rowKey{},
		conversations: map[string]*conversation{},
		receipts:      map[rowKey]receipt{},
		changes:       map[rowKey]*waitingChange{},
		finished:      finishedChanges{states: map[rowKey]State{}},
		early:         map[rowKey]chat.Changes{},
		backfills:     map[string]*backfill{},
	}}
}

// UID returns the uid of the user.
func (s *Store) UID() string { return s.uid }

// Device returns the device's id.
func (s *Store) Device() string { return s.device }

// rowKey identifies a message or a change of the store. Another sender may use its id, and so may anybody in another
// conversation.
type rowKey struct{ conversation, key string }

func rowOf(m chat.Message) rowKey { return rowKey{m.Conversation, m.Key()} }

// durable is the content of a Store.
type durable struct {
	cursor        string
	outbox        []rowKey // own messages and changes that are not known to be delivered or refused, in order of typing
	messages      map[rowKey]*stored
	own           map[string]rowKey // messages and changes that were typed here, by id
	conversations map[string]*conversation
	receipts      map[rowKey]receipt        // receipts of messages and changes that are not here yet
	changes       map[rowKey]*waitingChange // own changes that are not known to be delivered or refused
	finished      finishedChanges           // own changes that were, newest only
	early         map[rowKey]chat.Changes   // changes of messages that are not here yet, by message
	gap           bool                      // events may be missing: load history
	gapSince      map[string]chat.Micros    // by conversation: how far back to load, fixed when the gap was recorded
	reloads       []time.Time               // when to load the newest pages again, sorted
	heard         time.Time                 // until when no event is missing, but for those of a gap
	uncorrected   span                      // events of this time may have been followed by corrections that were missed
	lookups       []rowKey                  // messages of that time to look up in history
	backfills     map[string]*backfill      // by backfillKey
	knew          chat.Micros               // the server's time of heard
	changedSince  chat.Micros               // changes that were saved since may be missing; 0: none is
	changedDue    []time.Time               // when to load them, beside each load of a gap or a reload; sorted
	changedLacks  bool                      // they were not loaded yet since one was missed
}

// span is a time from one moment to another.
type span struct{ from, to time.Time }

// unconfirmed returns the messages that events brought in the time of d.uncorrected, and that history has not shown
// since: the newest maxLookups of them.
func (d *durable) unconfirmed() (rows []rowKey) {
	for row, k := range d.messages {
		if !k.heard.IsZero() && !k.heard.Before(d.uncorrected.from) && !k.heard.After(d.uncorrected.to) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b rowKey) int {
		newer := d.messages[b].heard.Compare(d.messages[a].heard)
		return cmp.Or(newer, cmp.Compare(a.conversation, b.conversation), cmp.Compare(a.key, b.key))
	})
	return rows[:min(len(rows), maxLookups)]
}

// recordGap records that events may be missing. Per conversation, the load reaches back to the newest shown message
// less margin, and to the oldest own message that is still in the outbox, because history is read before that is sent
// again. An older gap reaches further back and stays unchanged.
//
// The correction of a message follows its event within margin, so the corrections of the messages that were heard
// since then, and until now, may be missing as well.
func (d *durable) recordGap(now time.Time, margin time.Duration) {
	from := d.heard.Add(-margin)
	if d.gap || len(d.reloads) > 0 {
		from = earlier(from, d.uncorrected.from)
	}
	d.uncorrected = span{from, now}
	if d.knew > 0 { // a new device gets changes with the messages
		d.lackChanges(d.knew, margin)
	}
	if d.gap {
		return
	}
	d.gap, d.gapSince = true, map[string]chat.Micros{}
	for id, c := range d.conversations {
		if c.newest > 0 {
			d.gapSince[id] = c.newest - chat.Micros(margin.Microseconds())
		}
	}
	for _, row := range d.outbox {
		if k := d.messages[row]; k != nil && k.At > 0 {
			d.gapSince[k.Conversation] = min(d.gapSince[k.Conversation], k.At)
		}
	}
}

type stored struct {
	chat.Message
	state   State
	refusal string       // code of the refusal
	changes chat.Changes // those that are not waiting; Message.Body is without them, if the device has seen that
	// When an event brought it. Zero once history or a correction has shown what is saved under its key.
	heard time.Time
}

type receipt struct {
	state State
	code  string      // of a refusal
	at    chat.Micros // the server's time of a delivery
}

// backfill is a message that a receipt, a read mark or a change refers to and that is not here yet.
type backfill struct {
	conversation string
	key          string // "" for a read mark: any message with exactly this at
	at           chat.Micros
	tries        int
	since, due   time.Time
}

type conversation struct {
	shown  []*stored              // frozen messages in the order of the screen, by (at, key)
	newest chat.Micros            // greatest at of shown
	change chat.Micros            // greatest at of the changes that the device has seen, beside the own ones that wait
	stale  bool                   // load all messages of the device again when the conversation is opened
	read   map[string]chat.Micros // read marks by uid
	unsent chat.Micros            // own read mark that no read event has confirmed; 0 if there is none

	// A message of the user was delivered here. Before the user has written, the other user gets no read mark.
	answered bool
}

func (d *durable) conv(id string) *conversation {
	c := d.conversations[id]
	if c == nil {
		c = &conversation{read: map[string]chat.Micros{}}
		d.conversations[id] = c
	}
	return c
}

// insert inserts a frozen message in its order.
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

// remove takes a message out of those that are shown.
func (c *conversation) remove(m *stored) {
	c.shown = slices.DeleteFunc(c.shown, func(o *stored) bool { return o == m })
	c.newest = 0
	if len(c.shown) > 0 {
		c.newest = c.shown[len(c.shown)-1].At
	}
}

// hasMessageAt reports whether a message with this at is shown.
func (c *conversation) hasMessageAt(at chat.Micros) bool {
	i := sort.Search(len(c.shown), func(k int) bool { return c.shown[k].At >= at })
	return i < len(c.shown) && c.shown[i].At == at
}

// Line is a message as a conversation shows it.
type Line struct {
	chat.Message        // with the changed body
	State        State  // of an own message
	Refusal      string // code of the refusal, if State is Refused
	Changes      chat.Changes
}

// line returns a message as a conversation shows it, with the own changes that wait.
func (d *durable) line(k *stored) Line {
	sum := d.shownChanges(k)
	m := k.Message
	m.Body = sum.Body(m.Body)
	return Line{m, k.state, k.refusal, sum}
}

// Conversation returns the messages that the device shows of a conversation, in order. Own messages that were never
// sent are at the end.
func (s *Store) Conversation(id string) []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.d.conversations[id]
	if c == nil {
		return nil
	}
	lines := make([]Line, 0, len(c.shown))
	for _, m := range c.shown {
		lines = append(lines, s.d.line(m))
	}
	for _, row := range s.d.outbox {
		if m := s.d.messages[row]; m != nil && m.Conversation == id && m.At == 0 {
			lines = append(lines, s.d.line(m))
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
	return s.d.line(c.shown[len(c.shown)-1]), true
}

// Outbox returns how many own messages and changes are not known to be delivered or refused.
func (s *Store) Outbox() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.d.outbox)
}

// Backfills returns how many backfills are left to do.
func (s *Store) Backfills() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.d.backfills) + len(s.d.lookups)
	if s.d.gap {
		n++
	}
	if s.d.changedLacks {
		n++
	}
	return n
}

// PendingBackfills names the backfills that are left to do, for failure messages.
func (s *Store) PendingBackfills() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Sorted(maps.Keys(s.d.backfills))
	for _, row := range s.d.lookups {
		out = append(out, row.key)
	}
	if s.d.gap {
		out = append(out, "history")
	}
	if s.d.changedLacks {
		out = append(out, "changes")
	}
	return out
}

// Rows returns how many rows the store has beside messages. They stand for the rows of the browser's database: one for
// each conversation, message or change to send, receipt or change that came before its message, backfill and planned
// reload.
func (s *Store) Rows() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.d
	return len(d.conversations) + len(d.outbox) + len(d.receipts) + len(d.backfills) + len(d.reloads) + len(d.gapSince) +
		len(d.lookups) + len(d.early) + len(d.changedDue)
}

// Cursor returns the cursor up to which the device has stored its inbox.
func (s *Store) Cursor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.cursor
}

// Snapshot returns a copy of the store. A test sets a device back to it, as when a backup is restored or a tab wakes
// after a long time.
func (s *Store) Snapshot() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := NewStore(s.uid, s.device)
	c.d.cursor, c.d.gap = s.d.cursor, s.d.gap
	c.d.gapSince = maps.Clone(s.d.gapSince)
	c.d.heard, c.d.uncorrected, c.d.lookups = s.d.heard, s.d.uncorrected, slices.Clone(s.d.lookups)
	c.d.outbox, c.d.reloads = slices.Clone(s.d.outbox), slices.Clone(s.d.reloads)
	c.d.own, c.d.finished, c.d.early = maps.Clone(s.d.own), s.d.finished.clone(), maps.Clone(s.d.early)
	c.d.knew, c.d.changedSince, c.d.changedLacks = s.d.knew, s.d.changedSince, s.d.changedLacks
	c.d.changedDue = slices.Clone(s.d.changedDue)
	for row, change := range s.d.changes {
		k := *change
		c.d.changes[row] = &k
	}
	for row, m := range s.d.messages {
		k := *m
		c.d.messages[row] = &k
	}
	for id, conv := range s.d.conversations {
		k := c.d.conv(id)
		k.newest, k.unsent, k.change, k.stale = conv.newest, conv.unsent, conv.change, conv.stale
		k.answered = conv.answered
		for uid, at := range conv.read {
			k.read[uid] = at
		}
		for _, m := range conv.shown {
			k.shown = append(k.shown, c.d.messages[rowOf(m.Message)])
		}
	}
	maps.Copy(c.d.receipts, s.d.receipts)
	for key, pending := range s.d.backfills {
		k := *pending
		c.d.backfills[key] = &k
	}
	return c
}

// Unseen returns the at of the newest message of others in a conversation, and whether the user has not seen it yet.
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
