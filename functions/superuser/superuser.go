// Package superuser makes the first admin, who can then make others in the
// panel, and takes the right away again, from a command line: on one machine
// through the system that runs there (it alone has the data file open), on
// Google Cloud with the operator's own credentials.
//
// Every use is in the audit log. Unlike the panel, it may unmake the last
// admin: whoever may run it can make another.
package superuser

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Path is where the control address of a running chat (package control) takes orders.
const Path = "/superuser"

// Order says what to do.
type Order struct {
	Email  string `json:"email"`
	Revoke bool   `json:"revoke,omitempty"` // make them an ordinary person again
	By     string `json:"by"`               // who gave the order, for the audit log

	// Create makes an account where there is none with this address.
	Create      bool   `json:"create,omitempty"`
	Username    string `json:"username,omitempty"`     // "": made of the address
	DisplayName string `json:"display_name,omitempty"` // "": the username
	Password    string `json:"password,omitempty"`     // "": a random one, which Run tells
}

// Deps is what Run needs.
type Deps struct {
	Store interface {
		store.Users
		store.Records
	}
	Users *users.Service
	Now    func() time.Time // nil: time.Now
}

// Run carries out an order, and returns what to tell who gave it, in one or two
// lines. It may be repeated. An address that nobody has (with Create unset, or
// Revoke) is a problem of kind NotFound that says so.
func Run(ctx context.Context, d Deps, o Order) (string, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	o.Email = strings.ToLower(strings.TrimSpace(o.Email))
	u, err := d.Store.UserByEmail(ctx, o.Email)
	told := ""
	switch {
	case err == nil && o.Password != "":
		told = "\nThe account was there already: its password is as it was."
	case err == nil:
	case !errors.Is(err, problem.ErrNotFound):
		return "", err
	case !o.Create || o.Revoke:
		return "", problem.New(problem.NotFound, "user_not_found", "Nobody has signed up with "+o.Email+".")
	default:
		if u, told, err = create(ctx, d, o); err != nil {
			return "", err
		}
	}
	action, said := "make_admin", u.DisplayName+" is an admin now."
	if o.Revoke {
		action, said = "unmake_admin", u.DisplayName+" is no admin any more."
	}
	err = audited(ctx, d, o, action, u, func() error {
		_, err := d.Users.SetAdmin(ctx, u.UID, !o.Revoke, false)
		return err
	})
	if err != nil {
		return "", err
	}
	if u.Disabled && !o.Revoke {
		told += "\nThe account is disabled, and has to be enabled before it is of use."
	}
	return said + told, nil
}

// create makes the account of an order.
func create(ctx context.Context, d Deps, o Order) (store.User, string, error) {
	if o.Username == "" {
		o.Username = usernameOf(o.Email)
	}
	if o.DisplayName == "" {
		o.DisplayName = o.Username
	}
	told := "\nThe account is new."
	if o.Password == "" {
		o.Password = rand.Text()
		told = "\nThe account is new. Its password, which is told only here: " + o.Password
	}
	var u store.User
	err := audited(ctx, d, o, "add", store.User{Username: o.Username}, func() (err error) {
		u, err = d.Users.Create(ctx, users.Signup{Email: o.Email, Password: o.Password, Username: o.Username, DisplayName: o.DisplayName, Operator: true})
		return err
	})
	return u, told, err
}

// audited writes into the audit log that an action is taken up, then does it,
// and writes down when it failed.
func audited(ctx context.Context, d Deps, o Order, action string, u store.User, do func() error) error {
	if err := audit(ctx, d, o, action, u, ""); err != nil {
		return err
	}
	err := do()
	if err != nil {
		err = errors.Join(err, audit(context.WithoutCancel(ctx), d, o, action, u, "failed: "+problem.Of(err).Code))
	}
	return err
}

func audit(ctx context.Context, d Deps, o Order, action string, u store.User, outcome string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("audit id: %w", err)
	}
	return d.Store.AddAudit(ctx, store.Audit{ID: id.String(), At: chat.MicrosOf(d.Now()), By: "command:" + o.By, ByName: "createsuperuser",
		Action: action, On: u.UID, OnName: u.Username, Reason: "by command", Outcome: outcome})
}

// usernameOf makes a username of what stands before the "@".
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
