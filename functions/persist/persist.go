// Package persist saves what devices have acknowledged: it handles the
// messages of the topic delivery-acks (DESIGN §6).
//
// It only writes, and every write may be repeated and reordered, since Pub/Sub
// delivers at least once, in any order, and twice at once. What cannot ever be saved goes to the
// dead letters with its reason, and the good entries beside it are saved; only
// when everything of a message is safe is it done with. A passing fault is an
// error, and Pub/Sub brings the message again.
package persist

import (
	"context"
	"log/slog"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Deps is what persisting needs. Store and Letters are required.
type Deps struct {
	Store interface {
		store.Archive
		store.Erasure
		store.Users
	}
	DeadLetters deadletter.Putter
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default()
}

// Function saves the data of Pub/Sub messages. It is safe for use by many goroutines.
type Function struct {
	deps   Deps
	erased erased
	active active
}

// New returns a Function.
func New(deps Deps) *Function {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Function{deps: deps}
}

// Handle saves the data of one google.cloud.pubsub.topic.v1.messagePublished
// event, as functions-framework makes it from a push. nil: everything in it is
// saved or is a dead letter. An error is passing: the same event should be given again.
func (f *Function) Handle(ctx context.Context, e event.Event) error {
	m, err := messageOf(e)
	if err != nil {
		return f.giveUp(ctx, e.ID(), err, e.Data())
	}
	return f.save(ctx, m)
}
