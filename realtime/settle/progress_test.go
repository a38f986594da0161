package settle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// A step of a flush fails, before Redis has done it or after. The next flush repeats that step and no other: nothing is
// published twice, and nobody is sent a second receipt.
func TestOnlyTheStepThatFailedIsRepeated(t *testing.T) {
	steps := []struct {
		name  string
		which func(ann, cat string) func([]any) bool
		after bool
	}{
		{"receipts", func(string, string) func([]any) bool { return appendsEvent("delivered") }, false},
		{"reply to receipts", func(string, string) func([]any) bool { return appendsEvent("delivered") }, true},
		{"receipts of one sender", func(_, cat string) func([]any) bool { return receiptFor(cat) }, false},
		{"reply to receipts of one sender", func(_, cat string) func([]any) bool { return receiptFor(cat) }, true},
		{"settle", func(string, string) func([]any) bool { return settlesMessages }, false},
		{"reply to settle", func(string, string) func([]any) bool { return settlesMessages }, true},
		{"read events", func(string, string) func([]any) bool { return appendsEvent("read") }, false},
		{"reply to read events", func(string, string) func([]any) bool { return appendsEvent("read") }, true},
		{"reply to the read event of one user", func(ann, _ string) func([]any) bool {
			return func(args []any) bool { return appendsEvent("read")(args) && usesKey(args, ann) }
		}, true},
	}
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		for i, step := range steps {
			t.Run(step.name, func(t *testing.T) {
				ann, ben, cat := fmt.Sprint("ann", i), fmt.Sprint("ben", i), fmt.Sprint("cat", i)
				pub := newTopic()
				x := start(t, b, pub, Options{maxBackoff: 50 * time.Millisecond})
				phone := x.attach(t, ben, "")
				x.send(t, ann, ben, "one")
				x.send(t, cat, ben, "two")
				last := x.send(t, ann, ben, "three")
				phone.receive()
				x.loss.set(step.which(ann, cat), step.after)
				phone.ack()
				phone.read(last)
				testwait.Until(t, "the step fails twice", func() bool { return x.Counters().Failed.Load() >= 2 })
				// A message that is acknowledged meanwhile is published and reported on its own.
				x.send(t, ann, ben, "four")
				phone.receive()
				phone.ack()
				testwait.Until(t, "the step fails again", func() bool { return x.Counters().Failed.Load() >= 4 })
				x.loss.set(nil, false)
				phone.close()
				same(t, "waiting", x.waiting(t, ben), 0)
				bodies := pub.delivered()
				slices.Sort(bodies)
				same(t, "published", bodies, "[four one three two]")
				same(t, "read marks published", len(pub.reads()), 1)
				same(t, "delivered to ann", x.delivered(t, ann), 3)
				same(t, "delivered to cat", x.delivered(t, cat), 1)
				for _, uid := range []string{ann, ben} {
					reads := 0
					for _, kind := range x.types(t, uid) {
						if kind == wire.EventRead {
							reads++
						}
					}
					same(t, "read events of "+uid, reads, 1)
				}
			})
		}
	})
}

// receiptFor selects the scripts that append a receipt to the inbox of a user.
func receiptFor(uid string) func([]any) bool {
	return func(args []any) bool { return appendsEvent("delivered")(args) && usesKey(args, uid) }
}

func usesKey(args []any, uid string) bool {
	return slices.ContainsFunc(args, func(a any) bool {
		s, ok := a.(string)
		return ok && strings.HasPrefix(s, "inbox:{"+uid+"}")
	})
}

// delivered returns how many messages the delivered events of a user name, repeats included.
func (x *instance) delivered(t testing.TB, uid string) (n int) {
	t.Helper()
	for _, e := range x.events(t, uid) {
		if e.Type != wire.EventDelivered {
			continue
		}
		var d wire.DeliveredEvent
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		n += len(d.Messages)
	}
	return n
}

// Of a list that needs two Pub/Sub messages, the first fails. Only that one is published again.
func TestOnlyTheUnconfirmedPubSubMessageIsRepeated(t *testing.T) {
	b := redistest.Mini(t)
	pub := newTopic()
	x := start(t, b, pub, Options{maxMessages: 2})
	ben := x.attach(t, "ben", "")
	for _, body := range []string{"one", "two", "three", "four"} {
		x.send(t, "ann", "ben", body)
	}
	ben.receive()
	var mu sync.Mutex
	attempts := map[string]int{}
	confirmed := make(chan struct{})
	pub.intercept(func(b delivery.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		body := b.Delivered[0].Body
		attempts[body]++
		if body == "one" && attempts[body] == 1 {
			return errDown
		}
		if body == "three" {
			close(confirmed) // panics on a repeat
		}
		return nil
	})
	ben.ack()
	ben.close()
	<-confirmed
	got := pub.delivered()
	slices.Sort(got)
	same(t, "published", got, "[four one three two]")
	same(t, "delivered", x.delivered(t, "ann"), 4)
}

// Flushes that fail are logged, but not each of them.
func TestFailedFlushesAreLogged(t *testing.T) {
	var log syncBuffer
	x := start(t, redistest.Mini(t), newTopic(), Options{Log: slog.New(slog.NewTextHandler(&log, nil)), maxBackoff: 1})
	ben := x.attach(t, "ben", "")
	x.send(t, "ann", "ben", "one")
	ben.receive()
	x.loss.set(appendsEvent("delivered"), false)
	ben.ack()
	testwait.Until(t, "many flushes fail", func() bool { return x.Counters().Failed.Load() > 30 })
	x.loss.set(nil, false)
	ben.close()
	if n := strings.Count(log.String(), "settling failed and will be retried"); n < 1 || n > 12 {
		t.Errorf("%d log entries for %d failed flushes", n, x.Counters().Failed.Load())
	}
}

// syncBuffer is a buffer that several goroutines may use.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Of a list that needs four Pub/Sub messages, the second fails. The third and the fourth are not published again.
func TestConfirmedEndOfAListIsNotRepeated(t *testing.T) {
	x := start(t, redistest.Mini(t), newTopic(), Options{})
	pub := newTopic()
	s := New(x.in, pub, Options{maxBytes: 400, maxBackoff: 1, Log: slog.New(slog.DiscardHandler)})
	ben := x.attach(t, "ben", "")
	ben.w = s.Open("ben", ben.at)
	bodies := []string{"1", "2", "3", "4"}
	for _, body := range bodies {
		x.send(t, "ann", "ben", body)
	}
	ben.receive()
	last := make(chan struct{}) // closed when the fourth is about to be confirmed
	pub.intercept(func(b delivery.Batch) error {
		switch b.Delivered[0].Body {
		case "2":
			<-last
			return errDown
		case "4":
			close(last)
		}
		return nil
	})
	ben.ack()
	s.flushNow(t)
	same(t, "waiting after a failure", x.waiting(t, "ben"), 3)
	same(t, "delivered after a failure", x.delivered(t, "ann"), 1)
	pub.intercept(nil)
	s.flushNow(t)
	got := pub.delivered()
	slices.Sort(got)
	same(t, "published", got, bodies)
	same(t, "waiting", x.waiting(t, "ben"), 0)
	same(t, "delivered", x.delivered(t, "ann"), 4)
}

// After a failure, a flush does not publish its other Pub/Sub messages. They do not count as confirmed.
func TestUnpublishedMessagesDoNotCountAsConfirmed(t *testing.T) {
	x := start(t, redistest.Mini(t), newTopic(), Options{})
	pub := newTopic()
	s := New(x.in, pub, Options{maxBytes: 400, maxBackoff: 1, Log: slog.New(slog.DiscardHandler)})
	ben := x.attach(t, "ben", "")
	ben.w = s.Open("ben", ben.at)
	var bodies []string
	for i := range 3 * maxFlushes {
		bodies = append(bodies, fmt.Sprint("message ", i+10))
		x.send(t, "ann", "ben", bodies[i])
	}
	ben.receive()
	pub.intercept(func(b delivery.Batch) error {
		if b.Delivered[0].Body == bodies[0] {
			return errDown
		}
		for s.Counters().PublishFailed.Load() == 0 {
			runtime.Gosched()
		}
		return nil
	})
	ben.ack()
	s.flushNow(t)
	same(t, "waiting after a failure", x.waiting(t, "ben"), len(bodies))
	same(t, "failures in a row", s.publishFailures, 1)
	pub.intercept(nil)
	s.flushNow(t)
	got := pub.delivered()
	slices.Sort(got)
	same(t, "published", got, bodies)
	same(t, "waiting", x.waiting(t, "ben"), 0)
	same(t, "failures in a row after a success", s.publishFailures, 0)
}
