package settle_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// An entry that is JSON and no message does not stand in the way of those around it.
func TestPoisonIsPassedOver(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		for _, from := range []string{"memory", "the stream"} {
			pub := newTopic()
			x := start(t, b, pub, settle.Options{})
			ben := x.attach(t, "ben-"+from[:3], "")
			x.send(t, "ann", ben.uid, "one")
			for _, e := range []string{`{}`, `{"id":5}`, `{"id":"x","from":"a/b","to":"c"}`} {
				if err := x.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "inbox:{" + ben.uid + "}", Values: []string{"t", "message", "e", e}}).Err(); err != nil {
					t.Fatal(err)
				}
			}
			x.send(t, "ann", ben.uid, "two")
			same(t, "received", len(ben.receive()), 5)
			if from == "memory" {
				ben.ack()
				ben.close()
			} else {
				ben.close()
				x.attach(t, ben.uid, ben.pos.Cursor.String()).close()
			}
			same(t, "published", pub.delivered(), "[one two]")
			same(t, "waiting", x.waiting(t, ben.uid), 0)
			same(t, "counted", x.Settler.Snapshot().Poison, 3)
		}
	})
}
