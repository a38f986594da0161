package users

import (
	"context"
	"errors"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Subscribe registers a device of u for push. From then on realtime/ publishes messages that wait for u.
func (s *Service) Subscribe(ctx context.Context, u store.User, sub store.Subscription) error {
	bereft, err := s.deps.Store.Subscribe(ctx, u.UID, sub)
	if err != nil {
		return err
	}
	if bereft != "" {
		if err := s.RefreshGate(ctx, bereft); err != nil { // notify does it again, with the next message
			s.deps.Log.WarnContext(ctx, "a gate could not be sent", "uid", bereft, "error", err)
		}
	}
	u.Push = true
	return s.pushGate(ctx, u)
}

// Unsubscribe removes push subscriptions of u.
func (s *Service) Unsubscribe(ctx context.Context, u store.User, drop func(store.Subscription) bool) error {
	u, err := s.unsubscribe(ctx, u, drop)
	if err != nil {
		return err
	}
	return s.pushGate(ctx, u)
}

// unsubscribe is Unsubscribe without the gate. It returns u as it is then.
func (s *Service) unsubscribe(ctx context.Context, u store.User,
	drop func(store.Subscription) bool) (store.User, error) {

	last, err := s.deps.Store.Unsubscribe(ctx, u.UID, drop)
	u.Push = u.Push && !last
	return u, err
}

// RefreshGate makes the gate of a user take effect on all instances of realtime/. A user who does not exist has none.
func (s *Service) RefreshGate(ctx context.Context, uid string) error {
	u, err := s.deps.Store.User(ctx, uid)
	if errors.Is(err, problem.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.pushGate(ctx, u)
}

// endSubscriptions removes the push subscriptions of sign-ins of u that have ended, and makes the gate of u take
// effect. If the first fails, nothing is sent to them anyway, and the next call removes them.
func (s *Service) endSubscriptions(ctx context.Context, u store.User) error {
	u, err := s.unsubscribe(ctx, u, func(sub store.Subscription) bool { return u.HasEnded(sub.SignIn) })
	return errors.Join(err, s.pushGate(ctx, u))
}
