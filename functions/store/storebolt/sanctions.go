package storebolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// LimitContacts implements store.Sanctions.
func (s *Store) LimitContacts(ctx context.Context, uid string, until chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.LimitedUntil = until
		return nil
	})
}

// Warn implements store.Sanctions.
func (s *Store) Warn(ctx context.Context, uid string, w store.Warning) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.Warning = &w
		return nil
	})
}

// ConfirmWarning implements store.Sanctions.
func (s *Store) ConfirmWarning(ctx context.Context, uid string, at chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *bbolt.Tx, u *store.User) error {
		u.ConfirmWarning(at)
		return nil
	})
}
