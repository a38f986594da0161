package store

import (
	"context"
	"sync/atomic"
)

// Meter counts the documents that calls with its context have read, as Firestore bills them: also those of a query that
// a search passes over, and one for each thousand index entries of a count. Every implementation counts in the same
// way, so that limits that are charged by documents behave alike. It is safe for concurrent use.
type Meter struct{ read atomic.Int64 }

// Read returns the number of documents read so far.
func (m *Meter) Read() int64 { return m.read.Load() }

type meterKey struct{}

// WithMeter returns a context whose calls are counted by the Meter, and no longer by that of ctx.
func WithMeter(ctx context.Context) (context.Context, *Meter) {
	m := &Meter{}
	return context.WithValue(ctx, meterKey{}, m), m
}

// CountRead adds n documents to the Meter of ctx, if it has one. Implementations call it.
func CountRead(ctx context.Context, n int) {
	if m, ok := ctx.Value(meterKey{}).(*Meter); ok {
		m.read.Add(int64(n))
	}
}
