// Package persist saves the messages, changes and read marks that devices have acknowledged. It handles the Pub/Sub
// messages of the topic delivery-acks (DESIGN §6).
//
// Pub/Sub delivers at least once, in any order, and may deliver one message twice at the same time. So every write
// may be repeated and reordered. Entries that can never be saved become dead letters with their reason, and the good
// entries beside them are saved. A Pub/Sub message is done only when all of it is durable. A transient failure is
// returned as an error, and Pub/Sub delivers the message again.
package persist

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/pubsubevent"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Deps is what a Function needs. Store, DeadLetters and Realtime are required.
type Deps struct {
	Store interface {
		store.Archive
		store.Changes
		store.Erasure
		store.Users
	}
	DeadLetters deadletter.Putter
	// Realtime sends devices the saved content of a message whose id its sender has used again with other content, and
	// announces new devices.
	Realtime interface {
		Corrected(ctx context.Context, messages []delivery.Delivered) error
		OwnProfileChanged(ctx context.Context, uid string) error
	}
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default()
}

// Function saves the data of Pub/Sub messages. It is safe for concurrent use.
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

// Handle saves the data of one google.cloud.pubsub.topic.v1.messagePublished event, which functions-framework makes
// of a push. When it returns nil, everything in the event is saved or a dead letter. An error is transient: the same
// event should be delivered again.
func (f *Function) Handle(ctx context.Context, e event.Event) error {
	m, err := pubsubevent.Of(e)
	if err != nil {
		return f.putMessage(ctx, e.ID(), err, e.Data())
	}
	return f.save(ctx, m)
}

// ServeHTTP handles a Pub/Sub push as functions-framework does, whose handler cannot be mounted elsewhere.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pubsubevent.Serve(w, r, f.deps.Log, f.Handle)
}
