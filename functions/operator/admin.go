package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// AdminPath is the path of the control address that receives an AdminOrder.
const AdminPath = "/superuser"

// AdminOrder makes a user an admin, or an ordinary user again.
type AdminOrder struct {
	Email  string `json:"email"`
	Revoke bool   `json:"revoke,omitempty"` // make them an ordinary user again
	By     string `json:"by"`               // author of the order, for the audit log

	// Create adds a user if nobody has this address. The next three fields describe that user.
	Create      bool   `json:"create,omitempty"`
	Username    string `json:"username,omitempty"`     // "": derived from the address
	DisplayName string `json:"display_name,omitempty"` // "": the username
	Password    string `json:"password,omitempty"`     // "": a random one, which the answer of SetAdmin contains
}

// SetAdmin carries out an order and returns an answer of one or two lines for the person who gave it. It makes the
// first admin, who can then make others in the admin panel. It may be repeated. If nobody has the address, and the
// order is not to create a user, the error is a problem of kind NotFound.
//
// Unlike the panel, SetAdmin may unmake the last admin: a person who may run it can make another one.
func SetAdmin(ctx context.Context, d Deps, o AdminOrder) (string, error) {
	o.Email = strings.ToLower(strings.TrimSpace(o.Email))
	u, err := d.Store.UserByEmail(ctx, o.Email)
	note := ""
	switch {
	case err == nil && o.Password != "":
		note = "\nThe account already existed, so its password was not changed."
	case err == nil:
	case !errors.Is(err, problem.ErrNotFound):
		return "", err
	case !o.Create || o.Revoke:
		return "", problem.New(problem.NotFound, "user_not_found", "Nobody has signed up with "+o.Email+".")
	default:
		if u, note, err = createUser(ctx, d, o); err != nil {
			return "", err
		}
	}
	action, answer := "make_admin", u.DisplayName+" is an admin now."
	if o.Revoke {
		action, answer = "unmake_admin", u.DisplayName+" is no longer an admin."
	}
	err = audited(ctx, d, o, action, u, func() error {
		_, err := d.Users.SetAdmin(ctx, u.UID, !o.Revoke, false)
		return err
	})
	if err != nil {
		return "", err
	}
	if u.Disabled && !o.Revoke {
		note += "\nThe account is disabled. Enable it before it is used."
	}
	return answer + note, nil
}

// createUser adds the user that an order describes, and returns what to add to the answer.
func createUser(ctx context.Context, d Deps, o AdminOrder) (store.User, string, error) {
	if o.Username == "" {
		o.Username = usernameOf(o.Email)
	}
	if o.DisplayName == "" {
		o.DisplayName = o.Username
	}
	note := "\nA new account was created."
	if o.Password == "" {
		o.Password = rand.Text()
		note = "\nA new account was created. Its password, shown only here: " + o.Password
	}
	var u store.User
	err := audited(ctx, d, o, "add", store.User{Username: o.Username}, func() (err error) {
		u, err = d.Users.Create(ctx, users.Signup{Email: o.Email, Password: o.Password, Username: o.Username,
			DisplayName: o.DisplayName, Operator: true})
		return err
	})
	return u, note, err
}

// audited records in the audit log that an action on u begins, and runs it. If the action fails, it records that,
// too.
func audited(ctx context.Context, d Deps, o AdminOrder, action string, u store.User, run func() error) error {
	entry := store.Audit{By: o.By, ByName: "createsuperuser", Action: action, On: u.UID, OnName: u.Username,
		Reason: "by command"}
	if err := d.audit(ctx, entry); err != nil {
		return err
	}
	err := run()
	if err != nil {
		entry.Outcome = "failed: " + problem.Of(err).Code
		err = errors.Join(err, d.audit(context.WithoutCancel(ctx), entry))
	}
	return err
}

// usernameOf derives a username from the part of an address before the "@".
func usernameOf(email string) string {
	local, _, _ := strings.Cut(email, "@")
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, local)
	name = strings.Trim(name[:min(len(name), users.MaxUsername)], "._-")
	if len(name) < users.MinUsername {
		name += "admin"
	}
	return name
}
