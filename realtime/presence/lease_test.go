package presence_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
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

// Users come and go while their leases are renewed, and with several sockets at once. In the end, the leases are those
// of the users who are there: no renewal revives the lease of somebody who has left.
func TestLeasesOfUsersWhoComeAndGo(t *testing.T) {
	b := redistest.Mini(t)
	in := start(t, b, "x", presence.Tuned(presence.Tuning{Renew: time.Millisecond}))
	const users = 100
	uid := func(i int) string { return fmt.Sprintf("u%d", i) }
	var wg sync.WaitGroup
	for i := range users {
		for range 2 {
			wg.Go(func() {
				for range 3 {
					err := errors.Join(in.Join(t.Context(), uid(i), false), in.Leave(t.Context(), uid(i), false))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for i := range users / 2 {
		in.join(t, uid(i))
	}
	for i := range users {
		want := int64(1)
		if i >= users/2 {
			want = 0
		}
		testwait.Until(t, "the lease of "+uid(i), func() bool {
			n, err := in.rdb.ZCard(t.Context(), "presence:{"+uid(i)+"}").Result()
			return err == nil && n == want
		})
	}
}
