// Package inject breaks a stage and its crowd by a schedule that a seed
// repeats: which fault, when, for how long, and whom it meets.
package inject

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
)

// Fault is one kind of fault.
type Fault struct {
	Name    string
	What    string // one line for people
	Replica bool   // needs a stage with a replica of Redis
	Clocks  bool   // needs a stage whose instances' clocks differ
	Clients bool   // it meets devices, not parts of the system
	Loses   bool   // Redis loses what it had accepted

	// Exception: provokes the one stated exception, which other runs must not have.
	Exception bool

	// run breaks something, holds it so for a while, and mends it. It mends
	// also when ctx ends meanwhile. An error is one of the stage, or a promise
	// of an instance that was broken, such as to end in time.
	run func(ctx context.Context, t *target) error
}

// target is what a fault meets.
type target struct {
	testbed *testbed.Testbed
	crowd   *load.Crowd
	log     *record.Log
	rnd     *rand.Rand
}

// hold waits for a time between the two, or until ctx ends.
func (t *target) wait(ctx context.Context, from, to time.Duration) {
	d := from
	if to > from {
		d += time.Duration(t.rnd.Int64N(int64(to - from)))
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// instance picks one.
func (t *target) pickInstance() int { return t.rnd.IntN(t.testbed.Instances()) }

// some picks a share of the devices that are still there, at least one.
func (t *target) pickDevices(share float64) []*load.Device {
	var all []*load.Device
	for _, d := range t.crowd.Devices() {
		if !d.HasLeft() {
			all = append(all, d)
		}
	}
	t.rnd.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return all[:max(1, min(len(all), int(share*float64(len(all)))))]
}

// Run injects the faults as Each does. Faults of devices happen at the same
// time as those of the system's parts, of which one at a time is broken.
func Run(ctx, chatting context.Context, s *testbed.Testbed, c *load.Crowd, log *record.Log, faults []Fault, seed uint64, pause time.Duration) error {
	var clients, parts []Fault
	for _, f := range faults {
		if f.Clients {
			clients = append(clients, f)
		} else {
			parts = append(parts, f)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return Each(ctx, chatting, s, c, log, clients, seed+1, pause) })
	g.Go(func() error { return Each(ctx, chatting, s, c, log, parts, seed, pause) })
	return g.Wait()
}

// Each injects the faults, each in its turn, in an order and at times that the
// seed decides, and enters them into the record, until chatting ends: a fault
// that is under way then is played to its end, and each is injected once at
// least. pause is the mean time between two. Everything is mended when Each returns.
func Each(ctx, chatting context.Context, s *testbed.Testbed, c *load.Crowd, log *record.Log, faults []Fault, seed uint64, pause time.Duration) error {
	t := &target{testbed: s, crowd: c, log: log, rnd: rand.New(rand.NewPCG(seed, 5))}
	acting := slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return f.run == nil }) // some only ask something of the stage
	if len(acting) == 0 {
		<-chatting.Done()
		return ctx.Err()
	}
	for round := 0; ; round++ {
		for _, n := range t.rnd.Perm(len(acting)) {
			f := acting[n]
			if round == 0 {
				t.wait(ctx, pause/2, pause*3/2)
			} else {
				t.wait(chatting, pause/2, pause*3/2)
			}
			if ctx.Err() != nil || round > 0 && chatting.Err() != nil {
				return ctx.Err()
			}
			log.Add(record.Entry{Kind: record.Fault, Name: f.Name})
			err := f.run(ctx, t)
			if f.Loses {
				log.Add(record.Entry{Kind: record.Wiped, Name: f.Name})
			}
			log.Add(record.Entry{Kind: record.Healed, Name: f.Name})
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
}

// ByName returns the fault with this name.
func ByName(name string) (Fault, error) {
	for _, f := range Faults {
		if f.Name == name {
			return f, nil
		}
	}
	return Fault{}, fmt.Errorf("there is no fault %q", name)
}
