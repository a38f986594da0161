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
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// User implements store.People.
func (s *Store) User(ctx context.Context, uid string) (u store.User, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		u, err = getUser(tx, uid)
		return err
	})
	return u, err
}

// Users implements store.People.
func (s *Store) Users(ctx context.Context, uids []string) (map[string]store.User, error) {
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

// UserByEmail implements store.People.
func (s *Store) UserByEmail(ctx context.Context, email string) (u store.User, err error) {
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

// UserByUsername implements store.People.
func (s *Store) UserByUsername(ctx context.Context, username string) (u store.User, err error) {
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

// change writes what f makes of a person.
func (s *Store) change(ctx context.Context, uid string, f func(tx *bbolt.Tx, u *store.User) error) (u store.User, err error) {
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
		return putUser(tx, &old, u)
	})
	return u, err
}

// Rename implements store.People.
func (s *Store) Rename(ctx context.Context, uid string, username, displayName *string, now chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		if displayName != nil {
			u.DisplayName = *displayName
		}
		if username == nil {
			return nil
		}
		oldKey, newKey := store.NameKey(u.Username), store.NameKey(*username)
		u.Username = *username
		if oldKey == newKey {
			return nil
		}
		n, err := getName(tx, *username)
		if err != nil {
			return err
		}
		if !n.OpenTo("", uid, now) {
			return store.ErrUsernameTaken
		}
		if err := put(tx, names, []byte(oldKey), store.Name{UID: uid, Expires: now + chat.Micros(store.NameHold.Microseconds())}); err != nil {
			return err
		}
		return put(tx, names, []byte(newKey), store.Name{UID: uid})
	})
}

// SetBlocked implements store.People.
func (s *Store) SetBlocked(ctx context.Context, uid, other string, blocked bool) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		switch {
		case !blocked:
			u.Blocked = slices.DeleteFunc(u.Blocked, func(b string) bool { return b == other })
		case u.HasBlocked(other):
		case len(u.Blocked) >= store.MaxBlocked:
			return store.ErrBlockedFull
		default:
			u.Blocked = append(u.Blocked, other)
		}
		return nil
	})
}

// keepAdmin is store.ErrLastAdmin where no active admin but uid is left.
func keepAdmin(tx *bbolt.Tx, uid string) error {
	c := tx.Bucket(admins).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if string(k) == uid {
			continue
		}
		u, err := getUser(tx, string(k))
		if err != nil {
			return err
		}
		if u.Active() {
			return nil
		}
	}
	return store.ErrLastAdmin
}

// SetAdmin implements store.People.
func (s *Store) SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		if u.Admin && !admin && keepOne && u.Active() {
			if err := keepAdmin(tx, uid); err != nil {
				return err
			}
		}
		u.Admin = admin
		return nil
	})
}

// SetDisabled implements store.People.
func (s *Store) SetDisabled(ctx context.Context, uid string, disabled bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		if disabled && u.Admin && u.Active() {
			if err := keepAdmin(tx, uid); err != nil {
				return err
			}
		}
		u.Disabled = disabled || u.ErasingAt != 0
		return nil
	})
}

// EndSessions implements store.People.
func (s *Store) EndSessions(ctx context.Context, uid string, at chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.ValidAfter = max(u.ValidAfter, at)
		return nil
	})
}

// Touch implements store.People.
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

// CountPeople implements store.People. It reads every key of the active ones.
func (s *Store) CountUsers(ctx context.Context, since chat.Micros) (total, active int64, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		total, active = int64(tx.Bucket(byCreated).Stats().KeyN), 0
		c := tx.Bucket(byActive).Cursor()
		for k, _ := c.Seek(num(nil, since, "")); k != nil; k, _ = c.Next() {
			active++
		}
		return nil
	})
	return total, active, err
}
