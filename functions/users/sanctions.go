package users

import (
	"context"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// LimitContacts forbids a user to write to new people until a time, on all instances of realtime/ at once. 0: they may
// again.
func (s *Service) LimitContacts(ctx context.Context, uid string, until chat.Micros) error {
	u, err := s.deps.Store.LimitContacts(ctx, uid, until)
	if err != nil {
		return err
	}
	s.announceOwn(ctx, uid)
	return s.pushGate(ctx, u)
}

// Warn gives a user a warning, which their devices show until it is confirmed.
func (s *Service) Warn(ctx context.Context, uid string, w store.Warning) error {
	if _, err := s.deps.Store.Warn(ctx, uid, w); err != nil {
		return err
	}
	s.announceOwn(ctx, uid)
	return nil
}

// ConfirmWarning removes the warning of a time, on all devices of the user.
func (s *Service) ConfirmWarning(ctx context.Context, uid string, at chat.Micros) error {
	if _, err := s.deps.Store.ConfirmWarning(ctx, uid, at); err != nil {
		return err
	}
	s.announceOwn(ctx, uid)
	return nil
}

// announceOwn makes open clients of the user load their own profile again. A failure is only logged, because they do so
// at their next visit anyway.
func (s *Service) announceOwn(ctx context.Context, uid string) {
	if err := s.deps.Realtime.OwnProfileChanged(ctx, uid); err != nil {
		s.deps.Log.WarnContext(ctx, "a change of the own profile could not be announced", "uid", uid, "error", err)
	}
}
