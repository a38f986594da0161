package storefirestore

import (
	"context"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// RemoveSecondFactor implements store.SecondFactors.
func (s *Store) RemoveSecondFactor(ctx context.Context, uid string) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		u.SecondFactor = false
		return nil
	})
}

// SetRecoveryCodes implements store.SecondFactors.
func (s *Store) SetRecoveryCodes(
	ctx context.Context, uid string, hashes []string, at, keep chat.Micros,
) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		u.SetRecoveryCodes(hashes, at, keep)
		return nil
	})
}

// UseRecoveryCode implements store.SecondFactors.
func (s *Store) UseRecoveryCode(ctx context.Context, uid, hash string) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error { return u.UseRecoveryCode(hash) })
}
