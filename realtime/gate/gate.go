// Package gate answers whether a user exists, may come in, and whom the user
// has blocked. It keeps the answers in Redis (gate:{uid}, 24 h), fills
// them from a Source where they are missing, and tells every instance when one changes.
//
// Inboxes.Enqueue reads the recipient's gate inside its own script; Get is
// for hello (the own gate) and for hints.
package gate

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/listen"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Gate is what is known of a user. Values are not changed once made.
type Gate struct {
	Exists     bool
	Disabled   bool
	ValidAfter time.Time // tokens with an auth_time before it are ended (whole seconds); zero: none are
	Blocked    []string  // uids that may not write to the user
}

// Blocks reports whether the user has blocked uid.
func (g Gate) Blocks(uid string) bool { return slices.Contains(g.Blocked, uid) }

// Admit reports whether the user may hold a socket with a token whose
// auth_time is authTime: problem.ErrDeleted, problem.ErrDisabled or problem.ErrTokenEnded where not.
func (g Gate) Admit(authTime time.Time) error {
	switch {
	case !g.Exists:
		return problem.ErrDeleted
	case g.Disabled:
		return problem.ErrDisabled
	case authTime.Unix() < g.ValidAfter.Unix() && !g.ValidAfter.IsZero():
		return problem.ErrTokenEnded
	}
	return nil
}

// Source is where gates come from: the users' documents.
type Source interface {
	// Gate returns the gate of uid, with Exists false for an unknown one (no error).
	// It must end when ctx does. Errors are passing faults.
	Gate(ctx context.Context, uid string) (Gate, error)
}

// Options of Gates. Zero values take the defaults named.
type Options struct {
	Listener *listen.Listener // needed
	Now      func() time.Time // time.Now
	Log      *slog.Logger     // slog.Default()
	Timeout  time.Duration    // of one operation; 3 s
	Keep     time.Duration    // in this process; 3 s
	Recheck  time.Duration    // how often watched gates are read again, since a notice can be lost; 30 s
}

// Gates is safe for use by many goroutines.
type Gates struct {
	rdb    redis.UniversalClient
	source Source
	opts   Options
}

// New returns Gates, which hear of changes while Run runs.
func New(rdb redis.UniversalClient, source Source, opts Options) *Gates {
	return &Gates{rdb, source, opts}
}

// Run hears of changes until ctx ends, and returns its cause. It must be called exactly once.
func (g *Gates) Run(ctx context.Context) error { return problem.ErrUnavailable }

// Get returns the gate of uid: from this process (some seconds old at most),
// else from Redis, else from the Source. The error is problem.ErrUnavailable.
func (g *Gates) Get(ctx context.Context, uid string) (Gate, error) {
	return Gate{}, problem.ErrUnavailable
}

// Fill makes sure that gate:{uid} stands in Redis. It makes Gates an inbox.Gates.
func (g *Gates) Fill(ctx context.Context, uid string) error { return problem.ErrUnavailable }

// Changed stores the new gate of uid, whatever stood there, and tells every
// instance. One round trip. The error is problem.ErrUnavailable; it may be repeated.
func (g *Gates) Changed(ctx context.Context, uid string, gate Gate) error {
	return problem.ErrUnavailable
}

// Watch calls fn with the gate of uid whenever it may have changed, within 5 s
// on any instance, also after notices were lost; fn may be given the same gate twice. fn must
// not block. For open sockets. stop ends it; fn may be called for a moment longer.
func (g *Gates) Watch(uid string, fn func(Gate)) (stop func()) { return func() {} }

// Counters are counts since the start of this instance.
type Counters struct {
	Hits, RedisHits, Fills, FillErrors int64 // answered here; by Redis; by the Source; Source failed
	Changes, Lost, Rechecked           int64 // notices received; times notices may have been lost; gates read again
}

// Snapshot returns the counters.
func (g *Gates) Snapshot() Counters { return Counters{} }
