package api

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// profile is the part of a user that everybody may see.
type profile struct {
	UID         string      `json:"uid"`
	Username    string      `json:"username"`
	DisplayName string      `json:"display_name"`
	CreatedAt   chat.Micros `json:"created_at"`
	Deleted     bool        `json:"deleted,omitempty"` // the names are empty then
}

func profileOf(u store.User) profile {
	return profile{UID: u.UID, Username: u.Username, DisplayName: u.DisplayName, CreatedAt: u.CreatedAt}
}

var errNoUser = problem.New(problem.NotFound, "user_not_found", "This person does not exist.")

// noUser replaces problem.ErrNotFound by errNoUser.
func noUser(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errNoUser.WithCause(err)
	}
	return err
}

// maxQuery limits the bytes of a search.
const maxQuery = 200

// listUsers lists all active users but the caller.
func (a *API) listUsers(ctx context.Context, r *request) (*response, error) {
	if name := r.query.Get("username"); name != "" {
		return a.userByName(ctx, name)
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	q := r.query.Get("q")
	if len(q) > maxQuery {
		return nil, fieldProblem("q", "This search is too long.")
	}
	page := struct {
		Users []profile `json:"users"`
		Next  string    `json:"next"`
	}{Users: []profile{}}
	// Users may not search by address, which is what store.Search does if there is an "@".
	found, next, err := a.deps.Store.Search(ctx, store.Search{Prefix: withoutAt(q), Cursor: r.query.Get("cursor"),
		Limit: limit})
	if err != nil {
		return nil, err
	}
	for _, u := range found {
		if u.UID != r.user.UID {
			page.Users = append(page.Users, profileOf(u))
		}
	}
	page.Next = next
	return ok(page), nil
}

// userByName returns a list of the one user with that username, or an empty list.
func (a *API) userByName(ctx context.Context, name string) (*response, error) {
	users := []profile{}
	u, err := a.deps.Store.UserByUsername(ctx, name)
	switch {
	case errors.Is(err, problem.ErrNotFound):
	case err != nil:
		return nil, err
	case u.Active():
		users = append(users, profileOf(u))
	}
	return ok(map[string]any{"users": users, "next": ""}), nil
}

// withoutAt replaces every "@" by a space, so that "@ada" finds Ada.
func withoutAt(q string) string {
	b := []byte(q)
	for i, c := range b {
		if c == '@' {
			b[i] = ' '
		}
	}
	return string(b)
}

// getUser returns one user. Disabled users are included, since old conversations show them.
func (a *API) getUser(ctx context.Context, r *request) (*response, error) {
	uid := r.http.PathValue("uid")
	if !chat.ValidUID(uid) {
		return nil, errNoUser
	}
	u, err := a.deps.Store.User(ctx, uid)
	if err != nil {
		return nil, noUser(err)
	}
	if u.ErasingAt != 0 {
		return nil, errNoUser
	}
	return ok(profileOf(u)), nil
}
