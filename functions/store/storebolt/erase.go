package storebolt

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// BeginErase implements store.Erasure.
func (s *Store) BeginErase(ctx context.Context, uid string, at chat.Micros) (store.User, error) {
	return s.beginErase(ctx, uid, at, anybody)
}

// beginErase is BeginErase if the user is one of those; otherwise the error is problem.ErrNotFound.
func (s *Store) beginErase(
	ctx context.Context, uid string, at chat.Micros, of func(store.User) bool,
) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		if !of(*u) {
			return problem.ErrNotFound
		}
		if begun, err := u.BeginErase(at, otherAdmin(tx)); err != nil || !begun {
			return err
		}
		return tx.Bucket(erased).Put(num(nil, at, uid), nil)
	})
}

// Abandoned implements store.Erasure.
func (s *Store) Abandoned(ctx context.Context, since chat.Micros, limit int) ([]store.User, error) {
	return s.oldest(ctx, byDisuse, since, limit)
}

// BeginEraseAbandoned implements store.Erasure.
func (s *Store) BeginEraseAbandoned(ctx context.Context, uid string, since, at chat.Micros) (store.User, error) {
	return s.beginErase(ctx, uid, at, func(u store.User) bool { return u.Abandoned(since) })
}

// FinishErase implements store.Erasure.
func (s *Store) FinishErase(ctx context.Context, uid string, now chat.Micros) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		u, err := getUser(tx, uid)
		if errors.Is(err, problem.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if u.ErasingAt == 0 {
			return problem.ErrNotFound
		}
		if err := put(tx, names, []byte(store.NameKey(u.Username)), store.HeldName(uid, now)); err != nil {
			return err
		}
		if err := deletePictures(tx, uid, u.Pictures()); err != nil {
			return err
		}
		if err := reindex(tx, &u, nil); err != nil {
			return err
		}
		return tx.Bucket(users).Delete([]byte(uid))
	})
}

// Erasing implements store.Erasure.
func (s *Store) Erasing(ctx context.Context, before chat.Micros, limit int) ([]store.User, error) {
	return s.oldest(ctx, erasing, before, limit)
}

// oldest returns the users of an index by time, oldest first, whose time is before the given one.
func (s *Store) oldest(ctx context.Context, index []byte, before chat.Micros,
	limit int) (list []store.User, err error) {

	err = s.view(ctx, func(tx *bbolt.Tx) error {
		list = nil
		c := tx.Bucket(index).Cursor()
		for k, _ := c.First(); k != nil && len(list) < limit; k, _ = c.Next() {
			at, uid := denum(k)
			if chat.Micros(at) >= before {
				break
			}
			u, err := getUser(tx, uid)
			if err != nil {
				return err
			}
			list = append(list, u)
		}
		return nil
	})
	return list, err
}

// ErasedSince implements store.Erasure.
func (s *Store) ErasedSince(ctx context.Context, since chat.Micros) (list []store.Erased, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		list = nil
		c := tx.Bucket(erased).Cursor()
		for k, _ := c.Seek(num(nil, max(since, 0), "")); k != nil && len(list) < store.MaxPage; k, _ = c.Next() {
			at, uid := denum(k)
			list = append(list, store.Erased{UID: uid, At: chat.Micros(at)})
		}
		return nil
	})
	return list, err
}
