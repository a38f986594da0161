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
	seeds = flag.Int("seeds", 6, "number of random histories")
	first = flag.Uint64("seed", 1, "the first seed")
)

// events maps the name of each event of a random history to the function that causes it. Events can overlap. A fault
// lasts until another event, or the end of the history, ends it. A slow Redis is not one of them: go-redis connects
// with a lock held, and a goroutine that waits for a lock stops the clock of a synctest bubble. The runs of infra/fault
// have a slow Redis.
var events = map[string]func(w *world, rnd *rand.Rand){
	"kill":          func(w *world, rnd *rand.Rand) { w.nodes[rnd.IntN(2)].kill() },
	"stop":          func(w *world, rnd *rand.Rand) { w.nodes[rnd.IntN(2)].stop() },
	"start":         func(w *world, _ *rand.Rand) { w.nodes[0].start(); w.nodes[1].start() },
	"wipe":          func(w *world, _ *rand.Rand) { w.wipe() },
	"replace":       func(w *world, _ *rand.Rand) { w.replace() },
	"replicate":     func(w *world, _ *rand.Rand) { w.replicate() },
	"failover":      func(w *world, _ *rand.Rand) { w.failOver() },
	"clock behind":  func(w *world, _ *rand.Rand) { w.setClockBehind(3 * time.Second) },
	"clock right":   func(w *world, _ *rand.Rand) { w.setClockBehind(0) },
	"redis down":    func(w *world, rnd *rand.Rand) { w.redis(rnd, func(n *network) { n.Down(true) }) },
	"redis up":      func(w *world, rnd *rand.Rand) { w.redis(rnd, func(n *network) { n.Down(false) }) },
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
	"withdraw": func(w *world, rnd *rand.Rand) { w.withdraw(w.crowd.Users()[rnd.IntN(4)]) },
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
	{"kill", "stop", "start", "start", "wipe", "replace", "replicate", "failover", "redis down", "redis up", "redis up",
		"publish fails", "publish slow", "publish well", "persist late", "persist well", "store down", "store well",
		"store well", "app killed", "app vanishes", "offline", "flap", "stops reading", "back", "back"},
}

// withdrawals are themes in which messages are withdrawn.
var withdrawals = [][]string{
	{"withdraw", "offline", "app killed", "flap", "back"},
	{"withdraw", "offline", "acks late", "stops reading", "back", "flap"},
	{"withdraw", "kill", "start", "publish fails", "publish well", "flap", "back"},
	{"withdraw", "replicate", "failover", "offline", "redis down", "redis up", "back"},
}

// TestRandomHistories plays random histories of four users with one or two devices each. A seed repeats the events, but
// not the order of goroutines. To repeat a failed history, run with -seed N -seeds 1, several times if necessary.
func TestRandomHistories(t *testing.T) {
	playRandom(t, themes)
}

// TestRandomWithdrawals does the same with histories in which messages are withdrawn.
func TestRandomWithdrawals(t *testing.T) { playRandom(t, withdrawals) }

func playRandom(t *testing.T, themes [][]string) {
	t.Helper()
	for n := range *seeds {
		seed := *first + uint64(n)
		rnd := rand.New(rand.NewPCG(seed, 8))
		theme := themes[rnd.IntN(len(themes))]
		var played []string
		o := load.Options{Rate: 4, TwoDevices: 0.7, Skewed: 0.3, Partners: 2, Seed: seed}
		r := play(t, 4, o, func(t *testing.T, w *world) {
			ctx, stop := context.WithCancel(t.Context())
			var chat sync.WaitGroup
			chat.Go(func() { w.crowd.Chat(ctx, func() {}) })
			for range 5 + rnd.IntN(15) {
				name := theme[rnd.IntN(len(theme))]
				played = append(played, name)
				events[name](w, rnd)
				wait := []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second,
					5 * time.Second, 40 * time.Second}
				testwait.Advance(wait[rnd.IntN(len(wait))])
			}
			stop()
			chat.Wait()
		})
		requireClean(t, r)
		if t.Failed() {
			t.Fatalf("seed %d failed with the events %q", seed, played)
		}
	}
}
