package users

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// addressTime limits the time that a call spends on updating a copy of an address.
const addressTime = 5 * time.Second

// FollowAddress replaces the copy of an address by a newer one, as a verified token or the sign-in system has it. If
// that changes whether the address is verified, the change takes effect on all instances of realtime/ at once, and the
// user's devices load the own profile again. A failure of realtime/ is only logged, because the copy has changed: a
// repeated call would not send the gate again. The gate then applies when the cached one expires, after 24 h at most.
func (s *Service) FollowAddress(ctx context.Context, u store.User, a store.Address) (store.User, error) {
	return s.followAddress(ctx, u, a, 0)
}

// FollowToken is FollowAddress for the address in a token of the sign-in at authTime. If it is another address than
// that of the copy, all earlier sign-ins end, because whoever has the old address may have been somebody else. They end
// before the copy changes, so that the next call repeats what has failed.
func (s *Service) FollowToken(ctx context.Context, u store.User, a store.Address,
	authTime time.Time) (store.User, error) {
	// The times of tokens are whole seconds. Of two states in one second, the confirmed one is the later one.
	const second = chat.Micros(1e6)
	if a.Verified && a.Email == u.Email && a.At < u.EmailAt && u.EmailAt-a.At < second {
		a.At = u.EmailAt
	}
	if u.Email == "" || u.Email == a.Email {
		return s.followAddress(ctx, u, a, 0)
	}
	return s.followAddress(ctx, u, a, store.SignInTime(authTime))
}

// followAddress is FollowAddress. It first ends the sign-ins before the given one, if that is not 0. Concurrent calls
// for the same change on this instance share one transaction, because they would only lock each other out of the
// user's document: a client begins with several calls at once, and an admin may be looking at the list of people. The
// transaction goes on if one of the callers leaves.
func (s *Service) followAddress(
	ctx context.Context, u store.User, a store.Address, before chat.Micros,
) (store.User, error) {
	if !u.AddressOutdated(a) {
		return u, nil
	}
	key := fmt.Sprintf("%s %s %t %d", u.UID, a.Email, a.Verified, before)
	return s.addresses.Do(ctx, key, addressTime, func(ctx context.Context) (store.User, error) {
		return s.replaceAddress(ctx, u, a, before)
	})
}

// replaceAddress ends the sign-ins of u before the given one, if that is not 0, and replaces the copy of the address.
func (s *Service) replaceAddress(
	ctx context.Context, u store.User, a store.Address, before chat.Micros,
) (store.User, error) {
	if before != 0 {
		ended, err := s.deps.Store.EndSessions(ctx, u.UID, before)
		if err == nil {
			err = s.endSubscriptions(ctx, ended)
		}
		if err != nil {
			return u, err
		}
	}
	changed, err := s.deps.Store.SetAddress(ctx, u.UID, a)
	if err != nil || changed.EmailVerified == u.EmailVerified {
		return changed, err
	}
	if err := s.pushGate(ctx, changed); err != nil {
		s.deps.Log.ErrorContext(ctx, "a gate could not be sent after a change of the address", "uid", u.UID, "error", err)
	}
	s.announceOwn(ctx, u.UID)
	return changed, nil
}

// RefreshAddress asks the sign-in system for the address of a user, and updates the copy. problem.ErrNotFound: the
// user or the account does not exist.
func (s *Service) RefreshAddress(ctx context.Context, uid string) (store.User, error) {
	now := s.now()
	u, err := s.deps.Store.User(ctx, uid)
	if err != nil {
		return u, err
	}
	account, err := s.deps.Accounts.Get(ctx, uid)
	if err != nil {
		return u, err
	}
	return s.FollowAddress(ctx, u, store.AddressOf(account.Email, account.EmailVerified, now))
}

// copyTime limits the time that a list of users waits for updates of the copies of their addresses.
const copyTime = 2 * time.Second

// RefreshAddresses gives the users in list the addresses that the sign-in system has, and updates the copies that
// differ. After an error, some may still have the old address. A copy that cannot be updated within copyTime is an
// error, too, but its user in list has the new address: the next call tries again.
func (s *Service) RefreshAddresses(ctx context.Context, list []store.User) error {
	uids := make([]string, len(list))
	for i, u := range list {
		uids[i] = u.UID
	}
	now := s.now()
	found, err := s.deps.Accounts.GetAll(ctx, uids)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	defer cancel()
	var failed error
	for i, u := range list {
		account := found[u.UID] // zero, without an address, if there is none
		address := store.AddressOf(account.Email, account.EmailVerified, now)
		list[i].SetAddress(address, nil)
		changed, err := s.FollowAddress(ctx, u, address)
		switch {
		case err == nil:
			list[i] = changed
		case failed == nil && !errors.Is(err, problem.ErrNotFound): // not one deleted meanwhile
			failed = fmt.Errorf("updating the copy of %s: %w", u.UID, err)
		}
	}
	return failed
}

// requireVerified returns ErrEmailUnverified unless the address of a user is verified.
func (s *Service) requireVerified(ctx context.Context, uid string) error {
	u, err := s.RefreshAddress(ctx, uid)
	if err == nil && !u.EmailVerified {
		err = ErrEmailUnverified
	}
	return err
}

// ConfirmAddress marks the address of a user's account as verified. The caller has proof that it is theirs.
func (s *Service) ConfirmAddress(ctx context.Context, uid string) error {
	verified := true
	if err := s.deps.Accounts.Update(ctx, uid, accounts.Change{EmailVerified: &verified}); err != nil {
		return err
	}
	_, err := s.RefreshAddress(ctx, uid)
	return err
}
