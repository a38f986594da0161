// Package deadletter keeps dead letters, the data that persist could not save, until an operator replays or discards
// them.
//
// Operators find them in the store. On one machine, persist puts them there ([Local]). On Google Cloud, the store may
// be the part that fails. There, persist publishes them to the dead-letter topic, to which Pub/Sub itself sends the
// messages that it could not deliver. [Topic] publishes to it, and moves dead letters from its subscription into the
// store whenever an operator lists them.
package deadletter

import (
	"context"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Putter accepts dead letters. Put returns when they are durable. An id that is put twice is one dead letter. The
// error is problem.ErrUnavailable. Then some of them may be durable, and the call can be repeated.
type Putter interface {
	Put(ctx context.Context, dead []store.DeadLetter) error
}

// Collector moves dead letters that wait elsewhere into the store. Collect returns how many it moved. It stops when
// none are left, or when its context ends, which is not an error. It may be called concurrently.
type Collector interface {
	Collect(ctx context.Context) (int, error)
}

// Replayer hands data to persist once more. Replay returns when the data is durable. If a topic lies in between, that
// is before it is saved.
type Replayer interface {
	Replay(ctx context.Context, data []byte) error
}

// Local is the dead letters of a chat on one machine, which are put directly into the store.
type Local struct{ Store store.Records }

// Put implements Putter.
func (l Local) Put(ctx context.Context, dead []store.DeadLetter) error {
	return l.Store.PutDeadLetters(ctx, dead)
}

// Collect implements Collector. On one machine, dead letters do not wait elsewhere.
func (Local) Collect(context.Context) (int, error) { return 0, nil }
