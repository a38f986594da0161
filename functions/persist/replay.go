package persist

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/pubsubevent"
)

// Replay implements deadletter.Replayer for a chat on one machine, without a topic. It saves data as if it had been
// pushed. Entries that are still malformed become new dead letters.
func (f *Function) Replay(ctx context.Context, data []byte) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return f.save(ctx, pubsubevent.Message{ID: "replay-" + id.String(), Data: data})
}
