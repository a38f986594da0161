package simulation

import (
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/verdict"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// A wake is lost. The comparison with the stream heals that within 30 s, and the tight bound of all other histories
// does not accept it.
func TestLostWake(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.bounds = withoutWakes
		c.afterwards = func() {
			if n := verdict.JudgeWithin(c.log.All(), tight).Counts[verdict.LateLive]; n == 0 {
				t.Error("the tight bound accepts a lost wake")
			}
		}
		testwait.Advance(time.Minute) // the users are among those that are compared
		c.dropWakes.Store(true)
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(5 * time.Millisecond)
		c.dropWakes.Store(false)
		happened(t, c.waiting(c.ben) == 1 && !c.shows(c.benA, id), "the message waits, and its wake is lost")
		testwait.Advance(31 * time.Second)
		if !c.shows(c.benA, id) || !c.shows(c.benB, id) {
			t.Error("the comparison with the stream did not find the message")
		}
	})
}

// A message is accepted while a device says hello, before its instance is subscribed to wakes. The instance attaches to
// the inbox after it has subscribed, so the message comes at once and not with the next comparison.
func TestMessageDuringTheHello(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.serving.Store(c.nodes[0])
		for _, d := range c.crowd.Devices() {
			d.Flap()
		}
		testwait.Advance(10 * time.Second)
		c.slowSubscribe.Store(int64(2 * time.Second))
		c.serving.Store(c.nodes[1])
		c.benA.Flap()
		testwait.Advance(1500 * time.Millisecond) // the hello is subscribing
		c.annA.Write(c.ben, "one", "")
		testwait.Advance(10 * time.Millisecond)
		happened(t, !c.benA.Up() && c.waiting(c.ben) == 1, "the message waits while the device says hello")
		for range 100 {
			if c.benA.Up() {
				break
			}
			testwait.Advance(50 * time.Millisecond)
		}
		testwait.Advance(tight.LiveWithin)
		if n := len(c.benA.Shows(c.conv)); !c.benA.Up() || n != 1 {
			t.Errorf("connected: %v, and the device shows %d messages, want 1", c.benA.Up(), n)
		}
	})
}
