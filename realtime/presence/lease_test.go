package presence_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// A report that has expired does not count, although the reports of other instances keep its key alive.
func TestExpiredReportsAreForgotten(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		first := start(t, b, "x", presence.Options{Sockets: func() int { return 3 }})
		long := time.Now().Add(-time.Hour).UnixMilli()
		if err := first.rdb.HSet(t.Context(), "instances", "dead", fmt.Sprint(long, " 7 ", long)).Err(); err != nil {
			t.Fatal(err)
		}
		all, err := first.Instances(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].ID != "x" {
			t.Errorf("instances %+v, want only x", all)
		}
	})
}

// An expired lease does not hide that its user came back.
func TestJoinAfterAnExpiredLease(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		first := start(t, b, "x", presence.Options{})
		long := float64(time.Now().Add(-time.Hour).UnixMilli())
		err := first.rdb.ZAdd(t.Context(), "presence:{ann}", redis.Z{Score: long, Member: "dead"}).Err()
		if err != nil {
			t.Fatal(err)
		}
		w := first.watch(t, "ann")
		same(t, "at first", next(t, w), "[ann off]")
		first.join(t, "ann")
		same(t, "joined", next(t, w), "[ann on]")
	})
}
