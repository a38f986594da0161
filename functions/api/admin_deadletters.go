package api

import (
	"context"
	"encoding/base64"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// letter is a dead letter as an operator sees it.
type letter struct {
	ID       string      `json:"id"`
	At       chat.Micros `json:"at"`
	Reason   string      `json:"reason"`
	Data     string      `json:"data"`
	Encoding string      `json:"encoding"` // of Data: "text", or "base64" for what is none
}

func letterOf(l store.DeadLetter) letter {
	out := letter{ID: l.ID, At: l.At, Reason: l.Reason, Data: string(l.Data), Encoding: "text"}
	if !utf8.Valid(l.Data) {
		out.Data, out.Encoding = base64.StdEncoding.EncodeToString(l.Data), "base64"
	}
	return out
}

var errNoLetter = problem.New(problem.NotFound, "dead_letter_not_found", "This dead letter is not there any more. Somebody may have dealt with it.")

func noLetter(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errNoLetter.WithCause(err)
	}
	return err
}

// collectWithin is how long a list waits for letters that lie elsewhere.
const collectWithin = 5 * time.Second

// collect brings dead letters onto the shelf; it reports whether it could.
func (a *API) collect(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, collectWithin)
	defer cancel()
	n, err := a.deps.DeadLetters.Collect(ctx)
	if err != nil {
		a.deps.Log.WarnContext(ctx, "dead letters could not be collected; the list shows those that were before", "collected", n, "error", err)
	}
	return err == nil
}

// adminLetters lists dead letters, oldest first.
func (a *API) adminLetters(ctx context.Context, r *request) (*response, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	cursor := r.query.Get("cursor")
	complete := true
	if cursor == "" {
		complete = a.collect(ctx)
	}
	found, next, err := a.deps.Store.DeadLetters(ctx, cursor, limit)
	if err != nil {
		return nil, err
	}
	letters := make([]letter, len(found))
	for i, l := range found {
		letters[i] = letterOf(l)
	}
	return ok(map[string]any{"dead_letters": letters, "next": next, "complete": complete}), nil
}

func (a *API) adminLetter(ctx context.Context, r *request) (*response, error) {
	l, err := a.deps.Store.DeadLetter(ctx, r.params["id"])
	if err != nil {
		return nil, noLetter(err)
	}
	return ok(letterOf(l)), nil
}

// replay hands a letter to persist and takes it from the shelf. A crash
// between the two leaves it there; replaying it again does no harm.
func (a *API) replay(ctx context.Context, l store.DeadLetter) error {
	if err := a.deps.Replayer.Replay(ctx, l.Data); err != nil {
		return err
	}
	return gone(a.deps.Store.RemoveDeadLetter(ctx, l.ID))
}

func (a *API) adminReplay(ctx context.Context, r *request) (*response, error) {
	var in reasoned
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(false); err != nil {
		return nil, err
	}
	l, err := a.deps.Store.DeadLetter(ctx, r.params["id"])
	if err != nil {
		return nil, noLetter(err)
	}
	if err := a.audited(ctx, r, actReplay, l.ID, "", in.Reason, func() error { return a.replay(ctx, l) }); err != nil {
		return nil, err
	}
	return &response{}, nil
}

// replayMost is how many letters one call replays.
const replayMost = 2000

// adminReplayAll replays those letters that are there when it begins: what is still
// malformed becomes a new letter, and must not be taken up again and again.
func (a *API) adminReplayAll(ctx context.Context, r *request) (*response, error) {
	var in reasoned
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(false); err != nil {
		return nil, err
	}
	a.collect(ctx)
	replayed := 0
	err := a.audited(ctx, r, actReplayAll, "", "", in.Reason, func() error {
		var ids []string
		for cursor := ""; len(ids) < replayMost; {
			page, next, err := a.deps.Store.DeadLetters(ctx, cursor, store.MaxPage)
			if err != nil {
				return err
			}
			for _, l := range page {
				ids = append(ids, l.ID)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		for _, id := range ids {
			l, err := a.deps.Store.DeadLetter(ctx, id)
			if errors.Is(err, problem.ErrNotFound) {
				continue // another admin was quicker
			}
			if err == nil {
				err = a.replay(ctx, l)
			}
			if err != nil {
				return err
			}
			replayed++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	left, err := a.deps.Store.CountDeadLetters(ctx)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"replayed": replayed, "left": left}), nil
}

func (a *API) adminDiscard(ctx context.Context, r *request) (*response, error) {
	var in reasoned
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(true); err != nil {
		return nil, err
	}
	id := r.params["id"]
	if _, err := a.deps.Store.DeadLetter(ctx, id); err != nil {
		return nil, noLetter(err)
	}
	err := a.audited(ctx, r, actDiscard, id, "", in.Reason, func() error { return noLetter(a.deps.Store.RemoveDeadLetter(ctx, id)) })
	if err != nil {
		return nil, err
	}
	return &response{}, nil
}
