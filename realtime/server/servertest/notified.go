package servertest

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/phoenixchat/phoenixchat/realtime/away"
)

// Notified is the away.Publisher of a Rig. It keeps everything that is published.
type Notified struct {
	mu       sync.Mutex
	events   []away.Event
	attempts int
	fail     error
	slow     bool
}

// Publish implements away.Publisher.
func (n *Notified) Publish(ctx context.Context, data []byte) error {
	n.mu.Lock()
	n.attempts++
	slow := n.slow
	n.mu.Unlock()
	if slow {
		<-ctx.Done()
		return ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	e, err := away.Decode(data)
	if err != nil {
		return err
	}
	n.events = append(n.events, e)
	return nil
}

// Fail makes publishing fail with err, or work again if err is nil.
func (n *Notified) Fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

// Hang makes publishing take until its context ends.
func (n *Notified) Hang() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow = true
}

// Attempts returns how many times something was published, or failed to be.
func (n *Notified) Attempts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.attempts
}

// Take returns the events since the last call.
func (n *Notified) Take() []away.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	events := n.events
	n.events = nil
	return events
}

// Texts returns the events since the last call as "<recipient>: <number of messages> <text>", joined by commas.
func (n *Notified) Texts() string {
	var list []string
	for _, e := range n.Take() {
		list = append(list, fmt.Sprintf("%s: %d %s", e.UID, len(e.IDs), e.Text))
	}
	return strings.Join(list, ", ")
}
