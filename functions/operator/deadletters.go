package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// DeadLettersPath is the path of the control address that receives a DeadLetterOrder.
const DeadLettersPath = "/dead-letters"

// Values of DeadLetterOrder.Do.
const (
	List    = "list"
	Replay  = "replay"
	Discard = "discard"
)

// DeadLetterOrder lists, replays or discards dead letters.
type DeadLetterOrder struct {
	Do     string `json:"do"`
	ID     string `json:"id,omitempty"`     // of one dead letter; "": all of them, for List and Replay
	Reason string `json:"reason,omitempty"` // for the audit log; Discard needs one
	By     string `json:"by"`               // author of the order, for the audit log
}

var errNoDeadLetter = problem.New(problem.NotFound, "dead_letter_not_found", "There is no dead letter with this id.")

// DeadLetters carries out an order and returns the answer for the person who gave it. It may be repeated.
func DeadLetters(ctx context.Context, d Deps, o DeadLetterOrder) (string, error) {
	if _, err := d.Collector.Collect(ctx); err != nil {
		return "", err
	}
	dead, err := findDeadLetters(ctx, d.Store, o.ID)
	if err != nil {
		return "", err
	}
	audit := func(action string) error {
		return d.audit(ctx, store.Audit{By: o.By, ByName: "deadletters", Action: action, On: o.ID, Reason: o.Reason})
	}
	switch o.Do {
	case List:
		var lines []string
		for _, l := range dead {
			lines = append(lines, fmt.Sprintf("%s  %s  %s", l.ID, l.At.Time().Format(time.RFC3339), l.Reason))
			if o.ID != "" {
				lines = append(lines, string(l.Data))
			}
		}
		return strings.Join(append(lines, fmt.Sprintf("Dead letters: %d.", len(dead))), "\n"), nil
	case Replay:
		action := "dead_letters_replay_all"
		if o.ID != "" {
			action = "dead_letter_replay"
		}
		if err := audit(action); err != nil {
			return "", err
		}
		for n, l := range dead {
			if err := d.Replayer.Replay(ctx, l.Data); err != nil {
				return "", fmt.Errorf("replay dead letters: after %d of %d: %w", n, len(dead), err)
			}
			// An admin may have replayed or discarded it meanwhile.
			if err := d.Store.RemoveDeadLetter(ctx, l.ID); err != nil && !errors.Is(err, problem.ErrNotFound) {
				return "", err
			}
		}
		return fmt.Sprintf("Replayed: %d. Data that still cannot be saved becomes a new dead letter.", len(dead)), nil
	case Discard:
		if o.ID == "" || strings.TrimSpace(o.Reason) == "" {
			return "", problem.New(problem.Invalid, "invalid_fields", "To discard, give the id of one dead letter and a reason.")
		}
		if err := audit("dead_letter_discard"); err != nil {
			return "", err
		}
		return "Discarded.", d.Store.RemoveDeadLetter(ctx, o.ID)
	}
	return "", problem.New(problem.Invalid, "invalid_fields", "Unknown action. Use list, replay or discard.")
}

// findDeadLetters returns the dead letter with the id, or all of them if id is "".
func findDeadLetters(ctx context.Context, records store.Records, id string) ([]store.DeadLetter, error) {
	if id != "" {
		l, err := records.DeadLetter(ctx, id)
		if errors.Is(err, problem.ErrNotFound) {
			err = errNoDeadLetter
		}
		return []store.DeadLetter{l}, err
	}
	var all []store.DeadLetter
	for cursor := ""; ; {
		page, next, err := records.DeadLetters(ctx, cursor, store.MaxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
}
