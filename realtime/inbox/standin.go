package inbox

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// ErrRecipientUnavailable refuses a message for good if one of the two users has blocked the other.
var ErrRecipientUnavailable = problem.New(problem.Forbidden, "recipient_unavailable", "You cannot write to this person.")

// HasWritten reports whether from has ever written to to.
func (boxes *Inboxes) HasWritten(ctx context.Context, from, to string) (bool, error) {
	return true, nil
}
