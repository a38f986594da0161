package settle

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxFlushes     = 4   // at once, so that a slow publish does not delay other users
	maxStates      = 500 // in one flush
	gatherReceipts = 2 * time.Second
	minBackoff     = 250 * time.Millisecond
)

// Run flushes until ctx ends, then flushes the rest for at most Options.Drain, and returns the cause of ctx. Call it
// exactly once.
func (s *Settler) Run(ctx context.Context) error {
	// Flushes outlive ctx by Drain, so that acks are settled on SIGTERM.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ended := ctx.Done()
	var drained <-chan time.Time
	for {
		batch, wait := s.nextBatch(ended == nil)
		if len(batch) > 0 {
			wg.Go(func() { s.flush(work, ctx.Done(), batch) })
			continue
		}
		if ended == nil && s.idle() {
			return context.Cause(ctx)
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ended:
			ended = nil
			drained = time.After(s.opts.Drain)
		case <-drained:
			cancel()
			s.opts.Log.Warn("some acks are not settled; another instance or the next hello will settle them",
				"users", s.waiting())
			return context.Cause(ctx)
		}
	}
}

// idle reports whether nothing waits and no flush is in progress.
func (s *Settler) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dirty) == 0 && s.flushes == 0
}

// nextBatch returns the states to flush now and marks them as in flight. If there are none, it returns how long to
// wait.
func (s *Settler) nextBatch(drain bool) ([]*inboxState, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.flushAt.IsZero() && drain && len(s.dirty) > 0 {
		s.flushAt = now
	}
	switch {
	case s.flushAt.IsZero() || s.flushes >= maxFlushes:
		return nil, time.Hour // a change of either wakes Run
	case now.Before(s.flushAt) && !drain:
		return nil, s.flushAt.Sub(now)
	case now.Before(s.publishAfter):
		return nil, s.publishAfter.Sub(now)
	case s.publishFailures > 0 && s.flushes > 0:
		return nil, time.Hour // one attempt at a time while Pub/Sub cannot be reached
	}
	s.flushAt, s.queuedMessages, s.queuedBytes = time.Time{}, 0, 0
	var batch []*inboxState
	for st := range s.dirty {
		switch {
		case st.inFlight:
		case !st.waits():
			delete(s.dirty, st)
			st.deleteIfUnused()
		case now.Before(st.retryAt):
			s.advanceFlush(st.retryAt)
		case len(batch) == maxStates:
			s.advanceFlush(now)
		default:
			st.inFlight = true
			batch = append(batch, st)
		}
	}
	if len(batch) == 0 {
		if s.flushAt.IsZero() {
			return nil, time.Hour
		}
		return nil, s.flushAt.Sub(now)
	}
	s.flushes++
	slices.SortFunc(batch, func(a, b *inboxState) int { // tests repeat by a seed
		return cmp.Or(strings.Compare(a.uid, b.uid), strings.Compare(a.epoch, b.epoch))
	})
	return batch, 0
}

// schedule has the state flushed within the given time, or at once if enough messages wait for a full Pub/Sub message.
// s.mu is held.
func (st *inboxState) schedule(within time.Duration) {
	s := st.s
	s.dirty[st] = struct{}{}
	if s.queuedMessages >= s.opts.maxMessages || s.queuedBytes >= s.opts.maxBytes {
		within = 0
	}
	due := time.Now().Add(within)
	if st.due.IsZero() || due.Before(st.due) {
		st.due = due
	}
	if !st.inFlight && s.advanceFlush(due) { // the end of a flush in progress schedules the next one
		s.wakeRun()
	}
}

// advanceFlush moves the next flush to t if it is later, and reports whether it was. s.mu is held.
func (s *Settler) advanceFlush(t time.Time) bool {
	if !s.flushAt.IsZero() && !t.Before(s.flushAt) {
		return false
	}
	s.flushAt = t
	return true
}

// wakeRun has Run check the schedule again.
func (s *Settler) wakeRun() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// endFlush ends a flush whose states are released.
func (s *Settler) endFlush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes--
	s.wakeRun()
}

// release allows the states of a part of a flush to be flushed again, those that failed after a backoff.
func (s *Settler) release(items []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	failed := 0
	var failure error
	for _, it := range items {
		st := it.state
		st.inFlight = false
		if it.err != nil {
			s.counters.Failed.Add(1)
			failed, failure = failed+1, it.err
			st.failures++
			st.retryAt = now.Add(s.backoff(st.failures))
		} else {
			st.failures, st.retryAt = 0, time.Time{}
		}
		st.notifyWaiters()
		if st.waits() {
			s.dirty[st] = struct{}{}
			// The rest of a list is flushed at once. Acks that came during the flush are gathered first.
			s.advanceFlush(maxTime(now, maxTime(st.retryAt, st.due)))
			continue
		}
		delete(s.dirty, st)
		st.deleteIfUnused()
	}
	if failed > 0 {
		if left, ok := s.failedLog.Allow(); ok {
			s.opts.Log.Warn("settling failed and will be retried", "error", failure, "users", failed,
				"failed", s.counters.Failed.Load(), "not_logged", left)
		}
	}
	s.wakeRun()
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// backoff returns the wait after that many failures in a row, with jitter.
func (s *Settler) backoff(failures int) time.Duration {
	d := minBackoff << min(failures-1, 10)
	d = min(d, s.opts.maxBackoff)
	return d/2 + s.opts.Jitter(d/2+1)
}
