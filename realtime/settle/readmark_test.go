package settle

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// read queues a read mark up to m.
func (d *device) read(m chat.Message) {
	d.t.Helper()
	if err := d.w.Read(delivery.Read{Conversation: m.Conversation, By: d.uid, At: m.At}); err != nil {
		d.t.Error(err)
	}
}

// acked sends a message from ann to ben, whose device acknowledges it. It returns the device and the message.
func (x *instance) acked(t *testing.T) (*device, chat.Message) {
	t.Helper()
	ben := x.attach(t, "ben", "")
	m := x.send(t, "ann", "ben", "one")
	ben.receive()
	ben.ack()
	return ben, m
}

func TestReadMarks(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		ben, m := x.acked(t)
		older := m
		older.At -= 5
		ben.read(older)
		ben.read(m)
		ben.read(older)
		ben.close()
		r := delivery.Read{Conversation: m.Conversation, By: "ben", At: m.At}
		same(t, "published", pub.reads(), []delivery.Read{r})
		same(t, "pub/sub messages", pub.count(), 1)
		same(t, "ann", x.types(t, "ann"), "[sent delivered read]")
		same(t, "ben", x.types(t, "ben"), "[message read]")
		var e wire.ReadEvent
		if err := json.Unmarshal(x.events(t, "ann")[2].Data, &e); err != nil {
			t.Fatal(err)
		}
		same(t, "read event", e, wire.ReadEvent{Type: "read", Conversation: m.Conversation, By: "ben", At: m.At})
		same(t, "counted", x.Counters().Reads.Load(), 1)
	})
}

// A private mark is saved, and only the reader's devices get it. A mark for both gets what it covers to the other user.
func TestPrivateReadMarks(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{})
		ben, m := x.acked(t)
		at := func(n chat.Micros) delivery.Read {
			return delivery.Read{Conversation: m.Conversation, By: "ben", At: m.At + n}
		}
		check := func(what string, ann, bens []chat.Micros, marks ...delivery.Read) {
			t.Helper()
			testwait.Until(t, what+" is settled", func() bool { return x.Counters().Waiting.Load() == 0 })
			for uid, want := range map[string][]chat.Micros{"ann": ann, "ben": bens} {
				var got []chat.Micros
				for _, e := range x.events(t, uid) {
					var r wire.ReadEvent
					if err := json.Unmarshal(e.Data, &r); err != nil {
						t.Fatal(err)
					}
					if r.Type == wire.EventRead {
						got = append(got, r.At-m.At)
					}
				}
				same(t, what+": marks of "+uid, got, want)
			}
			same(t, what+": published", pub.reads(), marks)
		}
		read := func(f func(delivery.Read) error, r delivery.Read) {
			t.Helper()
			if err := f(r); err != nil {
				t.Fatal(err)
			}
		}
		read(ben.w.ReadPrivately, at(0))
		check("a private mark", nil, []chat.Micros{0}, at(0))
		read(ben.w.Read, at(0))
		check("the same for both", []chat.Micros{0}, []chat.Micros{0, 0}, at(0), at(0))
		read(ben.w.Read, at(1))
		read(ben.w.ReadPrivately, at(2))
		check("both at once", []chat.Micros{0, 1}, []chat.Micros{0, 0, 2}, at(0), at(0), at(2))
		same(t, "counted", x.Counters().Reads.Load(), 3)
		ben.close()
	})
}

// Pub/Sub confirms only the first of two messages. The read mark for both waits for the second.
func TestReadMarkWaitsForTheRestOfItsList(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		pub.refuse("two")
		x := start(t, b, pub, Options{maxMessages: 1})
		ben := x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		m := x.send(t, "ann", "ben", "two")
		ben.receive()
		ben.ack()
		ben.read(m)
		testwait.Until(t, "publishing the second is retried", func() bool {
			return x.waiting(t, "ben") == 1 && x.Counters().PublishFailed.Load() > 1
		})
		same(t, "ann", x.types(t, "ann"), "[sent sent delivered]")
		same(t, "read marks published", len(pub.reads()), 0)
		pub.intercept(nil)
		ben.close()
		same(t, "ann", x.types(t, "ann"), "[sent sent delivered delivered read]")
		same(t, "read marks published", len(pub.reads()), 1)
	})
}

// flushNow flushes what waits, for a Settler that does not run.
func (s *Settler) flushNow(t *testing.T) {
	t.Helper()
	batch, _ := s.nextBatch(true)
	if len(batch) == 0 {
		t.Fatal("nothing waits")
	}
	s.flush(t.Context(), nil, batch)
}

// The messages of a list do not fit into one Pub/Sub message. Their read mark is not published beside some of them,
// because Pub/Sub could confirm the mark and not the others.
func TestReadMarkIsPublishedAfterAListThatNeedsTwoPubSubMessages(t *testing.T) {
	x := start(t, redistest.Mini(t), newTopic(), Options{})
	pub := newTopic()
	s := New(x.in, pub, Options{maxBytes: 700})
	ben := x.attach(t, "ben", "")
	ben.w = s.Open("ben", ben.at)
	var last chat.Message
	for i := range 4 {
		last = x.send(t, "ann", "ben", fmt.Sprint(i))
	}
	ben.receive()
	ben.ack()
	ben.read(last)
	s.flushNow(t)
	same(t, "pub/sub messages", pub.count(), 2)
	same(t, "read marks published with the list", len(pub.reads()), 0)
	same(t, "waiting", x.waiting(t, "ben"), 0)
	s.flushNow(t)
	same(t, "read marks published", len(pub.reads()), 1)
	same(t, "ann", x.types(t, "ann"), "[sent sent sent sent delivered read]")
}

// Pub/Sub refuses a mark whose acks are settled. It is not appended before it is published.
func TestReadMarkThatIsNotPublished(t *testing.T) {
	pub := newTopic()
	x := start(t, redistest.Mini(t), pub, Options{maxBackoff: 50 * time.Millisecond})
	ben := x.attach(t, "ben", "")
	m := x.send(t, "ann", "ben", "one")
	ben.receive()
	ben.ack()
	testwait.Until(t, "the ack is settled", func() bool { return x.waiting(t, "ben") == 0 })
	pub.setDown(true)
	ben.read(m)
	testwait.Until(t, "publishing is retried", func() bool { return x.Counters().PublishFailed.Load() > 1 })
	same(t, "ann", x.types(t, "ann"), "[sent delivered]")
	pub.setDown(false)
	ben.close()
	same(t, "read marks published", len(pub.reads()), 1)
	same(t, "ann", x.types(t, "ann"), "[sent delivered read]")
}

// A newer mark comes while the older one is published. It is published as well, and only the newer one is appended.
func TestNewerReadMarkDuringPublish(t *testing.T) {
	pub := newTopic()
	x := start(t, redistest.Mini(t), pub, Options{})
	phone, laptop := x.attach(t, "ben", ""), x.attach(t, "ben", "")
	older := x.send(t, "ann", "ben", "one")
	newer := older
	newer.At += 5
	phone.receive()
	pub.intercept(func(delivery.Batch) error {
		pub.intercept(nil)
		laptop.read(newer)
		return nil
	})
	phone.ack()
	phone.read(older)
	phone.close()
	laptop.close()
	var published []chat.Micros
	for _, r := range pub.reads() {
		published = append(published, r.At)
	}
	same(t, "published", published, []chat.Micros{older.At, newer.At})
	same(t, "ann", x.types(t, "ann"), "[sent delivered read]")
	same(t, "marks that wait", x.Settler.readMarks, 0)
}

// The append of the read events fails, before or after Redis has done it. It is repeated; the publish is not.
func TestFailedReadEventsAreAppendedAgain(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("after=", after), func(t *testing.T) {
			pub := newTopic()
			x := start(t, redistest.Mini(t), pub, Options{maxBackoff: 50 * time.Millisecond})
			ben := x.attach(t, "ben", "")
			m := x.send(t, "ann", "ben", "one")
			ben.receive()
			x.loss.set(appendsEvent("read"), after)
			ben.ack()
			ben.read(m)
			testwait.Until(t, "the append fails twice", func() bool { return x.Counters().Failed.Load() > 1 })
			same(t, "waiting", x.waiting(t, "ben"), 0) // marks hold no acks back
			x.loss.set(nil, false)
			ben.close()
			same(t, "published", len(pub.reads()), 1)
			if !slices.Contains(x.types(t, "ann"), "read") || !slices.Contains(x.types(t, "ben"), "read") {
				t.Errorf("a read event is missing: ann has %v, ben has %v", x.types(t, "ann"), x.types(t, "ben"))
			}
		})
	}
}

// The acks before a read mark are lost with the epoch. The mark is published nevertheless.
func TestReadMarkOutlivesTheEpoch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{gather: time.Hour})
		ben := x.attach(t, "ben", "")
		m := x.send(t, "ann", "ben", "one")
		ben.receive()
		ben.ack()
		ben.read(m)
		for _, key := range []string{"inbox:{ben}", "meta:{ben}", "pending:{ben}"} {
			if err := x.rdb.Del(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		ben.close()
		testwait.Until(t, "the mark is settled", func() bool { return x.Counters().Reads.Load() == 1 })
		same(t, "settlements of another epoch", x.Counters().OtherEpoch.Load(), 1)
		same(t, "ann", x.types(t, "ann"), "[sent delivered read]")
	})
}

// The epoch seemed to be over and is current after all. The acks before the mark were dropped meanwhile, so the mark
// must not wait for them.
func TestReadMarkDoesNotWaitForDroppedAcks(t *testing.T) {
	pub := newTopic()
	x := start(t, redistest.Mini(t), pub, Options{})
	s := New(x.in, pub, Options{})
	ben := x.attach(t, "ben", "")
	ben.w = s.Open("ben", ben.at)
	m := x.send(t, "ann", "ben", "one")
	ben.receive()
	ben.ack()
	ben.read(m)
	s.mu.Lock()
	ben.w.state.stale = true
	s.mu.Unlock()
	s.Open("ben", ben.at)
	s.flushNow(t)
	same(t, "ann", x.types(t, "ann"), "[sent read]")
	same(t, "waiting", x.waiting(t, "ben"), 1)
	same(t, "marks that wait", s.readMarks, 0)
}

func TestReadMarksAreBounded(t *testing.T) {
	s := New(nil, newTopic(), Options{maxReadMarks: 3})
	w := s.Open("ben", inbox.Attachment{Epoch: "x"})
	refused := 0
	for i := range 10 {
		conversation := chat.ConversationID("ben", fmt.Sprint("user", i%5))
		if err := w.Read(delivery.Read{Conversation: conversation, By: "ben", At: 5}); err != nil {
			refused++
		}
	}
	same(t, "refused", refused, 4)
	same(t, "counted", s.Counters().ReadsRefused.Load(), 4)
}

// The mark of one conversation waits for Pub/Sub, or for Redis. Marks of others do not.
func TestReadMarksOfConversationsDoNotWaitForEachOther(t *testing.T) {
	x := start(t, redistest.Mini(t), newTopic(), Options{})
	pub := newTopic()
	s := New(x.in, pub, Options{maxBytes: 280, maxBackoff: 1, Log: slog.New(slog.DiscardHandler)})
	ben := x.attach(t, "ben", "")
	ben.w = s.Open("ben", ben.at)
	two := x.send(t, "cat", "ben", "two")
	ben.receive()
	ben.ack()
	s.flushNow(t)
	ben.read(two)
	one := x.send(t, "ann", "ben", "one")
	ben.receive()
	ben.ack()
	ben.read(one)
	marked := make(chan struct{}) // closed when cat's mark is about to be confirmed
	pub.intercept(func(b delivery.Batch) error {
		if len(b.Read) > 0 {
			close(marked)
			return nil
		}
		<-marked
		return errDown
	})
	s.flushNow(t)
	same(t, "ann, whose message is refused", x.types(t, "ann"), "[sent]")
	same(t, "cat", x.types(t, "cat"), "[sent delivered read]")

	pub.intercept(nil)
	s.flushNow(t)
	x.loss.set(appendsEvent("read"), false)
	s.flushNow(t)
	same(t, "ann, whose read event is not appended", x.types(t, "ann"), "[sent delivered]")
	two.At += 5
	ben.read(two)
	x.loss.set(nil, false)
	s.flushNow(t)
	same(t, "ann", x.types(t, "ann"), "[sent delivered read]")
	same(t, "cat", x.types(t, "cat"), "[sent delivered read read]")
	same(t, "marks that wait", s.readMarks, 0)
}

// Redis has appended the read event of one user. Only that of the other is appended afterwards.
func TestReadEventOfOneUserIsMissing(t *testing.T) {
	for member, uid := range []string{"ann", "ben"} {
		x := start(t, redistest.Mini(t), newTopic(), Options{})
		s := New(x.in, newTopic(), Options{maxBackoff: 1, Log: slog.New(slog.DiscardHandler)})
		ben := x.attach(t, "ben", "")
		ben.w = s.Open("ben", ben.at)
		m := x.send(t, "ann", "ben", "one")
		ben.receive()
		ben.ack()
		ben.read(m)
		x.loss.set(appendsEvent("read"), false)
		s.flushNow(t)
		x.loss.set(nil, false)
		s.mu.Lock()
		ben.w.state.readMarks[m.Conversation].appended[member] = m.At
		s.mu.Unlock()
		s.flushNow(t)
		for _, other := range []string{"ann", "ben"} {
			same(t, other+" has a read event", slices.Contains(x.types(t, other), "read"), other != uid)
		}
		same(t, "marks that wait", s.readMarks, 0)
	}
}

// A list is longer than one flush settles. Its read mark is published with the end of the list.
func TestReadMarkWaitsForTheEndOfALongList(t *testing.T) {
	x := start(t, redistest.Mini(t), newTopic(), Options{})
	pub := newTopic()
	s := New(x.in, pub, Options{})
	ben := x.attach(t, "ben", "")
	var last chat.Message
	for range eventsPerList + 1 {
		last = x.send(t, "ann", "ben", "one")
	}
	ben.receive()
	a, err := x.in.Attach(t.Context(), "ben", "", ben.pos.Cursor.String())
	if err != nil || !a.Resumed {
		t.Fatalf("resumed: %v, %v", a.Resumed, err)
	}
	ben.w = s.Open("ben", a) // the cursor is an ack
	ben.read(last)
	s.flushNow(t)
	same(t, "waiting", x.waiting(t, "ben"), 1)
	same(t, "read marks published with a part of the list", len(pub.reads()), 0)
	s.flushNow(t)
	same(t, "waiting", x.waiting(t, "ben"), 0)
	same(t, "read marks published", len(pub.reads()), 1)
}
