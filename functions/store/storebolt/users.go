package storebolt

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// User implements store.Users.
func (s *Store) User(ctx context.Context, uid string) (u store.User, err error) {
	store.CountRead(ctx, 1)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		u, err = getUser(tx, uid)
		return err
	})
	return u, err
}

// Users implements store.Users.
func (s *Store) Users(ctx context.Context, uids []string) (map[string]store.User, error) {
	store.CountRead(ctx, len(uids))
	found := make(map[string]store.User, len(uids))
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		for _, uid := range uids {
			u, err := getUser(tx, uid)
			switch {
			case errors.Is(err, problem.ErrNotFound):
			case err != nil:
				return err
			default:
				found[uid] = u
			}
		}
		return nil
	})
	return found, err
}

// UserByEmail implements store.Users.
func (s *Store) UserByEmail(ctx context.Context, email string) (u store.User, err error) {
	store.CountRead(ctx, 1)
	p := prefix(strings.ToLower(email))
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(byEmail).Cursor().Seek(p)
		if !bytes.HasPrefix(k, p) {
			return problem.ErrNotFound
		}
		u, err = getUser(tx, string(k[len(p):]))
		return err
	})
	return u, err
}

// UserByUsername implements store.Users.
func (s *Store) UserByUsername(ctx context.Context, username string) (u store.User, err error) {
	store.CountRead(ctx, 2) // the name's entry and the user
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		n, err := getName(tx, username)
		if err != nil {
			return err
		}
		if n == nil || n.UID == "" || n.Expires != 0 {
			return problem.ErrNotFound
		}
		u, err = getUser(tx, n.UID)
		return err
	})
	return u, err
}

// change applies f to a user and writes the result, in one transaction.
func (s *Store) change(ctx context.Context, uid string, f func(tx *bbolt.Tx,
	u *store.User) error) (u store.User, err error) {
	store.CountRead(ctx, 1)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		old, err := getUser(tx, uid)
		if err != nil {
			return err
		}
		u = old
		u.Blocked = slices.Clone(old.Blocked)
		if err := f(tx, &u); err != nil {
			return err
		}
		if err := deletePictures(tx, uid, u.LostPictures(old)); err != nil {
			return err
		}
		return putUser(tx, &old, u)
	})
	return u, err
}

// Rename implements store.Users.
func (s *Store) Rename(ctx context.Context, uid string, username, displayName *string,
	now chat.Micros, operator bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		entry := func(key string) (*store.Name, error) { return getName(tx, key) }
		entries, err := u.Rename(username, displayName, now, operator, entry)
		if err != nil {
			return err
		}
		for key, n := range entries {
			if err := put(tx, names, []byte(key), n); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetBlocked implements store.Users.
func (s *Store) SetBlocked(ctx context.Context, uid, other string, blocked bool) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error { return u.SetBlocked(other, blocked) })
}

// SetPrivacy implements store.Users.
func (s *Store) SetPrivacy(ctx context.Context, uid string, p chat.Privacy) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.Privacy = p
		return nil
	})
}

// otherAdmin returns a store.OtherAdmin that reads in tx. Bolt runs one writing transaction at a time, so its answer
// holds until tx ends.
func otherAdmin(tx *bbolt.Tx) store.OtherAdmin {
	return func(uid string) (bool, error) {
		c := tx.Bucket(admins).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if string(k) == uid {
				continue
			}
			if u, err := getUser(tx, string(k)); err != nil || u.Active() {
				return err == nil, err
			}
		}
		return false, nil
	}
}

// SetAdmin implements store.Users.
func (s *Store) SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		return u.SetAdmin(admin, keepOne, otherAdmin(tx))
	})
}

// SetDisabled implements store.Users.
func (s *Store) SetDisabled(ctx context.Context, uid string, disabled bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error { return u.SetDisabled(disabled, otherAdmin(tx)) })
}

// EndSessions implements store.Users.
func (s *Store) EndSessions(ctx context.Context, uid string, at chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.EndSessions(at)
		return nil
	})
}

// EndSession implements store.Users.
func (s *Store) EndSession(ctx context.Context, uid string, signIn chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.EndSession(signIn)
		return nil
	})
}

// EndOtherSessions implements store.Users.
func (s *Store) EndOtherSessions(ctx context.Context, uid string, keep, passwordAt chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.EndOtherSessions(keep, passwordAt)
		return nil
	})
}

// SignOutDevice implements store.Users.
func (s *Store) SignOutDevice(ctx context.Context, uid, device string) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error { return u.SignOutDevice(device) })
}

// RecordSignIn implements store.Users.
func (s *Store) RecordSignIn(ctx context.Context, uid string, seen store.Seen) (u store.User, added bool, err error) {
	u, err = s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		before := *u
		u.RecordSignIn(seen)
		added = u.AddedDevice(before, seen)
		return nil
	})
	return u, added, err
}

// SetAddress implements store.Users.
func (s *Store) SetAddress(ctx context.Context, uid string, a store.Address) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		if !u.AddressOutdated(a) {
			return nil
		}
		others, err := sharing(tx, a.Email, uid)
		if err != nil {
			return err
		}
		return replaceUsers(tx, u.SetAddress(a, others))
	})
}

// Touch implements store.Users.
func (s *Store) Touch(ctx context.Context, uids []string, at chat.Micros) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, uid := range uids {
			old, err := getUser(tx, uid)
			if errors.Is(err, problem.ErrNotFound) || err == nil && old.LastActiveAt >= at {
				continue
			}
			if err != nil {
				return err
			}
			u := old
			u.LastActiveAt = at
			if err := putUser(tx, &old, u); err != nil {
				return err
			}
		}
		return nil
	})
}

// CountUsers implements store.Users. It reads the key of every active user.
func (s *Store) CountUsers(ctx context.Context, since chat.Micros) (total, active int64, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		total, active = int64(tx.Bucket(byCreated).Stats().KeyN), 0
		c := tx.Bucket(byActive).Cursor()
		for k, _ := c.Seek(num(nil, since, "")); k != nil; k, _ = c.Next() {
			active++
		}
		for _, uid := range []string{prober.A, prober.B} {
			u, err := getUser(tx, uid)
			switch {
			case errors.Is(err, problem.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			total--
			if u.LastActiveAt >= since {
				active--
			}
		}
		return nil
	})
	return total, active, err
}
