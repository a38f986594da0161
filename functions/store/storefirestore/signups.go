package storefirestore

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// signupDoc is signups/{email key}.
type signupDoc struct {
	Username string      `firestore:"username"`
	UID      string      `firestore:"uid"`
	Attempt  string      `firestore:"attempt"`
	Expires  chat.Micros `firestore:"expires_us"`
}

func (d signupDoc) signup(emailKey string) *store.Signup {
	return &store.Signup{EmailKey: emailKey, Username: d.Username, UID: d.UID, Attempt: d.Attempt, Expires: d.Expires}
}

func signupDocOf(s store.Signup) signupDoc {
	return signupDoc{Username: s.Username, UID: s.UID, Attempt: s.Attempt, Expires: s.Expires}
}

// nameIn reads usernames/{key}. It returns nil if there is none.
func (s *Store) nameIn(tx *firestore.Transaction, key string) (*store.Name, error) {
	if !pathSafe(key) {
		return nil, errName(key)
	}
	var n store.Name
	ok, err := getIn(tx, s.doc(colNames, key), &n)
	if err != nil || !ok {
		return nil, err
	}
	return &n, nil
}

// signupIn reads signups/{emailKey} and the entry of its username. It returns nil for one that does not exist.
func (s *Store) signupIn(tx *firestore.Transaction, emailKey string) (*store.Signup, *store.Name, error) {
	var d signupDoc
	ok, err := getIn(tx, s.doc(colSignups, emailKey), &d)
	if err != nil || !ok {
		return nil, nil, err
	}
	n, err := s.nameIn(tx, store.NameKey(d.Username))
	return d.signup(emailKey), n, err
}

// dropLease releases a username if the sign-up of emailKey leases it. n is the entry of the username.
func (s *Store) dropLease(tx *firestore.Transaction, n *store.Name, username, emailKey string) error {
	if !n.LeasedBy(emailKey) {
		return nil
	}
	return tx.Delete(s.doc(colNames, store.NameKey(username)))
}

// Reserve implements store.Signups.
func (s *Store) Reserve(ctx context.Context, email, username, uid, attempt string, now chat.Micros,
	lease time.Duration) (signup store.Signup, err error) {
	emailKey, key := store.EmailKey(email), store.NameKey(username)
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		old, oldName, err := s.signupIn(tx, emailKey)
		if err != nil {
			return err
		}
		if signup, err = store.Renew(old, emailKey, username, uid, attempt, now, lease); err != nil {
			return err
		}
		name, err := s.nameIn(tx, key)
		if err != nil {
			return err
		}
		if !name.OpenTo(emailKey, "", now) {
			return store.ErrUsernameTaken
		}
		if old != nil && store.NameKey(old.Username) != key {
			if err := s.dropLease(tx, oldName, old.Username, emailKey); err != nil {
				return err
			}
		}
		if err := tx.Set(s.doc(colNames, key), store.Name{EmailKey: emailKey, Expires: signup.Expires}); err != nil {
			return err
		}
		return tx.Set(s.doc(colSignups, emailKey), signupDocOf(signup))
	})
	return signup, err
}

// Commit implements store.Signups.
func (s *Store) Commit(ctx context.Context, signup store.Signup, u store.User) error {
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		have, name, err := s.signupIn(tx, signup.EmailKey)
		if err != nil {
			return err
		}
		if err := have.CheckCommit(signup, name, u); err != nil {
			return err
		}
		others, err := s.sharing(ctx, tx, u.Email, u.UID)
		if err != nil {
			return err
		}
		if err := s.replaceUsers(tx, u.Displaced(others)); err != nil {
			return err
		}
		if err := tx.Set(s.doc(colNames, store.NameKey(u.Username)), store.Name{UID: u.UID}); err != nil {
			return err
		}
		if err := tx.Delete(s.doc(colSignups, signup.EmailKey)); err != nil {
			return err
		}
		return tx.Create(s.doc(colUsers, u.UID), docOf(u))
	})
}

// Release implements store.Signups.
func (s *Store) Release(ctx context.Context, signup store.Signup) error {
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		have, name, err := s.signupIn(tx, signup.EmailKey)
		if err != nil || !have.HeldBy(signup) {
			return err
		}
		if err := s.dropLease(tx, name, have.Username, have.EmailKey); err != nil {
			return err
		}
		have.Attempt = ""
		return tx.Set(s.doc(colSignups, have.EmailKey), signupDocOf(*have))
	})
}

// LeaseStale implements store.Signups.
func (s *Store) LeaseStale(ctx context.Context, before chat.Micros, attempt string, now chat.Micros,
	lease time.Duration, limit int) ([]store.Signup, error) {
	var stale, leased []store.Signup
	err := each(ctx, s.query(staleSignups, nil, int64(before)).Limit(limit),
		func(snap *firestore.DocumentSnapshot) (bool, error) {
			var d signupDoc
			_, err := decoded(snap, nil, &d)
			stale = append(stale, *d.signup(snap.Ref.ID))
			return true, err
		})
	if err != nil {
		return nil, err
	}
	for _, old := range stale {
		mine := old
		mine.Attempt, mine.Expires = attempt, now+chat.Micros(lease.Microseconds())
		won := false
		err := s.transact(ctx, func(tx *firestore.Transaction) error {
			have, _, err := s.signupIn(tx, old.EmailKey)
			won = have != nil && *have == old
			if err != nil || !won {
				return err
			}
			return tx.Set(s.doc(colSignups, old.EmailKey), signupDocOf(mine))
		})
		if err != nil {
			return leased, err
		}
		if won {
			leased = append(leased, mine)
		}
	}
	return leased, nil
}

// Forget implements store.Signups.
func (s *Store) Forget(ctx context.Context, signup store.Signup) error {
	return s.transact(ctx, func(tx *firestore.Transaction) error {
		have, name, err := s.signupIn(tx, signup.EmailKey)
		if err != nil || !have.HeldBy(signup) {
			return err
		}
		if err := s.dropLease(tx, name, have.Username, have.EmailKey); err != nil {
			return err
		}
		return tx.Delete(s.doc(colSignups, signup.EmailKey))
	})
}
