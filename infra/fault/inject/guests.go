package inject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/infra/fault/load"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
)

// guests enrols n people who do only what a fault has them do, each with a
// device that is not started yet.
func (t *target) guests(ctx context.Context, n int) ([]*load.Device, error) {
	uids, err := t.stage.Enrol(mending(ctx), n)
	if err != nil {
		return nil, err
	}
	devices := make([]*load.Device, n)
	for i, uid := range uids {
		devices[i] = t.crowd.Join(uid)
	}
	return devices, nil
}

// begin is how bad input begins: n guests have come, two bystanders write to
// each other, and before is what the instances have counted so far.
func (t *target) begin(ctx context.Context, n int) (before testbed.Counts, guests []*load.Device, w *witness, err error) {
	if before, err = t.stage.Counts(mending(ctx)); err != nil {
		return before, nil, nil, err
	}
	if guests, err = t.guests(ctx, n); err != nil {
		return before, nil, nil, err
	}
	w, err = t.bystanders(ctx)
	return before, guests, w, err
}

// connected starts devices and waits until each is caught up.
func (t *target) connected(devices ...*load.Device) error {
	for _, d := range devices {
		d.Start()
	}
	if !until(connectWithin, func() bool {
		for _, d := range devices {
			if !d.Up() {
				return false
			}
		}
		return true
	}) {
		return errors.New("the devices of a fault could not connect")
	}
	return nil
}

const connectWithin = time.Minute

// until polls until ok, for at most within, and reports whether it was.
func until(within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return ok()
		}
	}
	return true
}

// check enters whether bad input was met as it should, for the verdict.
func (t *target) check(held bool, what, found string, args ...any) {
	t.log.Add(record.Entry{Kind: record.Checked, Name: what, Detail: fmt.Sprintf(found, args...), Broken: !held})
}

// checkOthers holds the slowest message between two bystanders to a bound.
func (t *target) checkOthers(what string, w *witness) {
	n, slowest := w.stop()
	t.check(n > 0 && slowest < unnoticed, what+": others", "%d messages between two bystanders, the slowest shown after %v", n, slowest.Round(time.Millisecond))
}

// unnoticed is up to where nobody is told of a gap.
const unnoticed = 5 * time.Second

// witness is two people who write to each other while something happens to others.
type witness struct {
	halt    func() // has them end; may be called again
	done    chan struct{}
	n       int
	slowest time.Duration
}

// bystanders has two people write, one message after the other, until stop; a
// fault that fails before that halts them.
func (t *target) bystanders(ctx context.Context) (*witness, error) {
	two, err := t.guests(ctx, 2)
	if err != nil {
		return nil, err
	}
	if err := t.connected(two...); err != nil {
		return nil, err
	}
	ctx, halt := context.WithCancel(ctx)
	w := &witness{halt: halt, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			from, to := two[w.n%2], two[(w.n+1)%2]
			begin, before := time.Now(), to.Shown()
			from.Write(to.Person(), fmt.Sprintf("bystander's %d", w.n), "")
			until(4*unnoticed, func() bool { return to.Shown() > before })
			w.n++
			w.slowest = max(w.slowest, time.Since(begin))
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return w, nil
}

// stop ends them and returns how many messages there were, and how long the slowest took.
func (w *witness) stop() (n int, slowest time.Duration) {
	w.halt()
	<-w.done
	return w.n, w.slowest
}

// write has each device write n messages to somebody.
func write(from []*load.Device, to string, n int, what string) {
	for i := range n {
		for _, d := range from {
			d.Write(to, fmt.Sprintf("%s %d", what, i), "")
		}
	}
}

// own sums up the states of own messages.
func own(devices []*load.Device) map[client.State]int {
	sum := map[client.State]int{}
	for _, d := range devices {
		for state, n := range d.Own() {
			sum[state] += n
		}
	}
	return sum
}
