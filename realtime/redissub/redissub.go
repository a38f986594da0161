// Package redissub keeps one Redis subscription connection per instance and passes what arrives on each channel to the
// channel's receivers.
//
// Pub/sub has no memory: payloads that are published while a connection is broken are lost. A [Subscriber] therefore
// pings a silent connection, replaces one that does not answer, and subscribes again to every channel. Then it notifies
// the receivers that payloads may be missing.
//
// It uses plain channels, which a cluster forwards between its nodes. Sharded channels do not work after a reconnect:
// go-redis 9.23 subscribes to all of them in one command, which a cluster refuses.
package redissub

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// A Receiver gets what arrives on a channel. Both methods are called by the one goroutine that reads the connection, so
// they must not block and must not call Subscribe.
type Receiver interface {
	// Receive gets one published payload. Payloads that were published through one node of Redis arrive in that order.
	Receive(payload string)
	// Lost reports that payloads may be missing between the last one received and the next. The channel is subscribed
	// again when it is called.
	Lost()
}

// Options configure a Subscriber.
type Options struct {
	Jitter func(below time.Duration) time.Duration // random in [0, below); default: rand.N
	Log    *slog.Logger                            // default: slog.Default()

	// Retry is the longest wait between attempts to connect, before jitter. The default is 2 s. Only tests set it, also
	// those of other packages.
	Retry time.Duration

	ping time.Duration // silence after which the connection is pinged; after as much again it is replaced; only for tests
}

// Defaults and fixed limits; see DESIGN §5.
const (
	ping       = 10 * time.Second
	retry      = 2 * time.Second
	firstRetry = 20 * time.Millisecond

	// batch is the largest number of channels in one SUBSCRIBE. Many clients that connect at once then need few
	// commands, and none of these is large.
	batch = 256
)

// Counters count what this instance did since it started.
type Counters struct {
	Received    counter.Count // payloads
	Connections counter.Count // connections made
	Silent      counter.Count // connections replaced because they did not answer
	Lost        counter.Count // times that a channel was subscribed again
	Channels    counter.Gauge // channels that are subscribed now
}

// Subscriber keeps the subscription connection. It is safe for concurrent use. An instance has one Subscriber, which
// inbox, gate and presence share.
type Subscriber struct {
	// immutable after construction
	rdb            redis.UniversalClient
	opts           Options
	updatesPending chan struct{} // has a value when changed is not empty

	lastRead atomic.Int64 // when something was last read, in Unix nanoseconds
	counters Counters

	// guarded by mu, which is never held across I/O
	mu          sync.Mutex
	channels    map[string]*channel
	changed     map[string]struct{} // names of channels that the writer has to check
	onReconnect []func()
}

// channel is the state of one channel. Its fields are guarded by Subscriber.mu.
type channel struct {
	receivers    []*registration // copied on write
	requested    bool            // the writer has sent SUBSCRIBE on this connection, and no UNSUBSCRIBE since
	outstanding  int             // SUBSCRIBEs on this connection that are not confirmed
	wasConfirmed bool            // it was confirmed on an earlier connection, so receivers may have missed payloads
	ready        chan struct{}   // closed when the subscription is confirmed
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

// registration is one call of Subscribe. A Receiver may be registered more than once.
type registration struct{ Receiver }

// New returns a Subscriber that does nothing until Run is called.
func New(rdb redis.UniversalClient, opts Options) *Subscriber {
	opts.Log = cmp.Or(opts.Log, slog.Default())
	opts.Retry = cmp.Or(opts.Retry, retry)
	if opts.Jitter == nil {
		opts.Jitter = rand.N[time.Duration]
	}
	opts.ping = cmp.Or(opts.ping, ping)
	s := &Subscriber{rdb: rdb, opts: opts, updatesPending: make(chan struct{}, 1),
		channels: map[string]*channel{}, changed: map[string]struct{}{}}
	s.counters.Channels.Read = func() int64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return int64(len(s.channels))
	}
	return s
}

// Counters returns the counters of this instance.
func (s *Subscriber) Counters() *Counters { return &s.counters }

// OnReconnect registers fn to be called each time that the connection works again after it was broken. fn is called by
// the reading goroutine and must not block. Call OnReconnect before Run.
func (s *Subscriber) OnReconnect(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onReconnect = append(s.onReconnect, fn)
}

// Subscribe adds r to the receivers of a channel and returns when Redis has confirmed the subscription. Every payload
// that is published after that is received, or Lost is called. Only the first receiver of a channel costs a round trip,
// which it shares with others that subscribe at the same time. The error is problem.ErrUnavailable if ctx ended before
// the confirmation arrived. stop removes r without blocking; r may still be called for a moment.
func (s *Subscriber) Subscribe(ctx context.Context, name string, r Receiver) (stop func(), err error) {
	reg := &registration{r}
	s.mu.Lock()
	c := s.channels[name]
	if c == nil {
		c = &channel{ready: make(chan struct{})}
		s.channels[name] = c
	}
	c.receivers = append(c.receivers[:len(c.receivers):len(c.receivers)], reg)
	if !c.requested {
		s.scheduleUpdate(name)
	}
	// If the connection breaks after this confirmation, Lost is called.
	ready := c.ready
	s.mu.Unlock()

	stop = sync.OnceFunc(func() { s.removeReceiver(name, reg) })
	select {
	case <-ready:
		return stop, nil
	case <-ctx.Done():
		stop()
		return nil, problem.ErrUnavailable.WithCause(context.Cause(ctx))
	}
}

func (s *Subscriber) removeReceiver(name string, reg *registration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[name]
	if c == nil {
		return
	}
	kept := make([]*registration, 0, len(c.receivers))
	for _, have := range c.receivers {
		if have != reg {
			kept = append(kept, have)
		}
	}
	c.receivers = kept
	if len(kept) == 0 {
		s.scheduleUpdate(name)
	}
}

// scheduleUpdate makes the writer check a channel. mu is held.
func (s *Subscriber) scheduleUpdate(name string) {
	s.changed[name] = struct{}{}
	select {
	case s.updatesPending <- struct{}{}:
	default:
	}
}

// Run keeps a connection until ctx ends, and returns the cause. It must be called exactly once. Subscribe blocks until
// Run is called.
func (s *Subscriber) Run(ctx context.Context) error {
	backoff := firstRetry
	for first := true; ctx.Err() == nil; first = false {
		began := time.Now()
		err := s.serveConnection(ctx, first)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > s.opts.ping {
			backoff = firstRetry
		}
		s.opts.Log.Warn("subscription connection to redis ended", "error", err, "after", time.Since(began))
		// Jitter spreads the reconnects of a service's instances.
		select {
		case <-time.After(s.opts.Jitter(backoff) + time.Millisecond):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, s.opts.Retry)
	}
	return context.Cause(ctx)
}

var errNoPong = errors.New("redissub: no answer to a ping")

// serveConnection makes a connection, subscribes to all channels that have receivers, and reads until an error. All its
// goroutines have ended when it returns.
func (s *Subscriber) serveConnection(ctx context.Context, first bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ps := s.rdb.Subscribe(ctx)
	// Receive ignores the end of its context; only closing the connection ends it.
	unhook := context.AfterFunc(ctx, func() { _ = ps.Close() })
	defer unhook()
	defer func() { _ = ps.Close() }()

	s.lastRead.Store(time.Now().UnixNano())
	s.resetChannels()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() { s.writeSubscriptions(ctx, ps, cancel) })
	wg.Go(func() { s.pingWhenSilent(ctx, ps, cancel) })

	works := false
	for {
		// There is no timeout here. If one expired in the middle of a reply, the rest of it would be read as the next
		// reply. Instead, pingWhenSilent closes a connection that does not answer.
		msg, err := ps.Receive(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		s.lastRead.Store(time.Now().UnixNano())
		if !works {
			works = true
			s.counters.Connections.Add(1)
			if !first {
				s.callReconnected()
			}
		}
		switch msg := msg.(type) {
		case *redis.Message:
			s.deliverMessage(msg)
		case *redis.Subscription:
			s.confirmSubscription(msg)
		}
	}
}

// resetChannels prepares all channels for a new connection.
func (s *Subscriber) resetChannels() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, c := range s.channels {
		if len(c.receivers) == 0 {
			delete(s.channels, name)
			continue
		}
		if c.confirmed() {
			c.wasConfirmed = true
			c.ready = make(chan struct{})
		}
		c.requested, c.outstanding = false, 0
		s.scheduleUpdate(name)
	}
}

func (s *Subscriber) callReconnected() {
	s.mu.Lock()
	fns := s.onReconnect
	s.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

// writeSubscriptions subscribes and unsubscribes. It is the only goroutine of a connection that does, so commands and
// their confirmations have one order.
func (s *Subscriber) writeSubscriptions(ctx context.Context, ps *redis.PubSub, fail context.CancelCauseFunc) {
	// The ping causes a first reply even if there are no channels.
	if err := ps.Ping(ctx); err != nil {
		fail(err)
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.updatesPending:
		}
		for more := true; more; {
			var add, drop []string
			add, drop, more = s.nextUpdates()
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

// nextUpdates removes up to batch names from changed, and returns the channels to subscribe to and to unsubscribe from.
func (s *Subscriber) nextUpdates() (add, drop []string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Collect(maps.Keys(s.changed))
	if len(names) <= batch { // tests repeat by a seed; with more names, sorting takes long
		slices.Sort(names)
	}
	for _, name := range names {
		if len(add)+len(drop) == batch {
			return add, drop, true
		}
		delete(s.changed, name)
		c := s.channels[name]
		switch {
		case c == nil:
		case len(c.receivers) > 0 && !c.requested:
			c.requested = true
			c.outstanding++
			add = append(add, name)
		case len(c.receivers) == 0 && c.requested:
			c.requested = false
			if c.confirmed() {
				c.ready = make(chan struct{})
			}
			c.wasConfirmed = false
			drop = append(drop, name)
		case len(c.receivers) == 0 && c.outstanding == 0:
			delete(s.channels, name)
		}
	}
	return add, drop, false
}

// confirmSubscription records a confirmation. A channel counts as subscribed when its last SUBSCRIBE is confirmed,
// because an UNSUBSCRIBE may follow an earlier one.
func (s *Subscriber) confirmSubscription(sub *redis.Subscription) {
	s.mu.Lock()
	c := s.channels[sub.Channel]
	var missed []*registration
	switch {
	case c == nil:
	case sub.Kind == "subscribe":
		repeated := c.outstanding == 0 // go-redis has reconnected and subscribed again by itself
		c.outstanding = max(0, c.outstanding-1)
		if c.requested && c.outstanding == 0 {
			if c.wasConfirmed || repeated {
				missed = c.receivers
			}
			c.wasConfirmed = false
			if !c.confirmed() {
				close(c.ready)
			}
		}
	case sub.Kind == "unsubscribe" && len(c.receivers) == 0 && !c.requested && c.outstanding == 0:
		delete(s.channels, sub.Channel)
	}
	s.mu.Unlock()
	if len(missed) > 0 {
		s.counters.Lost.Add(1)
		for _, reg := range missed {
			reg.Lost()
		}
	}
}

func (s *Subscriber) deliverMessage(m *redis.Message) {
	s.counters.Received.Add(1)
	s.mu.Lock()
	var receivers []*registration
	if c := s.channels[m.Channel]; c != nil {
		receivers = c.receivers
	}
	s.mu.Unlock()
	for _, reg := range receivers {
		reg.Receive(m.Payload)
	}
}

// pingWhenSilent pings a silent connection, and ends one that stays silent.
func (s *Subscriber) pingWhenSilent(ctx context.Context, ps *redis.PubSub, fail context.CancelCauseFunc) {
	tick := time.NewTicker(s.opts.ping / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		silence := time.Since(time.Unix(0, s.lastRead.Load()))
		switch {
		case silence >= 2*s.opts.ping:
			s.counters.Silent.Add(1)
			fail(errNoPong)
			return
		case silence >= s.opts.ping:
			if err := ps.Ping(ctx); err != nil {
				fail(err)
				return
			}
		}
	}
}
