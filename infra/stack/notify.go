package stack

import (
	"context"
	"sync"

	"github.com/phoenixchat/phoenixchat/infra/pubsubstub"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// maxDetached limits the events that wait for notify.
const maxDetached = 64

// detached publishes in the background. infra/pubsubstub returns only when an event was handled, but notify publishes
// while it handles one, and nobody must wait for a push service. Events that wait are lost when the stack is closed, as
// Pub/Sub loses them after 10 min. It is safe for concurrent use.
type detached struct {
	to      *pubsubstub.Publisher
	waiting chan struct{} // holds an entry for each event

	mu     sync.Mutex
	closed bool
	events sync.WaitGroup
}

func newDetached(to *pubsubstub.Publisher) *detached {
	return &detached{to: to, waiting: make(chan struct{}, maxDetached)}
}

// Publish returns at once. If too many events wait, or after close, it returns problem.ErrUnavailable.
func (d *detached) Publish(ctx context.Context, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return problem.ErrUnavailable
	}
	select {
	case d.waiting <- struct{}{}:
	default:
		return problem.ErrUnavailable
	}
	d.events.Go(func() {
		_ = d.to.Publish(context.WithoutCancel(ctx), data) // it fails only when it is closed
		<-d.waiting
	})
	return nil
}

// close ends what is being published.
func (d *detached) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.to.Close()
	d.events.Wait()
}
