package inbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// A feed is compared within the interval after it subscribes, whenever that is, and then once per interval. A turn that
// takes long does not delay the next one of the same user.
func TestEveryFeedIsComparedInTime(t *testing.T) {
	const interval = 30 * time.Second
	turn := inbox.CompareTurn(interval)
	for _, users := range []int{1, 7, 900} {
		t.Run(fmt.Sprintf("%d users", users), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				began := time.Now()
				var mu sync.Mutex // guards subscribed, since and compared
				var subscribed []string
				since, compared := map[string]time.Time{}, map[string]int{}
				done := make(chan struct{})
				go func() {
					defer close(done)
					users := func() []string {
						mu.Lock()
						defer mu.Unlock()
						return slices.Clone(subscribed)
					}
					inbox.CompareInTurns(ctx, interval, users, func(uids []string) {
						mu.Lock()
						for _, uid := range uids {
							if waited := time.Since(since[uid]); waited+turn > interval {
								t.Errorf("%s waited for %v", uid, waited)
							}
							since[uid] = time.Now()
							compared[uid]++
						}
						mu.Unlock()
						<-time.After(turn - time.Millisecond)
					})
				}()
				for i := range users { // at all moments of two intervals
					testwait.Advance(2 * interval / time.Duration(users))
					uid := fmt.Sprintf("user%d", i)
					mu.Lock()
					subscribed, since[uid] = append(subscribed, uid), time.Now()
					mu.Unlock()
				}
				testwait.Advance(3*interval + time.Millisecond)
				cancel()
				<-done
				total := int(time.Since(began)/(interval-turn)) + 1
				for _, uid := range subscribed {
					if n := compared[uid]; n < 3 || n > total {
						t.Errorf("%s was compared %d times, want at least 3 and at most %d", uid, n, total)
					}
				}
			})
		})
	}
}
