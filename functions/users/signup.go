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

// Times of a sign-up. An attempt ends well before its lease does, so that
// nobody acts on a lease that another may have taken.
const (
	lease      = 15 * time.Second // how long a sign-up that crashed can hold up a retry
	attempt    = 10 * time.Second
	staleAfter = time.Hour       // leases left so long ago are swept
	stuckAfter = 5 * time.Minute // erasures begun so long ago are taken up again
)

// Person is a person to enrol.
type Signup struct {
	Email       string
	Password    string
	Username    string
	DisplayName string
	Operator    bool // may take a reserved username
}

// Enrol creates a person. The errors are a problem of kind Invalid with a message per field,
// store.ErrUsernameTaken, accounts.ErrEmailTaken, store.ErrSignupBusy and problem.ErrUnavailable.
//
// Wherever it breaks off, nothing of it holds up a retry with the same address for
// longer than the lease of 15 s, or others who want the name: the address
// keeps the account it has begun with, which nobody can use yet, and the
// retry takes it over.
func (p *Service) Create(ctx context.Context, n Signup) (store.User, error) {
	n, err := n.check()
	if err != nil {
		return store.User{}, err
	}
	uid, err := newUID()
	if err != nil {
		return store.User{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	s, err := p.deps.Store.Reserve(ctx, n.Email, n.Username, uid, uuid.NewString(), p.now(), lease)
	if err != nil {
		return store.User{}, err
	}
	u := store.User{UID: s.UID, Username: n.Username, DisplayName: n.DisplayName, Email: n.Email, CreatedAt: p.now()}
	u.LastActiveAt = u.CreatedAt
	err = p.account(ctx, s, n)
	if err == nil {
		err = p.deps.Store.Commit(ctx, s, u)
	}
	if err == nil {
		return u, nil
	}
	// Let go at once, so that the person can try again; when even this fails, the lease ends by itself.
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	free := p.deps.Store.Release
	if errors.Is(err, accounts.ErrEmailTaken) {
		free = p.deps.Store.Forget // there is no account of ours to take over
	}
	if rerr := free(release, s); rerr != nil {
		p.deps.Log.WarnContext(ctx, "a sign-up that failed could not be released; its lease will end", "error", rerr)
	}
	return store.User{}, err
}

// account creates the account s.UID, or takes over the one that an earlier attempt
// under the same lease of the address has left. Holding the lease excludes
// that somebody else commits or takes over meanwhile.
func (p *Service) account(ctx context.Context, s store.Signup, n Signup) error {
	err := p.deps.Accounts.Create(ctx, accounts.New{UID: s.UID, Email: n.Email, Password: n.Password, DisplayName: n.DisplayName})
	if !errors.Is(err, accounts.ErrUIDTaken) && !errors.Is(err, accounts.ErrEmailTaken) {
		return err
	}
	have, gerr := p.deps.Accounts.Get(ctx, s.UID)
	if errors.Is(gerr, problem.ErrNotFound) {
		return err // the address is another account's
	}
	if gerr != nil {
		return gerr
	}
	if !strings.EqualFold(have.Email, n.Email) {
		return fmt.Errorf("account %s, which a sign-up left, has another address", s.UID)
	}
	return p.deps.Accounts.Update(ctx, s.UID, accounts.Change{Password: &n.Password, DisplayName: &n.DisplayName})
}

// newUID returns a uid of 28 letters and digits, as Firebase's own are.
func newUID() (string, error) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b strings.Builder
	for b.Len() < 28 {
		id, err := uuid.NewRandom()
		if err != nil {
			return "", fmt.Errorf("random uid: %w", err)
		}
		for i, c := range id {
			// 62·4 = 248: larger bytes would favour some letters, and two bytes of
			// a UUID are not all random.
			if i != 6 && i != 8 && c < 248 && b.Len() < 28 {
				b.WriteByte(alphabet[c%62])
			}
		}
	}
	return b.String(), nil
}

// SweepSignups removes a few accounts that sign-ups left and nobody came back
// for. It is called beside other work, bounded by ctx; what it does not finish
// is left for the next call.
func (p *Service) SweepSignups(ctx context.Context) error {
	now := p.now()
	before := chat.MicrosOf(now.Time().Add(-staleAfter))
	stale, err := p.deps.Store.LeaseStale(ctx, before, uuid.NewString(), now, lease, 5)
	if err != nil {
		return err
	}
	for _, s := range stale {
		if err := p.deps.Accounts.Delete(ctx, s.UID); err != nil {
			return err
		}
		if err := p.deps.Store.Forget(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// SweepErasures goes on with an erasure that was interrupted. As SweepSignups,
// it is called beside other work.
func (p *Service) SweepErasures(ctx context.Context) error {
	stuck, err := p.deps.Store.Erasing(ctx, chat.MicrosOf(p.deps.Now().Add(-stuckAfter)), 1)
	if err != nil {
		return err
	}
	for _, u := range stuck {
		if err := p.Erase(ctx, u.UID); err != nil {
			return err
		}
	}
	return nil
}
