package users

import (
	"context"
	"errors"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/password"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// SignOut ends all sign-ins of a user: their sockets are closed, and the tokens issued so far stop working.
func (s *Service) SignOut(ctx context.Context, uid string) (store.User, error) {
	// Sign-in times are whole seconds. Rounding up also ends the sign-ins of this second. A user who signs in again
	// within the rest of it has to do so twice.
	at := s.deps.Now().Truncate(time.Second).Add(time.Second)
	u, err := s.deps.Store.EndSessions(ctx, uid, chat.MicrosOf(at))
	if err != nil {
		return u, err
	}
	return u, errors.Join(s.endSubscriptions(ctx, u), s.deps.Accounts.Revoke(ctx, uid))
}

// EndSession ends the sign-in of a user at authTime: its sockets are closed, and neither its tokens nor those that its
// refresh token makes later are accepted.
func (s *Service) EndSession(ctx context.Context, uid string, authTime time.Time) error {
	u, err := s.deps.Store.EndSession(ctx, uid, store.SignInTime(authTime))
	if err != nil {
		return err
	}
	return s.endSubscriptions(ctx, u)
}

// EndOtherSessions ends all sign-ins of a user but the one at authTime, because the password has just changed. Their
// devices keep their data.
func (s *Service) EndOtherSessions(ctx context.Context, uid string, authTime time.Time) error {
	u, err := s.deps.Store.EndOtherSessions(ctx, uid, store.SignInTime(authTime), s.now())
	if err != nil {
		return err
	}
	return s.endSubscriptions(ctx, u)
}

// ChangePassword gives a user who has signed in at authTime, with the present password, another one, and ends all other
// sign-ins. The sign-in system ends this one, too: its tokens are accepted until the client signs in with the new
// password. A password that breaks the rule is a problem with a fault of the field password, as in a sign-up.
func (s *Service) ChangePassword(ctx context.Context, u store.User, authTime time.Time, chosen string) error {
	chosen = norm.NFC.String(chosen) // as the client uses it at every sign-in
	if err := passwordProblem(password.Check(chosen, u.Username, u.DisplayName, u.Email)); err != nil {
		return err
	}
	if err := s.deps.Accounts.Update(ctx, u.UID, accounts.Change{Password: &chosen}); err != nil {
		return err
	}
	// The password has changed, which a repeated call could not do again. If this fails, the next sign-in ends the others.
	if err := s.EndOtherSessions(ctx, u.UID, authTime); err != nil {
		s.deps.Log.WarnContext(ctx, "ending the other sign-ins after a new password failed", "uid", u.UID, "error", err)
	}
	return nil
}

// SignOutOthers signs a user out everywhere but at the sign-in at authTime: the other devices delete their data. It
// also revokes all refresh tokens in the sign-in system, that of authTime included, whose user must sign in again
// within the hour.
func (s *Service) SignOutOthers(ctx context.Context, uid string, authTime time.Time) error {
	u, err := s.deps.Store.EndOtherSessions(ctx, uid, store.SignInTime(authTime), 0)
	if err != nil {
		return err
	}
	return errors.Join(s.endSubscriptions(ctx, u), s.deps.Accounts.Revoke(ctx, uid))
}

// SignOutDevice signs a user out on one device, which deletes its data. An unknown device is a problem of kind
// NotFound.
func (s *Service) SignOutDevice(ctx context.Context, uid, device string) error {
	u, err := s.deps.Store.SignOutDevice(ctx, uid, device)
	if err != nil {
		return err
	}
	return s.endSubscriptions(ctx, u)
}

// RecordSignIn records a use of a sign-in of u, which is due. The first call of a sign-in asks the sign-in system
// whether it has ended earlier sign-ins, as it does when the password, the address or the second factor changes, and
// ends them here, too. After an error the sign-in is not recorded, so the next call tries again. Another device is
// announced on the user's devices.
func (s *Service) RecordSignIn(ctx context.Context, u store.User, seen store.Seen) (store.User, error) {
	if u.IsNewSignIn(seen.SignIn) {
		account, err := s.deps.Accounts.Get(ctx, u.UID)
		if err != nil {
			return u, err
		}
		if u, err = s.endEarlier(ctx, u, account, seen.SignIn); err != nil {
			return u, err
		}
		seen.Factor = account.SecondFactor
	}
	u, added, err := s.deps.Store.RecordSignIn(ctx, u.UID, seen)
	if err == nil && added && len(u.Devices) > 1 {
		if err := s.deps.Realtime.OwnProfileChanged(ctx, u.UID); err != nil {
			s.deps.Log.WarnContext(ctx, "a new sign-in could not be announced", "uid", u.UID, "error", err)
		}
	}
	return u, err
}

// endEarlier ends the sign-ins of u that the sign-in system has ended.
func (s *Service) endEarlier(
	ctx context.Context, u store.User, account accounts.Account, signIn chat.Micros,
) (_ store.User, err error) {
	switch at := endedBefore(account, signIn); {
	case at > u.ValidAfter && !enrolled(u, account):
		if u, err = s.deps.Store.EndSessions(ctx, u.UID, at); err == nil {
			err = s.endSubscriptions(ctx, u)
		}
	case at > 0 && at == u.ValidAfter && len(u.SignIns) == 0:
		err = s.pushGate(ctx, u) // an attempt that changed the store may have failed to send the gate
	}
	return u, err
}

// enrolled reports whether the sign-in system has last ended sign-ins when u enrolled a second factor, and this is
// recorded. The enrollment is a sign-in of that second itself, which stays.
func enrolled(u store.User, a accounts.Account) bool {
	return a.SecondFactor && u.SecondFactor && u.ValidAfter == store.SignInTime(a.ValidAfter)
}

// endedBefore returns the time before which the sign-in system has ended the sign-ins of an account; 0: it has not
// ended any. The sign-in system has whole seconds, so sign-ins of the second of the change may be older than it. They
// are ended, too, unless signIn, which the user has just made, is one of them.
func endedBefore(a accounts.Account, signIn chat.Micros) chat.Micros {
	const second = chat.Micros(1e6)
	at := store.SignInTime(a.ValidAfter)
	switch {
	case at <= store.SignInTime(a.CreatedAt): // set when the account was created
		return 0
	case signIn > at:
		return at + second
	}
	return at
}
