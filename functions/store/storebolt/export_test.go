package storebolt

import (
	"context"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// MaxLook is maxLook.
const MaxLook = maxLook

// Import writes many users, a thousand per transaction, for tests of large lists.
func (s *Store) Import(ctx context.Context, users []store.User) error {
	for part := range slices.Chunk(users, 1000) {
		err := s.update(ctx, func(tx *bbolt.Tx) error {
			for _, u := range part {
				if err := put(tx, names, []byte(store.NameKey(u.Username)), store.Name{UID: u.UID}); err != nil {
					return err
				}
				if err := putUser(tx, nil, u); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
