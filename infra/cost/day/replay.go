package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/cost"
	"github.com/phoenixchat/phoenixchat/realtime/away"
)

// The rules of a device that sleeps, as the browser follows them (DESIGN §12).
const (
	sleepAfter = 2 * time.Minute  // without a visible tab
	visitEvery = 15 * time.Minute // of a tab that sleeps
)

// Assumptions about a background visit.
const (
	visitFor   = 2 * time.Second // connect, fetch, store, acknowledge, close
	visitTrips = 8.0             // round trips to Redis: greeting, attaching, reading, acknowledging, settling, leaving
)

// Side is what a day needs under one rule.
type Side struct {
	SocketHours     float64 // per person
	WithPush        float64 // socket hours per person of those who have granted push
	InstanceHours   float64 // of these people alone: while a socket is open, one instance runs
	InstanceAtScale float64 // if enough people use the chat to fill the instances
	Timed           int     // background visits by the timer of a tab that sleeps
	Pushed          int     // background visits because of a push
	Dollars         float64 // a month of such days at scale: sockets, and what visits and pushes cost
}

// Day is the result of a replay.
type Day struct {
	Seed     uint64
	People   int
	Messages int
	Pushes   int
	Looked   float64 // hours per person
	Keeping  Side    // hidden tabs keep their sockets
	Sleeping Side
}

// Replay replays the day of a seed. See newDay.
func Replay(seed uint64, people int, glanceEvery time.Duration) Day {
	d := newDay(seed, people, glanceEvery)
	pushes := d.pushes()
	out := Day{Seed: seed, People: people, Messages: len(d.messages)}
	keeping, sleeping := &tally{}, &tally{}
	for i := range d.people {
		p := &d.people[i]
		out.Looked += length(p.look).Hours() / float64(people)
		out.Pushes += len(pushes[i])
		keeping.add(p, p.open, nil, pushes[i])
		if !p.push {
			sleeping.add(p, p.open, nil, nil)
			continue
		}
		awake := p.awake()
		sleeping.add(p, awake, p.timed(awake), pushes[i])
	}
	out.Keeping, out.Sleeping = keeping.side(people, out.Pushes), sleeping.side(people, out.Pushes)
	return out
}

// awake returns when a tab that sleeps has a socket.
func (p *person) awake() []span {
	spans := slices.Clone(p.look)
	for _, o := range p.open { // a tab is visible when it is opened
		spans = append(spans, span{o.from, o.from})
	}
	for i := range spans {
		spans[i].to += sleepAfter
	}
	return within(merged(spans), p.open)
}

// timed returns when a tab that sleeps makes a background visit by its timer.
func (p *person) timed(awake []span) (at []time.Duration) {
	for _, o := range p.open {
		for i, s := range awake {
			if s.from < o.from || s.from >= o.to {
				continue
			}
			until := o.to
			if i+1 < len(awake) && awake[i+1].from < until {
				until = awake[i+1].from
			}
			for t := s.to + visitEvery; t < until; t += visitEvery {
				at = append(at, t)
			}
		}
	}
	return at
}

// pushes returns when each person gets pushes: those of messages at which they do not look, gathered as realtime does.
func (d *day) pushes() [][]time.Duration {
	type key struct{ from, to int }
	due := map[key]time.Duration{} // when the last event was published
	out := make([][]time.Duration, len(d.people))
	for _, m := range d.messages {
		k, to := key{m.from, m.to}, &d.people[m.to]
		if !to.push || covers(to.look, m.at) {
			continue
		}
		last, known := due[k]
		if known && m.at < last { // it shares the event that waits
			continue
		}
		at := m.at + away.Gather
		if known {
			at = max(at, last+away.Every)
		}
		due[k] = at
		out[m.to] = append(out[m.to], at)
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// tally adds up the sockets of a rule.
type tally struct {
	open          []span // all sockets
	hours         float64
	pushHours     float64
	withPush      float64 // people
	timed, pushed int
}

// add adds the sockets of a person: of tabs, of visits by the timer, and of visits because of a push while no tab has
// one.
func (t *tally) add(p *person, tabs []span, timed, pushes []time.Duration) {
	spans := slices.Clone(tabs)
	t.timed += len(timed)
	for _, at := range timed {
		spans = append(spans, span{at, at + visitFor})
	}
	visiting := time.Duration(-1)
	for _, at := range pushes {
		if covers(tabs, at) || at < visiting { // the tab or the visit that goes on gets the message
			continue
		}
		visiting = at + visitFor
		t.pushed++
		spans = append(spans, span{at, visiting})
	}
	spans = merged(spans)
	t.open = append(t.open, spans...)
	t.hours += length(spans).Hours()
	if p.push {
		t.withPush++
		t.pushHours += length(spans).Hours()
	}
}

func (t *tally) side(people, pushes int) Side {
	s := Side{SocketHours: t.hours / float64(people), InstanceHours: length(merged(t.open)).Hours(),
		InstanceAtScale: t.hours / cost.SocketsServed, Timed: t.timed, Pushed: t.pushed}
	s.WithPush = t.pushHours / max(t.withPush, 1)
	s.Dollars = cost.Days * (s.InstanceAtScale*cost.InstanceHour + float64(pushes)*cost.PushDollars +
		float64(t.timed+t.pushed)*cost.VisitDollars)
	return s
}

// Table returns the result as Markdown.
func (d Day) Table() string {
	var b strings.Builder
	people := float64(d.People)
	fmt.Fprintf(&b, "%d people, seed %d: %.1f messages sent, %.1f pushes and %.2f hours looked at, for each person. "+
		"%.0f %% have granted push.\n\n", d.People, d.Seed, float64(d.Messages)/people, float64(d.Pushes)/people, d.Looked,
		100*cost.PushShare)
	b.WriteString("| a day | hidden tabs keep their sockets | they sleep |\n|---|---:|---:|\n")
	for _, row := range []struct {
		name, format string
		of           func(Side) float64
	}{
		{"socket-hours of a person with push", "%.2f", func(s Side) float64 { return s.WithPush }},
		{"socket-hours of a person, all people", "%.2f", func(s Side) float64 { return s.SocketHours }},
		{"instance-hours of these people alone", "%.1f", func(s Side) float64 { return s.InstanceHours }},
		{"instance-hours if instances are full", "%.2f", func(s Side) float64 { return s.InstanceAtScale }},
		{"background visits by the timer", "%.0f", func(s Side) float64 { return float64(s.Timed) }},
		{"background visits because of a push", "%.0f", func(s Side) float64 { return float64(s.Pushed) }},
		{"round trips to Redis of visits", "%.0f", func(s Side) float64 { return visitTrips * float64(s.Timed+s.Pushed) }},
		{"dollars a month for sockets, pushes and visits, if instances are full", "%.2f",
			func(s Side) float64 { return s.Dollars }},
	} {
		fmt.Fprintf(&b, "| %s | "+row.format+" | "+row.format+" |\n", row.name, row.of(d.Keeping), row.of(d.Sleeping))
	}
	return b.String()
}
