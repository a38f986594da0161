package crowd

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets that are 1.6 % wide. It is safe for concurrent use.
type Histogram struct{ buckets [64 * perOctave]atomic.Uint32 }

// perOctave is the number of buckets between a duration and twice that duration.
const (
	octaveBits = 6
	perOctave  = 1 << octaveBits
)

func (h *Histogram) add(d time.Duration) {
	v := uint64(max(d, perOctave))
	octave := bits.Len64(v) - 1 - octaveBits
	h.buckets[octave*perOctave+int(v>>octave)-perOctave].Add(1)
}

// Count returns the number of durations.
func (h *Histogram) Count() (n int64) {
	for i := range h.buckets {
		n += int64(h.buckets[i].Load())
	}
	return n
}

// Quantile returns the duration below which the share q of all durations lies, or 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	want, n := q*float64(h.Count()), 0.0
	for i := range h.buckets {
		c := float64(h.buckets[i].Load())
		if n += c; c > 0 && n >= want {
			octave := i / perOctave
			lowest := uint64(i%perOctave+perOctave) << octave
			return time.Duration(lowest + 1<<octave/2)
		}
	}
	return 0
}
