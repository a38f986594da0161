package inject

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
)

// Ways for a device to be away.
var (
	killed   = (*load.Device).Kill
	vanished = (*load.Device).Vanish
	offline  = (*load.Device).Offline
)

// away takes a share of the devices away for a time, each as how says, one a
// little after the other, and brings them back.
func disconnect(share float64, kind func(*load.Device), from, to time.Duration) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		hit := t.pickDevices(share)
		for _, d := range hit {
			kind(d)
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

// whileAway has a share of the people away with all their devices while f
// breaks something, so that messages wait for them meanwhile, and some of their
// own wait on their devices.
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

// leave has a share of the devices leave for ever, shortly after some people
// that are away were written to. Everybody keeps a device, for what is
// written to them.
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

func setBackDevices(ctx context.Context, t *target) error {
	hit := t.pickDevices(0.05)
	var older []*client.Store
	for _, d := range hit {
		older = append(older, d.CopyStore())
	}
	t.wait(ctx, 2*time.Second, 6*time.Second)
	for i, d := range hit {
		if older[i] == nil {
			continue
		}
		// Own messages that wait on it get some time to be sent first.
		for try := 0; try < 4 && !d.SetBack(older[i]); try++ {
			d.Start()
			t.wait(ctx, 100*time.Millisecond, 300*time.Millisecond)
		}
		d.Start()
	}
	return nil
}

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

// odd has a share of the devices start again with bad manners, and later without.
func misbehavior(misbehavior client.Misbehavior) func(context.Context, *target) error {
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
			if misbehavior.AckAhead == 0 { // what was acknowledged ahead stays so
				d.SetMisbehavior(client.Misbehavior{})
			}
			d.Start()
		}
		return nil
	}
}
