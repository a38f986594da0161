package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// AdminPath is the path of the control address that receives an AdminOrder.
const AdminPath = "/superuser"

// AdminOrder makes a user an admin, or an ordinary user again, or resets the second factor of one. Either Email or UID
// names the user.
type AdminOrder struct {
	Email       string `json:"email,omitempty"`
	UID         string `json:"uid,omitempty"`
	Revoke      bool   `json:"revoke,omitempty"`       // make them an ordinary user again
	ResetFactor bool   `json:"reset_factor,omitempty"` // remove the second factor, and sign the user out everywhere
	By          string `json:"by"`                     // author of the order, for the audit log

	// Confirm is the username of the user UID. With it, the operator vouches for an account whose address nobody has
	// verified, after having seen what Show answers. The address then counts as verified.
	Confirm string `json:"confirm,omitempty"`
	Show    bool   `json:"show,omitempty"` // change nothing, and answer with a description of the user

	// Create adds a user if nobody has this address. The next three fields describe that user.
	Create      bool   `json:"create,omitempty"`
	Username    string `json:"username,omitempty"`     // "": derived from the address
	DisplayName string `json:"display_name,omitempty"` // "": the username
	Password    string `json:"password,omitempty"`     // "": a random one, which the answer of SetAdmin contains
}

// SetAdmin carries out an order and returns an answer of a few lines for the person who gave it, which also says how a
// new admin gets to the panel. It makes the first admin, who can then make others in the panel. It may be repeated. If
// nobody has the address or uid, and the order is not to create a user, the error is a problem of kind NotFound.
//
// Anybody may have signed up with the address of the operator. So an existing user whose address is not verified
// becomes an admin only if the order names the uid and confirms the username; otherwise the error has the code
// email_unverified, and a text that describes the user. A user whom SetAdmin creates has a verified address.
//
// Unlike the panel, SetAdmin may unmake the last admin: a person who may run it can make another one.
func SetAdmin(ctx context.Context, d Deps, o AdminOrder) (string, error) {
	o.Email = strings.ToLower(strings.TrimSpace(o.Email))
	u, account, err := d.find(ctx, o)
	note := ""
	switch {
	case err == nil && o.Show:
		return describe(u, account), nil
	case err == nil && o.ResetFactor:
		return resetFactor(ctx, d, o, u, account)
	case err == nil:
		if o.Password != "" {
			note = "\nThe account already existed, so its password was not changed."
		}
		if o.Confirm != "" && o.Confirm != u.Username {
			return "", problem.New(problem.Invalid, "confirm_wrong",
				"This account has another username:\n"+describe(u, account))
		}
		if !o.Revoke && !account.EmailVerified {
			if err := d.confirm(ctx, o, u, account); err != nil {
				return "", err
			}
		}
	case !errors.Is(err, problem.ErrNotFound):
		return "", err
	case o.UID != "":
		return "", problem.New(problem.NotFound, "user_not_found", "Nobody has the uid "+o.UID+".")
	case !o.Create || o.Revoke || o.Show || o.ResetFactor:
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
	if !o.Revoke {
		note += d.Panel.next(account.SecondFactor)
	}
	return answer + note, nil
}

// resetFactor carries out an order that resets the second factor of u. Without one, it signs the user out all the same:
// an earlier order may have failed in between.
func resetFactor(ctx context.Context, d Deps, o AdminOrder, u store.User, account accounts.Account) (string, error) {
	err := audited(ctx, d, o, "reset_second_factor", u, func() error { return d.Users.ResetSecondFactor(ctx, u.UID) })
	if err != nil {
		return "", err
	}
	answer := "This account had no second factor. " + u.DisplayName + " is signed out everywhere."
	if account.SecondFactor || u.SecondFactor {
		answer = "The second factor was removed. " + u.DisplayName + " is signed out everywhere."
	}
	if u.Admin && d.Panel.Factor {
		answer += d.Panel.next(false)
	}
	return answer, nil
}

// next returns the lines that say how an admin gets to the panel.
func (p Panel) next(hasFactor bool) string {
	signIn, panel := "Sign in at "+p.URL, p.URL+"/admin"
	if p.URL == "" {
		signIn = "Sign in at the address that this prints: terraform -chdir=infra/terraform output -raw hosted_url"
		panel = "/admin of the chat"
	}
	switch {
	case !p.Factor:
		return "\nThe panel is at " + panel
	case hasFactor:
		return "\nThis account has a second factor already. The panel is at " + panel
	}
	codes := ""
	if p.Codes != "" {
		codes = "\n     Without an app: the codes are also printed in " + p.Codes + "."
	}
	return "\nThe panel opens once this account has a second factor:" +
		"\n  1. " + signIn +
		"\n  2. Open the settings, then \"Two-step verification\", and set it up with an authenticator app." + codes +
		"\n  3. Keep the recovery codes that are shown then. One of them is enough to replace a lost app." +
		"\n  4. Open the panel at " + panel +
		"\nIf the app and the recovery codes are lost, run createsuperuser with -reset-second-factor."
}

// find returns the user and the account that an order names. It asks the sign-in system who has an address: the copy
// in the store may be out of date. If either of the two does not exist, the error is problem.ErrNotFound.
func (d Deps) find(ctx context.Context, o AdminOrder) (u store.User, account accounts.Account, err error) {
	if o.UID != "" {
		account, err = d.Accounts.Get(ctx, o.UID)
	} else {
		account, err = d.Accounts.ByEmail(ctx, o.Email)
	}
	switch {
	case errors.Is(err, accounts.ErrEmailInvalid):
		return u, account, problem.ErrNotFound.WithCause(err)
	case err != nil:
		return u, account, err
	}
	u, err = d.Store.User(ctx, account.UID)
	return u, account, err
}

// confirm marks the address of an account as verified if the order confirms the user. Otherwise its error says whom
// the operator would make an admin, and how to do it anyway.
func (d Deps) confirm(ctx context.Context, o AdminOrder, u store.User, account accounts.Account) error {
	if o.UID == "" || o.Confirm == "" {
		return problem.New(problem.Conflict, users.ErrEmailUnverified.Code, "This account exists, but nobody has verified "+
			"its address. Somebody else may have signed up with it:\n"+describe(u, account)+
			"\nAsk the person to open the link in the mail to "+account.Email+", then give this command again. They get another"+
			"\nmail from the line above their chats, or from the settings."+
			"\nIf you know that it is the right person, name and confirm the account: -uid "+u.UID+" -confirm "+u.Username)
	}
	return audited(ctx, d, o, "verify_email", u, func() error { return d.Users.ConfirmAddress(ctx, u.UID) })
}

// describe returns what an operator should know about a user before they become an admin, one fact per line.
func describe(u store.User, account accounts.Account) string {
	when := func(at chat.Micros) string {
		if at == 0 {
			return "never"
		}
		return at.Time().Format("2006-01-02 15:04 MST")
	}
	verified := "not verified"
	if account.EmailVerified {
		verified = "verified"
	}
	return fmt.Sprintf("  uid           %s\n  username      %s\n  display name  %q\n  address       %s (%s)\n"+
		"  created       %s\n  last active   %s", u.UID, u.Username, u.DisplayName, account.Email, verified,
		when(u.CreatedAt), when(u.LastActiveAt))
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
			DisplayName: o.DisplayName, Operator: true, Verified: true})
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
