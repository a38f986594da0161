package users

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Times of a sign-up. An attempt ends well before its lease, so that it does not act on a lease that another attempt
// may hold by then.
const (
	lease      = 15 * time.Second // how long a sign-up that crashed can delay a retry
	attempt    = 10 * time.Second
	staleAfter = time.Hour       // leases that ended so long ago are swept
	stuckAfter = 5 * time.Minute // erasures that began so long ago are continued by a sweep

	// Accounts whose address is not verified, and which nobody has used for so long, are erased by a sweep.
	abandonedAfter = 7 * 24 * time.Hour
)

// Signup is the form of a new user.
type Signup struct {
	Email       string
	Password    string
	Username    string
	DisplayName string
	Operator    bool   // may have a reserved username
	Verified    bool   // the address is known to be the user's
	UID         string // of the account; "": a random one
}

// Create creates a user and their account. The errors are a problem of kind Invalid with a message per field,
// store.ErrUsernameTaken, accounts.ErrEmailTaken, store.ErrSignupBusy and problem.ErrUnavailable.
//
// If it is interrupted at any point, it does not delay a retry with the same address, or other users who want the
// username, for longer than the lease of 15 s. The address keeps the account that was created for it, which nobody
// can use yet, and the retry takes that account over.
func (s *Service) Create(ctx context.Context, form Signup) (store.User, error) {
	form, err := form.check()
	if err != nil {
		return store.User{}, err
	}
	uid := form.UID
	if uid == "" {
		if uid, err = newUID(); err != nil {
			return store.User{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	reserved, err := s.deps.Store.Reserve(ctx, form.Email, form.Username, uid, uuid.NewString(), s.now(), lease)
	if err != nil {
		return store.User{}, err
	}
	u := store.User{UID: reserved.UID, Username: form.Username, DisplayName: form.DisplayName, Email: form.Email,
		EmailVerified: form.Verified, CreatedAt: s.now()}
	u.LastActiveAt, u.EmailAt = u.CreatedAt, u.CreatedAt
	takenOver, err := s.createAccount(ctx, reserved.UID, form)
	if takenOver { // the interrupted attempt may have been somebody else's, who has signed in with their password
		u.ValidAfter = store.SignInTime(s.deps.Now())
	}
	if err == nil {
		err = s.deps.Store.Commit(ctx, reserved, u)
	}
	if err == nil {
		return u, nil
	}
	// Release the lease, so that the user can try again at once. If that fails, too, the lease expires.
	releaseCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	release := s.deps.Store.Release
	if errors.Is(err, accounts.ErrEmailTaken) {
		release = s.deps.Store.Forget // there is no account that a retry could take over
	}
	if rerr := release(releaseCtx, reserved); rerr != nil {
		s.deps.Log.WarnContext(ctx, "releasing a failed sign-up failed; its lease will expire", "error", rerr)
	}
	return store.User{}, err
}

// createAccount creates the account uid, or takes over the one that an interrupted attempt with the same address has
// left, and reports that it did. Since the caller holds the lease of the address, nobody else commits or takes over
// meanwhile.
func (s *Service) createAccount(ctx context.Context, uid string, form Signup) (takenOver bool, err error) {
	err = s.deps.Accounts.Create(ctx, accounts.New{UID: uid, Email: form.Email, Password: form.Password,
		DisplayName: form.DisplayName, EmailVerified: form.Verified})
	if !errors.Is(err, accounts.ErrUIDTaken) && !errors.Is(err, accounts.ErrEmailTaken) {
		return false, err
	}
	have, gerr := s.deps.Accounts.Get(ctx, uid)
	if errors.Is(gerr, problem.ErrNotFound) {
		return false, err // the address belongs to another account
	}
	if gerr != nil {
		return false, gerr
	}
	if !strings.EqualFold(have.Email, form.Email) {
		return false, fmt.Errorf("take over account %s: it has another address", uid)
	}
	return true, s.deps.Accounts.Update(ctx, uid, accounts.Change{Password: &form.Password, DisplayName: &form.DisplayName,
		EmailVerified: &form.Verified})
}

// newUID returns a random uid of 28 letters and digits, like those that Firebase generates.
func newUID() (string, error) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	for b.Len() < 28 {
		id, err := uuid.NewRandom()
		if err != nil {
			return "", fmt.Errorf("random uid: %w", err)
		}
		for i, c := range id {
			// 62·4 = 248: larger bytes would make some letters more likely. Two bytes of a UUID are not fully random.
			if i != 6 && i != 8 && c < 248 && b.Len() < 28 {
				b.WriteByte(alphabet[c%62])
			}
		}
	}
	return b.String(), nil
}

// SweepSignups deletes a few accounts of sign-ups that were interrupted and not retried. It is called during other
// requests and bounded by ctx. The next call continues where it stopped.
func (s *Service) SweepSignups(ctx context.Context) error {
	now := s.now()
	before := chat.MicrosOf(now.Time().Add(-staleAfter))
	stale, err := s.deps.Store.LeaseStale(ctx, before, uuid.NewString(), now, lease, 5)
	if err != nil {
		return err
	}
	for _, left := range stale {
		if err := s.deps.Accounts.Delete(ctx, left.UID); err != nil {
			return err
		}
		if err := s.deps.Store.Forget(ctx, left); err != nil {
			return err
		}
	}
	return nil
}

// SweepAbandoned erases the account, if there is one, that nobody has used for longest of those whose address is not
// verified. Otherwise, somebody who signs up with an address that is not theirs would keep its owner from signing up
// for ever. Like SweepSignups, it is called during other requests. An erasure that is interrupted is continued by
// SweepErasures.
func (s *Service) SweepAbandoned(ctx context.Context) error {
	now := s.now()
	since := chat.MicrosOf(now.Time().Add(-abandonedAfter))
	found, err := s.deps.Store.Abandoned(ctx, since, 1)
	if err != nil || len(found) == 0 {
		return err
	}
	uid := found[0].UID
	// The person may have confirmed the address without having been here since. An account that is missing confirms
	// nothing.
	if _, err := s.RefreshAddress(ctx, uid); err != nil && !errors.Is(err, problem.ErrNotFound) {
		return err
	}
	u, err := s.deps.Store.BeginEraseAbandoned(ctx, uid, since, now)
	if errors.Is(err, problem.ErrNotFound) { // in use again, or confirmed
		return nil
	}
	if err != nil {
		return err
	}
	s.deps.Log.InfoContext(ctx, "erasing an abandoned account", "uid", uid, "created_at", u.CreatedAt.Time(),
		"last_active_at", u.LastActiveAt.Time())
	return s.erase(ctx, u)
}

// SweepErasures continues one erasure that was interrupted. Like SweepSignups, it is called during other requests.
func (s *Service) SweepErasures(ctx context.Context) error {
	stuck, err := s.deps.Store.Erasing(ctx, chat.MicrosOf(s.deps.Now().Add(-stuckAfter)), 1)
	if err != nil {
		return err
	}
	for _, u := range stuck {
		if err := s.Erase(ctx, u.UID); err != nil {
			return err
		}
	}
	return nil
}
