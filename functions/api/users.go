package api

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// profile is what everybody may see of a person.
type profile struct {
	UID         string      `json:"uid"`
	Username    string      `json:"username"`
	DisplayName string      `json:"display_name"`
	CreatedAt   chat.Micros `json:"created_at"`
	Deleted     bool        `json:"deleted,omitempty"` // gone; the names are empty then
}

func profileOf(u store.User) profile {
	return profile{UID: u.UID, Username: u.Username, DisplayName: u.DisplayName, CreatedAt: u.CreatedAt}
}

var errNobody = problem.New(problem.NotFound, "user_not_found", "There is no such person.")

// nobody turns "there is nothing" into "there is no such person".
func nobody(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return errNobody.WithCause(err)
	}
	return err
}

// maxQuery is how many bytes a search may have.
const maxQuery = 200

// listUsers lists everyone but the caller.
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
	// Addresses are not for others: store.Search takes an "@" for the start of one.
	found, next, err := a.deps.Store.Search(ctx, store.Search{Prefix: withoutAt(q), Cursor: r.query.Get("cursor"), Limit: limit})
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

// userByName answers with the one person of that username, or with nobody.
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

// withoutAt puts a blank in place of every "@": "@ada" finds Ada.
func withoutAt(q string) string {
	b := []byte(q)
	for i, c := range b {
		if c == '@' {
			b[i] = ' '
		}
	}
	return string(b)
}

// getUser answers with one person, also with one that is disabled or gone,
// since old conversations show them.
func (a *API) getUser(ctx context.Context, r *request) (*response, error) {
	uid := r.params["uid"]
	if !chat.ValidUID(uid) {
		return nil, errNobody
	}
	u, err := a.deps.Store.User(ctx, uid)
	if err != nil {
		return nil, nobody(err)
	}
	if u.ErasingAt != 0 {
		return nil, errNobody
	}
	return ok(profileOf(u)), nil
}
