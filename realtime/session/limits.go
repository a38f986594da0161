package session

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Rate is how often something may be done: Burst at once, then PerSecond.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r Rate) limiter() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// each returns how long n of them take beyond the burst, between a second and a minute.
func (r Rate) each(n int) time.Duration {
	return min(max(time.Duration(float64(n)/r.PerSecond*float64(time.Second)), time.Second), time.Minute)
}

// Limits are the rates of a socket and of a user. They are out of reach for
// people, devices that come back from a long journey included, and end floods.
type Limits struct {
	Sends     Rate // sends of one socket, beyond which they wait in its queue; default 20/s, 200 at once
	UserSends Rate // sends of one user, all sockets of this instance, likewise; default 30/s, 500 at once
	Frames    Rate // frames of any type of one socket; default 100/s, 500 at once
	Typing    Rate // typing frames of one socket, beyond which they are passed over; default 2/s, 10 at once
	Watches   Rate // watch lists of one socket, beyond which the newest waits; default 1/s, 10 at once
	Strikes   Rate // refused frames of one socket, beyond which it is closed; default 1/s, 60 at once
}

// WithDefaults returns l with the defaults in place of what is unset.
func (l Limits) WithDefaults() Limits {
	set := func(r *Rate, perSecond float64, burst int) {
		if *r == (Rate{}) {
			*r = Rate{perSecond, burst}
		}
	}
	set(&l.Sends, 20, 200)
	set(&l.UserSends, 30, 500)
	set(&l.Frames, 100, 500)
	set(&l.Typing, 2, 10)
	set(&l.Watches, 1, 10)
	set(&l.Strikes, 1, 60)
	return l
}

// ErrRateLimited answers a frame that came too soon; it may be sent again
// after RetryAfter. A client that does not heed it is closed with the same code.
var ErrRateLimited = problem.New(problem.TooMany, "rate_limited", "This is going too fast. It will be tried again in a moment.")

// take takes one from l, or returns how long to wait for it.
func take(l *rate.Limiter) (wait time.Duration, ok bool) {
	now := time.Now()
	r := l.ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if r.OK() && delay == 0 {
		return 0, true
	}
	r.CancelAt(now)
	return max(delay, 100*time.Millisecond), false
}

// reserve takes one from each limiter, now or in the future, and returns how
// long to wait until it may be used.
func reserve(limiters ...*rate.Limiter) (wait time.Duration) {
	now := time.Now()
	for _, l := range limiters {
		wait = max(wait, l.ReserveN(now, 1).DelayFrom(now))
	}
	return wait
}
