// Package presence knows who is connected, on any instance, and tells those
// who watch. It is a hint: nothing else depends on it.
//
// presence:{uid} is a sorted set of instances by the time (ms) at which each one's word ends, 90 s
// after it was given; every instance renews its own each 30 s. lastseen:{uid}
// is the time of the last renewal or leave in microseconds, kept for 30 days.
// Changes are published on seen:{uid}, to which an instance subscribes once per watched user.
package presence

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/listen"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// State is what is known of one user.
type State struct {
	User     string
	Online   bool
	LastSeen chat.Micros // when not online; 0: not known
}

// Options of Presence. Zero values take the defaults named.
type Options struct {
	Listener *listen.Listener // needed
	Sockets  func() int       // sockets of this instance, for Instances; nil: 0
	Now      func() time.Time // time.Now
	Log      *slog.Logger     // slog.Default()
	Timeout  time.Duration    // of one operation; 3 s
	Expire   time.Duration    // of an instance's word; 90 s
	Renew    time.Duration    // 30 s
	Linger   time.Duration    // how long a user who left still counts as online to watchers, so that a reconnect is not seen; 5 s
	KeepSeen time.Duration    // of last_seen; 30 days
}

// Presence is safe for use by many goroutines.
type Presence struct {
	rdb      redis.UniversalClient
	instance string
	opts     Options
}

// New returns the Presence of one instance, whose id is unique among all running ones.
func New(rdb redis.UniversalClient, instance string, opts Options) *Presence {
	return &Presence{rdb, instance, opts}
}

// Run renews and watches until ctx ends, and returns its cause. It must be called exactly once.
func (p *Presence) Run(ctx context.Context) error { return problem.ErrUnavailable }

// Join counts one more socket of uid on this instance. The first one costs a
// round trip and publishes "online" where no instance had the user. An error
// (problem.ErrUnavailable) may be ignored: Run tries again.
func (p *Presence) Join(ctx context.Context, uid string) error { return problem.ErrUnavailable }

// Leave counts one socket less. The last one costs a round trip. Call it once
// per Join, whether that failed or not.
func (p *Presence) Leave(ctx context.Context, uid string) error { return problem.ErrUnavailable }

// Watcher is one socket's list of watched users.
type Watcher struct{}

// Watch returns a Watcher with an empty list.
func (p *Presence) Watch() *Watcher { return &Watcher{} }

// Set replaces the list (at most wire.MaxWatch uids; more are cut). The present state of
// every user that was not on the old list follows through Take. The error is
// problem.ErrUnavailable; the list is then kept, and Run tries again.
func (w *Watcher) Set(ctx context.Context, uids []string) error { return problem.ErrUnavailable }

// Ready has a value when Take has something to give.
func (w *Watcher) Ready() <-chan struct{} { return nil }

// Take returns the newest state of every watched user whose state changed
// since the last call: at most one per user, so nothing overflows.
func (w *Watcher) Take() []State { return nil }

// Close ends the watching. It does not block.
func (w *Watcher) Close() {}

// Instance is what an instance last said of itself.
type Instance struct {
	ID      string    `json:"id"`
	Sockets int       `json:"sockets"`
	Renewed time.Time `json:"renewed"`
}

// Instances returns all instances that renewed within Expire, by id. Sockets is as of then.
func (p *Presence) Instances(ctx context.Context) ([]Instance, error) {
	return nil, problem.ErrUnavailable
}

// Counters are counts since the start of this instance.
type Counters struct {
	Joins, Leaves, Renewals, Rechecks, Lost, Failed int64
}

// Snapshot returns the counters.
func (p *Presence) Snapshot() Counters { return Counters{} }
