package logging

import (
	"sync"
	"time"
)

// Limits of a Sampler.
const (
	sampleBurst = 10
	sampleEvery = 10 * time.Second
)

// Sampler limits how often one kind of event is logged, so that many of them at once do not fill the log: ten entries,
// and then one every ten seconds. The zero value is ready to use. It is safe for concurrent use.
type Sampler struct {
	mu      sync.Mutex
	spent   int       // entries of the burst that are used
	at      time.Time // when spent was last reduced
	skipped int64     // events since the last entry
}

// Allow reports whether an event may be logged, and how many events were not logged since the last one that was.
func (s *Sampler) Allow() (skipped int64, ok bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if regained := int(now.Sub(s.at) / sampleEvery); regained > 0 {
		s.spent = max(s.spent-regained, 0)
		s.at = now
	}
	if s.spent >= sampleBurst {
		s.skipped++
		return 0, false
	}
	s.spent++
	skipped, s.skipped = s.skipped, 0
	return skipped, true
}
