package settle

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

func TestAckIsPublishedThenReportedThenSettled(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		ben := x.attach(t, "ben", "")
		one := x.send(t, "ann", "ben", "one")
		two := x.send(t, "ann", "ben", "two")
		x.send(t, "cat", "ben", "three")
		same(t, "received", len(ben.receive()), 3)
		pub.intercept(func(delivery.Batch) error {
			// Nothing is reported or dropped before it is published.
			same(t, "waiting while publishing", x.waiting(t, "ben"), 3)
			same(t, "ann while publishing", x.types(t, "ann"), "[sent sent]")
			return nil
		})
		same(t, "unacknowledged", ben.w.Unacked(), 3)
		ben.ack()
		same(t, "unacknowledged", ben.w.Unacked(), 0)
		ben.close()
		same(t, "waiting", x.waiting(t, "ben"), 0)
		same(t, "published", pub.delivered(), "[one two three]")
		same(t, "pub/sub messages", pub.count(), 1)
		if d := pub.batches[0].Delivered[0]; d.Message != one || d.DeliveredAt < one.AcceptedAt || d.Check() != nil {
			t.Errorf("published %+v, want %+v", d, one)
		}
		same(t, "ann", x.types(t, "ann"), "[sent sent delivered]")
		same(t, "cat", x.types(t, "cat"), "[sent delivered]")
		var e wire.DeliveredEvent
		if err := json.Unmarshal(x.events(t, "ann")[2].Data, &e); err != nil {
			t.Fatal(err)
		}
		same(t, "delivered event", e.Messages, []wire.MessageRef{{ID: one.ID, At: one.At}, {ID: two.ID, At: two.At}})
		same(t, "conversation", e.Conversation, chat.ConversationID("ann", "ben"))
		n := x.Counters()
		same(t, "messages", n.Messages.Load(), 3)
		same(t, "receipts", n.Receipts.Load(), 2)
		same(t, "lists from the stream", n.FromStream.Load(), 0)
		same(t, "users with something to settle", n.Waiting.Load(), 0)
	})
}

func TestNothingIsSavedBeforeTheAck(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		ben := x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		ben.receive()
		ben.close() // without an ack
		same(t, "published", pub.count(), 0)
		same(t, "waiting", x.waiting(t, "ben"), 1)
		// The next device stores and acknowledges the message.
		tablet := x.attach(t, "ben", ben.at.From.Cursor.String())
		same(t, "received", len(tablet.receive()), 1)
		tablet.ack()
		tablet.close()
		same(t, "published", pub.delivered(), "[one]")
	})
}

func TestHelloCursorIsAnAck(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		ben := x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		ben.receive()
		ben.close() // the message is stored and the ack is lost
		again := x.attach(t, "ben", ben.pos.Cursor.String())
		if !again.at.Resumed {
			t.Fatal("the hello was not resumed")
		}
		again.close()
		same(t, "published", pub.delivered(), "[one]")
		same(t, "from the stream", x.Counters().FromStream.Load(), 1)
		same(t, "waiting", x.waiting(t, "ben"), 0)
	})
}

func TestAckBeyondSentEventsIsRemembered(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{gather: time.Millisecond})
		phone, laptop := x.attach(t, "ben", ""), x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		x.send(t, "ann", "ben", "two")
		events := phone.receive()
		// The laptop acknowledges events that only the phone was sent.
		laptop.w.Ack(phone.pos.Cursor)
		laptop.w.Ack(inbox.Cursor{Epoch: phone.pos.Epoch, ID: inbox.ID{Ms: 1 << 50}})
		same(t, "early", x.Counters().AcksEarly.Load(), 2)
		same(t, "waiting for the flush", x.Counters().Waiting.Load(), 0)
		laptop.w.Sent(phone.pos.Cursor, events[0])
		testwait.Until(t, "the first is settled", func() bool { return x.waiting(t, "ben") == 1 })
		laptop.w.Sent(phone.pos.Cursor, events[1])
		testwait.Until(t, "the second is settled", func() bool { return x.waiting(t, "ben") == 0 })
		same(t, "published", pub.delivered(), "[one two]")
		phone.close()
		laptop.close()
	})
}

func TestAckOfAnotherEpochIsDropped(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		ben := x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		ben.receive()
		ben.w.Ack(inbox.Cursor{Epoch: "0.other", ID: ben.pos.ID})
		ben.close()
		same(t, "dropped", x.Counters().AcksDropped.Load(), 1)
		same(t, "waiting", x.waiting(t, "ben"), 1)
	})
}

// The clock of the new primary is behind, so that the events of the new epoch have lower ids.
func TestNewEpochDiscardsTheAcksOfTheOldOne(t *testing.T) {
	message := func(ms uint64) inbox.Event { return inbox.Event{ID: inbox.ID{Ms: ms}, Type: wire.EventMessage} }
	s := New(nil, newTopic(), Options{})
	w := s.Open("ben", inbox.Attachment{Epoch: "old"})
	w.Sent(inbox.Cursor{Epoch: "old"}, message(10))
	w.Sent(inbox.Cursor{Epoch: "old"}, message(11))
	w.Ack(inbox.Cursor{Epoch: "old", ID: inbox.ID{Ms: 20}})
	same(t, "unacknowledged", w.Unacked(), 0)
	w.Sent(inbox.Cursor{Epoch: "new"}, message(5))
	same(t, "unacknowledged in the new epoch", w.Unacked(), 1)
	w.Ack(inbox.Cursor{Epoch: "old", ID: inbox.ID{Ms: 20}})
	same(t, "unacknowledged after an old ack", w.Unacked(), 1)
	w.Ack(inbox.Cursor{Epoch: "new", ID: inbox.ID{Ms: 5}})
	same(t, "unacknowledged after a new ack", w.Unacked(), 0)
}

func TestUsersShareOnePubSubMessage(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{gather: 300 * time.Millisecond})
		var devices []*device
		for i := range 30 {
			uid := fmt.Sprintf("user%d", i)
			d := x.attach(t, uid, "")
			x.send(t, "ann", uid, uid)
			d.receive()
			devices = append(devices, d)
		}
		for _, d := range devices {
			d.ack()
		}
		testwait.Until(t, "all are settled", func() bool { return x.Counters().Messages.Load() == 30 })
		same(t, "pub/sub messages", pub.count(), 1)
		for _, d := range devices {
			d.close()
		}
		same(t, "pub/sub messages", pub.count(), 1)
	})
}

func TestPubSubMessagesStayWithinTheirLimits(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{maxMessages: 7, maxBytes: 4000})
		ben := x.attach(t, "ben", "")
		want := []string{}
		for i := range 20 {
			body := fmt.Sprint("message ", i)
			if i%5 == 0 {
				body = strings.Repeat("<", 200) + body // JSON makes it six times longer
			}
			want = append(want, body)
			x.send(t, "ann", "ben", body)
		}
		ben.receive()
		ben.ack()
		ben.close()
		same(t, "published", pub.delivered(), want)
		for i, batch := range pub.batches {
			if len(batch.Delivered) > 7 || pub.sizes[i] > 4000 {
				t.Errorf("Pub/Sub message %d has %d messages and %d bytes", i, len(batch.Delivered), pub.sizes[i])
			}
		}
		same(t, "waiting", x.waiting(t, "ben"), 0)
	})
}

func TestOnlyAConfirmedPrefixIsSettled(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{maxMessages: 2})
		ben := x.attach(t, "ben", "")
		for _, body := range []string{"1", "2", "3", "4", "5", "6"} {
			x.send(t, "ann", "ben", body)
		}
		ben.receive()
		pub.refuse("3")
		ben.ack()
		testwait.Until(t, "the first two are settled", func() bool { return x.waiting(t, "ben") == 4 })
		testwait.Until(t, "publishing the third is retried", func() bool { return x.Counters().PublishFailed.Load() > 1 })
		same(t, "waiting", x.waiting(t, "ben"), 4)
		pub.intercept(nil)
		ben.close()
		same(t, "waiting", x.waiting(t, "ben"), 0)
		same(t, "ann", len(x.events(t, "ann")), 6+3)
	})
}

// A list needs two Pub/Sub messages, and only the first is confirmed. Only the messages in it are settled.
func TestOnlyTheConfirmedPrefixOfAListIsSettled(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x := start(t, b, newTopic(), Options{})
		pub := newTopic()
		s := New(x.in, pub, Options{maxBytes: 700, maxBackoff: 1, Log: slog.New(slog.DiscardHandler)})
		ben := x.attach(t, "ben", "")
		ben.w = s.Open("ben", ben.at)
		bodies := []string{"1", "2", "3", "4"}
		for _, body := range bodies {
			x.send(t, "ann", "ben", body)
		}
		ben.receive()
		pub.refuse("4")
		ben.ack()
		s.flushNow(t)
		confirmed := len(pub.delivered())
		if confirmed == 0 || confirmed == len(bodies) {
			t.Fatalf("%d messages are confirmed, want a part of them", confirmed)
		}
		same(t, "waiting", x.waiting(t, "ben"), len(bodies)-confirmed)
		pub.intercept(nil)
		s.flushNow(t)
		same(t, "published", pub.delivered(), bodies)
		same(t, "waiting", x.waiting(t, "ben"), 0)
	})
}

func TestPubSubDownThenUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		pub.setDown(true)
		x := start(t, b, pub,
			Options{gather: time.Millisecond, keepBytes: 2000, maxBackoff: 300 * time.Millisecond})
		ben := x.attach(t, "ben", "")
		want := []string{}
		for i := range 40 {
			want = append(want, fmt.Sprint("m", i))
			x.send(t, "ann", "ben", want[i])
			ben.receive()
			ben.ack()
		}
		testwait.Until(t, "publishing is attempted several times", func() bool {
			return x.Counters().PublishFailed.Load() >= 3
		})
		same(t, "waiting", x.waiting(t, "ben"), 40) // nothing is trimmed
		if x.Counters().Forgotten.Load() == 0 {
			t.Error("no events in memory were discarded, although they exceed keepBytes")
		}
		pub.setDown(false)
		ben.close()
		same(t, "published", pub.delivered(), want)
		same(t, "waiting", x.waiting(t, "ben"), 0)
	})
}

func TestTwoInstancesAckTheSameUser(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x, y := start(t, b, pub, Options{}), start(t, b, pub, Options{})
		phone, laptop := x.attach(t, "ben", ""), y.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		x.send(t, "ann", "ben", "two")
		phone.receive()
		laptop.receive()
		x.send(t, "ann", "ben", "three")
		laptop.receive()
		phone.ack()
		laptop.ack()
		phone.close()
		laptop.close()
		same(t, "waiting", x.waiting(t, "ben"), 0)
		seen := map[string]bool{}
		for _, body := range pub.delivered() {
			seen[body] = true // a message may be published twice
		}
		same(t, "published", len(seen), 3)
		// The phone is behind, and resumes from its own cursor.
		again := x.attach(t, "ben", phone.pos.Cursor.String())
		if !again.at.Resumed || len(again.receive()) != 1 {
			t.Errorf("resumed %v with %d events", again.at.Resumed, len(again.got))
		}
		again.ack()
		again.close()
		same(t, "published again", len(pub.delivered()) <= 5, true)
	})
}

func TestGoneRefusesWaitingMessages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		x.send(t, "ben", "dan", "mine") // ben's inbox gets a sent event
		if err := x.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "inbox:{ben}",
			Values: []string{"t", "message", "e", `{}`}}).Err(); err != nil {
			t.Fatal(err)
		}
		one := x.send(t, "ann", "ben", "one")
		x.send(t, "cat", "ben", "two")
		if err := x.Gone(t.Context(), "ben"); err != nil {
			t.Fatal(err)
		}
		same(t, "published", pub.count(), 0)
		same(t, "ann", x.types(t, "ann"), "[sent refused]")
		same(t, "cat", x.types(t, "cat"), "[sent refused]")
		var e wire.RefusedEvent
		if err := json.Unmarshal(x.events(t, "ann")[1].Data, &e); err != nil {
			t.Fatal(err)
		}
		same(t, "refused", e, wire.RefusedEvent{Type: "refused", Conversation: one.Conversation,
			Messages: []wire.MessageRef{{ID: one.ID, At: one.At}},
			Code:     inbox.ErrRecipientUnknown.Code, Message: inbox.ErrRecipientUnknown.Message})
		same(t, "refused messages", x.Counters().Refused.Load(), 2)
		same(t, "undecodable messages", x.Counters().Poison.Load(), 1)
		x.wantNoInbox(t, "ben")
		if err := x.Gone(t.Context(), "ben"); err != nil { // repeated
			t.Error(err)
		}
		same(t, "refused messages after a repeat", x.Counters().Refused.Load(), 2)
	})
}

// wantNoInbox verifies that the inbox of a user is removed.
func (x *instance) wantNoInbox(t *testing.T, uid string) {
	t.Helper()
	for _, key := range []string{"inbox:{" + uid + "}", "meta:{" + uid + "}", "pending:{" + uid + "}"} {
		if n, err := x.rdb.Exists(t.Context(), key).Result(); n != 0 || err != nil {
			t.Errorf("%s still exists, or cannot be read: %v", key, err)
		}
	}
}

// A message of the deleted user is delivered at that moment, so the receipt arrives between the last read of the inbox
// and its removal. The inbox is removed nevertheless.
func TestGoneWhileAReceiptArrives(t *testing.T) {
	b := redistest.Mini(t)
	x, y := start(t, b, newTopic(), Options{}), start(t, b, newTopic(), Options{})
	x.send(t, "ben", "dan", "mine")
	dan := y.attach(t, "dan", "")
	dan.receive()
	var once sync.Once
	x.loss.set(func(args []any) bool {
		if slices.Contains(args, any("reach:{ben}")) {
			once.Do(func() {
				dan.ack()
				dan.close()
			})
		}
		return false
	}, false)
	if err := x.Gone(t.Context(), "ben"); err != nil {
		t.Fatal(err)
	}
	x.wantNoInbox(t, "ben")
}

func TestRunSettlesTheRestAfterItsContextEnds(t *testing.T) {
	b := redistest.Mini(t)
	pub := newTopic()
	x := start(t, b, pub, Options{gather: time.Hour})
	ben := x.attach(t, "ben", "")
	x.send(t, "ann", "ben", "one")
	ben.receive()
	ben.ack()
	for range 20 { // time for a flush that comes too early
		same(t, "waiting", x.waiting(t, "ben"), 1)
	}
	same(t, "flushes before the context ends", x.Counters().Flushes.Load(), 0)
	x.stop()
	same(t, "published", pub.delivered(), "[one]")
	same(t, "waiting", x.waiting(t, "ben"), 0)
}
