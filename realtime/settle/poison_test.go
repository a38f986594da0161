package settle

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// Entries that are JSON but not messages do not hold up the messages around them.
func TestUndecodableEventsAreSkipped(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		for _, from := range []string{"memory", "the stream"} {
			pub := newTopic()
			x := start(t, b, pub, Options{})
			ben := x.attach(t, "ben-"+from[:3], "")
			x.send(t, "ann", ben.uid, "one")
			for _, e := range []string{`{}`, `{"id":5}`, `{"id":"x","from":"a/b","to":"c"}`} {
				err := x.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "inbox:{" + ben.uid + "}",
					Values: []string{"t", "message", "e", e}}).Err()
				if err != nil {
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
			same(t, "undecodable messages", x.Counters().Poison.Load(), 3)
		}
	})
}
