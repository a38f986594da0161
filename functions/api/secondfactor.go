package api

import (
	"context"
	"errors"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// newRecoveryCodes gives the caller, who has signed in with a second factor, other recovery codes.
func (a *API) newRecoveryCodes(ctx context.Context, r *request) (*response, error) {
	if err := a.requireFreshFactor(r); err != nil {
		return nil, err
	}
	codes, err := a.users.NewRecoveryCodes(ctx, r.user, r.claims.AuthTime)
	if err != nil {
		return nil, err
	}
	a.logFactor(ctx, r, "made recovery codes", r.user.UID)
	return ok(map[string]any{"codes": codes}), nil
}

// removeSecondFactor makes the caller's password alone sign in.
func (a *API) removeSecondFactor(ctx context.Context, r *request) (*response, error) {
	if err := a.requireFreshFactor(r); err != nil {
		return nil, err
	}
	u, err := a.users.RemoveSecondFactor(ctx, r.user.UID)
	if err != nil {
		return nil, err
	}
	a.logFactor(ctx, r, "removed the second factor", u.UID)
	return ok(a.ownFor(r, u)), nil
}

// requireFreshFactor returns errSignInAgain unless the caller has just signed in with a second factor.
func (a *API) requireFreshFactor(r *request) error {
	if err := requireFactor(r); err != nil {
		return err
	}
	return a.requireFresh(r, freshSignIn)
}

// requireFactor returns errSignInAgain unless the caller has signed in with a second factor.
func requireFactor(r *request) error {
	if !r.claims.SecondFactor {
		return errSignInAgain.WithCause(errors.New("signed in without a second factor"))
	}
	return nil
}

func (a *API) logFactor(ctx context.Context, r *request, what, uid string) {
	a.deps.Log.InfoContext(ctx, what, "uid", uid, "client", clientaddr.Of(r.http, a.deps.Proxies))
}

// RecoveriesPerHour limits the attempts with recovery codes for one account, whose password was right.
const RecoveriesPerHour = 10

// recoveriesHourly limits the attempts to recover accounts from one address in an hour, with any password.
const recoveriesHourly = 30

var errRecoveries = problem.New(problem.TooMany, "too_many_tries",
	"Too many attempts from this network or for this account. Try again later.")

// recoveries is the budget of one account. Its key is the uid, like that of a budget of a user, but the caller has no
// token.
var recoveries = Budget{Name: "recover", Window: time.Hour, Shared: RecoveriesPerHour, Chunk: 1, Calls: true,
	refused: errRecoveries}

// recoverAccount removes the second factor of a person who has lost it, with the password and a recovery code. All
// sign-ins end.
func (a *API) recoverAccount(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Code     string `json:"code"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := users.CheckRecoveryCode(in.Code); err != nil {
		return nil, err // not counted: the user is still filling in the form
	}
	if err := a.countByNetwork(ctx, r.http, "recover", recoveriesHourly, errRecoveries); err != nil {
		return nil, err
	}
	uid, err := a.users.CheckPassword(ctx, in.Email, in.Password)
	if err != nil {
		return nil, err
	}
	// Only now, so that nobody without the password can use up the attempts of an account.
	if _, err := a.networks.take(ctx, recoveries, uid, 1, 1); err != nil {
		return nil, err
	}
	if err := a.users.Recover(ctx, uid, in.Code); err != nil {
		return nil, err
	}
	a.logFactor(ctx, r, "removed the second factor with a recovery code", uid)
	return &response{}, nil
}
