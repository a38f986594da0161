package api

import (
	"context"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Sign-ups and deletions that were interrupted are cleaned up during the requests of others, since functions do not
// run in between.
const (
	sweepWithin = 2 * time.Second // how long a request waits for a sweep
	sweepEvery  = time.Minute     // between two sweeps of one instance
)

// sweeps holds the time of this instance's last sweep of each kind.
type sweeps struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due reports whether a sweep is due. If so, it records that it is done now.
func (s *sweeps) due(what string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last[what]) < sweepEvery {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[what] = now
	return true
}

// sweep runs a sweep if one is due. If the sweep fails, the request does not: the next sweep tries again.
func (a *API) sweep(ctx context.Context, what string, do func(context.Context) error) {
	if !a.sweeps.due(what, a.deps.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	ctx, _ = store.WithMeter(ctx) // the caller is not charged for it
	if err := do(ctx); err != nil {
		a.deps.Log.WarnContext(ctx, "sweep failed", "sweep", what, "error", err)
	}
}
