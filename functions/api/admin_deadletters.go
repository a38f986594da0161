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

// deadLetter is a dead letter as an admin sees it.
type deadLetter struct {
	ID       string      `json:"id"`
	At       chat.Micros `json:"at"`
	Reason   string      `json:"reason"`
	Data     string      `json:"data"`
	Encoding string      `json:"encoding"` // of Data: "text", or "base64" if it is not valid UTF-8
}

func deadLetterOf(l store.DeadLetter) deadLetter {
	out := deadLetter{ID: l.ID, At: l.At, Reason: l.Reason, Data: string(l.Data), Encoding: "text"}
	if !utf8.Valid(l.Data) {
		out.Data, out.Encoding = base64.StdEncoding.EncodeToString(l.Data), "base64"
	}
	return out
}

var errNoDeadLetter = problem.New(problem.NotFound, "dead_letter_not_found",
	"This dead letter no longer exists. Another admin may have replayed or discarded it.")

// noDeadLetter replaces problem.ErrNotFound by errNoDeadLetter.
func noDeadLetter(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errNoDeadLetter.WithCause(err)
	}
	return err
}

// collectWithin is how long a request waits for dead letters that have not been moved into the store.
const collectWithin = 5 * time.Second

// collect moves dead letters into the store. It reports whether all of them are there.
func (a *API) collect(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, collectWithin)
	defer cancel()
	n, err := a.deps.DeadLetters.Collect(ctx)
	if err != nil {
		a.deps.Log.WarnContext(ctx, "collecting dead letters failed", "collected", n, "error", err)
	}
	return err == nil
}

// adminDeadLetters lists dead letters, oldest first.
func (a *API) adminDeadLetters(ctx context.Context, r *request) (*response, error) {
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
	page := make([]deadLetter, len(found))
	for i, l := range found {
		page[i] = deadLetterOf(l)
	}
	return ok(map[string]any{"dead_letters": page, "next": next, "complete": complete}), nil
}

func (a *API) adminDeadLetter(ctx context.Context, r *request) (*response, error) {
	l, err := a.deps.Store.DeadLetter(ctx, r.http.PathValue("id"))
	if err != nil {
		return nil, noDeadLetter(err)
	}
	return ok(deadLetterOf(l)), nil
}

// replay hands a dead letter to persist and removes it from the store. After a crash between the two it is still
// there, and replaying it again does no harm.
func (a *API) replay(ctx context.Context, l store.DeadLetter) error {
	if err := a.deps.Replayer.Replay(ctx, l.Data); err != nil {
		return err
	}
	return ignoreNotFound(a.deps.Store.RemoveDeadLetter(ctx, l.ID))
}

func (a *API) adminReplay(ctx context.Context, r *request) (*response, error) {
	var in reasoned
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(false); err != nil {
		return nil, err
	}
	l, err := a.deps.Store.DeadLetter(ctx, r.http.PathValue("id"))
	if err != nil {
		return nil, noDeadLetter(err)
	}
	if err := a.audited(ctx, r, actReplay, l.ID, "", in.Reason, func() error { return a.replay(ctx, l) }); err != nil {
		return nil, err
	}
	return &response{}, nil
}

// maxReplay limits the dead letters that one call replays.
const maxReplay = 2000

// adminReplayAll replays the dead letters that exist when it begins. Data that is still malformed becomes a new dead
// letter, which must not be replayed in an endless loop.
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
		for cursor := ""; len(ids) < maxReplay; {
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
				continue // another admin was faster
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
	id := r.http.PathValue("id")
	if _, err := a.deps.Store.DeadLetter(ctx, id); err != nil {
		return nil, noDeadLetter(err)
	}
	err := a.audited(ctx, r, actDiscard, id, "", in.Reason,
		func() error { return noDeadLetter(a.deps.Store.RemoveDeadLetter(ctx, id)) })
	if err != nil {
		return nil, err
	}
	return &response{}, nil
}
