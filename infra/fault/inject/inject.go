// Package inject breaks a testbed and its crowd by a schedule that a seed repeats: which fault, when, for how long,
// and what it hits.
package inject

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
)

// Fault is one kind of fault.
type Fault struct {
	Name    string
	Summary string // one line of description
	Replica bool   // needs a testbed with a replica of Redis
	Waits   bool   // needs a testbed in which sends wait for the replica; not mixed with others
	Clocks  bool   // needs a testbed whose instances have different clocks
	Clients bool   // hits devices, not parts of the testbed
	Guests  bool   // makes users misbehave that it adds to the crowd, or changes users; nothing fails
	Pushes  bool   // delays pushes, and nothing else
	Loses   bool   // Redis loses accepted writes

	// Exception: the fault provokes the stated exception (see package verdict), which must not occur in other runs.
	Exception bool

	// run breaks something, keeps it broken for a while, and repairs it. It repairs it even if ctx ends, with a context
	// without cancellation. An error is one of the testbed, or a broken promise of an instance, such as to end in time.
	run func(ctx context.Context, t *target) error
}

// Injector injects faults into one run.
type Injector struct {
	Testbed *testbed.Testbed
	Crowd   *load.Crowd
	Log     *record.Log
	Seed    uint64
	Pause   time.Duration // mean time between two faults

	serverFaults atomic.Int64 // begins and ends of faults of servers
}

// Run injects faults until the channel is closed, in an order and at times that depend on the seed, and records them.
// Each fault is injected at least once, and a fault that has begun is played to its end. Client faults run concurrently
// with server faults. At most one fault of either group is active. Everything is repaired when Run returns.
func (i *Injector) Run(ctx context.Context, faults []Fault, until <-chan struct{}) error {
	var clients, servers []Fault
	for _, f := range faults {
		switch {
		case f.run == nil: // the fault is an option of the testbed, and nothing happens during the run
		case f.Clients:
			clients = append(clients, f)
		default:
			servers = append(servers, f)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return i.runGroup(ctx, clients, i.Seed+1, until) })
	g.Go(func() error { return i.runGroup(ctx, servers, i.Seed, until) })
	return g.Wait()
}

// runGroup injects the faults one after the other.
func (i *Injector) runGroup(ctx context.Context, faults []Fault, seed uint64, until <-chan struct{}) error {
	if len(faults) == 0 {
		<-until
		return ctx.Err()
	}
	t := &target{testbed: i.Testbed, crowd: i.Crowd, log: i.Log, rnd: rand.New(rand.NewPCG(seed, 5)),
		serverFaults: &i.serverFaults, clients: faults[0].Clients}
	for round := 0; ; round++ {
		for _, n := range t.rnd.Perm(len(faults)) {
			stop := until
			if round == 0 {
				stop = nil // each fault is injected at least once
			}
			if t.pause(ctx, i.Pause, stop) {
				return ctx.Err()
			}
			if err := t.inject(ctx, faults[n]); err != nil {
				return err
			}
		}
	}
}

// target is the testbed and the crowd of a run, as the faults of one group see them.
type target struct {
	testbed *testbed.Testbed
	crowd   *load.Crowd
	log     *record.Log
	rnd     *rand.Rand // decides what the faults hit, and how long they last
	clients bool       // the faults of this group hit devices, beside those of the other group

	serverFaults *atomic.Int64 // see Injector
}

// inject runs one fault and records it.
func (t *target) inject(ctx context.Context, f Fault) error {
	e := record.Entry{Kind: record.Fault, Name: f.Name}
	if !f.Clients && !f.Guests && !f.Pushes {
		e.Detail = record.Servers
		t.serverFaults.Add(1)
		defer t.serverFaults.Add(1)
	}
	t.log.Add(e)
	err := f.run(ctx, t)
	if f.Loses {
		t.log.Add(record.Entry{Kind: record.Wiped, Name: f.Name})
	}
	t.log.Add(record.Entry{Kind: record.Healed, Name: f.Name})
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// pause waits for about the mean time, and reports whether ctx ended or stop was closed.
func (t *target) pause(ctx context.Context, mean time.Duration, stop <-chan struct{}) (stopped bool) {
	select {
	case <-time.After(t.between(mean/2, mean*3/2)):
	case <-stop:
	case <-ctx.Done():
	}
	select {
	case <-stop:
		return true
	default:
		return ctx.Err() != nil
	}
}

// wait waits for a random time between from and to, or until ctx ends.
func (t *target) wait(ctx context.Context, from, to time.Duration) {
	select {
	case <-time.After(t.between(from, to)):
	case <-ctx.Done():
	}
}

func (t *target) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(t.rnd.Int64N(int64(to-from)))
}

// pickInstance returns the number of a random instance.
func (t *target) pickInstance() int { return t.rnd.IntN(t.testbed.Instances()) }

// pickDevices returns a random share of the devices that have not left, and at least one.
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

// ByName returns the fault with this name.
func ByName(name string) (Fault, error) {
	for _, f := range Faults {
		if f.Name == name {
			return f, nil
		}
	}
	return Fault{}, fmt.Errorf("unknown fault %q", name)
}
