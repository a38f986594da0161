// Package redissub keeps one Redis subscription connection per instance and
// hands what arrives on each channel to whoever asked for it.
//
// Pub/sub forgets: what is published while a connection is broken is lost. So
// a [Listener] pings its connection, replaces one that does not answer,
// subscribes again to every channel, and only then tells each receiver that
// something may have been lost. Plain channels are used, which a cluster
// forwards between its nodes; sharded ones break after a reconnect (go-redis
// 9.23 subscribes to all of them in one command, which a cluster refuses).
package redissub

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// A Receiver is given what arrives on a channel. Both methods are called from
// the one goroutine that reads the connection, so they must not block and must not
// call Subscribe.
type Receiver interface {
	// Receive is given one published payload; those that one node of Redis
	// published come in that order.
	Receive(payload string)
	// Lost says that payloads may be missing between what was received before
	// and what follows. The channel is subscribed again when it is called.
	Lost()
}

// Options of a Listener. Zero values take the defaults named.
type Options struct {
	Ping  time.Duration // silence after which the connection is tested, and after as much again is replaced; 10 s
	Retry time.Duration // longest wait between attempts to connect; 2 s, with jitter
	Log   *slog.Logger  // slog.Default()
}

// Counters are counts since the start of this instance.
type Counters struct {
	Received    int64 // payloads
	Connections int64 // made
	Silent      int64 // connections replaced because they did not answer
	Lost        int64 // times that a channel was subscribed again
	Channels    int64 // subscribed now
}

// batch is how many channels one SUBSCRIBE names at most: a storm of clients
// costs few commands, and none of them is large.
const batch = 256

// Listener is safe for use by many goroutines. One per instance is meant to
// be shared by inbox, gate and presence.
type Subscriber struct {
	// fixed after construction
	rdb   redis.UniversalClient
	opts  Options
	dirty chan struct{} // has a value when a channel's state differs from what is wanted

	heard atomic.Int64 // when something was last read, in Unix nanoseconds

	received, connections, silent, lost atomic.Int64

	// guarded by mu, which is never held across I/O
	mu       sync.Mutex
	channels map[string]*channel
	changed  map[string]struct{} // names of channels that the writer has to look at
	returns  []func(outage time.Duration)
}

// channel is what is known of one channel. Its fields are guarded by Listener.mu.
type channel struct {
	receivers   []*entry // copied on write
	asked       bool     // the writer has sent SUBSCRIBE for it on this connection, and no UNSUBSCRIBE since
	outstanding int      // SUBSCRIBEs on this connection that are not confirmed
	before      bool     // it was confirmed on an earlier connection: receivers have lost something
	ready       chan struct{}
}

// confirmed reports whether ready is closed.
func (c *channel) confirmed() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

type entry struct{ Receiver }

// New returns a Listener that does nothing until Run is called.
func New(rdb redis.UniversalClient, opts Options) *Subscriber {
	if opts.Ping <= 0 {
		opts.Ping = 10 * time.Second
	}
	if opts.Retry <= 0 {
		opts.Retry = 2 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Subscriber{rdb: rdb, opts: opts, dirty: make(chan struct{}, 1),
		channels: map[string]*channel{}, changed: map[string]struct{}{}}
}

// OnReturn has fn called each time that the connection works again after it
// was broken, with how long nothing was heard. fn is called from the reading goroutine and must not
// block. Call it before Run.
func (l *Subscriber) OnReconnect(fn func(outage time.Duration)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.returns = append(l.returns, fn)
}

// Subscribe adds r to the receivers of channel and returns when Redis has
// confirmed the subscription: whatever is published after that is received, or
// Lost is called. Only the first receiver of a channel costs a round trip, shared with others that ask at
// the same time. The error is problem.ErrUnavailable when no confirmation came before ctx ended. stop
// removes r; it does not block, and r may be called for a moment longer.
func (l *Subscriber) Subscribe(ctx context.Context, name string, r Receiver) (stop func(), err error) {
	e := &entry{r}
	l.mu.Lock()
	c := l.channels[name]
	if c == nil {
		c = &channel{ready: make(chan struct{})}
		l.channels[name] = c
	}
	c.receivers = append(c.receivers[:len(c.receivers):len(c.receivers)], e)
	if !c.asked {
		l.change(name)
	}
	// A connection that breaks after the confirmation ends in Lost.
	ready := c.ready
	l.mu.Unlock()

	stop = sync.OnceFunc(func() { l.remove(name, e) })
	select {
	case <-ready:
		return stop, nil
	case <-ctx.Done():
		stop()
		return nil, problem.ErrUnavailable.WithCause(context.Cause(ctx))
	}
}

func (l *Subscriber) remove(name string, e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[name]
	if c == nil {
		return
	}
	kept := make([]*entry, 0, len(c.receivers))
	for _, have := range c.receivers {
		if have != e {
			kept = append(kept, have)
		}
	}
	c.receivers = kept
	if len(kept) == 0 {
		l.change(name)
	}
}

// change has the writer look at a channel. mu is held.
func (l *Subscriber) change(name string) {
	l.changed[name] = struct{}{}
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}

// Run reads the connection until ctx ends, and returns its cause. It must be
// called exactly once. Subscribe blocks until Run is running.
func (l *Subscriber) Run(ctx context.Context) error {
	backoff := 20 * time.Millisecond
	for first := true; ctx.Err() == nil; first = false {
		began := time.Now()
		err := l.connection(ctx, first)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > l.opts.Ping {
			backoff = 20 * time.Millisecond
		}
		l.opts.Log.Warn("subscription connection to redis ended", "err", err, "after", time.Since(began))
		// Jitter, so that the instances of a service do not come back as a herd.
		select {
		case <-time.After(rand.N(backoff) + time.Millisecond):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, l.opts.Retry)
	}
	return context.Cause(ctx)
}

var errSilent = errors.New("no answer to a ping")

// connection lives as long as one connection: it subscribes to everything
// that is wanted, reads until an error, and leaves no goroutine behind.
func (l *Subscriber) connection(ctx context.Context, first bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ps := l.rdb.Subscribe(ctx)
	// Receive does not look at its context; closing is what ends it.
	unhook := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer unhook()
	defer func() { _ = ps.Close() }()

	last := l.heard.Swap(time.Now().UnixNano())
	l.reset()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() { l.write(ctx, ps, cancel) })
	wg.Go(func() { l.ping(ctx, ps, cancel) })

	heard := false
	for {
		// No timeout here: one that strikes in the middle of a reply would leave
		// the rest of it to be read as the next. The pinger closes what is silent.
		msg, err := ps.Receive(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		l.heard.Store(time.Now().UnixNano())
		if !heard {
			heard = true
			l.connections.Add(1)
			if !first {
				l.returned(time.Since(time.Unix(0, last)))
			}
		}
		switch msg := msg.(type) {
		case *redis.Message:
			l.receive(msg)
		case *redis.Subscription:
			l.confirm(msg)
		}
	}
}

// reset prepares all channels for a new connection.
func (l *Subscriber) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, c := range l.channels {
		if len(c.receivers) == 0 {
			delete(l.channels, name)
			continue
		}
		if c.confirmed() {
			c.before = true
			c.ready = make(chan struct{})
		}
		c.asked, c.outstanding = false, 0
		l.change(name)
	}
}

func (l *Subscriber) returned(outage time.Duration) {
	l.mu.Lock()
	fns := l.returns
	l.mu.Unlock()
	for _, fn := range fns {
		fn(outage)
	}
}

// write is the one goroutine that subscribes and unsubscribes on a
// connection, so that commands and their confirmations have one order.
func (l *Subscriber) write(ctx context.Context, ps *redis.PubSub, fail context.CancelCauseFunc) {
	// A first reply to read, however few channels there are.
	if err := ps.Ping(ctx); err != nil {
		fail(err)
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.dirty:
		}
		for more := true; more; {
			var add, drop []string
			add, drop, more = l.wanted()
			if len(drop) > 0 {
				if err := ps.Unsubscribe(ctx, drop...); err != nil {
					fail(err)
					return
				}
			}
			if len(add) > 0 {
				if err := ps.Subscribe(ctx, add...); err != nil {
					fail(err)
					return
				}
			}
		}
	}
}

// wanted takes up to batch changed channels and says what to do about them.
func (l *Subscriber) wanted() (add, drop []string, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.changed {
		if len(add)+len(drop) == batch {
			return add, drop, true
		}
		delete(l.changed, name)
		c := l.channels[name]
		switch {
		case c == nil:
		case len(c.receivers) > 0 && !c.asked:
			c.asked = true
			c.outstanding++
			add = append(add, name)
		case len(c.receivers) == 0 && c.asked:
			c.asked = false
			if c.confirmed() {
				c.ready = make(chan struct{})
			}
			c.before = false
			drop = append(drop, name)
		case len(c.receivers) == 0 && c.outstanding == 0:
			delete(l.channels, name)
		}
	}
	return add, drop, false
}

// confirm notes a confirmation. A channel counts as subscribed when its last
// SUBSCRIBE is confirmed: an earlier one may be followed by an UNSUBSCRIBE on its way.
func (l *Subscriber) confirm(s *redis.Subscription) {
	l.mu.Lock()
	c := l.channels[s.Channel]
	var tell []*entry
	switch {
	case c == nil:
	case s.Kind == "subscribe":
		repeated := c.outstanding == 0 // go-redis subscribed again by itself
		c.outstanding = max(0, c.outstanding-1)
		if c.asked && c.outstanding == 0 {
			if c.before || repeated {
				tell = c.receivers
			}
			c.before = false
			if !c.confirmed() {
				close(c.ready)
			}
		}
	case s.Kind == "unsubscribe" && len(c.receivers) == 0 && !c.asked && c.outstanding == 0:
		delete(l.channels, s.Channel)
	}
	l.mu.Unlock()
	if len(tell) > 0 {
		l.lost.Add(1)
		for _, e := range tell {
			e.Lost()
		}
	}
}

func (l *Subscriber) receive(m *redis.Message) {
	l.received.Add(1)
	l.mu.Lock()
	var to []*entry
	if c := l.channels[m.Channel]; c != nil {
		to = c.receivers
	}
	l.mu.Unlock()
	for _, e := range to {
		e.Receive(m.Payload)
	}
}

// ping tests a silent connection, and ends one that stays silent.
func (l *Subscriber) ping(ctx context.Context, ps *redis.PubSub, fail context.CancelCauseFunc) {
	tick := time.NewTicker(l.opts.Ping / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		silence := time.Since(time.Unix(0, l.heard.Load()))
		switch {
		case silence >= 2*l.opts.Ping:
			l.silent.Add(1)
			fail(errSilent)
			return
		case silence >= l.opts.Ping:
			if err := ps.Ping(ctx); err != nil {
				fail(err)
				return
			}
		}
	}
}

// Snapshot returns the counters.
func (l *Subscriber) Snapshot() Counters {
	l.mu.Lock()
	n := len(l.channels)
	l.mu.Unlock()
	return Counters{Received: l.received.Load(), Connections: l.connections.Load(), Silent: l.silent.Load(),
		Lost: l.lost.Load(), Channels: int64(n)}
}
