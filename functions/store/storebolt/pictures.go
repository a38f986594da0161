package storebolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// SetPicture implements store.Pictures.
func (s *Store) SetPicture(ctx context.Context, uid string, p *store.Picture) (store.User, error) {
	return s.change(ctx, uid, func(tx *bbolt.Tx, u *store.User) error {
		switch {
		case u.ErasingAt != 0:
			return problem.ErrNotFound
		case p == nil:
			u.SetPicture("")
			return nil
		}
		u.SetPicture(p.Version)
		return put(tx, pictures, key(uid, p.Version), p)
	})
}

// Picture implements store.Pictures.
func (s *Store) Picture(ctx context.Context, uid, version string) (p store.Picture, err error) {
	store.CountRead(ctx, 1)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		ok, err := get(tx, pictures, key(uid, version), &p)
		if err == nil && !ok {
			err = problem.ErrNotFound
		}
		return err
	})
	return p, err
}

func deletePictures(tx *bbolt.Tx, uid string, versions []string) error {
	for _, v := range versions {
		if err := tx.Bucket(pictures).Delete(key(uid, v)); err != nil {
			return err
		}
	}
	return nil
}
