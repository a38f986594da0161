// Package deadletter keeps what persist could not save until an operator has
// replayed or discarded it.
//
// Letters lie on a shelf, which is the store. On one machine persist puts them there itself
// ([Shelf]). On Google Cloud, where the store may be what is
// failing, persist publishes them to the dead-letter topic, to which Pub/Sub
// itself also sends what it gave up on; [Topic] publishes, and collects
// from the topic's subscription onto the shelf whenever an operator looks.
package deadletter

import (
	"context"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Putter takes what could not be saved. Put returns when the letters are safe;
// putting one id twice leaves one letter. A failure is
// problem.ErrUnavailable; then some may have been taken, and the call can be repeated.
type Putter interface {
	Put(ctx context.Context, letters []store.DeadLetter) error
}

// Collector brings letters that wait elsewhere onto the shelf. Collect may be
// called at once by many; it returns how many letters it brought, and stops
// when there are none left or its context ends, which is no error.
type Collector interface {
	Collect(ctx context.Context) (int, error)
}

// Replayer hands data to persist once more. Replay returns when it is taken
// over safely, which is before it is saved where a topic lies between.
type Replayer interface {
	Replay(ctx context.Context, data []byte) error
}

// Shelf puts letters into the store.
type Local struct{ Store store.Records }

// Put implements Putter.
func (s Local) Put(ctx context.Context, letters []store.DeadLetter) error {
	return s.Store.PutDeadLetters(ctx, letters)
}

// Collect implements Collector: on one machine nothing waits elsewhere.
func (Local) Collect(context.Context) (int, error) { return 0, nil }
