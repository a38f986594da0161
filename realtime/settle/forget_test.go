package settle

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// records returns the number of messages that uid's inbox has not forgotten.
func (x *instance) records(t testing.TB, uid string) int64 {
	t.Helper()
	n, err := x.rdb.HLen(context.Background(), "pending:{"+uid+"}").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Delivered messages are only marked. The inbox forgets them when at most 64 messages or 64 KiB are marked, and when
// the last window of the user closes.
func TestForgetting(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		x := start(t, b, newTopic(), Options{gather: time.Millisecond,
			Jitter: func(time.Duration) time.Duration { return 0 }})
		// An instance sweeps for the first time after 10 s, unless another one has done so. The sweep forgets as well.
		if err := x.rdb.Set(t.Context(), "sweep", "", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		phone := x.attach(t, "ben", "")
		deliver := func(body string) {
			t.Helper()
			before := x.Counters().Messages.Load()
			x.send(t, "ann", "ben", body)
			phone.receive()
			phone.ack()
			testwait.Until(t, "a message is settled", func() bool { return x.Counters().Messages.Load() > before })
		}
		for i := range forgetMessages {
			deliver("x")
			same(t, fmt.Sprint("records after message ", i+1), x.records(t, "ben"), i+1)
		}
		deliver("one more")
		same(t, "records after the limit of messages", x.records(t, "ben"), 0)
		for range 5 {
			deliver(strings.Repeat("x", 8_000))
		}
		same(t, "records below the limit of bytes", x.records(t, "ben"), 5)
		for range 4 {
			deliver(strings.Repeat("x", 8_000))
		}
		deliver("one more")
		same(t, "records after the limit of bytes", x.records(t, "ben"), 0)
		deliver("the last one")
		same(t, "records before the last close", x.records(t, "ben"), 1)
		phone.close()
		testwait.Until(t, "the inbox forgets", func() bool { return x.records(t, "ben") == 0 })
		same(t, "delivered to ann", x.delivered(t, "ann"), forgetMessages+12)
	})
}

// While a list is published, one of its messages is withdrawn. It comes back, for the devices that do not have it.
func TestRemovedWhilePublished(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		x := start(t, b, pub, Options{gather: time.Millisecond})
		if err := x.rdb.Set(t.Context(), "lastseen:{ben}", time.Now().UnixMicro(), time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		phone := x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		phone.receive()
		var withdrawn inbox.Withdrawn
		pub.intercept(func(delivery.Batch) error {
			pub.intercept(nil)
			var err error
			withdrawn, err = x.in.Withdraw(context.Background(),
				inbox.Withdrawal{UID: "ben", From: "ann", Reason: inbox.ErrWithdrawn})
			return err
		})
		phone.ack()
		testwait.Until(t, "the message is settled", func() bool { return x.Counters().Messages.Load() == 1 })
		same(t, "withdrawn", withdrawn.Messages, 1)
		messages := 0
		for _, kind := range x.types(t, "ben") {
			if kind == wire.EventMessage {
				messages++
			}
		}
		same(t, "messages in the inbox of ben", messages, 1)
		same(t, "delivered to ann", x.delivered(t, "ann"), 1)
	})
}
