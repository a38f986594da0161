// Package crowd is the load of a load test: users with one or more devices, which connect, send, acknowledge and read
// as clients do (DESIGN §4). It records what becomes of every message, and how long that takes.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"
)

// Target is the system that a crowd uses.
type Target struct {
	Addrs  []string                         // host:port of each instance
	Origin string                           // of the page
	Token  func(uid string) (string, error) // ID token of a user
	Bare   bool                             // it is the bare relay
}

// Options configure a Crowd.
type Options struct {
	Target  Target
	Devices int  // of each user; the bare relay supports one
	Reads   bool // the users set read marks
}

// sendingDevice is the device of each user that sends.
const sendingDevice = 0

// Crowd is a number of users. One goroutine at a time calls its methods.
type Crowd struct {
	opts     Options
	protocol protocol
	dialer   *websocket.Dialer
	ledger   *ledger
	marks    *marks
	users    [][]*device
}

// New returns a Crowd without users.
func New(o Options) (*Crowd, error) {
	if o.Devices < 1 || o.Devices > maxDevices || o.Target.Bare && o.Devices != 1 {
		return nil, fmt.Errorf("a user cannot have %d devices here", o.Devices)
	}
	c := &Crowd{opts: o, marks: newMarks(), ledger: &ledger{start: time.Now()},
		dialer: &websocket.Dialer{HandshakeTimeout: connectTime, ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10,
			WriteBufferPool: &sync.Pool{}}}
	c.protocol = chatV1{o.Target}
	if o.Target.Bare {
		c.protocol = relayText{o.Target}
	}
	return c, nil
}

// Grow adds users until there are n. They are not connected yet.
func (c *Crowd) Grow(n int) {
	for user := len(c.users); user < n; user++ {
		devices := make([]*device, c.opts.Devices)
		for i := range devices {
			devices[i] = &device{crowd: c, user: user, index: i}
			if i == sendingDevice && !c.opts.Target.Bare {
				devices[i].outbox = map[uint32][]byte{}
			}
		}
		c.users = append(c.users, devices)
	}
}

// UIDs returns the uids of n users.
func UIDs(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = uid(i)
	}
	return out
}

// instance returns the instance to which the device connects. The users of a pair, and the devices of a user, use
// different ones.
func (d *device) instance() int { return (d.user + d.index) % len(d.crowd.opts.Target.Addrs) }

// Limits of connecting.
const (
	connectTime = 30 * time.Second // of one device, also on a busy machine
	connecting  = 256              // devices that connect at the same time
)

// Connect connects the users from the given one on, and returns when all of their devices are up. The histogram has the
// time from the dial until a device is up.
func (c *Crowd) Connect(ctx context.Context, from int) (*Histogram, error) {
	h := &Histogram{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(connecting)
	for _, devices := range c.users[from:] {
		for _, d := range devices {
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(ctx, connectTime)
				defer cancel()
				start := time.Now()
				if err := d.dial(ctx); err != nil {
					return fmt.Errorf("connect device %d of %s: %w", d.index, uid(d.user), err)
				}
				h.add(time.Since(start))
				return nil
			})
		}
	}
	return h, group.Wait()
}

// HangUp closes all sockets at once, as a lost network does.
func (c *Crowd) HangUp() {
	var all sync.WaitGroup
	for _, devices := range c.users {
		for _, d := range devices {
			all.Go(d.hangUp)
		}
	}
	all.Wait()
}

// Totals returns the counts so far.
func (c *Crowd) Totals() Totals { return c.ledger.totals() }

// Check returns an error if a message or a read mark is not where it should be, or is there twice.
func (c *Crowd) Check() error {
	err := c.ledger.totals().complete(int64(c.opts.Devices), c.opts.Target.Bare)
	if n := c.marks.missing(c.opts.Devices); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d devices do not have the newest read mark", n))
	}
	return err
}

// Settled returns when Check returns nil, or with its error when nothing has happened for the given time.
func (c *Crowd) Settled(ctx context.Context, patience time.Duration) error {
	return waitFor(ctx, patience, c.Check, func() [2]int64 {
		t := c.ledger.totals()
		return [2]int64{t.Accepted + t.Received + t.Echoed + t.Receipts, c.marks.missing(c.opts.Devices)}
	})
}

// waitFor polls check until it returns nil. It gives up when progress has not changed for the given time.
func waitFor[P comparable](ctx context.Context, patience time.Duration, check func() error, progress func() P) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last, changed := progress(), time.Now()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if p := progress(); p != last {
			last, changed = p, time.Now()
		} else if time.Since(changed) > patience {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Users returns the number of users.
func (c *Crowd) Users() int { return len(c.users) }

// Arrived returns when every message has arrived at one device of its recipient, or with an error after the given time
// without progress.
func (c *Crowd) Arrived(ctx context.Context, patience time.Duration) error {
	return c.await(ctx, patience, func(t Totals) int64 { return t.Messages - t.Arrived })
}

// Receipted is like Arrived, for the receipts of all devices.
func (c *Crowd) Receipted(ctx context.Context, patience time.Duration) error {
	return c.await(ctx, patience, func(t Totals) int64 { return t.Messages*int64(c.opts.Devices) - t.Receipts })
}

// await returns when no more than 0 are missing.
func (c *Crowd) await(ctx context.Context, patience time.Duration, missing func(Totals) int64) error {
	check := func() error {
		if n := missing(c.Totals()); n > 0 {
			return fmt.Errorf("%d are missing", n)
		}
		return nil
	}
	return waitFor(ctx, patience, check, func() int64 { return missing(c.Totals()) })
}
