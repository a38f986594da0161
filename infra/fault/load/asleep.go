package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
)

// Devices that sleep follow the browser's rules (DESIGN §12) with times cut to seconds, so that they sleep, are pushed
// awake, make visits and wake many times in a run.
const (
	idleFor    = time.Second     // after the last look at the device until it tries to sleep, on average
	sleepFor   = 8 * time.Second // until its user looks again, on average
	visitEvery = 9 * time.Second // of its own timer
	visitFor   = 8 * time.Second // the longest visit
	napTick    = 30 * time.Millisecond
)

// Subscriber registers devices for push. Arrived is called with each push, and must not block.
type Subscriber interface {
	Subscribe(ctx context.Context, uid, device string, arrived func()) error
}

// SubscribeSleepers chooses a share of the users, and registers their devices with the engine of package client for
// push. These sleep while Chat runs.
func (c *Crowd) SubscribeSleepers(ctx context.Context, to Subscriber, share float64) error {
	rnd := rand.New(rand.NewPCG(c.opts.Seed, 8))
	sleeps := map[string]bool{}
	for _, uid := range c.users {
		sleeps[uid] = rnd.Float64() < share
	}
	for _, d := range c.devices {
		if store, _ := d.storeAndApp(); !sleeps[d.user] || isBrowser(store) {
			continue
		}
		pushed := make(chan struct{}, 1)
		err := to.Subscribe(ctx, d.user, d.Name(), func() {
			c.pushes.Add(1)
			select {
			case pushed <- struct{}{}:
			default: // the visit that is due fetches everything
			}
		})
		if err != nil {
			return fmt.Errorf("register %s for push: %w", d.Name(), err)
		}
		c.sleepers = append(c.sleepers, sleeper{d, pushed})
	}
	return nil
}

// Sleepers returns how many devices sleep.
func (c *Crowd) Sleepers() int { return len(c.sleepers) }

// Pushes returns how many pushes have reached devices.
func (c *Crowd) Pushes() int { return int(c.pushes.Load()) }

// sleeper is a device that sleeps.
type sleeper struct {
	*Device
	pushed chan struct{} // has an entry after a push
}

// sleepUntil makes the sleepers sleep and wake until ctx ends, and then wakes them. It returns when all are awake.
func (c *Crowd) sleepUntil(ctx context.Context) {
	var wg sync.WaitGroup
	for n, s := range c.sleepers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(c.opts.Seed^hash(s.from), uint64(n)))
			for ctx.Err() == nil {
				s.nap(ctx, rnd)
			}
			s.wake()
		})
	}
	wg.Wait()
}

// nap makes a device sleep once it is idle, until its user looks at it again.
func (s sleeper) nap(ctx context.Context, rnd *rand.Rand) {
	around := func(d time.Duration) time.Duration { return d/2 + time.Duration(rnd.Int64N(int64(d))) }
	pause(ctx, around(idleFor))
	if !s.fallAsleep() {
		return
	}
	looked := time.NewTimer(around(sleepFor))
	defer looked.Stop()
	visit := time.NewTimer(visitEvery)
	defer visit.Stop()
	for s.sleeps() {
		select {
		case <-ctx.Done():
			return
		case <-looked.C:
			s.wake()
			return
		case <-s.pushed:
		case <-visit.C:
			visit.Reset(visitEvery)
		}
		s.visit(ctx)
	}
}

// fallAsleep makes the device sleep if nothing is pending.
func (d *Device) fallAsleep() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	app, ok := d.app.(*client.Client)
	if !ok || d.away || d.deaf || d.left || d.misbehavior != (client.Misbehavior{}) || !app.Sleep() {
		return false
	}
	d.asleep = true
	d.crowd.log.Add(record.Entry{Kind: record.Asleep, Device: d.name})
	return true
}

func (d *Device) sleeps() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asleep
}

// visit lets the device fetch and acknowledge what waits. A device that cannot finish its visit in time wakes.
func (d *Device) visit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, visitFor)
	defer cancel()
	for begun := false; ; begun = true {
		d.mu.Lock()
		app, ok := d.app.(*client.Client)
		if !ok || !d.asleep {
			d.mu.Unlock()
			return
		}
		if !begun {
			app.Visit()
		}
		done := app.Sleep()
		d.mu.Unlock()
		if done {
			return
		}
		if pause(ctx, napTick); ctx.Err() != nil {
			d.wake()
			return
		}
	}
}

// wake ends the sleep of the device, as a visible tab does.
func (d *Device) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wakeLocked()
}

// wakeLocked ends the sleep of the device. mu is held.
func (d *Device) wakeLocked() {
	if !d.asleep {
		return
	}
	d.asleep = false
	d.crowd.log.Add(record.Entry{Kind: record.Awake, Device: d.name})
	if app, ok := d.app.(*client.Client); ok {
		app.Wake()
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
