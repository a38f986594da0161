// Package accounts is the port to the sign-in system, Firebase Auth. An account says who may sign in, with which
// password, and with which claims. [Firebase] implements the port with the Admin SDK. Package accountstest checks its
// contract, over the Firebase Auth emulator and over the stand-in in infra/authstub.
//
// The directory in package store decides what a user may do. Accounts repeat some of its data (the display name,
// disabled, admin), so that the sign-in system agrees with it.
package accounts

import (
	"context"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Errors beside problem.ErrNotFound and problem.ErrUnavailable.
var (
	ErrEmailTaken = &problem.Error{Kind: problem.Conflict, Code: "email_taken",
		Message: "This email address already has an account. Sign in instead.",
		Fields:  map[string]string{"email": "This email address already has an account. Sign in instead."}}
	ErrUIDTaken     = problem.New(problem.Conflict, "uid_taken", "This account already exists.")
	ErrEmailInvalid = &problem.Error{Kind: problem.Invalid, Code: "invalid_fields",
		Message: "This is not an email address.",
		Fields:  map[string]string{"email": "Enter an email address like name@example.org."}}
	ErrNoEmail      = problem.New(problem.Conflict, "email_missing", "This account has no email address.")
	ErrTooManyTries = problem.New(problem.TooMany, "too_many_tries", "Too many attempts. Wait a few minutes.")
	ErrPasswordWeak = &problem.Error{Kind: problem.Invalid, Code: "invalid_fields",
		Message: "This password is too easy to guess.",
		Fields:  map[string]string{"password": "Choose a longer password."}}
)

// Account is a user's credentials.
type Account struct {
	UID           string
	Email         string
	EmailVerified bool // the user has proved that the address is theirs
	DisplayName   string
	Disabled      bool
	Admin         bool // the claim "admin"
	CreatedAt     time.Time
	LastSignIn    time.Time // zero: never
	ValidAfter    time.Time // tokens of earlier sign-ins are not accepted; to the second
	SecondFactor  bool      // a sign-in needs the code of an authenticator app, too
}

// New is an account to create.
type New struct {
	UID           string // chosen by the caller, see chat.ValidUID
	Email         string
	EmailVerified bool
	Password      string
	DisplayName   string
}

// Change is a change of an account. Fields that are nil do not change.
type Change struct {
	Password      *string
	EmailVerified *bool
	DisplayName   *string
	Disabled      *bool
}

// Accounts is the port. Its methods block until the sign-in system has answered or the context ends, and are safe for
// concurrent use. Repeating a call does no harm, unless its comment says otherwise. If the system is down, slow or
// over its quota, the error is problem.ErrUnavailable with the cause. If the account does not exist, it is
// problem.ErrNotFound.
type Accounts interface {
	// Create creates an account. ErrEmailTaken, ErrUIDTaken (if both apply, either of them), ErrEmailInvalid,
	// ErrPasswordWeak. It is not repeatable: the second call finds the uid taken.
	Create(ctx context.Context, n New) error

	// Get returns one account. ByEmail finds it by its address, in any case.
	Get(ctx context.Context, uid string) (Account, error)
	ByEmail(ctx context.Context, email string) (Account, error)

	// GetAll returns those of the accounts that exist, by uid.
	GetAll(ctx context.Context, uids []string) (map[string]Account, error)

	// Update changes the fields of c that are not nil. Changing the password ends all sign-ins: ValidAfter becomes the
	// present time. Disabling ends them for as long as it lasts.
	Update(ctx context.Context, uid string, c Change) error

	// SetAdmin sets or removes the claim. A token that was issued before keeps its claims until it expires, at most an
	// hour later. So whatever checks the claim must also check the store.
	SetAdmin(ctx context.Context, uid string, admin bool) error

	// Revoke ends all sign-ins: no new ID tokens are issued for them.
	Revoke(ctx context.Context, uid string) error

	// RemoveSecondFactors makes the password alone sign in again. It does not end sign-ins.
	RemoveSecondFactors(ctx context.Context, uid string) error

	// CheckPassword reports whether a password is that of the account with an address, and returns its uid if so. Like a
	// sign-in of a user, it is limited: after several wrong passwords the sign-in system refuses even the right one for
	// some time, which is ErrTooManyTries.
	CheckPassword(ctx context.Context, email, password string) (uid string, right bool, err error)

	// SignInToken returns a token with which the bearer can sign in as the account once, within an hour, without its
	// password. It needs the right to sign as the service account of the process.
	SignInToken(ctx context.Context, uid string) (string, error)

	// Delete deletes the account. It succeeds if the account does not exist.
	Delete(ctx context.Context, uid string) error

	// SendPasswordReset makes the sign-in system send an email with a link to the present address of an account. A user
	// who uses the link has ended all sign-ins and verified the address. ErrNoEmail.
	SendPasswordReset(ctx context.Context, uid string) error
}
