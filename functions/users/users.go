// Package users changes users everywhere: in the store, which decides, in the sign-in system, and in realtime/, whose
// open sockets follow. The API, the admin panel and the commands all use it.
//
// If a change cannot be finished, the call returns an error and has left the safer state. Repeating the call finishes
// the change. The caller has to check who may make a change.
package users

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/internal/share"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Store is the part of the store that a Service needs.
type Store interface {
	store.Signups
	store.Users
	store.Pictures
	store.Erasure
	store.Subscriptions
	store.Sanctions
	store.SecondFactors
}

// Deps is what a Service needs. All but the last group is required.
type Deps struct {
	Store    Store
	Accounts accounts.Accounts
	Realtime internalapi.API

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default()
}

// Service changes users. It is safe for concurrent use, also by several processes.
type Service struct {
	deps      Deps
	addresses share.Group[store.User] // copies of addresses being updated
}

// New returns a Service.
func New(deps Deps) *Service {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Service{deps: deps}
}

func (s *Service) now() chat.Micros { return chat.MicrosOf(s.deps.Now()) }

// maxGatePushes limits how often pushGate sends a gate that keeps changing.
const maxGatePushes = 8

// pushGate makes u's gate take effect on all instances of realtime/. Two concurrent changes of a user can reach
// realtime/ out of order. So pushGate reads the user again after sending, and sends again if the gate differs. The
// last caller then has sent the current state.
func (s *Service) pushGate(ctx context.Context, u store.User) error {
	for range maxGatePushes {
		sent := gateOf(u)
		if err := s.deps.Realtime.GateChanged(ctx, sent); err != nil {
			return err
		}
		now, err := s.deps.Store.User(ctx, u.UID)
		if errors.Is(err, problem.ErrNotFound) {
			return s.deps.Realtime.Gone(ctx, u.UID)
		}
		if err != nil {
			return err
		}
		if gateOf(now).Equal(sent) {
			return nil
		}
		u = now
	}
	return problem.ErrUnavailable.WithCause(errors.New("push gate: the gate of " + u.UID + " keeps changing"))
}

// announceProfile makes open clients load the public profile of uid again. A failure is only logged, because they do so
// within minutes anyway.
func (s *Service) announceProfile(ctx context.Context, uid string) {
	if err := s.deps.Realtime.ProfileChanged(ctx, uid); err != nil {
		s.deps.Log.WarnContext(ctx, "a new profile could not be announced", "uid", uid, "error", err)
	}
}

// purge withdraws messages that wait. If there are too many for one call, realtime/ goes on by itself.
func (s *Service) purge(ctx context.Context, p internalapi.Purge) error {
	done, err := s.deps.Realtime.Purge(ctx, p)
	if err == nil && !done.Complete {
		s.deps.Log.InfoContext(ctx, "realtime goes on withdrawing messages", "from", p.From, "messages", done.Messages)
	}
	return err
}

func gateOf(u store.User) internalapi.Gate {
	return internalapi.Gate{UID: u.UID, Exists: true, Disabled: !u.Active(), LimitedUntil: u.LimitedUntil,
		ValidAfter: u.ValidAfter, Ended: u.Ended, SignedOut: u.SignedOut, Blocked: u.Blocked, Push: u.Push,
		Privacy: u.Privacy, Unverified: !u.EmailVerified}
}

// SetPrivacy replaces the privacy of a user, on all instances of realtime/ at once.
func (s *Service) SetPrivacy(ctx context.Context, uid string, p chat.Privacy) (store.User, error) {
	u, err := s.deps.Store.SetPrivacy(ctx, uid, p)
	if err != nil {
		return u, err
	}
	s.announceOwn(ctx, uid)
	return u, s.pushGate(ctx, u)
}

// Rename changes the names that are not nil. The errors are those of the checks of the fields and
// store.ErrUsernameTaken. An operator may give a reserved username.
func (s *Service) Rename(ctx context.Context, uid string, username, displayName *string,
	operator bool) (store.User, error) {
	fields := faults{}
	if username != nil {
		fields.add("username", checkUsername(*username, operator))
	}
	if displayName != nil {
		tidy, found := tidyName(*displayName, operator)
		fields.add("display_name", found)
		displayName = &tidy
	}
	if err := fields.err(); err != nil {
		return store.User{}, err
	}
	u, err := s.deps.Store.Rename(ctx, uid, username, displayName, s.now(), operator)
	if err != nil {
		return u, err
	}
	s.announceProfile(ctx, uid)
	if displayName != nil {
		return u, s.deps.Accounts.Update(ctx, uid, accounts.Change{DisplayName: displayName})
	}
	return u, nil
}

// SetBlocked makes uid refuse messages of other, or accept them again. What waits from other for uid is refused, too.
// The other devices of uid learn of it at once.
func (s *Service) SetBlocked(ctx context.Context, uid, other string, blocked bool) (store.User, error) {
	u, err := s.deps.Store.SetBlocked(ctx, uid, other, blocked)
	if err != nil {
		return u, err
	}
	s.announceOwn(ctx, uid)
	if err := s.pushGate(ctx, u); err != nil || !blocked {
		return u, err
	}
	// After the gate, so that nothing is queued meanwhile.
	return u, s.purge(ctx, internalapi.Purge{From: other, To: uid, Reason: internalapi.ReasonUnavailable})
}

// SetDisabled disables or enables a user. When a user is disabled, their sockets are closed, their tokens stop
// working, and messages to them are refused. What waits from them, in all inboxes, is withdrawn. store.ErrLastAdmin.
func (s *Service) SetDisabled(ctx context.Context, uid string, disabled bool) (store.User, error) {
	if !disabled { // the account first: the store opens the rest
		if err := s.deps.Accounts.Update(ctx, uid, accounts.Change{Disabled: &disabled}); err != nil {
			return store.User{}, err
		}
	}
	u, err := s.deps.Store.SetDisabled(ctx, uid, disabled)
	if err != nil {
		return u, err
	}
	err = s.pushGate(ctx, u)
	if disabled { // even if the gate could not be sent
		err = errors.Join(err, s.deps.Accounts.Update(ctx, uid, accounts.Change{Disabled: &disabled}),
			s.purge(ctx, internalapi.Purge{From: uid, Reason: internalapi.ReasonWithdrawn}))
	}
	return u, err
}

// ErrEmailUnverified refuses to make an admin of a user who has not proved that the account's address is theirs.
// Somebody else may have signed up with the address of a future admin.
var ErrEmailUnverified = problem.New(problem.Conflict, "email_unverified",
	"This person has not confirmed the email address yet, so they cannot become an admin. Send them a password reset: "+
		"the address is confirmed when they use the link.")

// SetAdmin makes a user an admin or an ordinary user. The store's record takes effect at once, the claim with the
// next token. Only a user whose address is verified can become an admin: ErrEmailUnverified. With keepOne, the last
// admin cannot be unmade: store.ErrLastAdmin.
func (s *Service) SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (store.User, error) {
	if admin {
		if err := s.requireVerified(ctx, uid); err != nil {
			return store.User{}, err
		}
	}
	u, err := s.deps.Store.SetAdmin(ctx, uid, admin, keepOne)
	if err != nil {
		return u, err
	}
	s.announceProfile(ctx, uid)
	return u, s.deps.Accounts.SetAdmin(ctx, uid, admin)
}

// Erase deletes a user with all their data. See store.Erasure for what other users keep. It may take long. If it is
// interrupted, calling it again, or SweepErasures, continues. A user who does not exist is problem.ErrNotFound.
// store.ErrLastAdmin.
func (s *Service) Erase(ctx context.Context, uid string) error {
	u, err := s.deps.Store.BeginErase(ctx, uid, s.now())
	if err != nil {
		return err
	}
	return s.erase(ctx, u)
}

// erase deletes a user whose deletion has begun.
func (s *Service) erase(ctx context.Context, u store.User) error {
	uid := u.UID
	// First what others could still notice, then what is stored. The account comes last, so that the users can repeat
	// the call themselves until then.
	if err := s.pushGate(ctx, u); err != nil {
		return err
	}
	if err := s.purge(ctx, internalapi.Purge{From: uid, Reason: internalapi.ReasonWithdrawn}); err != nil {
		return err
	}
	if err := s.deps.Realtime.Gone(ctx, uid); err != nil {
		return err
	}
	if err := s.deps.Store.EraseContent(ctx, uid); err != nil {
		return err
	}
	if err := s.deps.Accounts.Delete(ctx, uid); err != nil {
		return err
	}
	if err := s.deps.Store.FinishErase(ctx, uid, s.now()); err != nil {
		return err
	}
	s.announceProfile(ctx, uid)
	return nil
}
