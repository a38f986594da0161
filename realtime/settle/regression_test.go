package settle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// Histories that broke earlier drafts of the rules (DESIGN §2), and those that
// tests found since. Each is told as it happened.

// history plays fn in a world where all four devices are connected: 0 and 1
// are ann's, 2 and 3 are ben's; even ones on instance 0, odd ones on 1.
func history(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.stop()
		w.begin()
		fn(t, w)
		if err := w.settleDown(); err != nil {
			t.Error(err)
		}
	})
}

// The instance dies between queueing a message and saying "sent". Ben has the
// message, and answers it, before ann's device sends it again: it must not get
// another place, and must not be shown twice.
func TestHistoryCrashBeforeSentWithTheMessageAlreadyAnswered(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.lose("sent") // the second step of the enqueue
		w.dev[0].write("question")
		w.lose("")
		synctest.Wait()
		question := w.dev[0].outbox[0]
		if !w.dev[2].has(question.ID) || w.dev[1].has(question.ID) {
			t.Error("the history did not happen: ben must have the question, and ann's other device must not")
		}
		w.nodes[0].kill()
		w.nodes[0] = w.start()
		w.dev[3].ack()
		w.dev[3].write("answer")
		testwait.Advance(time.Second) // acknowledged, settled, and no longer in pending
		w.dev[0].connect(w.nodes[0])
		w.dev[0].resend()
		synctest.Wait()
		for _, d := range w.dev {
			answer := w.dev[3].wrote[0]
			if d.has(answer) && d.has(question.ID) && !d.shown[question.ID].Before(d.shown[answer]) {
				t.Errorf("%s shows the answer before the question", d.name)
			}
		}
	})
}

// Ben's phone has stored and acknowledged what his laptop does not have, and
// the failover loses it: the laptop must learn that something is missing.
func TestHistoryFailoverAfterOneDeviceAcknowledgedWhatAnotherLacks(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.dev[3].pause(true)
		w.snapshot()
		w.dev[0].write("one")
		synctest.Wait()
		w.dev[2].ack()
		testwait.Advance(time.Second) // saved, told, cleared
		if w.dev[3].has(w.dev[0].wrote[0]) || len(w.store.messages()) != 1 {
			t.Error("the history did not happen")
		}
		w.failover()
	})
}

// The list is published and told; the failover comes; only then the inbox is
// asked to forget. In the new life the same ids mean other messages.
func TestHistoryAckBegunBeforeAFailoverAndFinishedAfterIt(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.dev[1].drop() // ann's tablet composes nothing
		w.dev[3].drop()
		w.snapshot()
		w.dev[0].write("one")
		w.dev[0].write("two")
		synctest.Wait()
		w.dev[2].ack()
		w.store.mu.Lock()
		w.store.before = func() { // while Pub/Sub confirms
			w.failover()
			w.dev[2].pause(true)
			w.dev[0].drop()
			w.dev[0].connect(w.nodes[1])
			w.clock(time.Minute)
			w.dev[0].write("three") // under an id below that of "one"
			w.clock(0)
			w.dev[0].write("four") // above that of "two"
		}
		w.store.mu.Unlock()
		testwait.Advance(time.Second)
		if w.store.before != nil {
			t.Error("the history did not happen")
		}
		if n := w.waiting("ben"); n != 2 {
			t.Errorf("%d messages wait for ben; the old ack must not count in the new life", n)
		}
		// Outboxes would mend what it did, had their devices not gone for good.
		if n := w.nodes[0].Settler.Snapshot(); n.OtherEpoch != 1 || n.Messages != 0 {
			t.Errorf("the old ack was settled in the new life: %+v", n)
		}
	})
}

// The new primary's clock is behind: it gives ids that lie before the cursors
// that devices have stored.
func TestHistoryNewPrimaryWhoseClockIsBehind(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.dev[0].write("one")
		synctest.Wait()
		for _, d := range w.dev {
			d.ack()
		}
		testwait.Advance(time.Minute)
		w.dev[0].write("two")
		synctest.Wait()
		w.clock(time.Minute)
		w.saved = nil
		w.failover()
		w.dev[0].write("three")
		for i, d := range w.dev {
			d.drop()
			d.connect(w.nodes[i%2])
		}
		synctest.Wait()
		for _, d := range w.dev[2:] {
			if !d.has(w.dev[0].wrote[2]) {
				t.Errorf("%s did not get what lies below its old cursor", d.name)
			}
		}
	})
}

// "sent" is lost, ben is fast, so that "delivered" is the first that ann's
// other device hears of a message.
func TestHistoryDeliveredBeforeSent(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.lose("sent")
		w.dev[0].write("one")
		w.lose("")
		synctest.Wait()
		w.dev[2].ack()
		testwait.Advance(time.Second)
		if d := w.dev[1]; !d.delivered[w.dev[0].wrote[0]] || d.has(w.dev[0].wrote[0]) {
			t.Error("the history did not happen")
		}
		w.dev[0].resend() // the repeat; the device itself has seen "delivered" and has nothing to send
		if len(w.dev[0].outbox) != 0 {
			t.Error("the device that sent does not know")
		}
	})
}

// A slow socket is overtaken by trimming: it must be told, and must not jump
// over a message that waits.
func TestHistoryTrimmingPastASlowLiveSocket(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.dev[3].pause(true)
		for i := range 12 {
			w.dev[0].write(fmt.Sprint("message ", i))
			synctest.Wait()
			w.dev[2].ack()
			testwait.Advance(2 * time.Second) // older than what retention keeps
		}
		w.dev[3].pause(false)
		synctest.Wait()
		if d := w.dev[3]; !d.debt {
			t.Error("the slow device was not told that events are missing")
		}
	})
}

// Make before break: the device acknowledges on the new socket what the old
// one brought, which the new one was never sent.
func TestHistoryAckOnTheNewSocketForWhatTheOldOneBrought(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		d := w.dev[2]
		w.dev[3].drop()
		before, err := inbox.ParseCursor(d.cursor)
		_ = err // "" on a first visit
		w.dev[0].write("one")
		w.dev[0].write("two")
		synctest.Wait()
		// The new socket begins where the device was, has been sent nothing yet, and hears the ack of "two".
		n := w.nodes[1]
		a, err := n.in.Attach(t.Context(), "ben", before.String())
		if err != nil {
			t.Fatal(err)
		}
		acc := n.Open("ben", a)
		c, err := inbox.ParseCursor(d.cursor)
		if err != nil {
			t.Fatal(err)
		}
		acc.Ack(c)
		testwait.Advance(5 * time.Second)
		if got := w.waiting("ben"); got != 2 {
			t.Errorf("%d messages wait: an ack counts only for what its socket was sent", got)
		}
		// As they are sent, it counts.
		page, err := n.in.Read(t.Context(), "ben", a.From, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			acc.Sent(page.Next.Epoch, e)
		}
		testwait.Advance(5 * time.Second)
		if got := w.waiting("ben"); got != 0 {
			t.Errorf("%d messages wait", got)
		}
		if err := acc.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Ben reads at once: the read mark must not reach ann before "delivered", nor
// be published when the message is not.
func TestHistoryReadOvertakingTheMessageItReads(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.dev[0].write("one")
		synctest.Wait()
		m := w.dev[0].outbox[0]
		w.store.fail("one", true)
		d := w.dev[2]
		d.ack()
		if err := d.sock.acc.Read(delivery.Read{Conversation: m.Conversation, By: "ben", At: m.At}); err != nil {
			t.Error(err)
		}
		testwait.Advance(30 * time.Second)
		if types := w.types("ann"); fmt.Sprint(types) != "[sent]" {
			t.Errorf("ann has %v while the message cannot be published", types)
		}
		w.store.fail("one", false)
		testwait.Advance(30 * time.Second)
		if types := w.types("ann"); fmt.Sprint(types) != "[sent delivered read]" {
			t.Errorf("ann has %v", types)
		}
	})
}

// A read mark whose acks die with the epoch is published nevertheless.
func TestReadMarkOutlivesTheEpoch(t *testing.T) {
	history(t, func(t *testing.T, w *world) {
		w.dev[0].write("one")
		synctest.Wait()
		m := w.dev[0].outbox[0]
		d := w.dev[2]
		d.ack()
		if err := d.sock.acc.Read(delivery.Read{Conversation: m.Conversation, By: "ben", At: m.At}); err != nil {
			t.Error(err)
		}
		w.wipe()
		testwait.Advance(time.Second)
		if types := w.types("ann"); fmt.Sprint(types) != "[delivered read]" {
			t.Errorf("ann has %v", types)
		}
	})
}

// Two instances settle lists that overlap; a crash lies between any two steps of one of them.
func TestCrashBetweenAnyTwoStepsOfAnAck(t *testing.T) {
	for step := range 4 {
		t.Run(fmt.Sprint("after step ", step), func(t *testing.T) {
			history(t, func(t *testing.T, w *world) {
				w.dev[0].write("one")
				w.dev[0].write("two")
				synctest.Wait()
				w.dev[2].ack()
				w.dev[3].ack()
				switch step {
				case 0: // nothing is published
					w.store.set(true)
				case 1: // published, and nobody told
					w.lose("delivered")
				case 2: // told, and not forgotten
					w.lose("settle")
				}
				testwait.Advance(time.Second)
				w.nodes[0].kill()
				w.nodes[0] = w.start()
				w.lose("")
				w.store.set(false)
			})
		})
	}
}

func TestReadMarksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.stop()
		w.store.set(true)
		s := settle.New(w.nodes[0].in, w.store, settle.Options{MaxReads: 3, Log: quiet})
		acc := s.Open("ben", inbox.Attachment{Epoch: "x"})
		refused := 0
		for i := range 10 {
			err := acc.Read(delivery.Read{Conversation: chat.ConversationID("ben", fmt.Sprint("user", i%5)), By: "ben", At: 5})
			if err != nil {
				refused++
			}
		}
		same(t, "refused", refused, 4)
		same(t, "counted", s.Snapshot().ReadsRefused, 4)
	})
}

// waiting returns the number of messages that wait for uid.
func (w *world) waiting(uid string) int {
	fields, _ := w.mini.HKeys("pending:{" + uid + "}")
	return len(fields)
}

// types returns the types of the events in uid's stream.
func (w *world) types(uid string) (out []string) {
	entries, _ := w.mini.Stream("inbox:{" + uid + "}")
	for _, e := range entries {
		out = append(out, e.Values[1])
	}
	return out
}

func (a *archive) set(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// fail refuses batches with that body, as long as yes.
func (a *archive) fail(body string, yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = nil
	if yes {
		a.refuse = func(data []byte) error {
			var b delivery.Batch
			if err := json.Unmarshal(data, &b); err != nil {
				return err
			}
			for _, d := range b.Delivered {
				if d.Body == body {
					return errors.New("refused by the test")
				}
			}
			if len(b.Delivered) == 0 {
				return errors.New("a read mark came alone")
			}
			return nil
		}
	}
}
