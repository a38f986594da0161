package users

import (
	"context"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// SetPicture replaces the picture of a user, which has been checked; nil removes it.
func (s *Service) SetPicture(ctx context.Context, uid string, p *store.Picture) (store.User, error) {
	u, err := s.deps.Store.SetPicture(ctx, uid, p)
	if err == nil {
		s.announceProfile(ctx, uid)
	}
	return u, err
}
