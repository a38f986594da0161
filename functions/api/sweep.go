package api

import (
	"context"
	"sync"
	"time"
)

// What broke off half-way and nobody came back for is tidied up beside the
// requests of others: functions have no clock of their own.
const (
	sweepWithin = 2 * time.Second // how long a request waits for it
	sweepEvery  = time.Minute     // how often one instance looks
)

// sweeps remembers when this instance last looked.
type sweeps struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due reports whether it is time to look, and if so notes that it is done.
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

// sweep tidies up a little. It never fails the request beside which it runs.
func (a *API) sweep(ctx context.Context, what string, do func(context.Context) error) {
	if !a.sweeps.due(what, a.deps.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sweepWithin)
	defer cancel()
	if err := do(ctx); err != nil {
		a.deps.Log.WarnContext(ctx, "tidying up failed and will be tried again", "what", what, "error", err)
	}
}
