package judge

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// This file is the model of the order on one device, in one conversation.

// place is where a message stands in its conversation.
type place struct {
	at  int64
	key string
}

func (p place) before(o place) bool { return p.at < o.at || p.at == o.at && p.key < o.key }

// deed is an operation on the order of a conversation.
type deed struct {
	kind  deedKind
	place place  // of the message that is written or seen; of the end of what was read, or zero
	turn  int    // number of the message among those that the device has written
	lines []line // what was read
}

type deedKind uint8

const (
	writes deedKind = iota // the device gives a message its place
	sees                   // the device shows a message of another one
	lists                  // the device, or the API, lists a conversation
)

// line is a message in a list.
type line struct {
	place
	author int // device; -1: unknown
	turn   int
}

// order is the state of the model.
type order struct {
	seen    place // the last message of other devices
	written *own  // the last own message
}

// own is an own message, and the ones before it.
type own struct {
	place
	turn   int
	before *own
}

// orderModel is the model of the order on one device. A message stands after everything that its device had seen or
// written before, and every list has the messages in their order, each of them once.
var orderModel = porcupine.Model{
	Init: func() any { return order{} },
	Step: func(state, input, _ any) (bool, any) {
		s := state.(order)
		d := input.(*deed)
		switch d.kind {
		case sees:
			if s.seen.before(d.place) {
				s.seen = d.place
			}
		case writes:
			// A message gets another place if the first one was refused, and with it all that were written after it.
			for s.written != nil && s.written.turn >= d.turn {
				s.written = s.written.before
			}
			if d.place.at == 0 || !s.seen.before(d.place) || s.written != nil && !s.written.place.before(d.place) {
				return false, s
			}
			s.written = &own{d.place, d.turn, s.written}
		case lists:
			return inOrder(d.lines) && (d.place == place{} || len(d.lines) == 0 || d.lines[len(d.lines)-1].before(d.place)), s
		}
		return true, s
	},
	DescribeOperation: func(input, _ any) string {
		d := input.(*deed)
		switch d.kind {
		case writes:
			return fmt.Sprintf("%s gets its place", d.place.key)
		case sees:
			return fmt.Sprintf("%s is shown", d.place.key)
		default:
			return fmt.Sprintf("a list of %d messages is in another order, has one of them twice, or goes beyond its end",
				len(d.lines))
		}
	},
}

// inOrder reports whether the lines are in order, without repetition, and those of each device in the order in which
// they were written.
func inOrder(lines []line) bool {
	turns := map[int]int{}
	for i, l := range lines {
		if i > 0 && !lines[i-1].place.before(l.place) {
			return false
		}
		if l.author < 0 {
			continue
		}
		if last, known := turns[l.author]; known && last >= l.turn {
			return false
		}
		turns[l.author] = l.turn
	}
	return true
}
