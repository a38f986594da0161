package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// adminUsers lists users, including disabled ones, with the addresses that their accounts have now. (An order or a
// search by address uses the copies in the directory.)
func (a *API) adminUsers(ctx context.Context, r *request) (*response, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	order := r.query.Get("order")
	switch order {
	case "", store.ByName, store.ByNewest, store.ByActive:
	default:
		return nil, fieldProblem("order", "Sort by name, newest or active.")
	}
	q := r.query.Get("q")
	if len(q) > maxQuery {
		return nil, fieldProblem("q", "This search is too long.")
	}
	found, next, err := a.deps.Store.Search(ctx, store.Search{Prefix: q, Order: order, All: true,
		Cursor: r.query.Get("cursor"), Limit: limit})
	if err != nil {
		return nil, err
	}
	if err := a.users.RefreshAddresses(ctx, found); err != nil {
		a.deps.Log.WarnContext(ctx, "refreshing the addresses of a list failed", "error", err)
	}
	a.sweep(ctx, "deletions", a.users.SweepErasures)
	page := make([]adminProfile, len(found))
	for i, u := range found {
		page[i] = adminProfileOf(u)
	}
	return ok(map[string]any{"users": page, "next": next}), nil
}

// adminUser returns one user, with the address that the account has now.
func (a *API) adminUser(ctx context.Context, r *request) (*response, error) {
	u, err := a.target(ctx, r)
	if err != nil {
		return nil, err
	}
	if now, err := a.users.RefreshAddress(ctx, u.UID); err == nil {
		u = now
	} else if !errors.Is(err, problem.ErrNotFound) {
		a.deps.Log.WarnContext(ctx, "asking for the address failed", "uid", u.UID, "error", err)
	}
	return ok(adminProfileOf(u)), nil
}

// adminAdd creates a user and their account.
func (a *API) adminAdd(ctx context.Context, r *request) (*response, error) {
	var in struct {
		reasoned
		Email       string `json:"email"`
		Password    string `json:"password"`
		Username    string `json:"username"`
		DisplayName string `json:"display_name"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(false); err != nil {
		return nil, err
	}
	form := users.Signup{Email: in.Email, Password: in.Password, Username: in.Username, DisplayName: in.DisplayName,
		Operator: true}
	if err := form.Check(); err != nil {
		return nil, err
	}
	var u store.User
	err := a.audited(ctx, r, actAdd, "", in.Username, in.Reason, func() (err error) {
		u, err = a.users.Create(ctx, form)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusCreated, json: adminProfileOf(u)}, nil
}

var errNoChange = problem.New(problem.Invalid, "nothing_to_change", "This request does not change anything.")

// adminChange renames a user, removes the picture, makes or unmakes an admin, and disables or enables the user. Several
// changes in one call are made in this order, each with its own entry in the audit log. The first that fails ends the
// call. A change that has already been made is made again, which completes an interrupted call.
func (a *API) adminChange(ctx context.Context, r *request) (*response, error) {
	var in struct {
		reasoned
		Username    *string `json:"username"`
		DisplayName *string `json:"display_name"`
		Picture     *string `json:"picture"`
		Admin       *bool   `json:"admin"`
		Disabled    *bool   `json:"disabled"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(false); err != nil {
		return nil, err
	}
	u, err := a.target(ctx, r)
	if err != nil {
		return nil, err
	}
	uid := u.UID
	type step struct {
		action string
		run    func() (store.User, error)
	}
	var steps []step
	if in.Username != nil || in.DisplayName != nil {
		steps = append(steps, step{actRename, func() (store.User, error) {
			return a.users.Rename(ctx, uid, in.Username, in.DisplayName, true)
		}})
	}
	if in.Picture != nil {
		if *in.Picture != "" {
			return nil, fieldProblem("picture", "A picture can only be removed.")
		}
		steps = append(steps, step{actRemovePicture, func() (store.User, error) {
			return a.users.SetPicture(ctx, uid, nil)
		}})
	}
	if in.Admin != nil {
		action := actUnmakeAdmin
		if *in.Admin {
			action = actMakeAdmin
		}
		steps = append(steps, step{action, func() (store.User, error) {
			return a.users.SetAdmin(ctx, uid, *in.Admin, true)
		}})
	}
	if in.Disabled != nil {
		action := actEnable
		if *in.Disabled {
			action = actDisable
		}
		steps = append(steps, step{action, func() (store.User, error) {
			return a.users.SetDisabled(ctx, uid, *in.Disabled)
		}})
	}
	if len(steps) == 0 {
		return nil, errNoChange
	}
	for _, s := range steps {
		err := a.audited(ctx, r, s.action, uid, u.Username, in.Reason, func() error {
			changed, err := s.run()
			if err == nil {
				u = changed
			}
			return absent(err)
		})
		if err != nil {
			return nil, err
		}
	}
	return ok(adminProfileOf(u)), nil
}

// act runs an action on a user whose body has only a reason.
func (a *API) act(ctx context.Context, r *request, action string, needsReason bool,
	run func(ctx context.Context, u store.User) error) (*response, error) {
	var in reasoned
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := in.check(needsReason); err != nil {
		return nil, err
	}
	u, err := a.target(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := a.audited(ctx, r, action, u.UID, u.Username, in.Reason, func() error { return run(ctx, u) }); err != nil {
		return nil, err
	}
	return &response{}, nil
}

// adminDelete deletes a user with all their data. Repeating it continues an interrupted deletion.
func (a *API) adminDelete(ctx context.Context, r *request) (*response, error) {
	// A deletion that has begun continues even if the caller closes the page.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longTimeLimit)
	defer cancel()
	return a.act(ctx, r, actDelete, true, func(ctx context.Context, u store.User) error {
		return ignoreNotFound(a.users.Erase(ctx, u.UID))
	})
}

func (a *API) adminSignOut(ctx context.Context, r *request) (*response, error) {
	return a.act(ctx, r, actSignOut, false, func(ctx context.Context, u store.User) error {
		_, err := a.users.SignOut(ctx, u.UID)
		return absent(err)
	})
}

func (a *API) adminPasswordReset(ctx context.Context, r *request) (*response, error) {
	return a.act(ctx, r, actPasswordReset, false, func(ctx context.Context, u store.User) error {
		return absent(a.deps.Accounts.SendPasswordReset(ctx, u.UID))
	})
}
