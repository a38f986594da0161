package api

import (
	"context"
	"strconv"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// changedPage is a page of the messages that were changed since a time.
type changedPage struct {
	Messages []delivery.Delivered `json:"messages"`
	Next     string               `json:"next"`
	Now      chat.Micros          `json:"now"`
	Reload   bool                 `json:"reload"` // too many were changed: none are listed
}

// mostChanges returns the documents that listChanges may read: those of a page, one more, and the count.
func mostChanges(r *request) int { return mostMessages(r) + 1 }

// listChanges lists the messages of all conversations of the caller that were changed since a time. A change does not
// move a conversation in the list, so a device that was away could not know where to look.
func (a *API) listChanges(ctx context.Context, r *request) (*response, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	since, err := strconv.ParseInt(r.query.Get("since"), 10, 64)
	if err != nil || since < 0 {
		return nil, fieldProblem("since", "Name the time since which messages were changed.")
	}
	page := changedPage{Messages: []delivery.Delivered{}, Now: micros(a.deps.Now())}
	cursor := r.query.Get("cursor")
	if cursor == "" {
		n, err := a.deps.Store.CountChanged(ctx, r.user.UID, chat.Micros(since))
		if err != nil {
			return nil, err
		}
		if page.Reload = n >= store.MaxChanged; page.Reload || n == 0 {
			return ok(page), nil
		}
	}
	list, next, err := a.deps.Store.Changed(ctx, r.user.UID, chat.Micros(since), cursor, limit)
	if err != nil {
		return nil, err
	}
	page.Messages, page.Next = append(page.Messages, list...), next
	return ok(page), nil
}
