package simulation

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

var (
	seeds = flag.Int("seeds", 6, "number of random histories")
	first = flag.Uint64("seed", 1, "the first seed")
)

// events maps the name of each event of a random history to the function that causes it. Events can overlap. A fault
// lasts until another event, or the end of the history, ends it. A slow Redis is not one of them: go-redis connects
// with a lock held, and a goroutine that waits for a lock stops the clock of a synctest bubble. The runs of infra/fault
// have a slow Redis.
var events = map[string]func(w *world, rnd *rand.Rand){
	"kill": func(w *world, rnd *rand.Rand) { w.nodes[rnd.IntN(2)].kill() },
	"stop": func(w *world, rnd *rand.Rand) {
		n := w.nodes[rnd.IntN(2)]
		w.queue.Go(n.stop) // its end depends on the sockets, and the times of later events must not
	},
	"start":         func(w *world, _ *rand.Rand) { w.nodes[0].start(); w.nodes[1].start() },
	"wipe":          func(w *world, _ *rand.Rand) { w.wipe() },
	"replace":       func(w *world, _ *rand.Rand) { w.replace() },
	"replicate":     func(w *world, _ *rand.Rand) { w.replicate() },
	"failover":      func(w *world, _ *rand.Rand) { w.failOver() },
	"clock behind":  func(w *world, _ *rand.Rand) { w.setClockBehind(3 * time.Second) },
	"clock right":   func(w *world, _ *rand.Rand) { w.setClockBehind(0) },
	"redis down":    func(w *world, rnd *rand.Rand) { w.cutRandom(rnd, true) },
	"redis up":      func(w *world, rnd *rand.Rand) { w.cutRandom(rnd, false) },
	"publish fails": func(w *world, _ *rand.Rand) { w.publishing(0, errors.New("publishing fails")) },
	"publish slow":  func(w *world, _ *rand.Rand) { w.publishing(2*time.Second, nil) },
	"publish well":  func(w *world, _ *rand.Rand) { w.publish.Store(nil) },
	"persist late":  func(w *world, _ *rand.Rand) { w.pushLate.Store(int64(4 * time.Second)) },
	"persist well":  func(w *world, _ *rand.Rand) { w.pushLate.Store(0) },
	"store down":    func(w *world, rnd *rand.Rand) { w.archive.Down(true, rnd.IntN(2) == 0) },
	"store well":    func(w *world, _ *rand.Rand) { w.archive.Down(false, false) },
	"app killed":    func(w *world, rnd *rand.Rand) { w.pick(rnd).Kill() },
	"app vanishes":  func(w *world, rnd *rand.Rand) { w.pick(rnd).Vanish() },
	"offline":       func(w *world, rnd *rand.Rand) { w.pick(rnd).Offline() },
	"flap":          func(w *world, rnd *rand.Rand) { w.pick(rnd).Flap() },
	"stops reading": func(w *world, rnd *rand.Rand) { w.pick(rnd).StopReading(true) },
	"acks late": func(w *world, rnd *rand.Rand) {
		d := w.pick(rnd)
		d.Kill()
		d.SetMisbehavior(client.Misbehavior{AckDelay: 2 * time.Second})
		d.Start()
	},
	"clock jumps": func(w *world, rnd *rand.Rand) {
		w.pick(rnd).SetClock(time.Duration(rnd.Int64N(int64(20*time.Minute))) - 10*time.Minute)
	},
	"instance clock": func(w *world, rnd *rand.Rand) {
		// The clocks of two instances differ by less than 10 s.
		w.nodes[rnd.IntN(2)].ahead.Store(rnd.Int64N(int64(9*time.Second)) - int64(4500*time.Millisecond))
	},
	"reuse ids": func(w *world, rnd *rand.Rand) { w.reuseRandom(rnd) },
	"withdraw":  func(w *world, rnd *rand.Rand) { w.withdraw(w.crowd.Users()[rnd.IntN(4)]) },
	"back": func(w *world, _ *rand.Rand) {
		for _, d := range w.crowd.Devices() {
			d.StopReading(false)
			d.Online()
			d.Start()
		}
	},
}

// themes are sets of events. A history of few events meets their rare orders more often than a history of all events.
var themes = [][]string{
	{"kill", "start", "stop", "app killed", "flap", "back"},
	{"replicate", "failover", "offline", "back", "kill", "start"},
	{"replicate", "failover", "clock behind", "clock right", "app killed", "back"},
	{"wipe", "replace", "offline", "app vanishes", "back", "flap"},
	{"replicate", "failover", "publish slow", "publish well", "publish fails", "offline", "back"},
	{"kill", "start", "publish slow", "publish fails", "publish well", "app killed", "back"},
	{"redis down", "redis up", "flap", "stop", "start", "app killed", "back"},
	{"persist late", "persist well", "store down", "store well", "replace", "offline", "back"},
	{"stops reading", "acks late", "back", "app vanishes", "kill", "start", "wipe"},
	{"clock jumps", "instance clock", "kill", "stop", "start", "flap", "offline", "back"},
	{"instance clock", "replicate", "failover", "clock behind", "clock right", "flap", "app killed", "back"},
	{"reuse ids", "reuse ids", "offline", "app killed", "flap", "stops reading", "acks late", "back"},
	{"reuse ids", "reuse ids", "replicate", "failover", "wipe", "offline", "back"},
	{"reuse ids", "reuse ids", "persist late", "persist well", "store down", "store well", "publish fails",
		"publish well", "kill", "start", "app vanishes", "back"},
	{"kill", "stop", "start", "start", "wipe", "replace", "replicate", "failover", "redis down", "redis up", "redis up",
		"publish fails", "publish slow", "publish well", "persist late", "persist well", "store down", "store well",
		"store well", "app killed", "app vanishes", "offline", "flap", "stops reading", "back", "back",
		"clock jumps", "instance clock", "reuse ids"},
}

// withdrawals are themes in which messages are withdrawn.
var withdrawals = [][]string{
	{"withdraw", "offline", "app killed", "flap", "back"},
	{"withdraw", "offline", "acks late", "stops reading", "back", "flap"},
	{"withdraw", "kill", "start", "publish fails", "publish well", "flap", "back"},
	{"withdraw", "replicate", "failover", "offline", "redis down", "redis up", "back"},
	{"withdraw", "reuse ids", "offline", "app killed", "flap", "back"},
}

// TestRandomHistories plays random histories of four users with one or two devices each. A seed repeats the schedule:
// the events with their times and targets, and what users write when, on which device, with which id. It does not
// repeat the order of goroutines; see TestSeed. To repeat a failed history, run with -seed N -seeds 1, several times if
// necessary.
func TestRandomHistories(t *testing.T) {
	playSeeds(t, themes)
}

// TestRandomWithdrawals does the same with histories in which messages are withdrawn.
func TestRandomWithdrawals(t *testing.T) { playSeeds(t, withdrawals) }

func playSeeds(t *testing.T, themes [][]string) {
	t.Helper()
	changes := 0
	for n := range *seeds {
		t.Run(fmt.Sprintf("seed %d", *first+uint64(n)), func(t *testing.T) {
			h := playRandom(t, themes, *first+uint64(n))
			requireClean(t, h.report)
			t.Logf("%v; %d messages, %d changes", h, h.report.Typed, h.report.Changes)
			changes += h.report.Changes
			if t.Failed() {
				t.Logf("the events were %q", h.played)
			}
		})
	}
	if changes == 0 {
		t.Error("nobody has changed a message")
	}
}

// playRandom plays the history of a seed.
func playRandom(t *testing.T, themes [][]string, seed uint64) *history {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 8))
	theme := themes[rnd.IntN(len(themes))]
	h := &history{seed: seed}
	schedule := sha256.New()
	o := load.Options{Rate: 4, TwoDevices: 0.7, Skewed: 0.3, Changed: 0.2, Reused: 0.1, Partners: 2, Seed: seed}
	h.report = play(t, 4, o, func(t *testing.T, w *world) {
		defer func() { h.addLog(schedule, w.log) }()
		start := w.began.Add(chatFrom)
		testwait.Advance(time.Until(start))
		ctx, stop := context.WithCancel(t.Context())
		var chat sync.WaitGroup
		chat.Go(func() { w.crowd.Chat(ctx, func() {}) })
		next := start.Add(offBeat)
		for range 5 + rnd.IntN(15) {
			testwait.Advance(time.Until(next))
			name := theme[rnd.IntN(len(theme))]
			h.played = append(h.played, name)
			fmt.Fprintln(schedule, time.Since(w.began), name)
			events[name](w, rnd)
			wait := []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second,
				5 * time.Second, 40 * time.Second}
			next = next.Add(wait[rnd.IntN(len(wait))])
			fmt.Fprintln(schedule, rnd.Uint64()) // stands for all choices so far
		}
		testwait.Advance(time.Until(next))
		stop()
		chat.Wait()
	})
	return h
}
