package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Path is where the control address of a running chat (package control) takes orders.
const Path = "/dead-letters"

// What an Order can ask for.
const (
	List    = "list"
	Replay  = "replay"
	Discard = "discard"
)

// Order is a command line's.
type Order struct {
	Do     string `json:"do"`
	ID     string `json:"id,omitempty"`     // of one letter; "" is all, for List and Replay
	Reason string `json:"reason,omitempty"` // Discard needs one; kept in the audit log
	By     string `json:"by"`               // who gave the order, for the audit log
}

// Deps is what Run needs.
type Deps struct {
	Local     store.Records
	Collector Collector
	Replayer  Replayer
	Now       func() time.Time // nil: time.Now
}

var errNone = problem.New(problem.NotFound, "dead_letter_not_found", "There is no dead letter with this id.")

// Run carries out an order and returns what to tell who gave it. What it
// changes is in the audit log. It may be repeated.
func Run(ctx context.Context, d Deps, o Order) (string, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	if _, err := d.Collector.Collect(ctx); err != nil {
		return "", err
	}
	letters, err := d.pick(ctx, o.ID)
	if err != nil {
		return "", err
	}
	switch o.Do {
	case List:
		var lines []string
		for _, l := range letters {
			lines = append(lines, fmt.Sprintf("%s  %s  %s", l.ID, l.At.Time().Format(time.RFC3339), l.Reason))
			if o.ID != "" {
				lines = append(lines, string(l.Data))
			}
		}
		return strings.Join(append(lines, fmt.Sprintf("Dead letters: %d.", len(letters))), "\n"), nil
	case Replay:
		if err := d.audit(ctx, o, "dead_letters_replay_all"); err != nil {
			return "", err
		}
		for n, l := range letters {
			if err := d.Replayer.Replay(ctx, l.Data); err != nil {
				return "", fmt.Errorf("after %d were replayed: %w", n, err)
			}
			// One that another has just dealt with is no error.
			if err := d.Local.RemoveDeadLetter(ctx, l.ID); err != nil && !errors.Is(err, problem.ErrNotFound) {
				return "", err
			}
		}
		return fmt.Sprintf("Replayed: %d. What still cannot be saved becomes a new dead letter.", len(letters)), nil
	case Discard:
		if o.ID == "" || strings.TrimSpace(o.Reason) == "" {
			return "", problem.New(problem.Invalid, "invalid_fields", "Discarding needs the id of one dead letter, and a reason.")
		}
		if err := d.audit(ctx, o, "dead_letter_discard"); err != nil {
			return "", err
		}
		return "Discarded.", d.Local.RemoveDeadLetter(ctx, o.ID)
	}
	return "", problem.New(problem.Invalid, "invalid_fields", "What can be done is list, replay and discard.")
}

// pick returns one letter, or all.
func (d Deps) pick(ctx context.Context, id string) ([]store.DeadLetter, error) {
	if id != "" {
		l, err := d.Local.DeadLetter(ctx, id)
		if errors.Is(err, problem.ErrNotFound) {
			err = errNone
		}
		return []store.DeadLetter{l}, err
	}
	var all []store.DeadLetter
	for cursor := ""; ; {
		page, next, err := d.Local.DeadLetters(ctx, cursor, store.MaxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
}

func (d Deps) audit(ctx context.Context, o Order, action string) error {
	if o.ID != "" && o.Do == Replay {
		action = "dead_letter_replay"
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit id: %w", err)
	}
	return d.Local.AddAudit(ctx, store.Audit{ID: id.String(), At: chat.MicrosOf(d.Now()), By: "command:" + o.By, ByName: "deadletters", Action: action, On: o.ID, Reason: o.Reason})
}
