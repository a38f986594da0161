package settle_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// step is one thing that happens.
type step struct {
	What   string
	Device int // 0..3
	Node   int // 0..1
}

func (s step) String() string { return fmt.Sprintf("%s %d %d", s.What, s.Device, s.Node) }

// themes are what happens in a history. One that has few kinds of trouble
// meets their rare orders more often than one that has all.
var themes = [][]string{
	{"write", "write", "connect", "ack", "ack", "snapshot", "failover", "wait"},
	{"write", "write", "connect", "ack", "snapshot", "failover", "clock behind", "clock right", "tick", "wait"},
	{"write", "write", "connect", "drop", "ack", "wipe", "wait"},
	{"write", "connect", "drop", "ack", "close", "kill", "faults", "no faults", "wait"},
	{"write", "write", "write", "pause", "go on", "ack", "wait", "wait long"},
	{"write", "write", "write", "write", "leave", "come", "ack", "ack", "tick", "wait", "wait long"},
	{"write", "write", "write", "leave", "come", "ack", "ack", "kill", "wait", "wait long"},
	{"write", "write", "ack", "ack", "pub/sub down", "pub/sub up", "kill", "connect", "wait", "wait long"},
	{"write", "write", "write", "connect", "connect", "drop", "ack", "ack", "close", "pause", "go on", "kill", "wipe", "snapshot",
		"failover", "pub/sub down", "pub/sub up", "faults", "no faults", "tick", "wait", "wait long"},
}

// do lets one step happen.
func (w *world) do(s step, n int) {
	d := w.dev[s.Device]
	switch s.What {
	case "write":
		d.write(fmt.Sprint("message ", n))
	case "connect":
		d.connect(w.nodes[s.Node])
		d.resend()
	case "drop":
		d.drop()
	case "leave": // both devices
		for i := range 2 {
			w.dev[s.Device/2*2+i].drop()
		}
	case "come":
		for i := range 2 {
			w.dev[s.Device/2*2+i].connect(w.nodes[(s.Node+i)%2])
		}
	case "ack":
		d.ack()
	case "close":
		d.ack()
		d.drop()
	case "pause":
		d.pause(true)
	case "go on":
		d.pause(false)
	case "kill":
		w.nodes[s.Node].kill()
		w.nodes[s.Node] = w.start()
	case "wipe":
		w.wipe()
	case "snapshot":
		w.snapshot()
	case "failover":
		w.failover()
	case "pub/sub down", "pub/sub up":
		w.store.mu.Lock()
		w.store.down = s.What == "pub/sub down"
		w.store.mu.Unlock()
	case "faults", "no faults":
		w.mu.Lock()
		w.faults = map[string]float64{"faults": 0.2}[s.What]
		w.mu.Unlock()
	case "tick":
		testwait.Advance(time.Millisecond)
	case "clock behind":
		w.clock(2 * time.Second)
	case "clock right":
		w.clock(0)
	case "wait":
		testwait.Advance(300 * time.Millisecond)
	case "wait long":
		testwait.Advance(40 * time.Second)
	default:
		panic("what is " + s.What)
	}
	synctest.Wait()
}

// play lets a history happen, everything come to rest, and judges.
func play(t *testing.T, seed uint64, steps []step) (err error) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		defer w.stop()
		w.begin()
		for i, s := range steps {
			w.do(s, i)
		}
		err = w.settleDown()
	})
	return err
}

// Random interleavings of sends, acks, crashes, resumes, wipes, failovers and
// faults between any two steps, for two people with two devices each.
func TestNothingIsLostInAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		whats := rapid.SampledFrom(themes).Draw(rt, "theme")
		list := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{rapid.SampledFrom(whats).Draw(rt, "what"), rapid.IntRange(0, 3).Draw(rt, "device"), rapid.IntRange(0, 1).Draw(rt, "node")}
		}), 3, 50).Draw(rt, "steps")
		if err := play(t, rapid.Uint64().Draw(rt, "seed"), list); err != nil {
			rt.Fatal(err)
		}
	})
}
