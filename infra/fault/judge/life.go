package judge

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// This file is the model of one message.

// action is what an operation on a message does.
type action uint8

const (
	compose   action = iota // the user writes it on a device
	fix                     // its sender fixes its content and its at
	send                    // the server accepts it
	show                    // a device stores and shows it: an event brought it
	showSaved               // the same: history brought it
	repeat                  // an event brings it to a device that has it
	gap                     // the server tells a device that events are missing
	ack                     // a device of the recipient acknowledges what it has shown
	ackAhead                // from here on a device of the recipient acknowledges what it does not have
	mark                    // the recipient sees everything up to it
	publish                 // Pub/Sub gets it
	save                    // the archive gets it
	report                  // a device of its sender shows a state
	page                    // a page of history is read in which it belongs
	list                    // the archive is read at the end of the run
	glance                  // all is quiet, and a device has not opened the conversation yet
	account                 // the same: how did the device get it?
	view                    // the screen of a device is read at the end of the run
	restore                 // a device begins with it, because it was set back to an older state
	leave                   // a device never comes back
	reuse                   // its sender is about to send other content with its id
	correct                 // a device shows what was saved instead
	wipe                    // Redis loses what it has
	erase                   // a member of the conversation is deleted, and with it what is saved
	withdraw                // what waits from the sender is withdrawn
)

// role is whose device acts.
type role uint8

const (
	other     role = iota
	sender         // another device of the sender
	author         // the device on which the message was typed
	recipient      // a device of the recipient
)

// call is the input of an operation on a message.
type call struct {
	action
	role
	slot int // number of the device in this partition
	name string
}

// content is what the sender fixes.
type content struct {
	sum, text record.Hash
	at        int64
}

// answer is what an operation returned.
type answer struct {
	content
	has bool // of a read: the message is there

	altered bool // a change has altered its text, which changes.go checks
	rank    rank
}

// rank is a state of an own message. It never falls.
type rank uint8

const (
	waiting rank = iota
	sent
	refused
	delivered
	read
)

var rankNames = []string{"waiting", "sent", "refused", "delivered", "read"}

// life is the state of the model. Values with equal fields are equal.
type life struct {
	content
	fixed     bool
	accepted  bool
	refused   bool
	reached   bool // a device of the recipient has had it
	acked     bool
	vouched   bool
	seen      bool
	published bool
	saved     bool
	gone      bool // the device of its author has left
	wiped     bool // Redis has lost what it had
	lost      bool // Redis lost it before it had reached the recipient
	stranded  bool // Redis lost it after that, before it was saved
	erased    bool
	withdrawn bool
	others    *reused
	devices   string // one byte of each device: its rank, and the bits below
}

// reused is other content that the sender has sent with the same id, and what was sent so before.
type reused struct {
	content
	before *reused
}

// has reports whether the sender has sent c with the id of the message.
func (s *life) has(c content) bool {
	for r := s.others; r != nil; r = r.before {
		if r.sum == c.sum && r.text == c.text {
			return true
		}
	}
	return c == s.content
}

// Bits of a byte of life.devices.
const (
	rankBits    = 7
	holds       = 8
	left        = 16
	ofRecipient = 32
	paged       = 64  // a page that the device has read has it
	explained   = 128 // an event brought it to the device, or the device knows that events are missing
)

func (s *life) device(slot int) byte {
	if slot < 0 || slot >= len(s.devices) {
		return 0
	}
	return s.devices[slot]
}

func (s *life) setDevice(slot int, b byte) {
	bytes := []byte(s.devices)
	for len(bytes) <= slot {
		bytes = append(bytes, 0)
	}
	bytes[slot] = b
	s.devices = string(bytes)
}

func (s *life) rank(slot int) rank { return rank(s.device(slot) & rankBits) }

// elsewhere reports whether a device beside that of the author shows the message.
func (s *life) elsewhere(author int) bool {
	for i := range len(s.devices) {
		if i != author && s.devices[i]&holds != 0 {
			return true
		}
	}
	return false
}

// withRecipient reports whether a device of the recipient that has not left shows the message.
func (s *life) withRecipient() bool {
	for i := range len(s.devices) {
		if s.devices[i]&(holds|left|ofRecipient) == holds|ofRecipient {
			return true
		}
	}
	return false
}

// mayLack reports whether the message may be missing in the end.
func (s *life) mayLack(exception bool) bool {
	switch {
	case s.saved:
		return s.erased
	case s.erased:
		return s.refused || s.gone
	case s.refused && s.withdrawn:
		return !s.withRecipient() || s.stranded
	case !s.accepted:
		return s.gone
	}
	return exception && s.gone && (s.lost || s.stranded)
}

// lifeModel returns the model of a message, with or without the stated exception: what Redis had may be lost together
// with the device that sent it.
func lifeModel(exception bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return life{} },
		Step: func(state, input, output any) (bool, any) {
			s := state.(life)
			ok := s.step(input.(call), output.(answer), exception)
			return ok, s
		},
		DescribeOperation: func(input, output any) string { return describe(input.(call), output.(answer)) },
	}
}

// step applies an operation, and reports whether it is right.
func (s *life) step(c call, a answer, exception bool) bool {
	d := s.device(c.slot)
	if a.altered {
		a.content = s.content
	}
	switch c.action {
	case compose:
		s.setDevice(c.slot, d|holds)
		return d&holds == 0
	case fix: // again, with another at, only if nobody can know the first one
		ok := !s.accepted && !s.elsewhere(c.slot) && d&holds != 0
		s.fixed, s.content = true, a.content
		return ok
	case send:
		ok := s.fixed && !s.accepted
		s.accepted = true
		return ok
	case show, showSaved:
		ok := s.accepted && d&holds == 0 && s.has(a.content) && (c.action == show || s.saved && d&paged != 0)
		d |= holds
		if c.action == show {
			d |= explained
		}
		if c.role == recipient {
			d |= ofRecipient
			s.reached = true
		}
		s.setDevice(c.slot, d)
		return ok
	case repeat:
		s.setDevice(c.slot, d|explained)
		return s.accepted && d&holds != 0
	case gap:
		s.setDevice(c.slot, d|explained)
	case account:
		return d&holds == 0 || d&explained != 0 || s.wiped || s.erased
	case ack:
		s.acked = true
		return d&holds != 0
	case ackAhead:
		s.vouched = true
	case mark:
		s.seen = true
	case publish:
		s.published = true
		return s.accepted && (s.acked || s.vouched)
	case save:
		ok := s.published && s.accepted && !s.saved && (s.acked || s.vouched) && s.has(a.content)
		if a.content != s.content { // the other content came first, and is what everyone shows in the end
			s.others, s.content = &reused{s.content, s.others}, a.content
		}
		s.saved = true
		return ok
	case reuse:
		s.others = &reused{a.content, s.others}
	case correct:
		return d&holds != 0 && s.saved && a.content == s.content
	case report:
		return s.reach(c, a.rank)
	case page:
		if a.has {
			s.setDevice(c.slot, d|paged)
		}
		return a.has && s.saved && a.content == s.content || !a.has && (!s.saved || s.erased)
	case list:
		return a.has && s.saved && a.content == s.content || !a.has && s.mayLack(exception)
	case glance:
		if a.has {
			return d&holds != 0 && (!s.fixed || s.has(a.content))
		}
		return d&holds != 0 || s.mayLack(exception)
	case view:
		return s.view(c, a, exception)
	case restore:
		d = holds | explained | byte(a.rank)
		if c.role == recipient {
			d |= ofRecipient
		}
		s.setDevice(c.slot, d)
		return s.accepted && s.has(a.content)
	case leave:
		s.gone = s.gone || c.role == author
		s.setDevice(c.slot, d|left)
	case wipe:
		s.wiped = true
		if s.accepted && !s.saved {
			s.lost, s.stranded = s.lost || !s.reached, s.stranded || s.reached
		}
	case erase:
		s.erased = true
	case withdraw:
		s.withdrawn = true
	}
	return true
}

// reach applies a state that a device of the sender shows.
func (s *life) reach(c call, r rank) bool {
	ok := s.rank(c.slot) <= r
	s.setDevice(c.slot, s.device(c.slot)&^rankBits|byte(r))
	switch r {
	case sent:
		return ok && s.accepted
	case refused:
		s.refused = true
		return ok && (s.erased || s.withdrawn)
	case delivered:
		return ok && s.published && (s.reached || s.vouched)
	case read:
		return ok && s.published && (s.reached || s.vouched) && s.seen
	}
	return ok
}

// view compares what a device shows in the end with what it has shown and reported.
func (s *life) view(c call, a answer, exception bool) bool {
	has := s.device(c.slot)&holds != 0
	if !a.has {
		return !has && s.mayLack(exception)
	}
	ok := has && (!s.fixed || a.content == s.content)
	if c.role == author || c.role == sender {
		ok = ok && a.rank >= s.rank(c.slot) && (!s.saved || a.rank >= delivered)
	}
	return ok
}

// describe says what an operation did.
func describe(c call, a answer) string {
	there := "has it"
	if !a.has {
		there = "lacks it"
	}
	switch c.action {
	case compose:
		return c.name + " types it"
	case fix:
		return c.name + " fixes its content"
	case send:
		return "the server accepts it"
	case show:
		return c.name + " shows it, from an event"
	case showSaved:
		return c.name + " shows it, from history"
	case repeat:
		return "an event brings it to " + c.name + " again"
	case gap:
		return c.name + " learns that events are missing"
	case account:
		return c.name + " has it from history, and neither lacked an event nor got one"
	case ack:
		return c.name + " acknowledges it"
	case ackAhead:
		return c.name + " acknowledges what it does not have"
	case mark:
		return "the recipient sees it"
	case publish:
		return "Pub/Sub gets it"
	case save:
		return "the archive gets it"
	case report:
		return fmt.Sprintf("%s shows it as %s", c.name, rankNames[a.rank])
	case page:
		return fmt.Sprintf("a page that %s reads %s", c.name, there)
	case list:
		return "the archive " + there + " in the end"
	case glance:
		return fmt.Sprintf("%s %s before it opens the conversation", c.name, there)
	case reuse:
		return "its sender sends other content with its id"
	case correct:
		return c.name + " shows what was saved instead"
	case view:
		if a.has && (c.role == author || c.role == sender) {
			return fmt.Sprintf("%s has it in the end, as %s", c.name, rankNames[a.rank])
		}
		return fmt.Sprintf("%s %s in the end", c.name, there)
	case restore:
		return c.name + " begins with it"
	case leave:
		return c.name + " leaves"
	case wipe:
		return "Redis loses what it has"
	case erase:
		return "a member of the conversation is deleted"
	case withdraw:
		return "the messages of its sender are withdrawn"
	}
	return strings.TrimSpace(fmt.Sprintf("%v %v", c, a))
}
