package simulation

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// These histories are those of which users of chats complain in public. The table in web/src/model/histories.test.ts
// lists all of them, and the tests of the browser's client.

// requireShown fails the test unless both users' devices that run show these messages in this order, and none waits.
func (c *cast) requireShown(t *testing.T, want []string) {
	t.Helper()
	for _, d := range c.crowd.Devices() {
		var got []string
		for _, l := range d.Shows(c.conv) {
			got = append(got, l.ID)
		}
		if d.Up() && !slices.Equal(got, want) {
			t.Errorf("%s shows %v, want %v", d.Name(), got, want)
		}
	}
	if n := c.waiting(c.ben) + c.waiting(c.ann); n > 0 {
		t.Errorf("%d messages wait, want 0", n)
	}
}

// write writes a number of messages on a device, with a pause after each.
func (c *cast) write(d *load.Device, to string, count int, pause time.Duration) (ids []string) {
	for i := range count {
		ids = append(ids, d.Write(to, fmt.Sprint("message ", i), ""))
		testwait.Advance(pause)
	}
	return ids
}

func TestWrittenOfflineThenReloaded(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.annA.Offline()
		ids := c.write(c.annA, c.ben, 3, time.Second)
		c.annA.Kill()
		c.annA.Start()
		testwait.Advance(5 * time.Second)
		c.requireShown(t, ids)
	})
}

func TestPlugPulledWhileSending(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		var ids []string
		for i := range 12 {
			ids = append(ids, c.annA.Write(c.ben, fmt.Sprint("message ", i), ""))
			// Before the message is sent, on the way, and after its answer.
			testwait.Advance([]time.Duration{0, 500 * time.Microsecond, 50 * time.Millisecond}[i%3])
			if i%2 == 0 {
				c.annA.Vanish()
			} else {
				c.annA.Kill()
			}
			testwait.Advance(time.Second)
			c.annA.Start()
			testwait.Advance(5 * time.Second)
		}
		c.requireShown(t, ids)
	})
}

// While no instance runs, devices try again and again, but less and less often. Once they are connected, they stay
// connected.
func TestReconnectLoopAfterARestart(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		ids := []string{c.annA.Write(c.ben, "before", "")}
		testwait.Advance(time.Second)
		devices := int64(len(c.crowd.Devices()))
		for _, n := range c.nodes {
			n.kill()
		}
		before := c.attempts.Load()
		ids = append(ids, c.write(c.annA, c.ben, 3, 0)...)
		testwait.Advance(10 * time.Minute)
		if n := (c.attempts.Load() - before) / devices; n < 15 || n > 80 {
			t.Errorf("a device tried %d times in 10 minutes", n)
		}
		for _, n := range c.nodes {
			n.start()
		}
		testwait.Advance(35 * time.Second)
		c.requireShown(t, ids)
		before = c.attempts.Load()
		testwait.Advance(10 * time.Minute)
		if n := c.attempts.Load() - before; n > 0 {
			t.Errorf("connected devices opened %d more sockets", n)
		}
	})
}

// Messages that were accepted are lost with Redis, and sent again.
func TestSeveralMessagesSentAgainInOrder(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benA.Offline()
		c.benB.Offline()
		ids := c.write(c.annA, c.ben, 8, 100*time.Millisecond)
		happened(t, c.waiting(c.ben) == 8, "all messages were accepted")
		c.replace()
		happened(t, c.waiting(c.ben) == 0, "Redis lost them")
		testwait.Advance(10 * time.Second)
		c.benA.Online()
		c.benB.Online()
		testwait.Advance(10 * time.Second)
		c.requireShown(t, ids)
	})
}

func TestPhoneThatChangesNetworksTwiceAMinute(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		before := c.attempts.Load()
		var ids []string
		for i := range 12 {
			from, to := c.annA, c.ben
			if i%3 > 0 {
				from, to = c.benA, c.ann
			}
			// The old network dies at once, or with the answers that are on their way.
			if i%2 == 0 {
				c.annA.Offline()
			}
			ids = append(ids, from.Write(to, fmt.Sprint("message ", i), ""))
			if i%2 == 1 {
				c.annA.Flap()
				c.annA.Offline()
			}
			testwait.Advance(1500 * time.Millisecond)
			c.annA.Online()
			testwait.Advance(28500 * time.Millisecond)
		}
		c.requireShown(t, ids)
		if n := c.attempts.Load() - before; n < 12 || n > 24 {
			t.Errorf("the phone opened %d sockets for 12 changes of its network", n)
		}
	})
}
