// Package accounts is the port to the sign-in system, Firebase Auth: who may
// sign in, with what password, and with which claims. [Firebase] implements it
// with the Admin SDK; accountstest is the suite that holds it to its contract
// over Firebase Auth's emulator and over the stand-in of infra/authstub alike.
//
// What the chat itself knows of a person (names, disabled, admin) is in package
// store, and decides; here it is repeated so that the sign-in system agrees.
package accounts

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of a password, in code points. The upper one keeps hashing cheap; Firebase
// Auth itself allows 4,096.
const (
	MinPassword = 8
	MaxPassword = 200
)

// Errors beside problem.ErrNotFound and problem.ErrUnavailable.
var (
	ErrEmailTaken = &problem.Error{Kind: problem.Conflict, Code: "email_taken", Message: "There is already an account with this email address. Sign in instead.",
		Fields: map[string]string{"email": "There is already an account with this email address. Sign in instead."}}
	ErrUIDTaken     = problem.New(problem.Conflict, "uid_taken", "This account exists already.")
	ErrEmailInvalid = &problem.Error{Kind: problem.Invalid, Code: "invalid_fields", Message: "This is not an email address.",
		Fields: map[string]string{"email": "Enter an email address like name@example.org."}}
	ErrPasswordWeak = &problem.Error{Kind: problem.Invalid, Code: "invalid_fields", Message: "This password is too easy to guess.",
		Fields: map[string]string{"password": "Choose a longer password, with other characters."}}
)

// Account is a person as the sign-in system knows them.
type Account struct {
	UID         string
	Email       string
	DisplayName string
	Disabled    bool
	Admin       bool // the claim "admin"
	CreatedAt   time.Time
	LastSignIn  time.Time // zero: never
	ValidAfter  time.Time // tokens of a sign-in before this are ended; to the second
}

// New is an account to create.
type New struct {
	UID         string // chosen by the caller, see chat.ValidUID
	Email       string
	Password    string
	DisplayName string
}

// Change is what to change of an account; nil is left.
type Change struct {
	Password    *string
	DisplayName *string
	Disabled    *bool
}

// Accounts is the port. Methods block until the sign-in system has answered or
// the context ends, and may be called at once by many goroutines. Except where it is
// said, repeating a call does no harm. A system that is down, slow or over
// its quota gives problem.ErrUnavailable with the cause; an account that does not
// exist, problem.ErrNotFound.
type Accounts interface {
	// Create makes an account. ErrEmailTaken, ErrUIDTaken (which of the two where
	// both hold is not fixed), ErrEmailInvalid, ErrPasswordWeak. Not repeatable:
	// the second call finds the uid taken.
	Create(ctx context.Context, n New) error

	// Get returns one account; ByEmail finds it by its address in any case.
	Get(ctx context.Context, uid string) (Account, error)
	ByEmail(ctx context.Context, email string) (Account, error)

	// Update changes what is not nil. Changing the password ends all sign-ins,
	// as does disabling for as long as it lasts.
	Update(ctx context.Context, uid string, c Change) error

	// SetAdmin sets or removes the claim. Tokens given before keep what they said
	// until they end, at most an hour later: whoever checks them looks at the store, too.
	SetAdmin(ctx context.Context, uid string, admin bool) error

	// Revoke ends all sign-ins: no new ID tokens are given for them.
	Revoke(ctx context.Context, uid string) error

	// Delete removes the account. One that does not exist is success.
	Delete(ctx context.Context, uid string) error

	// SendPasswordReset has the sign-in system send an email with a link. An address
	// without an account may be success (enumeration protection).
	SendPasswordReset(ctx context.Context, email string) error
}
