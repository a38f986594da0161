package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/cost"
)

// The model of use. People chat in exchanges: somebody writes to one of their partners, who often answers soon, and
// then both look and write until they are done. The numbers are assumptions about a chat at work. They are chosen so
// that a person has a tab open for 2 hours and sends 40 messages a day, as infra/cost assumes for the bill.
const (
	dayBegins   = 8 * time.Hour  // everything happens between these times of the day
	dayEnds     = 23 * time.Hour // except what is still going on
	partners    = 4              // other people that a person writes to
	openedTwice = 0.45           // tabs that a person opens on their own, beyond the first one of the day
	openFor     = 48 * time.Minute
	firstGlance = 20 * time.Second // a person looks when they open a tab, and sometimes later
	glanceFor   = 20 * time.Second

	begun       = 2.0              // exchanges that a person begins
	answered    = 0.6              // share of exchanges that the partner answers
	answerAfter = 60 * time.Second // until the partner looks, because a notification or a sound has called them
	alternate   = 7 * time.Second  // between two messages while both look
	messages    = 30               // of an exchange that is answered, of both together
	secondLine  = 0.3              // share of exchanges that begin with two messages
	waitFor     = 20 * time.Second // for an answer, until a person looks away
	stayFor     = 10 * time.Second // after the last message
)

// span is a period of the day.
type span struct{ from, to time.Duration }

// person is what somebody does on the day.
type person struct {
	open []span // a tab exists; sorted and disjoint once the day is complete
	look []span // it is visible and has the focus; within open
	push bool   // push is granted
}

// message is sent at a time.
type message struct {
	at       time.Duration
	from, to int
}

// day is what everyone does.
type day struct {
	people   []person
	messages []message // in the order of time
}

// newDay returns the day of a seed. With a tab open, people look at it without writing after glanceEvery on average.
func newDay(seed uint64, people int, glanceEvery time.Duration) *day {
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := &day{people: make([]person, people)}
	type begin struct {
		at time.Duration
		by int
	}
	var begins []begin
	for i := range d.people {
		p := &d.people[i]
		p.push = rnd.Float64() < cost.PushShare
		for range 1 + poisson(rnd, openedTwice) {
			at := dayBegins + time.Duration(rnd.Int64N(int64(dayEnds-dayBegins)))
			p.open = append(p.open, span{at, at + exponential(rnd, openFor)})
			p.look = append(p.look, span{at, at + exponential(rnd, firstGlance)})
		}
		for range poisson(rnd, begun) {
			s := p.open[rnd.IntN(len(p.open))]
			begins = append(begins, begin{s.from + time.Duration(rnd.Float64()*float64(s.to-s.from)), i})
		}
	}
	slices.SortStableFunc(begins, func(a, b begin) int { return int(a.at - b.at) })
	for _, b := range begins {
		d.exchange(rnd, b.at, b.by, (b.by+1+rnd.IntN(partners))%people)
	}
	for i := range d.people {
		d.people[i].complete(rnd, glanceEvery)
	}
	slices.SortStableFunc(d.messages, func(a, b message) int { return int(a.at - b.at) })
	return d
}

// exchange lets a write to b.
func (d *day) exchange(rnd *rand.Rand, at time.Duration, a, b int) {
	said := at + exponential(rnd, alternate)
	d.messages = append(d.messages, message{said, a, b})
	if rnd.Float64() < secondLine {
		said += exponential(rnd, alternate)
		d.messages = append(d.messages, message{said, a, b})
	}
	d.people[a].looks(rnd, span{at, said + waitFor})
	if rnd.Float64() >= answered {
		return
	}
	begins := said + exponential(rnd, answerAfter)
	now, back := begins, begins
	for n := range 1 + poisson(rnd, messages-1) {
		now += exponential(rnd, alternate)
		from, to := b, a
		if n%2 == 1 {
			from, to = a, b
		}
		d.messages = append(d.messages, message{now, from, to})
		if n == 0 { // a looks again when the answer calls them
			back = now + exponential(rnd, alternate)
			now = back
		}
	}
	d.people[b].looks(rnd, span{begins, now + stayFor})
	d.people[a].looks(rnd, span{back, now + stayFor})
}

// looks makes a person look, who opens a tab for that if there is none.
func (p *person) looks(rnd *rand.Rand, s span) {
	p.look = append(p.look, s)
	until := s.to
	if !slices.ContainsFunc(p.open, func(o span) bool { return o.from <= s.from && s.from < o.to }) {
		until = max(until, s.from+exponential(rnd, openFor))
	}
	p.open = append(p.open, span{s.from, until})
}

// complete adds glances, and sorts and merges the spans.
func (p *person) complete(rnd *rand.Rand, glanceEvery time.Duration) {
	p.open = merged(p.open)
	for _, o := range p.open {
		for at := o.from + exponential(rnd, glanceEvery); at < o.to; at += exponential(rnd, glanceEvery) {
			p.look = append(p.look, span{at, at + exponential(rnd, glanceFor)})
		}
	}
	p.look = within(merged(p.look), p.open)
}

// merged returns spans in their order, and those that overlap as one.
func merged(spans []span) (out []span) {
	slices.SortFunc(spans, func(a, b span) int { return int(a.from - b.from) })
	for _, s := range spans {
		if last := len(out) - 1; last >= 0 && s.from <= out[last].to {
			out[last].to = max(out[last].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// within returns the parts of the spans that are within others. Both are sorted.
func within(spans, others []span) (out []span) {
	for _, o := range others {
		for _, s := range spans {
			if from, to := max(s.from, o.from), min(s.to, o.to); from < to {
				out = append(out, span{from, to})
			}
		}
	}
	return out
}

// covers reports whether a time is within one of the spans, which are sorted.
func covers(spans []span, at time.Duration) bool {
	n, found := slices.BinarySearchFunc(spans, at, func(s span, at time.Duration) int { return int(s.from - at) })
	return found || n > 0 && at < spans[n-1].to
}

// length returns the time of disjoint spans.
func length(spans []span) (sum time.Duration) {
	for _, s := range spans {
		sum += s.to - s.from
	}
	return sum
}

func exponential(rnd *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(rnd.ExpFloat64() * float64(mean))
}

// poisson returns a number whose mean is small.
func poisson(rnd *rand.Rand, mean float64) (n int) {
	for p := rnd.Float64(); p > math.Exp(-mean); p *= rnd.Float64() {
		n++
	}
	return n
}
