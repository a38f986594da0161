package inject

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
)

// How a device is disconnected.
var (
	killed   = (*load.Device).Kill
	vanished = (*load.Device).Vanish
	offline  = (*load.Device).Offline
)

// disconnect disconnects a share of the devices, one shortly after the other, and brings them back after a random
// time between from and to.
func disconnect(share float64, how func(*load.Device), from, to time.Duration) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		hit := t.pickDevices(share)
		for _, d := range hit {
			how(d)
			t.wait(ctx, 0, 20*time.Millisecond)
		}
		t.wait(ctx, from, to)
		for _, d := range hit {
			d.Online()
			d.Start()
		}
		return nil
	}
}

// withUsersAway runs f while a share of the users are away with all their devices, so that messages wait for them,
// and some of their own messages wait on their devices.
func withUsersAway(share float64, f func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		users := t.crowd.Users()
		var hit []*load.Device
		for _, n := range t.rnd.Perm(len(users))[:max(1, int(share*float64(len(users))))] {
			hit = append(hit, t.crowd.DevicesOf(users[n])...)
		}
		for _, d := range hit {
			switch t.rnd.IntN(3) {
			case 0:
				d.Kill()
			case 1:
				d.Vanish()
			default:
				d.Offline()
			}
		}
		t.wait(ctx, 500*time.Millisecond, 2*time.Second)
		err := f(ctx, t)
		t.wait(ctx, 0, time.Second)
		for _, d := range hit {
			d.Online()
			d.Start()
		}
		return err
	}
}

// withSendersLeaving makes a share of the devices leave forever, and then runs f. Every user keeps a device that
// receives messages.
func withSendersLeaving(share float64, f func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		for _, d := range t.pickDevices(share) {
			left := slices.DeleteFunc(slices.Clone(t.crowd.DevicesOf(d.User())), (*load.Device).HasLeft)
			if len(left) > 1 {
				d.Leave()
			}
		}
		return f(ctx, t)
	}
}

// flapDevices closes the connections of a share of the devices, five times.
func flapDevices(ctx context.Context, t *target) error {
	hit := t.pickDevices(0.3)
	for range 5 {
		for _, d := range hit {
			d.Flap()
		}
		t.wait(ctx, 100*time.Millisecond, time.Second)
	}
	return nil
}

// setBackDevices sets devices back to the state that they had a few seconds before.
func setBackDevices(ctx context.Context, t *target) error {
	hit := t.pickDevices(0.05)
	var older []load.Store
	for _, d := range hit {
		older = append(older, d.CopyStore())
	}
	t.wait(ctx, 2*time.Second, 6*time.Second)
	for i, d := range hit {
		if older[i] == nil {
			continue
		}
		// Unsent messages of the device get some time to be sent first.
		for try := 0; try < 4 && !d.SetBack(older[i]); try++ {
			d.Start()
			t.wait(ctx, 100*time.Millisecond, 300*time.Millisecond)
		}
		d.Start()
	}
	return nil
}

// stopReadingDevices makes a share of the devices stop reading for some seconds.
func stopReadingDevices(ctx context.Context, t *target) error {
	hit := t.pickDevices(0.15)
	for _, d := range hit {
		d.StopReading(true)
	}
	t.wait(ctx, 3*time.Second, 8*time.Second)
	for _, d := range hit {
		d.StopReading(false)
	}
	return nil
}

// misbehave restarts a share of the devices with a misbehavior, and later without it.
func misbehave(misbehavior client.Misbehavior) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		hit := t.pickDevices(0.2)
		for _, d := range hit {
			d.Kill()
			d.SetMisbehavior(misbehavior)
			d.Start()
		}
		t.wait(ctx, 4*time.Second, 8*time.Second)
		for _, d := range hit {
			d.Kill()
			if misbehavior.AckAhead == 0 { // an acknowledgment ahead of time cannot be taken back
				d.SetMisbehavior(client.Misbehavior{})
			}
			d.Start()
		}
		return nil
	}
}
