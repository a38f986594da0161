package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// These histories broke earlier drafts of the rules, or break if one rule of realtime/settle or realtime/inbox is left
// out. The scenarios of realtime/wire have the histories that depend on the client alone.

// cast is two users with two connected devices each.
type cast struct {
	*world
	ann, ben   string
	annA, annB *load.Device
	benA, benB *load.Device
	conv       string
}

// playCast plays a history of a cast and requires a clean verdict.
func playCast(t *testing.T, f func(t *testing.T, c *cast)) {
	t.Helper()
	requireClean(t, play(t, 2, load.Options{TwoDevices: 1, Seed: 1}, func(t *testing.T, w *world) {
		uids := w.crowd.Users()
		a, b := w.crowd.DevicesOf(uids[0]), w.crowd.DevicesOf(uids[1])
		f(t, &cast{w, uids[0], uids[1], a[0], a[1], b[0], b[1], chat.ConversationID(uids[0], uids[1])})
	}))
}

// shows reports whether a device shows a message.
func (c *cast) shows(d *load.Device, id string) bool {
	for _, l := range d.Shows(c.conv) {
		if l.ID == id {
			return true
		}
	}
	return false
}

// state returns the state in which a device shows a message.
func (c *cast) state(d *load.Device, id string) client.State {
	for _, l := range d.Shows(c.conv) {
		if l.ID == id {
			return l.State
		}
	}
	return client.Waiting
}

// behave restarts the app of a device with a misbehavior.
func (c *cast) behave(d *load.Device, m client.Misbehavior) {
	d.Kill()
	d.SetMisbehavior(m)
	d.Start()
	testwait.Advance(2 * time.Second)
}

// happened fails the test if the history did not take the course that it is about.
func happened(t *testing.T, ok bool, what string) {
	t.Helper()
	if !ok {
		t.Errorf("the history did not happen: %s", what)
	}
}

// The instance dies before ann's device receives "sent". Ben has the message and answers it. Ann's device sends it
// again; it keeps its place before the answer and is shown once.
func TestCrashBeforeSentWithTheMessageAlreadyAnswered(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.annA.StopReading(true)
		c.annA.Flap() // ends the read in progress, so that the next frame is not read
		c.annA.StopReading(false)
		testwait.Advance(2 * time.Second)
		c.annA.StopReading(true)
		question := c.annA.Write(c.ben, "question", "")
		testwait.Advance(time.Second)
		happened(t, c.shows(c.benB, question), "ben has the question")
		answer := c.benB.Write(c.ann, "answer", chat.KeyOf(question, c.ann))
		testwait.Advance(time.Second) // acknowledged and settled
		for _, n := range c.nodes {
			n.kill()
			n.start()
		}
		c.annA.StopReading(false)
		testwait.Advance(10 * time.Second)
		for _, d := range c.crowd.Devices() {
			lines := d.Shows(c.conv)
			if len(lines) != 2 || lines[0].ID != question || lines[1].ID != answer {
				t.Errorf("%s shows %v", d.Name(), lines)
			}
		}
	})
}

// Ben's phone has stored and acknowledged a message that his laptop does not have, and the failover loses it.
func TestFailoverAfterOneDeviceAcknowledgedWhatAnotherLacks(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.replicate()
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(2 * time.Second)
		happened(t, c.shows(c.benA, id) && !c.shows(c.benB, id) && c.archive.Figures().Writes > 0,
			"the message is saved and only one device has it")
		c.failOver()
		c.benB.Online()
		testwait.Advance(10 * time.Second)
		if !c.shows(c.benB, id) {
			t.Error("the other device did not load the missing message")
		}
	})
}

// The list is published, the failover comes, and only then the inbox is asked to drop the list. The new primary's clock
// is behind, so that a message of the new epoch has an id below the end of that list. The old ack must not settle it:
// its sender does not come back to send it again.
func TestAckBegunBeforeAFailoverAndFinishedAfterIt(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.behave(c.benA, client.Misbehavior{AckDelay: 5 * time.Second})
		c.replicate()
		var times atomic.Int64 // of two flushes at once
		var later string
		during := func(context.Context) error {
			if times.Add(1) == 1 {
				c.setClockBehind(time.Minute)
				c.failOver()
				later = c.annB.Write(c.ben, "in the new epoch", "")
				for range 80 { // until it is accepted, after the instances have found the new primary
					<-time.After(100 * time.Millisecond)
					if c.state(c.annB, later) != client.Waiting {
						break
					}
				}
				c.annB.Offline()
			}
			return nil
		}
		c.annA.Write(c.ben, "one", "")
		c.annA.Write(c.ben, "two", "")
		c.publish.Store(&during)
		testwait.Advance(20 * time.Second)
		happened(t, times.Load() > 0, "something was published")
		happened(t, c.shows(c.annA, later), "the message of the new epoch was accepted")
		if state := c.state(c.annA, later); state != client.Delivered {
			t.Errorf("the message of the new epoch is %v, want delivered", state)
		}
	})
}

// The new primary assigns ids below the cursors that devices have stored.
func TestNewPrimaryWhoseClockIsBehind(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		for i := range 3 {
			c.annA.Write(c.ben, fmt.Sprint("before ", i), "")
			testwait.Advance(time.Second)
		}
		c.setClockBehind(time.Minute)
		c.replace()
		id := c.annA.Write(c.ben, "after", "")
		testwait.Advance(10 * time.Second)
		if !c.shows(c.benA, id) || !c.shows(c.benB, id) {
			t.Error("a device skipped a message below its old cursor")
		}
	})
}

// The inbox trims events that a live socket has not read yet.
func TestTrimmingPastASlowLiveSocket(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.StopReading(true)
		for i := range 130 { // more events than the inbox retains, over more than the hour of its retention
			c.annA.Write(c.ben, fmt.Sprint("message ", i), "")
			testwait.Advance(time.Minute)
		}
		happened(t, len(c.benA.Shows(c.conv)) == 130 && len(c.benB.Shows(c.conv)) < 30,
			"one device has all messages, the other few")
		c.benB.StopReading(false)
		testwait.Advance(2 * time.Minute)
		if n := len(c.benB.Shows(c.conv)); n != 130 {
			t.Errorf("the other device shows %d messages, want 130", n)
		}
	})
}

// More messages wait for ben, over a longer time, than the inbox retains. Trimming must not remove them.
func TestWaitingMessagesOutliveRetention(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benA.Offline()
		c.benB.Offline()
		for i := range 130 {
			c.annA.Write(c.ben, fmt.Sprint("message ", i), "")
			testwait.Advance(time.Minute)
		}
		c.benA.Online()
		testwait.Advance(10 * time.Second)
		if n := len(c.benA.Shows(c.conv)); n != 130 {
			t.Errorf("the device shows %d messages, want 130", n)
		}
	})
}

// A device moves to a new socket before it closes the old one, and its acks are late. They go to the socket that
// brought the events, and the hello of the new socket counts for the rest.
func TestAckOnTheNewSocketForWhatTheOldOneBrought(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.benA.Kill()
		c.benA.SetMisbehavior(client.Misbehavior{AckDelay: 3 * time.Second})
		c.benA.Start()
		testwait.Advance(2 * time.Second)
		for i := range 10 {
			c.annA.Write(c.ben, fmt.Sprint("message ", i), "")
			testwait.Advance(300 * time.Millisecond)
			if i == 4 {
				c.nodes[0].stop()
				c.nodes[0].start()
				c.nodes[1].stop()
				c.nodes[1].start()
			}
		}
	})
}

// The app restarts while it has a backfill to do and history cannot be read.
func TestReloadWithHistoryStillToLoad(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(2 * time.Second)
		c.archive.Down(true, false)
		c.replace()
		c.benB.Online()
		testwait.Advance(5 * time.Second)
		happened(t, !c.shows(c.benB, id), "history cannot be read")
		c.benB.Kill()
		c.benB.Start()
		testwait.Advance(5 * time.Second)
		c.archive.Down(false, false)
		testwait.Advance(2 * time.Minute)
		if !c.shows(c.benB, id) {
			t.Error("the app forgot its backfill when it restarted")
		}
	})
}

// answer makes ben write to ann, who gets his read marks from then on.
func (c *cast) answer() {
	c.benA.Write(c.ann, "an earlier message", "")
	testwait.Advance(5 * time.Second)
}

// Ben reads a message at once, and it cannot be published. Until it is published, ann must see it neither as read nor
// as delivered.
func TestReadOvertakingTheMessageItReads(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.answer()
		c.publishing(0, errors.New("publishing fails"))
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(100 * time.Millisecond)
		c.benA.Read(c.conv)
		testwait.Advance(20 * time.Second)
		if state := c.state(c.annA, id); state != client.Sent {
			t.Errorf("the message is %v, but it cannot be saved", state)
		}
		c.publish.Store(nil)
		testwait.Advance(time.Minute)
		if state := c.state(c.annA, id); state != client.Read {
			t.Errorf("the message is %v in the end, want read", state)
		}
	})
}

// renew replaces both instances while Redis is wiped, so that only the archive knows who has written to whom.
func (c *cast) renew(t *testing.T) {
	for _, n := range c.nodes {
		n.kill()
	}
	c.wipe()
	for _, n := range c.nodes {
		n.start()
	}
	up := func() bool {
		return !slices.ContainsFunc(c.crowd.Devices(), func(d *load.Device) bool { return !d.Up() })
	}
	for i := 0; i < 60 && !up(); i++ {
		testwait.Advance(time.Second)
	}
	happened(t, up(), "all devices are connected again")
}

// Only the archive knows that ann and ben have written to each other. His read mark must reach her nevertheless.
func TestReadMarkAfterAWipe(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.answer()
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(5 * time.Second)
		happened(t, c.state(c.annA, id) == client.Delivered && c.archive.Figures().Writes > 0, "the message is saved")
		c.renew(t)
		c.benA.Read(c.conv)
		testwait.Advance(5 * time.Second)
		for _, d := range []*load.Device{c.annA, c.annB} {
			if state := c.state(d, id); state != client.Read {
				t.Errorf("the message is %v on %s, want read", state, d.Name())
			}
		}
	})
}

// Ben reads the first message of a conversation when nobody knows that ann has written it: Redis was wiped, and the
// message is not saved yet. The instance drops the mark and asks the archive again a minute later. Until then, ben's
// device repeats the mark.
func TestReadMarkBeforeItsMessageIsSaved(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.pushLate.Store(int64(2 * time.Minute))
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(5 * time.Second)
		happened(t, c.state(c.annA, id) == client.Delivered && c.archive.Figures().Writes == 0,
			"the message is published and not saved")
		c.renew(t)
		c.benA.Read(c.conv)
		for i := 0; i < 180 && c.archive.Figures().Writes == 0; i++ {
			testwait.Advance(time.Second)
		}
		happened(t, c.archive.Figures().Writes > 0 && c.state(c.annA, id) == client.Delivered,
			"the message is saved, and its mark was dropped")
		// The verdict requires that everyone has the mark in the end.
	})
}

// Ben's second device is away while he reads on the first, and Redis loses the read event. The device comes back and
// loads history before the mark is saved, so it has the mark only after it has loaded history once more.
func TestReadMarkSavedAfterTheLoad(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.annA.Write(c.ben, "one", "")
		testwait.Advance(5 * time.Second)
		c.benB.Offline()
		c.pushLate.Store(int64(20 * time.Second))
		c.benA.Read(c.conv)
		testwait.Advance(5 * time.Second)
		c.replace()
		testwait.Advance(5 * time.Second)
		c.benB.Online()
		testwait.Advance(5 * time.Second)
		at, unseen := c.benB.Unseen(c.conv)
		happened(t, unseen && at > 0, "the device does not have the mark")
		// The verdict requires that every device has the mark in the end.
	})
}

// A failover breaks all connections to Redis. The next send is repeated on a new one, so no client has to wait.
func TestSendAfterAFailover(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		for i := range 20 { // opens several connections
			c.annA.Write(c.ben, fmt.Sprint("message ", i), "")
		}
		testwait.Advance(5 * time.Second)
		c.replicate()
		c.failOver()
		id := c.annA.Write(c.ben, "after the failover", "")
		testwait.Advance(100 * time.Millisecond)
		if state := c.state(c.annA, id); state == client.Waiting {
			t.Error("the message was not accepted at once")
		}
	})
}

// Redis refuses the receipts of a message that Pub/Sub has confirmed. Until they are appended, the message waits in
// ben's inbox, and his read mark does not reach ann.
func TestReceiptsAreRefused(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.answer()
		c.refuse(receipts)
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(100 * time.Millisecond)
		c.benA.Read(c.conv)
		testwait.Advance(20 * time.Second)
		happened(t, c.archive.Figures().Writes > 0, "the message is saved")
		if state, n := c.state(c.annA, id), c.waiting(c.ben); state != client.Sent || n != 1 {
			t.Errorf("the message is %v and %d messages wait, want sent and 1", state, n)
		}
		if types := c.eventTypes(c.ann); slices.Contains(types, wire.EventRead) {
			t.Errorf("the inbox of ann has the events %v, want no read event", types)
		}
		c.refuse(nil)
		testwait.Advance(time.Minute)
		if state, n := c.state(c.annA, id), c.waiting(c.ben); state != client.Read || n != 0 {
			t.Errorf("the message is %v and %d messages wait, want read and 0", state, n)
		}
	})
}

// Redis refuses to settle a message that is saved and reported. The instance tries again until Redis has dropped it.
func TestSettlementsAreRefused(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.refuse(settlements)
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(20 * time.Second)
		happened(t, c.state(c.annA, id) == client.Delivered && c.waiting(c.ben) == 1, "only the settlement is missing")
		c.refuse(nil)
		testwait.Advance(time.Minute)
		if n := c.waiting(c.ben); n != 0 {
			t.Errorf("%d messages wait, want 0", n)
		}
	})
}

// Two instances settle lists of one user that begin at the same event. Each marks the end of its own, and the mark does
// not fall.
func TestTwoInstancesSettleOverlappingLists(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.behave(c.benA, client.Misbehavior{AckDelay: time.Second})
		for i, d := range []*load.Device{c.benA, c.benB} {
			c.serving.Store(c.nodes[i])
			d.Flap()
			testwait.Advance(5 * time.Second)
		}
		c.publishing(3*time.Second, nil)
		one := c.annA.Write(c.ben, "one", "")
		testwait.Advance(300 * time.Millisecond)
		c.benB.Offline()
		happened(t, c.shows(c.benB, one), "the second device has the first message")
		two := c.annA.Write(c.ben, "two", "")
		testwait.Advance(20 * time.Second)
		happened(t, c.state(c.annA, two) == client.Delivered, "the other instance has settled both")
		settled := int64(0)
		for _, n := range c.nodes[:2] {
			settled += n.running().Counters().Settle.Messages.Load()
		}
		happened(t, settled > 2, "the lists overlapped")
		if n := c.waiting(c.ben); n != 0 {
			t.Errorf("%d messages wait, want 0", n)
		}
	})
}

// Ben's device has stored a message, and its ack is lost. The cursor of its next hello counts as the ack.
func TestHelloCursorIsAnAck(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.behave(c.benA, client.Misbehavior{AckNever: true})
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(10 * time.Second)
		happened(t, c.shows(c.benA, id) && c.waiting(c.ben) == 1, "the message is stored and not acknowledged")
		c.benA.Flap()
		testwait.Advance(10 * time.Second)
		if state, n := c.state(c.annA, id), c.waiting(c.ben); state != client.Delivered || n != 0 {
			t.Errorf("the message is %v and %d messages wait, want delivered and 0", state, n)
		}
	})
}

// Ben's device acknowledges cursors ahead of what it was sent. Such an ack counts for what the socket was sent, and is
// applied to later events as they are sent.
func TestAckAheadOfWhatWasSent(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.behave(c.benA, client.Misbehavior{AckAhead: time.Hour, AckDelay: 5 * time.Second})
		c.annA.Write(c.ben, "one", "")
		testwait.Advance(10 * time.Second)
		if n := c.waiting(c.ben); n != 0 {
			t.Errorf("%d messages wait after the ack, want 0", n)
		}
		c.annA.Write(c.ben, "two", "")
		testwait.Advance(2 * time.Second)
		if n := c.waiting(c.ben); n != 0 {
			t.Errorf("%d messages wait that an earlier ack covers, want 0", n)
		}
	})
}

// A socket is sent a message of the new epoch, whose id is below what its device has acknowledged in the old epoch. An
// ack of the old epoch follows. Neither ack counts for the message, which the device has not stored.
func TestAcksOfTheOldEpoch(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.behave(c.benA, client.Misbehavior{AckDelay: 8 * time.Second})
		c.replicate()
		c.annA.Write(c.ben, "one", "")
		testwait.Advance(10 * time.Second)
		happened(t, c.waiting(c.ben) == 0, "ben has acknowledged a message of the old epoch")
		two := c.annA.Write(c.ben, "two", "")
		testwait.Advance(time.Second)
		c.benA.StopReading(true)
		c.annA.Write(c.ben, "three", "") // ends the read in progress
		testwait.Advance(time.Second)
		happened(t, c.shows(c.benA, two) && c.waiting(c.ben) == 2, "ben has a message that he has not acknowledged")
		c.setClockBehind(time.Minute)
		c.failOver()
		testwait.Advance(time.Second)
		four := c.annB.Write(c.ben, "four", "")
		testwait.Advance(15 * time.Second)
		happened(t, !c.shows(c.benA, four), "ben does not have the message of the new epoch")
		if state := c.state(c.annB, four); state != client.Sent {
			t.Errorf("the message of the new epoch is %v, want sent", state)
		}
	})
}

// Ben's device acknowledges on one instance, on another, which is killed before it has saved anything, and on the first
// again. The first instance was never sent the messages between, and must read them from the stream.
func TestAckAfterEventsThatTheInstanceWasNotSent(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benB.Offline()
		c.publishing(0, errors.New("publishing fails"))
		move := func(n *node) {
			c.serving.Store(n)
			c.benA.Flap()
			testwait.Advance(5 * time.Second)
		}
		var ids []string
		write := func(body string) {
			ids = append(ids, c.annA.Write(c.ben, body, ""))
			testwait.Advance(2 * time.Second)
		}
		move(c.nodes[0])
		c.annA.Flap()
		c.annB.Flap()
		testwait.Advance(5 * time.Second)
		write("one")
		move(c.nodes[1])
		write("two")
		write("three")
		c.nodes[1].kill()
		c.serving.Store(c.nodes[0])
		testwait.Advance(5 * time.Second)
		write("four")
		happened(t, c.shows(c.benA, ids[3]) && c.waiting(c.ben) == 4, "ben has four messages and none is saved")
		c.publish.Store(nil)
		testwait.Advance(time.Minute)
		for i, id := range ids {
			if state := c.state(c.annA, id); state != client.Delivered {
				t.Errorf("message %d is %v, want delivered", i+1, state)
			}
		}
	})
}

// Ben's phone has a message that is withdrawn before its ack arrives, or whose ack is lost and follows with the next
// hello. In the meantime another message passes it. Both users' devices all get it in the end.
func TestWithdrawnMessageThatADeviceHas(t *testing.T) {
	for _, m := range []client.Misbehavior{{AckDelay: 20 * time.Second}, {AckNever: true}} {
		name := "the ack is late"
		if m.AckNever {
			name = "the ack is lost"
		}
		t.Run(name, func(t *testing.T) {
			playCast(t, func(t *testing.T, c *cast) {
				c.benB.Offline()
				c.behave(c.benA, m)
				id := c.annA.Write(c.ben, "one", "")
				testwait.Advance(time.Second)
				c.withdraw(c.ann)
				testwait.Advance(time.Second)
				happened(t, c.shows(c.benA, id) && c.waiting(c.ben) == 0 && c.state(c.annB, id) == client.Refused,
					"the message was withdrawn while one device had it")
				c.benB.Online()
				testwait.Advance(time.Second)
				two := c.annA.Write(c.ben, "two", "")
				testwait.Advance(2 * time.Second)
				happened(t, !c.shows(c.benB, id) && c.state(c.annA, two) == client.Delivered,
					"the other device passed the place of the message")
				testwait.Advance(30 * time.Second)
				c.benA.Flap()
				testwait.Advance(10 * time.Second)
				for _, d := range []*load.Device{c.annA, c.annB} {
					if state := c.state(d, id); state != client.Delivered {
						t.Errorf("the message is %v on %s, want delivered", state, d.Name())
					}
				}
				if !c.shows(c.benB, id) {
					t.Error("the recipient's other device does not get the message")
				}
			})
		})
	}
}

// A message is withdrawn that no device has. It is refused on all devices of its sender, stays away from those of its
// recipient, and nobody sees a gap.
func TestWithdrawnMessageThatNobodyHas(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		before := c.log.Mark()
		c.benA.Offline()
		c.benB.Offline()
		one := c.annA.Write(c.ben, "one", "")
		testwait.Advance(time.Second)
		c.withdraw(c.ann)
		two := c.annA.Write(c.ben, "two", "")
		testwait.Advance(time.Second)
		c.benA.Online()
		c.benB.Online()
		testwait.Advance(time.Minute)
		for _, d := range []*load.Device{c.annA, c.annB} {
			if c.state(d, one) != client.Refused || c.state(d, two) != client.Delivered {
				t.Errorf("on %s the messages are %v and %v", d.Name(), c.state(d, one), c.state(d, two))
			}
		}
		if c.shows(c.benA, one) || !c.shows(c.benA, two) {
			t.Error("the recipient shows the withdrawn message, or lacks the other")
		}
		for e := range c.log.After(before) {
			if e.Kind == record.NotResumed {
				t.Errorf("%s received a gap", e.Device)
			}
		}
	})
}

// The instance dies between the refused event and the removal. The message goes on waiting, and is delivered.
func TestCrashBetweenRefusalAndRemoval(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benA.Offline()
		c.benB.Offline()
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(time.Second)
		c.refuse(settlements)
		c.withdraw(c.ann)
		c.rig.Mini.Del("purges") // no instance may continue it
		testwait.Advance(time.Second)
		happened(t, c.state(c.annA, id) == client.Refused && c.waiting(c.ben) == 1, "the message is refused and waits")
		c.refuse(nil)
		for _, n := range c.nodes {
			n.kill()
			n.start()
		}
		c.benA.Online()
		testwait.Advance(30 * time.Second)
		if state := c.state(c.annA, id); state != client.Delivered || !c.shows(c.benA, id) {
			t.Errorf("the message is %v, want delivered", state)
		}
	})
}

// The failover loses the withdrawal, or only what one of the two inboxes knows of it.
func TestFailoverLosesAWithdrawal(t *testing.T) {
	playCast(t, func(t *testing.T, c *cast) {
		c.benA.Offline()
		c.benB.Offline()
		id := c.annA.Write(c.ben, "one", "")
		testwait.Advance(time.Second)
		c.replicate()
		c.withdraw(c.ann)
		testwait.Advance(time.Second)
		happened(t, c.state(c.annA, id) == client.Refused && c.waiting(c.ben) == 0, "the message is withdrawn")
		c.failOver()
		testwait.Advance(10 * time.Second)
		c.benA.Online()
		testwait.Advance(time.Minute)
		if c.state(c.annA, id) != client.Delivered || !c.shows(c.benA, id) {
			t.Errorf("the message is %v, want delivered", c.state(c.annA, id))
		}
	})
}
