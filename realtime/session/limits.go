package session

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Rate is a rate limit: Burst events at once, then PerSecond events per second.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r Rate) limiter() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// timeFor returns how long n events take once the burst is used up, at least a second and at most a minute. n may be a
// part of an event.
func (r Rate) timeFor(n float64) time.Duration {
	return min(max(time.Duration(n/r.PerSecond*float64(time.Second)), time.Second), time.Minute)
}

// Limits are the rate limits of a socket and of a user. A person does not reach them, not even with a device that was
// offline for a long time. They stop floods. The limits of a user apply to all sockets of the user on one instance.
type Limits struct {
	Sends       Rate // sends of one socket; more of them wait in its queue; default 20/s, burst 200
	UserSends   Rate // sends of one user; more of them wait; default 30/s, burst 500
	Frames      Rate // frames of any type of one socket; default 100/s, burst 500
	Overhead    Rate // control frames and small fragments of one socket; more of them close it; default 50/s, burst 500
	Bytes       Rate // bytes of one socket; more of them are read later; default 768 KiB/s, burst 2 MiB
	UserBytes   Rate // bytes of one user, likewise; default 1 MiB/s, burst 4 MiB
	Unknown     Rate // frames of unknown types of one socket; more of them are strikes; default 5/s, burst 20
	Typing      Rate // typing frames of one socket; more of them are dropped; default 2/s, burst 10
	Watches     Rate // watch lists of one socket; the newest waits; default 1/s, burst 10
	Looking     Rate // changes of looking of one socket; the newest waits; default 1/s, burst 10
	Reactions   Rate // reactions of one user to one message; more of them are refused; default 6 a minute, burst 12
	UserReads   Rate // read marks of one user; more of them wait; default 1/s, burst 20
	UnknownUIDs Rate // users who do not exist that one user names; default 10 a minute, burst 10
	Strikes     Rate // refused frames of one socket; more of them close it; default 1/s, burst 60
}

// WithDefaults returns l with every unset limit replaced by its default.
func (l Limits) WithDefaults() Limits {
	set := func(r *Rate, perSecond float64, burst int) {
		if *r == (Rate{}) {
			*r = Rate{perSecond, burst}
		}
	}
	set(&l.Sends, 20, 200)
	set(&l.UserSends, 30, 500)
	set(&l.Frames, 100, 500)
	set(&l.Overhead, 50, 500)
	set(&l.Bytes, 768<<10, 2<<20)
	set(&l.UserBytes, 1<<20, 4<<20)
	set(&l.Unknown, 5, 20)
	set(&l.Typing, 2, 10)
	set(&l.Watches, 1, 10)
	set(&l.Looking, 1, 10)
	set(&l.Reactions, 6.0/60, 12)
	set(&l.UserReads, 1, 20)
	set(&l.UnknownUIDs, 10.0/60, 10)
	set(&l.Strikes, 1, 60)
	return l
}

// ErrRateLimited answers a frame that exceeds a rate limit. The frame may be sent again after RetryAfter. A client that
// ignores this is closed with the same code.
var ErrRateLimited = problem.New(problem.TooMany, "rate_limited",
	"You are doing this too often. The app will try again in a moment.")

// limiters are the rate limits of one socket besides those of bytes.
type limiters struct {
	frames, unknown, typing *rate.Limiter // reader only
	strikes                 *rate.Limiter // reader and worker
	sends, watches, looking *rate.Limiter // worker only
}

// limit returns the rate limits of the socket. The reader calls it first.
func (s *session) limit() *limiters {
	if s.limiters == nil {
		l := &s.deps.Limits
		s.limiters = &limiters{frames: l.Frames.limiter(), unknown: l.Unknown.limiter(), typing: l.Typing.limiter(),
			strikes: l.Strikes.limiter(), sends: l.Sends.limiter(), watches: l.Watches.limiter(),
			looking: l.Looking.limiter()}
	}
	return s.limiters
}

// allow uses up one event of l, or returns how long to wait for the next.
func allow(l *rate.Limiter) (wait time.Duration, ok bool) {
	now := time.Now()
	if l.AllowN(now, 1) {
		return 0, true
	}
	r := l.ReserveN(now, 1)
	delay := r.DelayFrom(now)
	r.CancelAt(now)
	return max(delay, 100*time.Millisecond), false
}

// reserve uses up n events of l, now or in the future, and returns how long to wait until they may happen.
func reserve(l *rate.Limiter, now time.Time, n int) time.Duration {
	if l.AllowN(now, n) { // without an allocation
		return 0
	}
	return l.ReserveN(now, n).DelayFrom(now)
}
