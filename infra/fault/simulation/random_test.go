package simulation

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

var (
	seeds = flag.Int("seeds", 6, "how many random histories are played")
	first = flag.Uint64("seed", 1, "the first seed")
)

// happen are the things that can happen in a random history, one at a time or
// overlapping. Each may leave something broken; what follows, or the end, mends
// it. A slow Redis is not among them: go-redis connects with a lock held, and
// who waits for a lock holds a bubble's clock. infra/fault has it with processes.
var happen = map[string]func(w *world, rnd *rand.Rand){
	"kill":          func(w *world, rnd *rand.Rand) { w.nodes[rnd.IntN(2)].kill() },
	"stop":          func(w *world, rnd *rand.Rand) { w.nodes[rnd.IntN(2)].stop() },
	"start":         func(w *world, _ *rand.Rand) { w.nodes[0].start(); w.nodes[1].start() },
	"wipe":          func(w *world, _ *rand.Rand) { w.wipe() },
	"replace":       func(w *world, _ *rand.Rand) { w.replace() },
	"replicate":     func(w *world, _ *rand.Rand) { w.replicate() },
	"failover":      func(w *world, _ *rand.Rand) { w.failOver() },
	"clock behind":  func(w *world, _ *rand.Rand) { w.clock(3 * time.Second) },
	"clock right":   func(w *world, _ *rand.Rand) { w.clock(0) },
	"cut":           func(w *world, rnd *rand.Rand) { w.redis(rnd, func(n *network) { n.Down(true) }) },
	"well":          func(w *world, rnd *rand.Rand) { w.redis(rnd, func(n *network) { n.Down(false) }) },
	"publish fails": func(w *world, _ *rand.Rand) { w.publishing(0, errors.New("publishing fails")) },
	"publish slow":  func(w *world, _ *rand.Rand) { w.publishing(2*time.Second, nil) },
	"publish well":  func(w *world, _ *rand.Rand) { w.publish.Store(nil) },
	"persist late":  func(w *world, _ *rand.Rand) { w.pushLate.Store(int64(4 * time.Second)) },
	"persist well":  func(w *world, _ *rand.Rand) { w.pushLate.Store(0) },
	"store down":    func(w *world, rnd *rand.Rand) { w.archive.Down(true, rnd.IntN(2) == 0) },
	"store well":    func(w *world, _ *rand.Rand) { w.archive.Down(false, false) },
	"app killed":    func(w *world, rnd *rand.Rand) { w.one(rnd).Kill() },
	"vanish":        func(w *world, rnd *rand.Rand) { w.one(rnd).Vanish() },
	"offline":       func(w *world, rnd *rand.Rand) { w.one(rnd).Offline() },
	"flap":          func(w *world, rnd *rand.Rand) { w.one(rnd).Flap() },
	"deaf":          func(w *world, rnd *rand.Rand) { w.one(rnd).StopReading(true) },
	"acks late": func(w *world, rnd *rand.Rand) {
		d := w.one(rnd)
		d.Kill()
		d.SetMisbehavior(client.Misbehavior{AckDelay: 2 * time.Second})
		d.Start()
	},
	"back": func(w *world, _ *rand.Rand) {
		for _, d := range w.crowd.Devices() {
			d.StopReading(false)
			d.Online()
			d.Start()
		}
	},
}

// themes are what a history is about. One with few kinds of trouble meets
// their rare orders more often than one that has all.
var themes = [][]string{
	{"kill", "start", "stop", "app killed", "flap", "back"},
	{"replicate", "failover", "offline", "back", "kill", "start"},
	{"replicate", "failover", "clock behind", "clock right", "app killed", "back"},
	{"wipe", "replace", "offline", "vanish", "back", "flap"},
	{"replicate", "failover", "publish slow", "publish well", "publish fails", "offline", "back"},
	{"kill", "start", "publish slow", "publish fails", "publish well", "app killed", "back"},
	{"cut", "well", "flap", "stop", "start", "app killed", "back"},
	{"persist late", "persist well", "store down", "store well", "replace", "offline", "back"},
	{"deaf", "acks late", "back", "vanish", "kill", "start", "wipe"},
	{"kill", "stop", "start", "start", "wipe", "replace", "replicate", "failover", "cut", "well", "well", "publish fails", "publish slow",
		"publish well", "persist late", "persist well", "store down", "store well", "store well", "app killed", "vanish", "offline", "flap", "deaf", "back", "back"},
}

// TestRandomHistories plays random histories of four people with one or two
// devices each. A seed repeats what is tried, not how goroutines take turns: a
// failing one is played again with -seed N -seeds 1, some times if need be.
func TestRandomHistories(t *testing.T) {
	for n := range *seeds {
		seed := *first + uint64(n)
		rnd := rand.New(rand.NewPCG(seed, 8))
		theme := themes[rnd.IntN(len(themes))]
		var told []string
		r := play(t, 4, load.Options{Rate: 4, TwoDevices: 0.7, Skewed: 0.3, Partners: 2, Seed: seed}, func(t *testing.T, w *world) {
			ctx, stop := context.WithCancel(t.Context())
			var chat sync.WaitGroup
			chat.Go(func() { w.crowd.Chat(ctx, func() {}) })
			for range 5 + rnd.IntN(15) {
				what := theme[rnd.IntN(len(theme))]
				told = append(told, what)
				happen[what](w, rnd)
				wait := []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 5 * time.Second, 40 * time.Second}
				testwait.Advance(wait[rnd.IntN(len(wait))])
			}
			stop()
			chat.Wait()
		})
		clean(t, r)
		if t.Failed() {
			t.Fatalf("seed %d: %q", seed, told)
		}
	}
}
