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
func (t *target) addGuests(ctx context.Context, n int) ([]*load.Device, error) {
	uids, err := t.testbed.AddUsers(withoutCancel(ctx), n)
	if err != nil {
		return nil, err
	}
	devices := make([]*load.Device, n)
	for i, uid := range uids {
		devices[i] = t.crowd.AddGuest(uid)
	}
	return devices, nil
}

// begin is how bad input begins: n guests have come, two bystanders write to
// each other, and before is what the instances have counted so far.
func (t *target) prepare(ctx context.Context, n int) (before testbed.Counts, guests []*load.Device, chat *bystanderChat, err error) {
	if before, err = t.testbed.Counts(withoutCancel(ctx)); err != nil {
		return before, nil, nil, err
	}
	if guests, err = t.addGuests(ctx, n); err != nil {
		return before, nil, nil, err
	}
	chat, err = t.startBystanders(ctx)
	return before, guests, chat, err
}

// connected starts devices and waits until each is caught up.
func (t *target) connect(devices ...*load.Device) error {
	for _, d := range devices {
		d.Start()
	}
	if !waitUntil(connectTimeout, func() bool {
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

const connectTimeout = time.Minute

// until polls until ok, for at most within, and reports whether it was.
func waitUntil(within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return ok()
		}
	}
	return true
}

// check enters whether bad input was met as it should, for the verdict.
func (t *target) recordCheck(held bool, what, found string, args ...any) {
	t.log.Add(record.Entry{Kind: record.Checked, Name: what, Detail: fmt.Sprintf(found, args...), Broken: !held})
}

// checkOthers holds the slowest message between two bystanders to a bound.
func (t *target) checkBystanders(what string, chat *bystanderChat) {
	n, slowest := chat.stop()
	t.recordCheck(n > 0 && slowest < gapNoticed, what+": others", "%d messages between two bystanders, the slowest shown after %v", n, slowest.Round(time.Millisecond))
}

// unnoticed is up to where nobody is told of a gap.
const gapNoticed = 5 * time.Second

// witness is two people who write to each other while something happens to others.
type bystanderChat struct {
	halt    func() // has them end; may be called again
	done    chan struct{}
	n       int
	slowest time.Duration
}

// bystanders has two people write, one message after the other, until stop; a
// fault that fails before that halts them.
func (t *target) startBystanders(ctx context.Context) (*bystanderChat, error) {
	two, err := t.addGuests(ctx, 2)
	if err != nil {
		return nil, err
	}
	if err := t.connect(two...); err != nil {
		return nil, err
	}
	ctx, halt := context.WithCancel(ctx)
	chat := &bystanderChat{halt: halt, done: make(chan struct{})}
	go func() {
		defer close(chat.done)
		for {
			from, to := two[chat.n%2], two[(chat.n+1)%2]
			begin, before := time.Now(), to.Shown()
			from.Write(to.User(), fmt.Sprintf("bystander's %d", chat.n), "")
			waitUntil(4*gapNoticed, func() bool { return to.Shown() > before })
			chat.n++
			chat.slowest = max(chat.slowest, time.Since(begin))
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return chat, nil
}

// stop ends them and returns how many messages there were, and how long the slowest took.
func (chat *bystanderChat) stop() (n int, slowest time.Duration) {
	chat.halt()
	<-chat.done
	return chat.n, chat.slowest
}

// write has each device write n messages to somebody.
func writeEach(from []*load.Device, to string, n int, what string) {
	for i := range n {
		for _, d := range from {
			d.Write(to, fmt.Sprintf("%s %d", what, i), "")
		}
	}
}

// own sums up the states of own messages.
func ownStates(devices []*load.Device) map[client.State]int {
	sum := map[client.State]int{}
	for _, d := range devices {
		for state, n := range d.Own() {
			sum[state] += n
		}
	}
	return sum
}
