// Package counter provides the counters of one instance. A package declares each of its counters once, as a field of
// an exported struct, counts by calling Add on that field, and publishes the struct: encoding/json writes every field
// as a number, and reads the numbers back into the same struct.
package counter

import (
	"encoding/json"
	"strconv"
	"sync/atomic"
)

// Count is a number of things that happened since the instance started. The zero value is ready to use. All methods
// are safe for concurrent use. It must not be copied.
type Count struct{ n atomic.Int64 }

// Add counts n more.
func (c *Count) Add(n int64) { c.n.Add(n) }

// Load returns the count.
func (c *Count) Load() int64 { return c.n.Load() }

// MarshalJSON writes the count as a number. The struct must be encoded through a pointer.
func (c *Count) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, c.Load(), 10), nil }

// UnmarshalJSON sets the count to a number that MarshalJSON wrote.
func (c *Count) UnmarshalJSON(data []byte) error {
	var n int64
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	c.n.Store(n)
	return nil
}

// Gauge is a number of things that exist now. Read returns it; it must be safe for concurrent use. A gauge without
// Read is zero.
type Gauge struct{ Read func() int64 }

// Load returns the number.
func (g Gauge) Load() int64 {
	if g.Read == nil {
		return 0
	}
	return g.Read()
}

// MarshalJSON writes the gauge as a number.
func (g Gauge) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, g.Load(), 10), nil }

// UnmarshalJSON makes the gauge return a number that MarshalJSON wrote.
func (g *Gauge) UnmarshalJSON(data []byte) error {
	var n int64
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	g.Read = func() int64 { return n }
	return nil
}
