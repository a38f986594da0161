package api

import (
	"context"
	"errors"
	"strings"

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
	Admin       bool        `json:"admin,omitempty"`   // clients show a badge, which no name can imitate
	Picture     string      `json:"picture,omitempty"` // version of the picture; see getPicture
}

func profileOf(u store.User) profile {
	return profile{UID: u.UID, Username: u.Username, DisplayName: u.DisplayName, CreatedAt: u.CreatedAt, Admin: u.Admin,
		Picture: u.Picture}
}

// profileFor returns the profile of u as the user viewer may see it: with the names and the picture that u had when
// u blocked them.
func profileFor(u store.User, viewer string) profile {
	p := profileOf(u)
	p.Username, p.DisplayName = u.NamesFor(viewer)
	p.Picture = u.PictureFor(viewer)
	return p
}

// hides returns which users the caller may not find in lists and searches: those who have blocked them, those whom they
// have blocked, and those who want to be found only by their exact username, unless that is the query. So a blocked
// person finds the same as if the other had been disabled. An admin finds everybody.
func (r *request) hides(query string) func(store.User) bool {
	name := store.NameKey(strings.TrimSpace(query))
	return func(u store.User) bool {
		return u.UID == r.user.UID || !r.seesAll() && (u.HasBlocked(r.user.UID) || r.user.HasBlocked(u.UID) ||
			u.Privacy.ByUsername && store.NameKey(u.Username) != name)
	}
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

// search returns the search of the request. The limit has been checked.
func (r *request) search(limit int) store.Search {
	// Users may not search by address, which is what store.Search does if there is an "@".
	q := withoutAt(r.query.Get("q"))
	return store.Search{Prefix: q, Cursor: r.query.Get("cursor"), Limit: limit, Hide: r.hides(q)}
}

// mostUsers returns the documents that listUsers may read.
func mostUsers(r *request) int {
	if r.query.Get("username") != "" {
		return 2
	}
	limit, err := r.limit()
	if err != nil || len(r.query.Get("q")) > maxQuery {
		return 0
	}
	return r.search(limit).Reads()
}

// listUsers lists all active users but the caller.
func (a *API) listUsers(ctx context.Context, r *request) (*response, error) {
	if name := r.query.Get("username"); name != "" {
		return a.userByName(ctx, r, name)
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	if len(r.query.Get("q")) > maxQuery {
		return nil, fieldProblem("q", "This search is too long.")
	}
	if !r.seesAll() { // a caller who may not see anybody costs no search
		if _, err := a.ledger.take(ctx, a.people, r.user.UID, 1, 1); err != nil {
			return nil, err
		}
		a.ledger.giveBack(a.people, r.user.UID, 1)
	}
	page := struct {
		Users []profile `json:"users"`
		Next  string    `json:"next"`
	}{Users: []profile{}}
	found, next, err := a.deps.Store.Search(ctx, r.search(limit))
	if err != nil {
		return nil, err
	}
	shown, err := a.show(ctx, r, found)
	if err != nil {
		return nil, err
	}
	if shown < len(found) { // the page ends earlier, and so must its cursor
		if found, next, err = a.deps.Store.Search(ctx, r.search(shown)); err != nil {
			return nil, err
		}
	}
	for _, u := range found[:min(shown, len(found))] {
		page.Users = append(page.Users, profileOf(u))
	}
	page.Next = next
	return ok(page), nil
}

// userByName returns a list of the one user with that username, or an empty list. A caller finds somebody whom they
// have blocked, so that they can unblock them.
func (a *API) userByName(ctx context.Context, r *request, name string) (*response, error) {
	users := []profile{}
	u, err := a.deps.Store.UserByUsername(ctx, name)
	switch {
	case errors.Is(err, problem.ErrNotFound):
	case err != nil:
		return nil, err
	case u.Active() && (r.seesAll() || !u.HasBlocked(r.user.UID)):
		if _, err := a.show(ctx, r, []store.User{u}); err != nil {
			return nil, err
		}
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

// getUser returns one user. Disabled users are included, since old conversations show them. So are users who have
// blocked the caller, with the names that they had then: an answer that the user does not exist would give the block
// away.
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
	if r.seesAll() {
		return ok(profileOf(u)), nil
	}
	return ok(profileFor(u, r.user.UID)), nil
}
