package judge

import (
	"math"
	"slices"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// This file turns a record into operations. Their times are the numbers of entries, because the order of the entries
// is the order of events.

// never is the end of an operation that has none.
const never = math.MaxInt64

// Names in the record.
const (
	acksAhead = "acks ahead" // a misbehavior of a device
	opening   = "opening"    // the fault that begins the end of a run
	byOutbox  = "outbox"     // how a device came to show a message
	byHistory = "history"
)

// history is the operations of a run.
type history struct {
	now           int64 // number of the present entry
	opened        int64 // when the end of the run began; 0: it did not
	devices       map[string]*device
	devicesOf     map[string][]*device // by user
	messages      map[[2]string]*message
	changes       map[[2]string]*change
	inOrder       []*message
	conversations map[string]*conversation
	threads       []*thread // in the order of their first deed
	calls         map[int64]int64
	began         map[string]int64 // by fault
	disturbed     int64            // when the first fault of servers began; 0: there was none
	wipes         []span
	erased        map[string]int64    // by user
	withdrawn     map[[2]string]int64 // by sender, and by recipient or "" for all
}

// span is the time between two entries.
type span struct{ from, to int64 }

type device struct {
	number  int
	name    string
	user    string
	left    int64 // 0: it did not
	ahead   int64 // since when it acknowledges what it does not have; 0: never
	setBack bool  // begins with an older state of another device, which left
	erratic bool  // it acknowledges in a way that no app does; the server sends it a bounded number of messages
	gap     int64 // the last time before the end that the server said that events are missing; 0: never
	unacked []*message

	unackedChanges []*change
}

// message is the operations on one message.
type message struct {
	conversation string
	key          string
	author       *device // nil: nobody typed it
	to           string
	turn         int
	content      content
	fixedFirst   int64
	fixedLast    int64
	evidence     int64 // the first entry that shows that it was accepted; 0: none
	published    bool
	saving       int // index of that step; -1
	stored       int64
	fromHistory  map[*device]int64 // when a device found it in history
	page         int64             // the last request whose page had it
	steps        []step
	changes      []*change
	readings     []reading
	dropped      bool // its user has deleted it before it was sent
}

// step is one operation.
type step struct {
	span
	action action
	device *device
	answer answer
}

type conversation struct {
	messages []*message
	turns    map[*device]int
	threads  map[*device]*thread
	views    map[*device]span
	listed   span
	marks    map[string][]readMark // by user, ascending
}

type readMark struct{ at, entry int64 }

// thread is the operations of one device, or of the API, in one conversation.
type thread struct {
	name  string
	deeds []*deed
	spans []span
}

func newHistory() *history {
	return &history{
		devices: map[string]*device{}, devicesOf: map[string][]*device{}, messages: map[[2]string]*message{},
		changes: map[[2]string]*change{}, conversations: map[string]*conversation{}, calls: map[int64]int64{},
		began: map[string]int64{}, erased: map[string]int64{}, withdrawn: map[[2]string]int64{},
	}
}

// add adds the entry with a number, which is greater than that of the one before.
func (h *history) add(number int, e *record.Entry) {
	h.now = int64(number) + 1
	here := span{h.now, h.now}
	var d *device
	if e.Device != "" {
		d = h.device(e)
	}
	if h.addChange(e, d) {
		return
	}
	switch e.Kind {
	case record.Retyped:
		h.message(e.Conversation, e.ID).content.text = e.Text
	case record.Dropped:
		h.message(e.Conversation, e.ID).dropped = true
	case record.Folded: // devices are compared by package verdict
	case record.Device:
		if e.Name == acksAhead && d.ahead == 0 {
			d.ahead = h.now
		}
		d.erratic = d.erratic || e.Name != ""
	case record.Typed:
		h.addTyped(e, d)
	case record.Frozen:
		m := h.message(e.Conversation, e.ID)
		m.content = content{e.Sum, m.content.text, int64(e.At)}
		if m.fixedFirst == 0 {
			m.fixedFirst = h.now
		}
		m.fixedLast = h.now
		m.add(here, fix, d, answer{content: m.content})
		h.thread(e.Conversation, d).add(here, &deed{kind: writes, place: m.place(), turn: m.turn})
	case record.Shown:
		h.addShown(e, d)
	case record.State:
		m := h.message(e.Conversation, e.ID)
		r := rank(max(0, slices.Index(rankNames, e.Name)))
		if r != waiting && r != refused {
			m.prove(h.now)
		}
		m.add(here, report, d, answer{rank: r})
	case record.Acked:
		for _, m := range d.unacked {
			m.add(here, ack, d, answer{})
		}
		d.unacked = nil
		for _, c := range d.unackedChanges {
			c.acked = true
		}
		d.unackedChanges = nil
	case record.ReadTo:
		c := h.conversation(e.Conversation)
		marks := c.marks[d.user]
		if len(marks) == 0 || marks[len(marks)-1].at < int64(e.At) {
			c.marks[d.user] = append(marks, readMark{int64(e.At), h.now})
		}
	case record.Left:
		d.left = h.now
	case record.NotResumed:
		if h.opened == 0 {
			d.gap = h.now
		}
	case record.Repeated:
		m := h.message(e.Conversation, e.ID)
		m.prove(h.now)
		m.add(here, repeat, d, answer{})
	case record.Restored:
		d.setBack = true
		for i := range e.Lines {
			m, a := h.read(e.Conversation, &e.Lines[i])
			m.add(here, restore, d, a)
			h.thread(e.Conversation, d).add(here, &deed{kind: sees, place: place{a.at, m.key}})
		}
	case record.Asked:
		h.calls[e.Call] = h.now
	case record.Page:
		h.addPage(e, d)
	case record.Corrected:
		m := h.message(e.Conversation, e.ID)
		m.add(here, correct, d, answer{content: content{e.Sum, e.Text, int64(e.At)}, altered: e.Sum == 0})
		h.thread(e.Conversation, d).add(here, &deed{kind: sees, place: place{int64(e.At), m.key}})
	case record.View, record.History:
		h.addFinal(e, d)
	default:
		h.addOther(e)
	}
}

// addOther adds an entry of the archive or of a fault.
func (h *history) addOther(e *record.Entry) {
	switch e.Kind {
	case record.Saved:
		m := h.message(e.Conversation, e.ID)
		m.prove(h.now)
		m.saving = len(m.steps)
		m.add(span{h.now, never}, save, nil, answer{content: content{e.Sum, e.Text, int64(e.At)}})
	case record.Published:
		if m := h.message(e.Conversation, e.ID); !m.published {
			m.published = true
			m.add(span{h.now, h.now}, publish, nil, answer{})
		}
	case record.Stored:
		m := h.message(e.Conversation, e.ID)
		if m.saving >= 0 {
			m.steps[m.saving].to, m.stored = h.now, h.now
		}
	case record.Fault:
		if e.Name == opening {
			h.opened = h.now
		}
		if e.Detail == record.Servers && h.disturbed == 0 {
			h.disturbed = h.now
		}
		h.began[e.Name] = h.now
	case record.Wiped:
		from := h.now
		if began := h.began[e.Name]; began > 0 {
			from = began
		}
		h.wipes = append(h.wipes, span{from, h.now})
	case record.Erased:
		if h.erased[e.User] == 0 {
			h.erased[e.User] = h.now
		}
	case record.Withdrawn:
		h.withdraw([2]string{e.User})
	case record.Blocked:
		h.withdraw([2]string{e.Name, e.User})
		h.withdraw([2]string{e.User, e.Name}) // nobody can write to someone they block
	case record.Reused:
		h.message(e.Conversation, e.ID).
			add(span{h.now, h.now}, reuse, nil, answer{content: content{e.Sum, e.Text, 0}})
	}
}

// withdraw notes the first time that the messages of a sender, to one recipient or to all, are withdrawn.
func (h *history) withdraw(who [2]string) {
	if h.withdrawn[who] == 0 {
		h.withdrawn[who] = h.now
	}
}

func (h *history) device(e *record.Entry) *device {
	d := h.devices[e.Device]
	if d == nil {
		d = &device{number: len(h.devices), name: e.Device}
		h.devices[e.Device] = d
	}
	if e.Kind == record.Device && d.user == "" {
		d.user = e.User
		h.devicesOf[e.User] = append(h.devicesOf[e.User], d)
	}
	return d
}

func (h *history) conversation(id string) *conversation {
	c := h.conversations[id]
	if c == nil {
		c = &conversation{
			turns: map[*device]int{}, threads: map[*device]*thread{}, views: map[*device]span{}, marks: map[string][]readMark{},
		}
		h.conversations[id] = c
	}
	return c
}

// message returns the message with this key in a conversation.
func (h *history) message(conversation, key string) *message {
	m := h.messages[[2]string{conversation, key}]
	if m == nil {
		m = &message{conversation: conversation, key: key, saving: -1}
		h.messages[[2]string{conversation, key}] = m
		h.inOrder = append(h.inOrder, m)
		c := h.conversation(conversation)
		c.messages = append(c.messages, m)
	}
	return m
}

// thread returns the operations of a device in a conversation. A nil device is the API.
func (h *history) thread(conversation string, d *device) *thread {
	c := h.conversation(conversation)
	t := c.threads[d]
	if t == nil {
		t = &thread{name: "the API in " + conversation}
		if d != nil {
			t.name = d.name + " in " + conversation
		}
		c.threads[d] = t
		h.threads = append(h.threads, t)
	}
	return t
}

func (t *thread) add(s span, d *deed) { t.deeds, t.spans = append(t.deeds, d), append(t.spans, s) }

func (m *message) add(s span, a action, d *device, out answer) {
	m.steps = append(m.steps, step{s, a, d, out})
}

func (m *message) place() place { return place{m.content.at, m.key} }

// prove notes that the message was accepted before an entry.
func (m *message) prove(entry int64) {
	if m.evidence == 0 {
		m.evidence = entry
	}
}
