package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/cost"
	"github.com/phoenixchat/phoenixchat/realtime/away"
)

// TestSameSeed checks that a seed determines the day, and that RESULTS.md has the day of seed 1.
func TestSameSeed(t *testing.T) {
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := command([]string{"-seed", "1", "-people", "1000"}, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Errorf("seed 1 has two days:\n%s\n%s", &first, &second)
	}
	if Replay(2, 1000, GlanceEvery) == Replay(1, 1000, GlanceEvery) {
		t.Error("another seed has the same day")
	}
	results, err := os.ReadFile("../RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(results), "\n"+first.String()) {
		t.Errorf("RESULTS.md must have this:\n%s", &first)
	}
	often := fmt.Sprintf("a socket for %.2f hours.", Replay(1, 1000, 20*time.Minute).Sleeping.WithPush)
	if !strings.Contains(string(results), often) {
		t.Errorf("RESULTS.md must say %q", often)
	}
}

// TestBillOfADay checks that the days of several seeds have the numbers with which the bill is computed, and that a
// person whose tabs sleep has a socket for at most 0.4 hours.
func TestBillOfADay(t *testing.T) {
	const seeds, people = 5, 1000
	var before, after, visits, sent float64
	for seed := range uint64(seeds) {
		d := Replay(seed+1, people, GlanceEvery)
		if d.Sleeping.WithPush > 0.4 || d.Sleeping.SocketHours >= d.Keeping.SocketHours ||
			d.Sleeping.Dollars >= d.Keeping.Dollars || d.Sleeping.InstanceHours > d.Keeping.InstanceHours {
			t.Errorf("seed %d: %+v", seed+1, d)
		}
		before += d.Keeping.SocketHours / seeds
		after += d.Sleeping.WithPush / seeds
		visits += float64(d.Sleeping.Timed+d.Sleeping.Pushed) / (people * cost.PushShare) / seeds
		sent += float64(d.Messages) / people / seeds
	}
	for _, c := range []struct {
		what              string
		got, billed, most float64 // difference
	}{
		{"hours connected", before, cost.HoursConnected, 0.1},
		{"hours connected, if tabs sleep", after, cost.HoursAwake, 0.02},
		{"background visits", visits, cost.VisitsPerUser, 0.5},
		{"messages sent", sent, cost.MessagesSent, 3},
	} {
		if math.Abs(c.got-c.billed) > c.most {
			t.Errorf("%s: %.2f, but the bill is computed with %.2f", c.what, c.got, c.billed)
		}
	}
}

// TestOnePerson computes the sockets of one person by hand.
func TestOnePerson(t *testing.T) {
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	p := &person{push: true, open: []span{{0, minutes(60)}}, look: []span{{0, minutes(1)}, {minutes(40), minutes(41)}}}
	awake := p.awake()
	if len(awake) != 2 || awake[0] != (span{0, minutes(3)}) || awake[1] != (span{minutes(40), minutes(43)}) {
		t.Errorf("awake: %v", awake)
	}
	timed := p.timed(awake)
	if len(timed) != 3 || timed[0] != minutes(18) || timed[1] != minutes(33) || timed[2] != minutes(58) {
		t.Errorf("visits: %v", timed)
	}
	var sums tally
	sums.add(p, awake, timed, []time.Duration{minutes(2), minutes(50), minutes(50) + time.Second, minutes(70)})
	if got, want := sums.hours, (minutes(6) + 5*visitFor).Hours(); math.Abs(got-want) > 1e-9 || sums.pushed != 2 {
		t.Errorf("%.4f hours, want %.4f; %d visits because of a push, want 2", got, want, sums.pushed)
	}

	// Messages of one second share a push, the next ones wait, and a person who looks gets none.
	d := &day{people: []person{{push: true, look: []span{{minutes(10), minutes(11)}}}, {}}}
	for _, at := range []time.Duration{0, 500 * time.Millisecond, 2 * time.Second, minutes(10.5), minutes(20)} {
		d.messages = append(d.messages, message{at: at, from: 1})
	}
	got := d.pushes()[0]
	if want := []time.Duration{away.Gather, away.Gather + away.Every, minutes(20) + away.Gather}; fmt.Sprint(got) !=
		fmt.Sprint(want) {
		t.Errorf("pushes at %v, want %v", got, want)
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{{"-people", "4"}, {"-glances", "0"}, {"-seed", "x"}} {
		if err := command(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
