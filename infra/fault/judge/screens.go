package judge

import (
	"slices"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// This file adds the entries of what users typed, what devices showed, and the pages and lists that the API returned.

func (h *history) addTyped(e *record.Entry, d *device) {
	m := h.message(e.Conversation, e.ID)
	if m.author == nil {
		c := h.conversation(e.Conversation)
		c.turns[d]++
		m.author, m.to, m.turn, m.content.text = d, e.User, c.turns[d], e.Text
	}
	m.add(span{h.now, h.now}, compose, d, answer{})
}

func (h *history) addShown(e *record.Entry, d *device) {
	if e.Name == byOutbox {
		return
	}
	here := span{h.now, h.now}
	m := h.message(e.Conversation, e.ID)
	m.prove(h.now)
	how := show
	if e.Name == byHistory {
		how = showSaved
		if m.fromHistory == nil {
			m.fromHistory = map[*device]int64{}
		}
		m.fromHistory[d] = h.now
	}
	m.add(here, how, d, answer{content: content{e.Sum, e.Text, int64(e.At)}, altered: e.Sum == 0})
	if m.to == d.user {
		d.unacked = append(d.unacked, m)
	}
	h.thread(e.Conversation, d).add(here, &deed{kind: sees, place: place{int64(e.At), m.key}})
}

// addPage adds the operations on the messages that a page has, and on those that it should have.
func (h *history) addPage(e *record.Entry, d *device) {
	during := span{h.now, h.now}
	if began, known := h.calls[e.Call]; known {
		during.from = began
		delete(h.calls, e.Call)
	}
	for i := range e.Lines {
		m, a := h.read(e.Conversation, &e.Lines[i])
		m.page = h.now
		m.readChanges(during, &e.Lines[i])
		m.add(during, page, d, a)
	}
	list := &deed{kind: lists, lines: h.lines(e)}
	if p, ok := parsePlace(e.Name); ok {
		list.place = p
	}
	h.thread(e.Conversation, d).add(during, list)
	// A message that is being saved while the page is read may be missing. Only those that were saved before are added.
	for _, m := range h.conversation(e.Conversation).messages {
		if m.stored > 0 && m.stored < during.from && m.page != h.now && belongs(m.place(), e) {
			m.add(during, page, d, answer{})
		}
	}
}

// belongs reports whether a place is within a page. The page ends before the place in its Name, and begins with its
// first line, or with the conversation.
func belongs(p place, e *record.Entry) bool {
	if e.Name != "" {
		if end, ok := parsePlace(e.Name); !ok || !p.before(end) {
			return false
		}
	}
	if !e.More {
		return true
	}
	return len(e.Lines) > 0 && int64(e.Lines[0].At) < p.at
}

// parsePlace parses "<at>" or "<at>,<key>".
func parsePlace(name string) (p place, ok bool) {
	number, key, _ := strings.Cut(name, ",")
	at, err := strconv.ParseInt(number, 10, 64)
	return place{at, key}, err == nil
}

// read returns the message of a line that was read, and the answer of that operation.
func (h *history) read(conversation string, l *record.Line) (*message, answer) {
	return h.message(conversation, l.ID), answer{
		content: content{l.Sum, l.Text, int64(l.At)}, altered: l.Sum == 0, has: true,
		rank: rank(max(0, slices.Index(rankNames, l.State))),
	}
}

// lines returns the lines of a list. A message that waits on its device has no place yet.
func (h *history) lines(e *record.Entry) []line {
	lines := make([]line, 0, len(e.Lines))
	for _, l := range e.Lines {
		if l.At == 0 {
			continue
		}
		m := h.message(e.Conversation, l.ID)
		next := line{place: place{int64(l.At), m.key}, author: -1, turn: m.turn}
		if m.author != nil {
			next.author = m.author.number
		}
		lines = append(lines, next)
	}
	return lines
}

// addFinal adds what a device shows, or what the API lists, at the end of the run. The screen of a device is also
// recorded before that, when it has not opened anything.
func (h *history) addFinal(e *record.Entry, d *device) {
	during := span{h.now, h.now}
	if h.opened > 0 {
		during.from = h.opened
	}
	c := h.conversation(e.Conversation)
	kind := view
	switch {
	case e.Kind == record.History:
		kind, c.listed, d = list, during, nil
	case h.opened == 0:
		kind = glance
	default:
		c.views[d] = during
	}
	for i := range e.Lines {
		m, a := h.read(e.Conversation, &e.Lines[i])
		if kind != list && a.at == 0 {
			a.content = m.content // it waits, and has no place yet
		}
		m.add(during, kind, d, a)
		if kind == list {
			m.readChanges(during, &e.Lines[i])
		}
	}
	h.thread(e.Conversation, d).add(during, &deed{kind: lists, lines: h.lines(e)})
}
