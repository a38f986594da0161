package logging_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// Ten events are logged at once, then one every ten seconds, which says how many were not.
func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s logging.Sampler
		count := func(events int) (logged int, skipped int64) {
			for range events {
				if left, ok := s.Allow(); ok {
					logged, skipped = logged+1, skipped+left
				}
			}
			return logged, skipped
		}
		for _, step := range []struct {
			after          time.Duration
			events, logged int
			skipped        int64
		}{
			{0, 15, 10, 0},
			{9 * time.Second, 5, 0, 0},
			{time.Second, 5, 1, 10},
			{35 * time.Second, 5, 3, 4},
			{time.Hour, 100, 10, 2},
		} {
			testwait.Advance(step.after)
			if logged, skipped := count(step.events); logged != step.logged || skipped != step.skipped {
				t.Errorf("after %v: %d of %d logged, %d skipped before; want %d and %d",
					step.after, logged, step.events, skipped, step.logged, step.skipped)
			}
		}
	})
}
