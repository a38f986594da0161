package inbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// online makes uid look connected, so that withdrawn messages are kept for their devices.
func (s *setup) online(t testing.TB, uid string) {
	t.Helper()
	lease := redis.Z{Score: float64(time.Now().Add(time.Minute).UnixMilli()), Member: "instance"}
	if err := s.rdb.ZAdd(t.Context(), "presence:{"+uid+"}", lease).Err(); err != nil {
		t.Fatal(err)
	}
}

// withdraw withdraws what waits from one user for another.
func (s *setup) withdraw(t testing.TB, from, to string) inbox.Withdrawn {
	t.Helper()
	sum, err := s.Withdraw(t.Context(), inbox.Withdrawal{UID: to, From: from, Reason: inbox.ErrWithdrawn})
	if err != nil {
		t.Fatalf("withdraw: %v", err)
	}
	return sum
}

// nextWake returns the next event of a feed.
func (s *setup) nextWake(t testing.TB, f *inbox.Feed) inbox.Wake {
	t.Helper()
	select {
	case <-f.Ready():
	case <-time.After(5 * time.Second):
		t.Fatal("no wake arrived")
	}
	wakes, lost := f.ReadWakes()
	if lost || len(wakes) != 1 {
		t.Fatalf("the feed has %v, lost %t", wakes, lost)
	}
	return wakes[0]
}

func mustMessage(t testing.TB, e inbox.Event) chat.Message {
	t.Helper()
	m, err := e.Message()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// refused returns the ids of the messages that refused events in uid's inbox name, with the codes.
func (s *setup) refused(t testing.TB, uid string) (out []string) {
	t.Helper()
	for _, e := range s.retained(t, uid) {
		if e.Type != wire.EventRefused {
			continue
		}
		var event wire.RefusedEvent
		if err := json.Unmarshal(e.Data, &event); err != nil {
			t.Fatal(err)
		}
		for _, ref := range event.Messages {
			out = append(out, ref.ID+" "+event.Code)
		}
	}
	slices.Sort(out)
	return out
}

// waiting returns the number of messages that wait in uid's inbox by its records, and what meta counts.
func (s *setup) waiting(t testing.TB, uid, from string) string {
	t.Helper()
	n := s.rdb.HLen(t.Context(), "pending:{"+uid+"}").Val()
	meta := s.rdb.HGetAll(t.Context(), "meta:{"+uid+"}").Val()
	return fmt.Sprintf("%d records, from %q, %s bytes", n, meta["from:"+from], meta["waiting_bytes"])
}

// A message is removed between two others. Its sender gets a refusal, the sums are correct afterwards, and no reader
// takes the hole for a gap, neither one that is behind nor one that is at the end.
func TestWithdrawFromTheMiddle(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		start := s.attach(t, "ben", "")
		s.send(t, "cat", "ben", "1")
		two := s.send(t, "ann", "ben", "2")
		three := s.send(t, "cat", "ben", "3")
		four := s.send(t, "ann", "ben", "4")
		last := s.end(t, "ben")

		sum := s.withdraw(t, "ann", "ben")
		if sum.Messages != 2 || sum.Bytes < 200 {
			t.Errorf("withdrew %+v, want 2 messages and their bytes", sum)
		}
		want := []string{two.ID + " withdrawn", four.ID + " withdrawn"}
		slices.Sort(want)
		same(t, "refused", s.refused(t, "ann"), want)
		same(t, "refused to the other sender", s.refused(t, "cat"), []string(nil))
		same(t, "waiting", s.waiting(t, "ben", "ann"),
			fmt.Sprintf(`2 records, from "", %s bytes`, s.waitingBytes(t, "ben", "cat")))
		same(t, "last", s.end(t, "ben").ID, last.ID)

		events, gap, end := s.all(t, "ben", start.From)
		same(t, "events", bodies(t, events), []string{"message 1", "message 3"})
		if gap || end.ID != last.ID {
			t.Errorf("gap %t, end %v, want no gap and %v", gap, end.ID, last.ID)
		}
		for _, cursor := range []string{end.String(), start.From.String(), last.String()} {
			if a := s.attach(t, "ben", cursor); !a.Resumed {
				t.Errorf("a device does not resume at %s", cursor)
			}
		}
		b.AwaitForwarded(t)
		feed, err := s.Subscribe(t.Context(), "ben")
		if err != nil {
			t.Fatal(err)
		}
		defer feed.Close()
		feed.ReadUpTo(end.Cursor)
		s.send(t, "cat", "ben", "5")
		wake := s.nextWake(t, feed)
		if r := end.RelationTo(wake); r != inbox.Next {
			t.Errorf("the next event is %v to a reader behind the removed one, want Next", r)
		}
		if _, err := s.Enqueue(t.Context(), three); err != nil {
			t.Errorf("a message that waits cannot be sent again: %v", err)
		}
		s.settle(t, "ben", s.end(t, "ben"))
		same(t, "waiting after settling", s.waiting(t, "ben", "cat"), `0 records, from "", 0 bytes`)
		if again := s.withdraw(t, "ann", "ben"); again != (inbox.Withdrawn{}) {
			t.Errorf("the second withdrawal removed %+v", again)
		}
		if len(s.refused(t, "ann")) != 2 {
			t.Errorf("the second withdrawal refused again: %v", s.refused(t, "ann"))
		}
	})
}

// waitingBytes returns the bytes that meta counts for one sender.
func (s *setup) waitingBytes(t testing.TB, uid, from string) string {
	_, bytes, _ := strings.Cut(s.rdb.HGet(t.Context(), "meta:{"+uid+"}", "from:"+from).Val(), " ")
	return bytes
}

// When everything is withdrawn, the inbox is empty but keeps its place, and it expires like any other.
func TestWithdrawEverything(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		before := s.attach(t, "ben", "")
		for i := range 3 {
			s.send(t, "ann", "ben", fmt.Sprint(i))
		}
		s.withdraw(t, "ann", "ben")
		same(t, "waiting", s.waiting(t, "ben", "ann"), `0 records, from "", 0 bytes`)
		same(t, "bytes", s.rdb.HGet(t.Context(), "meta:{ben}", "bytes").Val(), "0")
		for _, key := range []string{"inbox:{ben}", "meta:{ben}"} {
			if ttl := s.rdb.PTTL(t.Context(), key).Val(); ttl <= 0 {
				t.Errorf("%s has the expiry %v", key, ttl)
			}
		}
		if n := s.rdb.Exists(t.Context(), "removed:{ben}").Val(); n != 0 {
			t.Error("messages are kept although ben was never connected")
		}
		s.send(t, "ann", "ben", "more")
		events, gap, _ := s.all(t, "ben", before.From)
		same(t, "events", bodies(t, events), []string{"message more"})
		if gap {
			t.Error("the reader received a gap")
		}
	})
}

// outlive returns after d, when events of before are older than d.
func outlive(t *testing.T, d time.Duration) {
	t.Helper()
	began := time.Now()
	testwait.Until(t, "time passes", func() bool { return time.Since(began) > d })
}

// Trimming and the floor work across holes, and a message that waits is never trimmed.
func TestTrimAcrossWithdrawn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Tuned(inbox.Tuning{KeepEvents: 3, KeepAtMost: 3, KeepFor: time.Millisecond}))
		for i := range 6 {
			s.send(t, "ann", "ben", fmt.Sprint("a", i))
			s.send(t, "cat", "ben", fmt.Sprint("c", i))
		}
		s.withdraw(t, "ann", "ben")
		outlive(t, 5*time.Millisecond)
		s.settle(t, "ben", s.end(t, "ben"))
		s.send(t, "dan", "ben", "d")
		s.send(t, "dan", "ben", "e")
		outlive(t, 5*time.Millisecond)
		s.send(t, "dan", "ben", "f")
		same(t, "events", bodies(t, s.retained(t, "ben")), []string{"message d", "message e", "message f"})
		s.withdraw(t, "dan", "ben")
		same(t, "events", bodies(t, s.retained(t, "ben")), []string(nil))
	})
}

// A device has a message that was removed. Its cursor brings the message back, for all devices. The cursor of a device
// that passed the hole does not, even if it is higher.
func TestCursorsRestoreWhatTheirDeviceHas(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.online(t, "ben")
		behind := s.attach(t, "ben", "").From
		one := s.send(t, "ann", "ben", "one")
		_, _, has := s.all(t, "ben", behind) // this device stores the message
		s.send(t, "ann", "ben", "two")
		s.withdraw(t, "ann", "ben")
		if n := s.rdb.HLen(t.Context(), "pending:{ben}").Val(); n != 0 {
			t.Fatalf("%d messages wait", n)
		}
		s.send(t, "cat", "ben", "later")

		events, _, lacks := s.all(t, "ben", behind)
		same(t, "events of a device without the message", bodies(t, events), []string{"message later"})
		_, _, both := s.all(t, "ben", has)
		if a := s.attach(t, "ben", lacks.String()); !a.Resumed {
			t.Error("the device without the message does not resume")
		}
		if n := s.rdb.HLen(t.Context(), "pending:{ben}").Val(); n != 1 {
			t.Errorf("a cursor brought back messages that its device does not have: %d wait", n)
		}

		// The device that has one of them lost its socket after it had passed the other.
		if a := s.attach(t, "ben", both.String()); !a.Resumed {
			t.Error("the device with the message does not resume")
		}
		events, gap, _ := s.all(t, "ben", both)
		same(t, "restored", bodies(t, events), []string{"message one"})
		if gap {
			t.Error("the restored message is behind a gap")
		}
		record := s.rdb.HGet(t.Context(), "pending:{ben}", "ann/"+one.ID).Val()
		if !strings.HasSuffix(record, fmt.Sprint(" ", int64(one.At), " restored")) {
			t.Errorf("the record of the restored message is %q", record)
		}
		if got := events[0]; !json.Valid(got.Data) || mustMessage(t, got).At != one.At {
			t.Errorf("the restored event is %s", got.Data)
		}
		if sum := s.withdraw(t, "ann", "ben"); sum.Messages != 0 {
			t.Errorf("the restored message was withdrawn again: %+v", sum)
		}
		at, err := s.Enqueue(t.Context(), one)
		if err != nil || at != one.AcceptedAt {
			t.Errorf("sending it again returns %v, %v, want the first answer", at, err)
		}
	})
}

// The same through an acknowledgement, and through a settlement whose list was made before the removal.
func TestAcksRestoreWhatTheirDeviceHas(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.online(t, "ben")
		s.send(t, "ann", "ben", "one")
		_, _, has := s.all(t, "ben", s.attach(t, "ben", "").From)
		s.withdraw(t, "ann", "ben")
		s.send(t, "cat", "ben", "later")
		s.settle(t, "ben", s.end(t, "ben")) // another device, without the message, is further ahead
		claim := inbox.Claim{UID: "ben", To: has.ID, Epoch: has.Epoch,
			Acks: []inbox.Ack{{ID: has.ID, Removals: has.Removals}}}
		u := s.Unsettled(t.Context(), []inbox.Claim{claim}, 10)[0]
		if u.Err != nil || len(u.Events) != 0 || u.Removals != 1 || u.Kept {
			t.Errorf("the ack returns %+v", u)
		}
		if n := s.rdb.HLen(t.Context(), "pending:{ben}").Val(); n != 1 {
			t.Errorf("%d messages wait, want the restored one", n)
		}
		s.settle(t, "ben", s.end(t, "ben"))

		s.send(t, "ann", "ben", "two")
		end := s.end(t, "ben")
		list := s.Unsettled(t.Context(), []inbox.Claim{{UID: "ben", To: end.ID}}, 10)[0]
		s.withdraw(t, "ann", "ben")
		if r := s.settleList(t, "ben", end.Epoch, list); r.Outcome != inbox.SettleDone || r.Removals != 2 {
			t.Errorf("settling returns %+v", r)
		}
		events, _, _ := s.all(t, "ben", inbox.Position{Cursor: end})
		same(t, "restored", bodies(t, events), []string{"message two"})
	})
}

// Of the removed messages, at most 256 and 256 KiB are kept, so that a purge frees memory, for 10 minutes.
func TestRemovedMessagesAreBounded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		s.online(t, "ben")
		s.online(t, "cat")
		for range 260 {
			s.send(t, "ann", "ben", "x")
		}
		for range 10 {
			s.send(t, "ann", "cat", strings.Repeat("y", 30_000))
		}
		s.withdraw(t, "ann", "ben")
		s.withdraw(t, "ann", "cat")
		if n := s.rdb.HLen(t.Context(), "removed:{ben}").Val(); n != 257 {
			t.Errorf("%d messages are kept, want 256", n-1)
		}
		if n := s.rdb.HLen(t.Context(), "removed:{cat}").Val(); n != 9 {
			t.Errorf("%d large messages are kept, want 8", n-1)
		}
		if ttl := s.rdb.PTTL(t.Context(), "removed:{ben}").Val(); ttl <= 0 || ttl > 10*time.Minute {
			t.Errorf("they expire in %v, want 10 minutes", ttl)
		}
	})
}

// Redis is full. A purge must still free memory.
func TestWithdrawWhenRedisIsFull(t *testing.T) {
	b := redistest.Start(t, "--maxmemory-policy", "noeviction").Redis()
	s := open(t, b, inbox.Options{})
	for range 200 {
		s.send(t, "ann", "ben", strings.Repeat("x", 8000))
	}
	s.online(t, "ben")
	used := s.memory(t)
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enqueue(t.Context(), message("ann", "ben", "one more")); err == nil {
		t.Fatal("Redis is not full")
	}
	if sum := s.withdraw(t, "ann", "ben"); sum.Messages != 200 {
		t.Errorf("withdrew %+v", sum)
	}
	if freed := used - s.memory(t); freed < 1_000_000 {
		t.Errorf("the purge freed %d bytes of %d", freed, used)
	}
}

func (s *setup) memory(t testing.TB) (used int64) {
	t.Helper()
	info := s.rdb.Info(t.Context(), "memory").Val()
	_, rest, _ := strings.Cut(info, "used_memory:")
	if _, err := fmt.Sscan(rest, &used); err != nil {
		t.Fatal(err)
	}
	return used
}

// redisGates is an inbox.Gates whose gates the test writes.
type redisGates struct{ s *setup }

func (g *redisGates) Fill(ctx context.Context, uid string) error {
	return g.s.rdb.HSet(ctx, "gate:{"+uid+"}", "exists", "0", "disabled", "0", "blocked", "[]").Err()
}

func (s *setup) gate(t testing.TB, uid, exists, disabled string) {
	t.Helper()
	fields := []any{"exists", exists, "disabled", disabled, "valid_after", "0", "ended", "[]", "blocked", "[]"}
	if err := s.rdb.HSet(t.Context(), "gate:{"+uid+"}", fields...).Err(); err != nil {
		t.Fatal(err)
	}
}

// openGated starts an instance with gates, in which ann, ben, cat and dan exist.
func openGated(t testing.TB, b *redistest.Redis, o inbox.Options) *setup {
	t.Helper()
	g := &redisGates{}
	o.Gates = g
	s := open(t, b, o)
	g.s = s
	for _, uid := range []string{"ann", "ben", "cat", "dan"} {
		s.gate(t, uid, "1", "0")
	}
	return s
}

// A disabled sender has messages in several inboxes, one of them missing from the sender's own list. A message is
// accepted during the purge and another one after it. In the end nothing waits, and every message was refused.
func TestPurgeOfADisabledSender(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := openGated(t, b, inbox.Tuned(inbox.Tuning{PurgeAgain: 500 * time.Millisecond, PurgeTick: 50 * time.Millisecond}))
		var sent []string
		send := func(to string) {
			m := s.send(t, "ann", to, "x")
			sent = append(sent, m.ID+" withdrawn")
		}
		send("ben")
		send("ben")
		send("cat")
		s.rdb.Del(t.Context(), "out:{ann}")
		send("dan")
		other := s.send(t, "ben", "cat", "not ann's")
		s.gate(t, "ann", "1", "1")
		sum, complete, err := s.Purge(t.Context(), inbox.Purge{From: "ann", Code: "withdrawn"})
		if err != nil || !complete || sum.Messages != 4 {
			t.Errorf("the purge returns %+v, %t, %v", sum, complete, err)
		}
		send("ben") // a session with a cached gate lets it pass
		slices.Sort(sent)
		testwait.Until(t, "nothing waits, and the purge is finished", func() bool {
			return s.rdb.Exists(t.Context(), "pending:{ben}").Val()+s.rdb.Exists(t.Context(), "purges").Val() == 0
		})
		same(t, "refused", s.refused(t, "ann"), sent)
		same(t, "what waits from another sender", bodies(t, s.retained(t, "cat")), []string{"message " + other.Body})
	})
}

// Purges of one recipient leave the other inboxes alone. A sender who may go on writing keeps what is accepted later.
func TestPurgeOfOneRecipient(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		now := time.Now()
		o := inbox.Tuned(inbox.Tuning{PurgeAgain: time.Millisecond, PurgeTick: 20 * time.Millisecond})
		o.Now = func() time.Time { return now }
		s := openGated(t, b, o)
		one := s.send(t, "ann", "ben", "1")
		s.send(t, "ann", "cat", "2")
		sum, complete, err := s.Purge(t.Context(), inbox.Purge{From: "ann", To: "ben", Code: "recipient_unavailable"})
		if err != nil || !complete || sum.Messages != 1 {
			t.Errorf("the purge returns %+v, %t, %v", sum, complete, err)
		}
		same(t, "refused", s.refused(t, "ann"), []string{one.ID + " recipient_unavailable"})
		same(t, "cat's inbox", bodies(t, s.retained(t, "cat")), []string{"message 2"})
		if _, _, err := s.Purge(t.Context(), inbox.Purge{From: "ann", Code: "because"}); err == nil {
			t.Error("a purge with an unknown reason was accepted")
		}
	})
}

// A purge that finds a user who was deleted refuses nothing to them, and leaves no key of theirs.
func TestPurgeOfADeletedSender(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := openGated(t, b, inbox.Options{})
		s.send(t, "ann", "ben", "1")
		end := s.end(t, "ann")
		if removed, err := s.Remove(t.Context(), "ann", end.Epoch, end.ID); err != nil || !removed {
			t.Fatalf("remove: %t, %v", removed, err)
		}
		s.gate(t, "ann", "0", "0")
		sum, complete, err := s.Purge(t.Context(), inbox.Purge{From: "ann", Code: "withdrawn"})
		if err != nil || !complete || sum.Messages != 1 {
			t.Errorf("the purge returns %+v, %t, %v", sum, complete, err)
		}
		for _, key := range []string{"inbox", "meta", "pending", "out"} {
			if s.rdb.Exists(t.Context(), key+":{ann}").Val() == 1 {
				t.Errorf("the purge left %s:{ann}", key)
			}
		}
	})
}

// A purge is interrupted. An instance continues it.
func TestInterruptedPurgeGoesOn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		tuning := inbox.Tuning{PurgeAgain: 50 * time.Millisecond, PurgeTick: 50 * time.Millisecond}
		s := openGated(t, b, inbox.Tuned(tuning))
		for range 5 {
			s.send(t, "ann", "ben", "x")
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.gate(t, "ann", "1", "1")
		other := open(t, b, inbox.Options{Gates: cancelOnFill{cancel}}.WithTuning(tuning))
		s.rdb.Del(t.Context(), "gate:{ann}")
		_, complete, _ := other.Purge(ctx, inbox.Purge{From: "ann", Code: "withdrawn"})
		if complete {
			t.Error("the purge was not interrupted")
		}
		s.gate(t, "ann", "1", "1")
		testwait.Until(t, "an instance continues the purge", func() bool {
			return s.rdb.Exists(t.Context(), "pending:{ben}").Val() == 0
		})
	})
}

// cancelOnFill interrupts a purge when it asks for a gate.
type cancelOnFill struct{ cancel context.CancelFunc }

func (c cancelOnFill) Fill(ctx context.Context, _ string) error {
	c.cancel()
	<-ctx.Done()
	return ctx.Err()
}

// A message that still waits 30 days after its at is refused, whenever it was accepted. Once an hour, one instance
// looks for such messages.
func TestSweep(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		var later atomic.Int64 // by how much the clock of the instance is ahead
		begin := time.Now()
		clock := func() time.Time { return begin.Add(time.Duration(later.Load())) }
		idle := openGated(t, b, inbox.Tuned(inbox.Tuning{PurgeTick: time.Hour}))
		send := func(to, body string, age time.Duration) chat.Message {
			m := message("ann", to, body)
			m.At = chat.MicrosOf(begin.Add(-age))
			if _, err := idle.Enqueue(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			return m
		}
		young := send("ben", "young", 0)
		old := send("ben", "old", chat.MaxAge+time.Second)
		send("cat", "almost", chat.MaxAge-time.Hour)
		s := openGated(t, b, inbox.Options{Now: clock}.WithTuning(inbox.Tuning{PurgeTick: 20 * time.Millisecond}))
		// The sender is notified before the message is removed.
		testwait.Until(t, "an instance sweeps at its start", func() bool { return len(s.retained(t, "ben")) == 1 })
		same(t, "refused", s.refused(t, "ann"), []string{old.ID + " at_too_old"})
		same(t, "waiting", bodies(t, s.retained(t, "ben")), []string{"message " + young.Body})
		if ttl := s.rdb.PTTL(t.Context(), "sweep").Val(); ttl < 50*time.Minute || ttl > time.Hour {
			t.Errorf("the next sweep is in %v", ttl)
		}
		// This sweep has read the clock, and the next one is not due.
		later.Store(int64(2 * time.Hour))
		if sum, err := s.Sweep(t.Context()); err != nil || sum.Messages != 1 {
			t.Errorf("a sweep two hours later refuses %+v, %v", sum, err)
		}
		same(t, "waiting in the other inbox", bodies(t, s.retained(t, "cat")), []string(nil))
	})
}

// The operator sees who fills what.
func TestWaiting(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		s := open(t, b, inbox.Options{})
		for range 3 {
			s.send(t, "ann", "ben", strings.Repeat("x", 1000))
		}
		s.send(t, "ann", "cat", "1")
		s.send(t, "ben", "cat", "2")
		s.settle(t, "dan", inbox.Cursor{})
		w, err := s.Shares(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d in %d, complete %t;", w.Messages, w.Inboxes, w.Complete)
		for _, share := range append(w.Senders, w.Recipients...) {
			got += fmt.Sprintf(" %s %d", share.UID, share.Messages)
		}
		same(t, "waiting", got, "5 in 2, complete true; ann 4 ben 1 ben 3 cat 2")
		if w.Bytes < 3000 || w.Senders[0].Bytes < w.Recipients[0].Bytes || w.Recipients[0].Bytes < 3000 {
			t.Errorf("the bytes are %+v", w)
		}
		if w, err := s.Shares(t.Context(), 1); err != nil || len(w.Senders) != 1 || len(w.Recipients) != 1 {
			t.Errorf("the top one is %+v, %v", w, err)
		}
	})
}

// Cursors survive the round trip through a client, and one that nobody can have issued is refused.
func TestCursorsWithRemovals(t *testing.T) {
	id := inbox.ID{Ms: 5, Seq: 1}
	for _, c := range []inbox.Cursor{
		{Epoch: "0.x", ID: id},
		{Epoch: "0.x", ID: id, Removals: inbox.AllSeen(3)},
		{Epoch: "0.x", ID: id, Removals: inbox.Removals{Seen: 3, Base: 1, Held: inbox.ID{Ms: 4}}},
	} {
		got, err := inbox.ParseCursor(c.String())
		if err != nil || got != c {
			t.Errorf("%s became %+v, %v", c, got, err)
		}
	}
	for _, bad := range []string{
		"0.x:5-1:", "0.x:5-1:x", "0.x:5-1:3:1", "0.x:5-1:3:1:y", "0.x:5-1:3:1:4-0:2", "0.x:5-1:-1",
		"0.x:5-1:3:1:9007199254740992-0",
	} {
		if _, err := inbox.ParseCursor(bad); err == nil {
			t.Errorf("the cursor %q was read", bad)
		}
	}
}
