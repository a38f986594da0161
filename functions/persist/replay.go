package persist

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Replay saves data as if it had been pushed, on a machine without a topic. It makes a
// Function a deadletter.Replayer: what is still malformed becomes a new dead letter.
func (f *Function) Replay(ctx context.Context, data []byte) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return f.save(ctx, message{ID: "replay-" + id.String(), Data: data})
}
