package storebolt

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func getName(tx *bbolt.Tx, username string) (*store.Name, error) {
	var n store.Name
	ok, err := get(tx, names, []byte(store.NameKey(username)), &n)
	if err != nil || !ok {
		return nil, err
	}
	return &n, nil
}

func getSignup(tx *bbolt.Tx, emailKey string) (*store.Signup, error) {
	var s store.Signup
	ok, err := get(tx, signups, []byte(emailKey), &s)
	if err != nil || !ok {
		return nil, err
	}
	return &s, nil
}

// dropLease releases a username if the sign-up of emailKey leases it.
func dropLease(tx *bbolt.Tx, username, emailKey string) error {
	n, err := getName(tx, username)
	if err != nil || !n.LeasedBy(emailKey) {
		return err
	}
	return tx.Bucket(names).Delete([]byte(store.NameKey(username)))
}

// Reserve implements store.Signups.
func (s *Store) Reserve(ctx context.Context, email, username, uid, attempt string, now chat.Micros,
	lease time.Duration) (signup store.Signup, err error) {
	emailKey := store.EmailKey(email)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		old, err := getSignup(tx, emailKey)
		if err != nil {
			return err
		}
		if signup, err = store.Renew(old, emailKey, username, uid, attempt, now, lease); err != nil {
			return err
		}
		name, err := getName(tx, username)
		if err != nil {
			return err
		}
		if !name.OpenTo(emailKey, "", now) {
			return store.ErrUsernameTaken
		}
		if old != nil && store.NameKey(old.Username) != store.NameKey(username) {
			if err := dropLease(tx, old.Username, emailKey); err != nil {
				return err
			}
		}
		if err := put(tx, names, []byte(store.NameKey(username)),
			store.Name{EmailKey: emailKey, Expires: signup.Expires}); err != nil {
			return err
		}
		return put(tx, signups, []byte(emailKey), signup)
	})
	return signup, err
}

// Commit implements store.Signups.
func (s *Store) Commit(ctx context.Context, signup store.Signup, u store.User) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		have, err := getSignup(tx, signup.EmailKey)
		if err != nil {
			return err
		}
		name, err := getName(tx, signup.Username)
		if err != nil {
			return err
		}
		if err := have.CheckCommit(signup, name, u); err != nil {
			return err
		}
		if err := put(tx, names, []byte(store.NameKey(u.Username)), store.Name{UID: u.UID}); err != nil {
			return err
		}
		if err := tx.Bucket(signups).Delete([]byte(signup.EmailKey)); err != nil {
			return err
		}
		others, err := sharing(tx, u.Email, u.UID)
		if err != nil {
			return err
		}
		if err := replaceUsers(tx, u.Displaced(others)); err != nil {
			return err
		}
		return putUser(tx, nil, u)
	})
}

// Release implements store.Signups.
func (s *Store) Release(ctx context.Context, signup store.Signup) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		have, err := getSignup(tx, signup.EmailKey)
		if err != nil || !have.HeldBy(signup) {
			return err
		}
		if err := dropLease(tx, have.Username, have.EmailKey); err != nil {
			return err
		}
		have.Attempt = ""
		return put(tx, signups, []byte(have.EmailKey), have)
	})
}

// LeaseStale implements store.Signups. It reads all leases. They are few: those of sign-ups that are in progress or
// were interrupted.
func (s *Store) LeaseStale(ctx context.Context, before chat.Micros, attempt string, now chat.Micros,
	lease time.Duration, limit int) (stale []store.Signup, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		stale = nil
		err := tx.Bucket(signups).ForEach(func(k, v []byte) error {
			var have store.Signup
			if err := decode(signups, k, v, &have); err != nil {
				return err
			}
			if have.Expires < before {
				stale = append(stale, have)
			}
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(stale, func(a, b store.Signup) int { return int(a.Expires - b.Expires) })
		stale = stale[:min(len(stale), limit)]
		for i := range stale {
			stale[i].Attempt, stale[i].Expires = attempt, now+chat.Micros(lease.Microseconds())
			if err := put(tx, signups, []byte(stale[i].EmailKey), stale[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return stale, err
}

// Forget implements store.Signups.
func (s *Store) Forget(ctx context.Context, signup store.Signup) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		have, err := getSignup(tx, signup.EmailKey)
		if err != nil || !have.HeldBy(signup) {
			return err
		}
		if err := dropLease(tx, have.Username, have.EmailKey); err != nil {
			return err
		}
		return tx.Bucket(signups).Delete([]byte(signup.EmailKey))
	})
}
