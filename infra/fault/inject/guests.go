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

// addGuests creates n users for the use of a fault, each with a device that is not started yet.
func (t *target) addGuests(ctx context.Context, n int) ([]*load.Device, error) {
	uids, err := t.testbed.AddUsers(context.WithoutCancel(ctx), n)
	if err != nil {
		return nil, err
	}
	devices := make([]*load.Device, n)
	for i, uid := range uids {
		devices[i] = t.crowd.AddGuest(uid)
	}
	return devices, nil
}

// prepare adds n guests and starts the bystanders. It returns the counters of the instances before the fault.
func (t *target) prepare(
	ctx context.Context, n int,
) (before testbed.Counts, guests []*load.Device, chat *bystanderChat, err error) {
	if before, err = t.testbed.Counts(context.WithoutCancel(ctx)); err != nil {
		return before, nil, nil, err
	}
	if guests, err = t.addGuests(ctx, n); err != nil {
		return before, nil, nil, err
	}
	chat, err = t.startBystanders(ctx)
	return before, guests, chat, err
}

// connect starts devices and waits until each is caught up.
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
		return errors.New("the devices of the fault could not connect")
	}
	return nil
}

const connectTimeout = time.Minute

// acquaint makes devices that are connected write to another one and be answered, so that the limits for strangers no
// longer apply. It returns when everything has arrived.
func (t *target) acquaint(to *load.Device, others ...*load.Device) error {
	for _, d := range others {
		d.Write(to.User(), "hello from "+d.User(), "")
	}
	if !waitUntil(arrivalTimeout, func() bool { return to.Shown() == len(others) }) {
		return errors.New("the devices of the fault cannot write to each other")
	}
	for _, d := range others {
		to.Write(d.User(), "hello, "+d.User(), "")
	}
	if !waitUntil(arrivalTimeout, func() bool {
		return to.Own()[client.Delivered] == len(others) && ownStates(others)[client.Delivered] == len(others)
	}) {
		return errors.New("the devices of the fault cannot answer each other")
	}
	return nil
}

// waitUntil polls until ok returns true, for up to within, and returns its last result.
func waitUntil(within time.Duration, ok func() bool) bool {
	for end := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return ok()
		}
	}
	return true
}

// recordCheck records the result of a check, for the verdict.
func (t *target) recordCheck(held bool, what, found string, args ...any) {
	t.log.Add(record.Entry{Kind: record.Checked, Name: what, Detail: fmt.Sprintf(found, args...), Broken: !held})
}

// bystanderMessages is how many messages between bystanders a check needs.
const bystanderMessages = 20

// checkBystanders checks that no message between two bystanders was slow. If a fault of servers was active as well, the
// messages only have to arrive: the verdict has bounds for these.
func (t *target) checkBystanders(what string, chat *bystanderChat) {
	n, slowest := chat.stop()
	calm := chat.serverFaults%2 == 0 && t.serverFaults.Load() == chat.serverFaults || !t.clients
	t.recordCheck(n >= bystanderMessages && (slowest < gapNoticed || !calm), what+": others",
		"%d messages between two bystanders, the slowest shown after %v", n, slowest.Round(time.Millisecond))
}

// gapNoticed is the length from which on the client shows a gap to the user.
const gapNoticed = 5 * time.Second

// bystanderPause is the time between two messages of bystanders. Each of the two writes at most 300 messages a minute,
// which is below the limit of a sender.
const bystanderPause = 100 * time.Millisecond

// bystanderChat is two users who write to each other while something happens to others.
type bystanderChat struct {
	halt    func()        // ends the chat; may be called again
	enough  chan struct{} // closed after bystanderMessages messages
	done    chan struct{}
	n       int
	slowest time.Duration

	serverFaults int64 // begins and ends of faults of servers before the chat
}

// withBystanders runs f beside two users who write to each other.
func withBystanders(what string, f func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		chat, err := t.startBystanders(ctx)
		if err != nil {
			return err
		}
		defer chat.halt()
		if err := f(ctx, t); err != nil {
			return err
		}
		t.checkBystanders(what, chat)
		return nil
	}
}

// startBystanders lets two users write, one message after the other, until stop. A fault that fails earlier calls
// halt.
func (t *target) startBystanders(ctx context.Context) (*bystanderChat, error) {
	two, err := t.addGuests(ctx, 2)
	if err != nil {
		return nil, err
	}
	if err := t.connect(two...); err != nil {
		return nil, err
	}
	ctx, halt := context.WithCancel(ctx)
	chat := &bystanderChat{halt: halt, enough: make(chan struct{}), done: make(chan struct{}),
		serverFaults: t.serverFaults.Load()}
	go func() {
		defer close(chat.done)
		for {
			from, to := two[chat.n%2], two[(chat.n+1)%2]
			begin, before := time.Now(), to.Shown()
			from.Write(to.User(), fmt.Sprintf("bystander %d", chat.n), "")
			waitUntil(4*gapNoticed, func() bool { return to.Shown() > before })
			if chat.n++; chat.n == bystanderMessages {
				close(chat.enough)
			}
			chat.slowest = max(chat.slowest, time.Since(begin))
			select {
			case <-ctx.Done():
				return
			case <-time.After(bystanderPause):
			}
		}
	}()
	return chat, nil
}

// stop ends the chat, after at least bystanderMessages messages unless that takes too long. It returns how many messages
// there were, and how long the slowest took.
func (b *bystanderChat) stop() (n int, slowest time.Duration) {
	select {
	case <-b.enough:
	case <-b.done:
	case <-time.After(arrivalTimeout):
	}
	b.halt()
	<-b.done
	return b.n, b.slowest
}

// writeEach makes each device write n messages to a user.
func writeEach(from []*load.Device, to string, n int, what string) {
	for i := range n {
		for _, d := range from {
			d.Write(to, fmt.Sprintf("%s %d", what, i), "")
		}
	}
}

// ownStates counts the own messages of all devices, by state.
func ownStates(devices []*load.Device) map[client.State]int {
	sum := map[client.State]int{}
	for _, d := range devices {
		for state, n := range d.Own() {
			sum[state] += n
		}
	}
	return sum
}
