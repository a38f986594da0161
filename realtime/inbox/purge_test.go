package inbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/redistest"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// An instance that crashes during a purge leaves it to the others, once its lease has ended.
func TestPurgeOutlivesItsInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, b *redistest.Redis) {
		ctx, cancel := context.WithCancel(t.Context())
		s := open(t, b, inbox.Options{Gates: cancelOnFill{cancel}}.WithTuning(inbox.Tuning{PurgeTick: time.Hour}))
		const purge = "ann//withdrawn/1"
		if err := s.rdb.ZAdd(t.Context(), "purges", redis.Z{Score: 1, Member: purge}).Err(); err != nil {
			t.Fatal(err)
		}
		// The interrupted look-up of the sender stands for the crash.
		if err := s.RunPurges(ctx); err == nil {
			t.Error("the purge was not interrupted")
		}
		testwait.Until(t, "the purge is leased", func() bool {
			due, err := s.rdb.ZScore(t.Context(), "purges", purge).Result()
			left := time.Until(time.UnixMilli(int64(due)))
			return err == nil && left > 30*time.Second && left < 2*time.Minute
		})
	})
}
