package settle_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// Of two messages only the first is confirmed: the mark that reads both waits.
func TestReadMarkWaitsForTheRestOfItsList(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		pub := newTopic()
		pub.before = func(b delivery.Batch) error {
			for _, d := range b.Delivered {
				if d.Body == "two" {
					return errors.New("refused by the test")
				}
			}
			return nil
		}
		x := start(t, b, pub, settle.Options{MaxMessages: 1})
		ben := x.attach(t, "ben", "")
		x.send(t, "ann", "ben", "one")
		m := x.send(t, "ann", "ben", "two")
		ben.receive()
		ben.ack()
		if err := ben.acc.Read(delivery.Read{Conversation: m.Conversation, By: "ben", At: m.At}); err != nil {
			t.Fatal(err)
		}
		testwait.Until(t, "the second is tried again", func() bool {
			return x.waiting(t, "ben") == 1 && x.Settler.Snapshot().PublishFailed > 1
		})
		if types := x.types(t, "ann"); strings.Join(types, " ") != "sent sent delivered" {
			t.Errorf("ann has %v", types)
		}
		pub.mu.Lock()
		pub.before = nil
		pub.mu.Unlock()
		ben.close()
		same(t, "ann", x.types(t, "ann"), "[sent sent delivered delivered read]")
	})
}
