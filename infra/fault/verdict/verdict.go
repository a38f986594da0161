// Package verdict judges a run from its record alone, by the promises of
// DESIGN §2: nothing accepted is lost, nothing is shown twice, everyone shows
// one order in which a reply follows what its sender had seen, nothing is saved
// before a device of the recipient stored and acknowledged it, and no state
// goes backwards or runs ahead of the truth.
//
// Messages to somebody who has no account, or has none any more, must be finally
// refused; they are Told.
//
// Three things are counted apart. Stranded messages were on the screen of a device of
// their recipient, and stay there, but Redis was lost before they were saved and
// the device that sent them never came back: nobody else will see them. Excepted messages fall under the one stated
// exception: Redis lost them, the device that sent them never came back, and
// no device of the recipient had them yet. Vouched messages were saved on the
// word of a device that acknowledges what it has not stored; only runs with
// such devices have them.
package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// Rule names what a finding breaks.
type Rule string

// The rules. Each has its count in Report.
const (
	Lost         Rule = "lost"          // accepted, and missing in the end: on a device of its people, in the list of the API, or in the store
	Backlog      Rule = "backlog"       // still on its way when the run's time was up: more was offered than the machine carries
	Unsent       Rule = "unsent"        // never accepted, although its device is there and all faults are over
	Doubled      Rule = "doubled"       // shown, listed or saved more than once
	OutOfOrder   Rule = "out_of_order"  // devices differ, a sender's messages are not as typed, or one precedes what its sender had seen
	EarlySaved   Rule = "early_saved"   // saved before a device of the recipient had stored and acknowledged it
	Backwards    Rule = "backwards"     // a state went backwards
	EarlyReceipt Rule = "early_receipt" // called delivered, or read, before it was
	Altered      Rule = "altered"       // its content or place is not what its sender fixed
	Refused      Rule = "refused"       // finally refused, though nobody did anything that calls for it
	BadInput     Rule = "bad_input"     // bad input was not bounded, named or counted, or had an effect on others
)

// Rules lists all rules in the order of reports.
var Rules = []Rule{Lost, Backlog, Unsent, Doubled, OutOfOrder, EarlySaved, Backwards, EarlyReceipt, Altered, Refused, BadInput}

// Finding is one break of a rule.
type Finding struct {
	Rule    Rule   `json:"rule"`
	Message string `json:"message,omitempty"`
	Device  string `json:"device,omitempty"`
	Detail  string `json:"detail"`
}

// Check is something that a fault held to its word while it played.
type Check struct {
	What   string `json:"what"`
	Found  string `json:"found"`
	Broken bool   `json:"broken,omitempty"`
}

// Spread describes durations by some of their quantiles, in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Report is the verdict on one run.
type Report struct {
	Typed    int `json:"typed"`    // messages that people wrote
	Accepted int `json:"accepted"` // of these, seen as sent by a device of their sender
	Saved    int `json:"saved"`    // in the store

	Counts        map[Rule]int `json:"counts"`        // messages by the rule that they break; every rule is there
	Excepted      int          `json:"excepted"`      // see the package comment
	Stranded      int          `json:"stranded"`      // see the package comment
	Vouched       int          `json:"vouched"`       // see the package comment
	Undeliverable int          `json:"undeliverable"` // finally refused, since their recipient has no account
	Checks        []Check      `json:"checks,omitempty"`

	Devices    int       `json:"devices"`
	Resumed    int       `json:"resumed"`            // times that a device was caught up again after a gap
	Moved      int       `json:"moved"`              // times that it moved without one
	NotResumed int       `json:"not_resumed"`        // times that it was told resumed: false
	Loads      int       `json:"loads"`              // reads of history before the end
	ByHistory  int       `json:"by_history"`         // messages that a device got from history, not by an event
	ByOpening  int       `json:"by_opening"`         // of these, only when all conversations were opened in the end
	Gaps       Spread    `json:"gaps_ms"`            // longest gap of each device that had its own network
	LongGaps   int       `json:"long_gaps"`          // gaps of 5 s and more, which a person sees
	Transit    Spread    `json:"transit_ms"`         // from the first sending to the first device of the recipient
	Findings   []Finding `json:"findings,omitempty"` // at most MaxFindings
}

// MaxFindings bounds Report.Findings; the counts go on.
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

// device is what the record tells of one device.
type device struct {
	name        string
	user        string
	misbehavior string // its bad manners
	left        bool
	leftAt      int               // index, where gone
	states      map[string]string // state of own messages
	acked       int               // index of its last ack
	readTo      map[string]mark   // by conversation
	up          bool
	everUp      bool
	away        bool  // its own network is gone
	downSince   int64 // when the present gap began, by its own reckoning
	longest     int64
}

type mark struct {
	at    int64
	index int
}

// message is what the record tells of one message.
type message struct {
	id, conversation string
	typedOn          *device
	typedBy          string // the device's name
	to               string
	typed, frozen    int   // indexes, -1 where it did not happen
	frozenAt         int64 // time
	at               int64 // place
	sum, text        record.Hash
	accepted         int // index, -1
	refused          bool
	shown            []sighting
	saved            int // index, -1
	brokenRules      map[Rule]bool
}

type sighting struct {
	device *device
	index  int
}

// judge is one judgement under way.
type judge struct {
	report    *Report
	entries   []record.Entry
	devices   map[string]*device
	devicesOf map[string][]*device
	messages  map[string]*message
	order     []*message // as typed
	texts     map[record.Hash]string
	views     map[string][]*view // what is shown in the end, by conversation
	wiped     []int              // indexes
	erased    map[string]bool    // people without an account
	cutShort  bool               // the run's time was up too early
	opening   bool               // after of the fault "opening", after which people open everything
	transit   []int64
}

// Opening is the name of the Fault entry that begins the end of a run: from
// there on all faults are over and every device opens every conversation.
const Opening = "opening"

// Judge returns the verdict on a record.
func Judge(entries []record.Entry) *Report {
	j := &judge{
		report:  &Report{Counts: map[Rule]int{}},
		entries: entries, devices: map[string]*device{}, devicesOf: map[string][]*device{}, messages: map[string]*message{},
		texts: map[record.Hash]string{}, views: map[string][]*view{}, erased: map[string]bool{},
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

// find counts a finding, once per message and rule.
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
		if !m.heldByRedis(w) {
			return false
		}
		return !slices.ContainsFunc(m.shown, func(s sighting) bool { return s.device.user == m.to && s.index < w })
	})
}

// held reports whether Redis may have held m when it was lost at w: m was
// accepted before, or sent before by a device that was gone by then. Of such a
// one the word "sent" can come later, to its person's other devices.
func (m *message) heldByRedis(w int) bool {
	return m.accepted < w || m.frozen >= 0 && m.frozen < w && m.typedOn.left && m.typedOn.leftAt < w
}

// stranded reports whether m, which is not saved, is where it arrived and
// could come no further, since Redis and its sender are gone. A device that
// had it and stayed must still show it.
func (j *judge) stranded(m *message) bool {
	if !m.typedOn.left || m.saved >= 0 {
		return false
	}
	for _, w := range j.wiped {
		if !m.heldByRedis(w) {
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

// figures fills in what is measured rather than judged.
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
