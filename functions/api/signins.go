package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/clientaddr"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// Ages of a sign-in up to which it counts as fresh. A person who finds an open laptop, or has a stolen token, must not
// be able to do more than chat.
const (
	freshSignIn = 10 * time.Minute // for leaving, and for ending other sign-ins
	adminSignIn = 15 * time.Minute // for every call of an admin

	// For another password: the page has just asked for the present one.
	passwordSignIn = 2 * time.Minute
)

var errSignInAgain = problem.New(problem.Forbidden, "sign_in_again", "Enter your password again to do this.")

// errAdminFactor refuses an admin who has no second factor.
var errAdminFactor = problem.New(problem.Forbidden, "second_factor_required",
	"Admins need a second factor. Add an authenticator app in your settings first.")

// requireFresh returns errSignInAgain if the caller signed in longer ago than age.
func (a *API) requireFresh(r *request, age time.Duration) error {
	if since := a.deps.Now().Sub(r.claims.AuthTime); since > age {
		return errSignInAgain.WithCause(fmt.Errorf("signed in %v ago", since))
	}
	return nil
}

// endedByPassword is the end of a sign-in because of another password. Its holder learns when that was.
type endedByPassword struct {
	error
	at chat.Micros
}

func (e endedByPassword) Unwrap() error { return e.error }

// checkSignIn returns problem.ErrTokenEnded or problem.ErrSignedOut if the caller's sign-in has ended.
func checkSignIn(r *request) error {
	signIn := store.SignInTime(r.claims.AuthTime)
	if !r.user.HasEnded(signIn) {
		return nil
	}
	why := problem.ErrTokenEnded
	if r.user.WasSignedOut(signIn) {
		why = problem.ErrSignedOut
	}
	err := why.WithCause(fmt.Errorf("the sign-in at %v was ended", r.claims.AuthTime.UTC()))
	if at := r.user.EndedBy(signIn); at != 0 {
		return endedByPassword{err, at}
	}
	return err
}

// signInTime limits the time that the first call of a sign-in spends on recording it.
const signInTime = 5 * time.Second

// followAccount brings the caller's record up to date with what the token shows: the address, and the use of a sign-in,
// once in store.DeviceEvery. replaces is the sign-in of the same device that it replaces, or 0. The first call of a
// sign-in asks the sign-in system whether earlier sign-ins have ended, which may include this one. It is the only call
// that does. If the sign-in system or the store fails, the request goes on with the record as it is, and the next
// request tries again. Beyond newSignIns, it is refused, so that no sign-in goes on without being listed.
func (a *API) followAccount(ctx context.Context, r *request, replaces chat.Micros) error {
	address := store.AddressOf(r.claims.Email, r.claims.EmailVerified, micros(r.claims.IssuedAt))
	u, err := a.users.FollowToken(ctx, r.user, address, r.claims.AuthTime)
	if err != nil {
		a.deps.Log.WarnContext(ctx, "copying the address failed", "uid", r.user.UID, "error", err)
	} else {
		changed := r.user.Email != "" && u.Email != "" && u.Email != r.user.Email
		r.user = u
		if changed {
			a.deps.Log.InfoContext(ctx, "changed the address", "uid", u.UID, "auth_time", r.claims.AuthTime.UTC(),
				"client", clientaddr.Of(r.http, a.deps.Proxies))
		}
	}
	seen := store.Seen{SignIn: store.SignInTime(r.claims.AuthTime), Replaces: replaces, At: micros(a.deps.Now()),
		Called: true, Client: useragent.Of(r.http, a.deps.PlaceHeader)}
	if !r.user.IsDue(seen) {
		return nil
	}
	isNew := r.user.IsNewSignIn(seen.SignIn)
	u, err = a.recordSignIn(ctx, r, seen, isNew)
	if errors.Is(err, errRateLimited) {
		return err
	}
	if err != nil {
		a.deps.Log.WarnContext(ctx, "recording a sign-in failed", "uid", r.user.UID, "error", err)
		return nil
	}
	r.user = u
	if err := checkSignIn(r); err != nil || !isNew {
		return err
	}
	a.deps.Log.InfoContext(ctx, "signed in", "uid", u.UID, "auth_time", r.claims.AuthTime.UTC(), "admin", u.Admin,
		"client", clientaddr.Of(r.http, a.deps.Proxies))
	return nil
}

// recordSignIn records the use of the caller's sign-in. A client begins with several calls at once. Those on this
// instance share one transaction, because they would only lock each other out of the user's document. It goes on if one
// of the callers leaves.
func (a *API) recordSignIn(ctx context.Context, r *request, seen store.Seen, isNew bool) (store.User, error) {
	key := fmt.Sprintf("%s %d %d", r.user.UID, seen.SignIn, seen.Replaces)
	return a.signIns.Do(ctx, key, signInTime, func(ctx context.Context) (store.User, error) {
		if isNew {
			if _, err := a.ledger.take(ctx, newSignIns, r.user.UID, 1, 1); err != nil {
				return store.User{}, err
			}
		}
		u, err := a.users.RecordSignIn(ctx, r.user, seen)
		if err != nil && isNew { // the next call tries again
			a.ledger.giveBack(newSignIns, r.user.UID, 1)
		}
		return u, err
	})
}

// signOut ends the caller's sign-in.
func (a *API) signOut(ctx context.Context, r *request) (*response, error) {
	return &response{}, a.users.EndSession(ctx, r.user.UID, r.claims.AuthTime)
}

// signOutOthers ends all other sign-ins of the caller. A client calls it when the password has changed, after it has
// signed in with the new one.
func (a *API) signOutOthers(ctx context.Context, r *request) (*response, error) {
	if err := a.requireFresh(r, freshSignIn); err != nil {
		return nil, err
	}
	return &response{}, a.users.EndOtherSessions(ctx, r.user.UID, r.claims.AuthTime)
}

// changePassword gives the caller another password, and ends all other sign-ins. The client then signs in with it.
func (a *API) changePassword(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Password string `json:"password"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if err := a.requireFresh(r, passwordSignIn); err != nil {
		return nil, err
	}
	if err := a.users.ChangePassword(ctx, r.user, r.claims.AuthTime, in.Password); err != nil {
		return nil, err
	}
	a.deps.Log.InfoContext(ctx, "changed the password", "uid", r.user.UID, "auth_time", r.claims.AuthTime.UTC(),
		"client", clientaddr.Of(r.http, a.deps.Proxies))
	return &response{}, nil
}
