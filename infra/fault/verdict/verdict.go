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

	// Refused: refused for good without a reason.
	Refused Rule = "refused"

	// BadInput: a check of a fault failed. Bad input was not bounded, named or counted, or it affected others.
	BadInput Rule = "bad_input"
)

// Rules lists all rules in the order of reports.
var Rules = []Rule{
	Lost, Backlog, Unsent, Doubled, OutOfOrder, EarlySaved, Backwards, EarlyReceipt, Altered, Refused, BadInput,
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
	left        bool              // never comes back
	leftAt      int               // index of that entry
	states      map[string]string // of own messages
	acked       int               // index of its last acknowledgment; -1
	readTo      map[string]mark   // by conversation
	up          bool
	everUp      bool
	away        bool  // has no network or app, by its own fault
	downSince   int64 // when the present gap began
	longest     int64 // longest gap
}

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
	refused          bool
	shown            []sighting
	saved            int // index; -1
	brokenRules      map[Rule]bool
}

type sighting struct {
	device *device
	index  int
}

// judge is a judgment in progress.
type judge struct {
	report    *Report
	entries   []record.Entry
	devices   map[string]*device
	devicesOf map[string][]*device
	messages  map[string]*message
	order     []*message // in the order of typing
	texts     map[record.Hash]string
	views     map[string][]*view // final views, by conversation
	wiped     []int              // indexes
	kept      map[int]int        // by element of wiped: index of the Kept entry of that loss; 0: everything may be lost
	keptAt    int                // index of the last Kept entry since the last loss; 0: none
	erased    map[string]bool    // users who were deleted or never existed
	withdrawn map[string]bool    // users whose waiting messages were withdrawn
	cutShort  bool               // the time of the run was over while messages made progress
	opening   bool               // after the fault entry Opening
	transit   []int64
}

// Opening is the name of the Fault entry that begins the end of a run. By then all faults are over, and every device
// opens every conversation.
const Opening = "opening"

// Judge returns the verdict on a record.
func Judge(entries []record.Entry) *Report {
	j := &judge{
		report:  &Report{Counts: map[Rule]int{}},
		entries: entries, devices: map[string]*device{}, devicesOf: map[string][]*device{}, messages: map[string]*message{},
		texts: map[record.Hash]string{}, views: map[string][]*view{}, erased: map[string]bool{},
		withdrawn: map[string]bool{}, kept: map[int]int{},
	}
	for _, r := range Rules {
		j.report.Counts[r] = 0
	}
	for i := range entries {
		j.addEntry(i, &entries[i])
	}
	j.judgeViews()
	j.judgeMissing()
	j.judgeOrder()
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
	m := j.messages[e.ID]
	if m == nil {
		m = &message{id: e.ID, conversation: e.Conversation, typed: -1, frozen: -1, accepted: -1, saved: -1}
		j.messages[e.ID] = m
	}
	return m
}

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
