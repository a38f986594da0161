package crowd

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// Steady is a load at a fixed rate between fixed pairs of users: user 0 and 1, 2 and 3, and so on. The two of a pair
// take turns.
type Steady struct {
	Rate float64 // messages per second
	Body int     // bytes
}

// senders is the number of goroutines that send.
const senders = 4

// late is how long after its time a message may leave and still count as on time. A later one is counted from when it
// was due, so that a stall of the generator does not hide how long users would have waited.
const late = 2 * time.Millisecond

// giveUp returns when a load of the given duration is abandoned because the system accepts messages more slowly.
func giveUp(begin time.Time, over time.Duration) time.Time {
	return begin.Add(max(2*over, 5*time.Second))
}

// Run sends for the given time, or for up to twice the time if the system accepts messages more slowly.
func (s Steady) Run(ctx context.Context, c *Crowd, over time.Duration) {
	pairs := len(c.users) / 2
	body := []byte(strings.Repeat("x", s.Body))
	begin := time.Now()
	end := giveUp(begin, over)
	var all sync.WaitGroup
	for first := range senders {
		all.Go(func() {
			for k := first; ; k += senders {
				due := begin.Add(time.Duration(float64(k) / s.Rate * float64(time.Second)))
				if due.Sub(begin) >= over || time.Now().After(end) || !sleepUntil(ctx, due) {
					return
				}
				a, b := k%pairs*2, k%pairs*2+1
				if k/pairs%2 == 1 {
					a, b = b, a
				}
				c.send(a, b, due, body)
			}
		})
	}
	all.Wait()
}

// sleepUntil reports false if ctx ended first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send sends a message that is due at the given time.
func (c *Crowd) send(from, to int, due time.Time, body []byte) {
	now := time.Now()
	if now.Sub(due) < late {
		due = now
	}
	d := c.users[from][sendingDevice]
	n := c.ledger.add(due.Sub(c.ledger.start))
	if d.send(n, c.protocol.message(n, uid(from), uid(to), now, body)) {
		c.ledger.written.Add(1)
	}
}

// acquainting is the rate at which users write to each other for the first time.
const acquainting = 1000

// Acquaint lets the users of each pair, from the given user on, exchange a message. Senders are limited until their
// recipients have answered them.
func (c *Crowd) Acquaint(ctx context.Context, conversations [][2]int) error {
	for turn := range 2 {
		begin := time.Now()
		for k, pair := range conversations {
			due := begin.Add(time.Duration(float64(k) / acquainting * float64(time.Second)))
			if !sleepUntil(ctx, due) {
				return context.Cause(ctx)
			}
			c.send(pair[turn], pair[1-turn], due, []byte("hello, this is the first message"))
		}
		if err := c.Settled(ctx, 20*time.Second); err != nil {
			return fmt.Errorf("the first messages: %w", err)
		}
	}
	return nil
}

// Pairs returns the pairs of Steady among the users from the first to the last, exclusive.
func Pairs(first, last int) (out [][2]int) {
	for u := first; u+1 < last; u += 2 {
		out = append(out, [2]int{u, u + 1})
	}
	return out
}

// UsersFor returns how many users a rate needs, so that no limit of a user is reached: 450 messages a minute.
func UsersFor(rate float64) int { return 2 * int(math.Ceil(rate/perUser/2)) }

// perUser is the largest number of messages per second of one user.
const perUser = 5
