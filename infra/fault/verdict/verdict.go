// Package verdict judges a run from its record alone, by the promises of DESIGN §2. No accepted message is lost, and
// none is shown twice. Everyone shows the same order, in which a reply follows what its sender had seen. No message
// is saved before a device of the recipient has stored and acknowledged it. No state goes backwards, and none is
// reported too early.
//
// Messages to a user who was deleted or never existed must be refused for good. The report counts them as
// Undeliverable.
//
// Messages of a user whose waiting messages were withdrawn may be refused, if no device of the recipient has them. The
// report counts them as Withdrawn.
//
// Three other kinds of messages are counted apart:
//
//   - Excepted messages fall under the one stated exception: Redis lost them, the device that sent them never
//     came back, and no device of the recipient had them yet.
//   - Stranded messages were shown on a device of the recipient, and still are, but Redis was lost before they
//     were saved, and the device that sent them never came back. Nobody else will see them.
//   - Vouched messages were saved because a device acknowledged what it had not stored. Only runs with such
//     devices have them.
package verdict

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// Rule names a rule that a finding breaks.
type Rule string

// The rules. Report counts the messages that break each of them.
const (
	// Lost: accepted, and missing in the end on a device of its users, in the list of the API, or in the store.
	Lost Rule = "lost"

	// Backlog: not arrived when the time of the run was over. There was more load than the machine can carry.
	Backlog Rule = "backlog"

	// Unsent: never accepted, although its device is there and all faults are over.
	Unsent Rule = "unsent"

	// Doubled: shown, listed or saved more than once.
	Doubled Rule = "doubled"

	// OutOfOrder: devices differ, a sender's messages are not in the order of typing, or one precedes what its sender
	// had seen.
	OutOfOrder Rule = "out_of_order"

	// EarlySaved: saved before a device of the recipient had stored and acknowledged it.
	EarlySaved Rule = "early_saved"

	// Backwards: a state went backwards.
	Backwards Rule = "backwards"

	// EarlyReceipt: shown as delivered or read before it was.
	EarlyReceipt Rule = "early_receipt"

	// Altered: its content or its at is not what its sender fixed.
	Altered Rule = "altered"

	// Refused: refused for good without a cause that the record shows.
	Refused Rule = "refused"

	// LateLive: a device that was connected throughout did not get the event of the message within
	// Bounds.LiveWithin of its acceptance, or within Bounds.LiveAfterFault of the end of a fault.
	LateLive Rule = "late_live"

	// OnlyHistory: a device got the message only from history, although nothing was lost on the way to it.
	OnlyHistory Rule = "only_history"

	// Repeated: a device got the event of the message again more often than reconnects and faults explain.
	Repeated Rule = "repeated"

	// ReadMarks: in the end, a read mark, a state or an unread count is not what the users have seen.
	ReadMarks Rule = "read_marks"

	// Listing: in the end, a list of conversations or a preview is not what is saved.
	Listing Rule = "listing"

	// Empty: nothing was typed, accepted or saved, or LateLive had nothing to judge.
	Empty Rule = "empty"

	// BadInput: a check of a fault failed. Bad input was not bounded, named or counted, or it affected others.
	BadInput Rule = "bad_input"
)

// Rules lists all rules in the order of reports.
var Rules = []Rule{
	Lost, Backlog, Unsent, Doubled, OutOfOrder, EarlySaved, LateLive, OnlyHistory, Repeated, Backwards, EarlyReceipt,
	Altered, ReadMarks, Listing, Refused, BadInput, Empty,
}

// Finding is one violation of a rule.
type Finding struct {
	Rule    Rule   `json:"rule"`
	Message string `json:"message,omitempty"`
	Device  string `json:"device,omitempty"`
	Detail  string `json:"detail"`
}

// Check is the result of a check that a fault made while it ran.
type Check struct {
	What   string `json:"what"`
	Found  string `json:"found"`
	Broken bool   `json:"broken,omitempty"`
}

// Spread describes a distribution of durations, in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Report is the verdict on one run.
type Report struct {
	Typed    int `json:"typed"`    // messages that users wrote
	Changes  int `json:"changes"`  // changes of messages that users made; judged as messages are
	Accepted int `json:"accepted"` // of these, shown as sent by a device of their sender
	Saved    int `json:"saved"`    // in the store

	Counts        map[Rule]int `json:"counts"`              // messages by the rule that they break; has every rule
	Excepted      int          `json:"excepted"`            // see the package comment
	Stranded      int          `json:"stranded"`            // see the package comment
	Vouched       int          `json:"vouched"`             // see the package comment
	Undeliverable int          `json:"undeliverable"`       // refused for good: their recipient does not exist
	Withdrawn     int          `json:"withdrawn,omitempty"` // refused, and nobody has them; see the package comment
	Checks        []Check      `json:"checks,omitempty"`

	Devices    int       `json:"devices"`
	Resumed    int       `json:"resumed"`            // times that a device was caught up again after a gap
	Moved      int       `json:"moved"`              // times that a device moved to another socket without a gap
	NotResumed int       `json:"not_resumed"`        // times that a server sent resumed: false
	Loads      int       `json:"loads"`              // requests for history before the end of the run
	ByHistory  int       `json:"by_history"`         // messages that a device received from history, not by an event
	ByOpening  int       `json:"by_opening"`         // of these, those found only when opening all conversations
	Repeated   int       `json:"repeated"`           // events of messages that the device had already
	Live       int       `json:"live"`               // times that LateLive was judged, once per device and message
	LiveAfter  Spread    `json:"live_after_ms"`      // of these, from the acceptance to the event
	Asleep     int       `json:"asleep"`             // messages to users all of whose devices slept or were away
	AwokeAfter Spread    `json:"awoke_after_ms"`     // of these, from the acceptance to the first device that has it
	Gaps       Spread    `json:"gaps_ms"`            // longest gap of each device while it had its own network
	LongGaps   int       `json:"long_gaps"`          // gaps of 5 s and more, which the client shows to the user
	Transit    Spread    `json:"transit_ms"`         // from the first sending to the first device of the recipient
	Findings   []Finding `json:"findings,omitempty"` // at most MaxFindings
}

// MaxFindings bounds Report.Findings. Counts are complete.
const MaxFindings = 100

// Clean reports whether no rule is broken.
func (r *Report) Clean() bool {
	for _, n := range r.Counts {
		if n > 0 {
			return false
		}
	}
	return true
}

// device is what the record says about one device.
type device struct {
	name        string
	user        string
	misbehavior string
	setBack     bool            // begins with an older state of another device, which left
	left        bool            // never comes back
	leftAt      int             // index of that entry
	states      map[key]string  // of own messages
	acked       int             // index of its last acknowledgment; -1
	unacked     []*message      // changes by others that it got since
	readTo      map[string]mark // by conversation
	up          bool
	everUp      bool
	away        bool  // has no network or app, by its own fault
	downSince   int64 // when the present gap began
	longest     int64 // longest gap

	breaks     []span // without a socket, without reading, or with a reported gap; the last may be open
	broken     bool   // the last of breaks has not ended
	deaf       bool
	notResumed []int64 // times of resumed: false
	connected  []int64 // times at which a socket was caught up
	naps       []span  // asleep
}

// key identifies a message in a record.
type key struct{ conversation, id string }

type mark struct {
	at    int64
	index int
}

// message is what the record says about one message.
type message struct {
	id, conversation string
	typedOn          *device
	typedBy          string // name of that device when the message was typed
	to               string
	typed, frozen    int   // indexes; -1 if it did not happen
	frozenAt         int64 // time
	at               int64 // sort key
	sum, text        record.Hash
	accepted         int // index; -1
	acceptedAt       int64
	refused          bool
	refusal          string        // its code
	refusedAt        int64         // time
	reused           []record.Hash // sums of other contents that were sent with its id
	of               *message      // the message that it changes; nil if it is a message
	kind             string        // of a change
	changes          []*message    // of a message
	dropped          bool          // left the outbox without being sent
	deleted          map[*device]bool
	changed          map[*device]string // the changes that a device shows
	ignoredBy        []*device          // of a change: they acknowledged it without applying it
	shown            []sighting
	events           map[*device]*events
	saved            int // index; -1
	brokenRules      map[Rule]bool
}

type sighting struct {
	device  *device
	index   int
	at      int64 // time
	history bool
	opening bool
}

// judge is a judgment in progress.
type judge struct {
	report    *Report
	bounds    Bounds
	entries   iter.Seq[record.Entry]
	devices   map[string]*device
	devicesOf map[string][]*device
	messages  map[key]*message
	order     []*message // in the order of typing
	texts     map[record.Hash]string
	early     map[string][]*view // views before devices open anything, by conversation
	views     map[string][]*view // final views, by conversation
	lists     []list
	kept      map[int]int          // by element of wiped: index of the Kept entry of that loss; 0: everything may be lost
	keptAt    int                  // index of the last Kept entry since the last loss; 0: none
	wiped     []int                // indexes
	wipedAt   []int64              // times
	wipes     []span               // from the beginning of the fault that lost Redis to its end
	faults    []span               // of servers
	open      map[string]int       // faults that have not ended: index in faults, by name
	erased    map[string]int64     // when users were deleted; those who never existed have an entry as well
	withdrawn map[string][]int64   // when users were disabled whose waiting messages were withdrawn
	blocks    map[[2]string][]span // by the user and the blocked one
	answers   map[[2]string]answer // by the user and the conversation; see answerOf
	loose     map[string]bool      // conversations with messages that are excepted or stranded
	ended     int64                // time of the fault entry Opening, or of the last entry
	cutShort  bool                 // the time of the run was over while messages made progress
	opening   bool                 // after the fault entry Opening
	transit   []int64
}

// Opening is the name of the Fault entry that begins the end of a run. By then all faults are over, and every device
// opens every conversation.
const Opening = "opening"

// Judge returns the verdict on a record in memory.
func Judge(entries []record.Entry) *Report { return JudgeAll(slices.Values(entries)) }

// JudgeAll returns the verdict on a record in real time. It iterates over the entries twice. The verdict is void if not
// all of them can be read, which the caller checks (record.Log.Err).
func JudgeAll(entries iter.Seq[record.Entry]) *Report {
	return JudgeWithin(entries, Bounds{LiveWithin, LiveAfterFault})
}

// JudgeWithin is JudgeAll with other bounds, such as those of a fake clock.
func JudgeWithin(entries iter.Seq[record.Entry], bounds Bounds) *Report {
	j := &judge{
		report: &Report{Counts: map[Rule]int{}}, bounds: bounds,
		entries: entries, devices: map[string]*device{}, devicesOf: map[string][]*device{}, messages: map[key]*message{},
		texts: map[record.Hash]string{}, early: map[string][]*view{}, views: map[string][]*view{},
		open: map[string]int{}, erased: map[string]int64{}, withdrawn: map[string][]int64{}, blocks: map[[2]string][]span{},
		loose: map[string]bool{}, kept: map[int]int{},
	}
	for _, r := range Rules {
		j.report.Counts[r] = 0
	}
	i := 0
	for e := range entries {
		j.addEntry(i, &e)
		i++
	}
	j.judgeViews(j.early)
	j.judgeViews(j.views)
	j.judgeChanges()
	j.judgeMissing()
	j.judgeOrder()
	j.judgeLive()
	j.judgeAsleep()
	j.judgeLists()
	j.judgeEmpty()
	j.figures()
	return j.report
}

// addFinding counts a finding, at most once per message and rule.
func (j *judge) addFinding(r Rule, m *message, device, format string, args ...any) {
	id := ""
	if m != nil {
		if m.brokenRules[r] {
			return
		}
		if m.brokenRules == nil {
			m.brokenRules = map[Rule]bool{}
		}
		m.brokenRules[r], id = true, m.id
	}
	j.report.Counts[r]++
	if len(j.report.Findings) < MaxFindings {
		j.report.Findings = append(j.report.Findings, Finding{r, id, device, fmt.Sprintf(format, args...)})
	}
}

func (j *judge) message(e *record.Entry) *message {
	k := key{e.Conversation, e.ID}
	m := j.messages[k]
	if m == nil {
		m = &message{id: e.ID, conversation: e.Conversation, typed: -1, frozen: -1, accepted: -1, saved: -1,
			events: map[*device]*events{}}
		j.messages[k] = m
	}
	return m
}

func (m *message) key() key { return key{m.conversation, m.id} }

// excepted reports whether m falls under the one stated exception.
func (j *judge) excepted(m *message) bool {
	if !m.typedOn.left {
		return false
	}
	return slices.ContainsFunc(j.wiped, func(w int) bool {
		if !j.mayBeLost(m, w) {
			return false
		}
		return !slices.ContainsFunc(m.shown, func(s sighting) bool { return s.device.user == m.to && s.index < w })
	})
}

// heldByRedis reports whether Redis may have had m when it was lost at w. Either m was accepted before w, or a device
// that had left by then sent it before w. In the second case "sent" can be reported later, to other devices of the
// user.
func (m *message) heldByRedis(w int) bool {
	return m.accepted < w || m.frozen >= 0 && m.frozen < w && m.typedOn.left && m.typedOn.leftAt < w
}

// mayBeLost reports whether the loss at w may have taken m from Redis: Redis may have had it, and did not have to keep
// it.
func (j *judge) mayBeLost(m *message, w int) bool {
	return m.heldByRedis(w) && (m.accepted < 0 || m.accepted >= j.kept[w])
}

// stranded reports whether m, which is not saved, reached a device of the recipient and could get no further because
// Redis and its sender were lost. A device that had m and has not left must still show it.
func (j *judge) stranded(m *message) bool {
	if !m.typedOn.left || m.saved >= 0 {
		return false
	}
	for _, w := range j.wiped {
		if !j.mayBeLost(m, w) {
			continue
		}
		had := false
		for _, s := range m.shown {
			if s.device.user != m.to || s.index > w {
				continue
			}
			had = true
			if !s.device.left && !j.showsInTheEnd(s.device, m) {
				return false
			}
		}
		if had {
			return true
		}
	}
	return false
}

func (j *judge) showsInTheEnd(d *device, m *message) bool {
	return slices.ContainsFunc(j.views[m.conversation], func(f *view) bool {
		_, has := f.place[m.id]
		if m.of != nil {
			at, there := f.place[m.of.id]
			has = there && covers(f.lines[at].Changed, m)
		}
		return f.device == d && has
	})
}

// figures adds the measurements to the report.
func (j *judge) figures() {
	var gaps []int64
	for _, d := range j.devices {
		gaps = append(gaps, d.longest)
	}
	j.report.Devices = len(j.devices)
	j.report.Gaps, j.report.Transit = spread(gaps), spread(j.transit)
}

func spread(micros []int64) Spread {
	if len(micros) == 0 {
		return Spread{}
	}
	slices.Sort(micros)
	ms := func(q float64) float64 {
		i := min(int(q*float64(len(micros))), len(micros)-1)
		return float64((time.Duration(micros[i]) * time.Microsecond).Microseconds()) / 1000
	}
	return Spread{P50: ms(0.50), P99: ms(0.99), Max: ms(1)}
}
