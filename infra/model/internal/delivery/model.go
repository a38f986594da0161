package delivery

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Model is a scenario with the mutants applied to it. It is not safe for concurrent use.
type Model struct {
	Scenario
	Mutant Mutant

	// Truncated counts the steps that were cut off because an inbox had no room for one more event.
	Truncated int

	tracing bool
	notes   []string // of the transition under way, if tracing
}

// notef describes the transition under way. It costs little unless a trace is being printed.
func (m *Model) notef(format string, args ...any) {
	if m.tracing {
		m.notes = append(m.notes, fmt.Sprintf(format, args...))
	}
}

// Replay follows a path: the index, in Successors' order, of the transition out of each state. It returns the last
// state and describes each transition in one or more lines.
func (m *Model) Replay(path []int) (last State, lines []string) {
	m.tracing = true
	defer func() { m.tracing, m.notes = false, nil }()
	last = m.Initial()
	for _, want := range path {
		i, next := 0, last
		m.Successors(&last, func(n *State, _ bool) {
			if i == want {
				next = *n
				lines = append(lines, m.notes...)
			}
			m.notes = m.notes[:0]
			i++
		})
		last = next
	}
	return last, lines
}

// Scenario is what a model starts from and what may happen to it.
type Scenario struct {
	Name     string
	Messages int // 1 to 3: the question m0, the reply m1, and m2 from the writer of m0
	// Devices lists the devices that take part, as in "A0+ B0-": + is online, - is offline with a cursor,
	// * is a first visit. A0 and B0 must take part.
	Devices string
	Faults  Faults

	Retain      int  // newest events that trimming keeps; 0 means 9
	MaxEntries  int  // entries of an inbox beyond which receipts are shed; 0: no limit
	ClockAhead  int  // by how much A's clock is ahead, in messages
	ClockBehind bool // the clock of a new primary is behind: it gives out IDs that were lost with the old one
}

const defaultRetain = 9

// Parse checks a scenario and sets its defaults.
func (s *Scenario) Parse() error {
	if s.Retain == 0 {
		s.Retain = defaultRetain
	}
	if s.Messages < 1 || s.Messages > maxMessages {
		return fmt.Errorf("scenario: %d messages; use 1 to %d", s.Messages, maxMessages)
	}
	if s.Retain < 1 || s.MaxEntries < 0 || s.ClockAhead < 0 || s.ClockAhead > 5 {
		return fmt.Errorf("scenario: -retain starts at 1, -shed at 0, and -ahead is 0 to 5")
	}
	fields := strings.Fields(s.Devices)
	for _, f := range fields {
		if len(f) != 3 || !slices.Contains(deviceNames[:], f[:2]) || !strings.Contains("+-*", f[2:]) {
			return fmt.Errorf("scenario: device %q; use A0, A1, B0 or B1 followed by +, - or *", f)
		}
	}
	if !strings.Contains(s.Devices, "A0") || !strings.Contains(s.Devices, "B0") {
		return fmt.Errorf("scenario: devices %q; A0 and B0 must take part", s.Devices)
	}
	return nil
}

// Initial returns the state in which a parsed scenario starts: both inboxes exist, everybody has read everything, and
// A0 has written its messages.
func (m *Model) Initial() State {
	var s State
	for u := range s.inbox {
		s.inbox[u] = inbox{last: 1, settled: 1, exists: true}
		s.newestID[u] = 1
	}
	for _, f := range strings.Fields(m.Devices) {
		d := device(slices.Index(deviceNames[:], f[:2]))
		v := &s.device[d]
		v.used, v.cursor = true, 1
		switch f[2] {
		case '+':
			v.online, v.position[0], v.caughtUpAt = true, 1, 1
		case '*':
			v.firstVisit, v.cursor = true, 0
		}
		if !v.firstVisit {
			s.inbox[d.user()].known.add(d)
		}
	}
	for i := range message(m.Messages) {
		if i != reply {
			v := &s.device[i.sender()]
			v.status[i], v.shown[i] = waiting, unknownTime
		}
	}
	s.faults = m.Faults
	return s
}

// String describes a scenario in one line.
func (s Scenario) String() string {
	text := fmt.Sprintf("%s, %d messages", s.Devices, s.Messages)
	if s.Messages == 1 {
		text = s.Devices + ", 1 message"
	}
	budgets := s.Faults.Named()
	for _, name := range slices.Sorted(maps.Keys(budgets)) {
		if n := *budgets[name].Left; n > 0 {
			text += fmt.Sprintf(", %s %d", name, n)
		}
	}
	if s.Retain > 0 && s.Retain != defaultRetain {
		text += fmt.Sprintf(", retain %d", s.Retain)
	}
	if s.MaxEntries > 0 {
		text += fmt.Sprintf(", shed %d", s.MaxEntries)
	}
	if s.ClockAhead > 0 {
		text += fmt.Sprintf(", ahead %d", s.ClockAhead)
	}
	if s.ClockBehind {
		text += ", behind"
	}
	return text
}
