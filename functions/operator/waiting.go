package operator

import (
	"context"
	"fmt"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// WaitingPath is the path of the control address that receives a WaitingOrder.
const WaitingPath = "/waiting"

// WaitingOrder shows whose messages wait, or withdraws what waits from one user.
type WaitingOrder struct {
	Purge  string `json:"purge,omitempty"`  // uid of the sender whose messages are withdrawn; "": show who fills what
	To     string `json:"to,omitempty"`     // uid of the recipient; "": all
	Reason string `json:"reason,omitempty"` // for the audit log; Purge needs one
	By     string `json:"by"`               // author of the order, for the audit log
}

// Waiting carries out an order and returns the answer for the person who gave it. It may be repeated. Senders learn
// that their messages were withdrawn.
func Waiting(ctx context.Context, d Deps, o WaitingOrder) (string, error) {
	if o.Purge == "" {
		if o.To != "" {
			return "", problem.New(problem.Invalid, "invalid_fields", "To withdraw messages, name their sender with -purge.")
		}
		w, err := d.Realtime.Waiting(ctx)
		if err != nil {
			return "", err
		}
		return describeWaiting(ctx, d, w)
	}
	p := internalapi.Purge{From: o.Purge, To: o.To, Reason: internalapi.ReasonWithdrawn}
	if err := p.Check(); err != nil {
		return "", problem.New(problem.Invalid, "invalid_fields",
			"A user id is not valid. Copy it from the list.").WithCause(err)
	}
	if strings.TrimSpace(o.Reason) == "" {
		return "", problem.New(problem.Invalid, "invalid_fields", "To withdraw messages, give a reason.")
	}
	entry := store.Audit{By: o.By, ByName: "waiting", Action: "purge", On: p.From, Reason: o.Reason}
	if p.To != "" {
		entry.Reason += " (only messages to " + p.To + ")"
	}
	if u, err := d.Store.User(ctx, p.From); err == nil {
		entry.OnName = u.Username
	}
	if err := d.audit(ctx, entry); err != nil {
		return "", err
	}
	done, err := d.Realtime.Purge(ctx, p)
	if err != nil {
		return "", err
	}
	answer := fmt.Sprintf("Withdrew %d messages (%s).", done.Messages, size(done.Bytes))
	if !done.Complete {
		answer += " There are more. The service goes on by itself; run the command without -purge to see what is left."
	}
	return answer, nil
}

// describeWaiting returns a table of who fills what.
func describeWaiting(ctx context.Context, d Deps, w internalapi.Waiting) (string, error) {
	var b strings.Builder
	list := func(title string, shares []internalapi.Share) {
		if len(shares) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s\n", title)
		for _, s := range shares {
			name := "(deleted)"
			if u, err := d.Store.User(ctx, s.UID); err == nil {
				name = u.Username
			}
			fmt.Fprintf(&b, "%10s  %7d messages  %s  %s\n", size(s.Bytes), s.Messages, s.UID, name)
		}
	}
	list("Most from:", w.Senders)
	list("Most for:", w.Recipients)
	fmt.Fprintf(&b, "Waiting: %d messages (%s) in %d inboxes.", w.Messages, size(w.Bytes), w.Inboxes)
	if !w.Complete {
		b.WriteString(" Only a part of the inboxes was counted.")
	}
	return b.String(), ctx.Err()
}

// size prints a number of bytes for people.
func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
