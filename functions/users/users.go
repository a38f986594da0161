// Package users changes users everywhere at once: in the store, which
// decides, in the sign-in system, and in realtime/, whose open sockets
// follow. What a change needs in all three is here, for the API, the
// admin panel and the commands alike.
//
// A change that cannot be finished gives an error and has left the safer
// state; repeating it finishes it. Nothing here asks who may do it.
package users

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Store is what People needs of the store.
type Store interface {
	store.Signups
	store.Users
	store.Erasure
}

// Deps is what People needs. All but the last group is required.
type Deps struct {
	Store    Store
	Accounts accounts.Accounts
	Relay    internalapi.API

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default()
}

// People is safe for use by many goroutines and processes at once.
type Service struct {
	deps Deps
}

// New returns a People.
func New(deps Deps) *Service {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Service{deps: deps}
}

func (p *Service) now() chat.Micros { return chat.MicrosOf(p.deps.Now()) }

// maxTold bounds how often tell says a gate that others go on changing.
const maxTold = 8

// tell makes u's gate hold on all instances of realtime/. Two changes of a
// person may be told in the other order than the store took them: what was told is
// therefore compared with the store afterwards, and told anew where it is not what stands.
// Whoever tells last has then told what stands.
func (p *Service) tell(ctx context.Context, u store.User) error {
	for range maxTold {
		told := gateOf(u)
		if err := p.deps.Relay.GateChanged(ctx, told); err != nil {
			return err
		}
		now, err := p.deps.Store.User(ctx, u.UID)
		if errors.Is(err, problem.ErrNotFound) {
			return p.deps.Relay.Gone(ctx, u.UID)
		}
		if err != nil {
			return err
		}
		if gateOf(now).Equal(told) {
			return nil
		}
		u = now
	}
	return problem.ErrUnavailable.WithCause(errors.New("the gate of " + u.UID + " does not stand still"))
}

func gateOf(u store.User) internalapi.Gate {
	return internalapi.Gate{UID: u.UID, Exists: true, Disabled: !u.Active(), ValidAfter: u.ValidAfter, Blocked: u.Blocked}
}

// Rename changes what is not nil. The errors are those of the fields'
// checks and store.ErrUsernameTaken. An operator may give a reserved username.
func (p *Service) Rename(ctx context.Context, uid string, username, displayName *string, operator bool) (store.User, error) {
	fields := map[string]string{}
	if username != nil {
		check(fields, "username", checkUsername(*username, operator))
	}
	if displayName != nil {
		tidy, msg := tidyName(*displayName)
		check(fields, "display_name", msg)
		displayName = &tidy
	}
	if err := invalid(fields); err != nil {
		return store.User{}, err
	}
	u, err := p.deps.Store.Rename(ctx, uid, username, displayName, p.now())
	if err != nil {
		return u, err
	}
	if displayName != nil {
		return u, p.deps.Accounts.Update(ctx, uid, accounts.Change{DisplayName: displayName})
	}
	return u, nil
}

// SetBlocked makes uid refuse messages of other, or no longer.
func (p *Service) SetBlocked(ctx context.Context, uid, other string, blocked bool) (store.User, error) {
	u, err := p.deps.Store.SetBlocked(ctx, uid, other, blocked)
	if err != nil {
		return u, err
	}
	return u, p.tell(ctx, u)
}

// SetDisabled disables (sockets close, tokens stop working, sends to them are
// refused) or enables. store.ErrLastAdmin.
func (p *Service) SetDisabled(ctx context.Context, uid string, disabled bool) (store.User, error) {
	if !disabled { // sign-in first: the store opens the rest
		if err := p.deps.Accounts.Update(ctx, uid, accounts.Change{Disabled: &disabled}); err != nil {
			return store.User{}, err
		}
	}
	u, err := p.deps.Store.SetDisabled(ctx, uid, disabled)
	if err != nil {
		return u, err
	}
	err = p.tell(ctx, u)
	if disabled { // also when realtime/ could not be told
		err = errors.Join(err, p.deps.Accounts.Update(ctx, uid, accounts.Change{Disabled: &disabled}))
	}
	return u, err
}

// SetAdmin makes or unmakes an admin; the store's word holds at once, the
// claim from the next token on. With keepOne, the last one stays: store.ErrLastAdmin.
func (p *Service) SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (store.User, error) {
	u, err := p.deps.Store.SetAdmin(ctx, uid, admin, keepOne)
	if err != nil {
		return u, err
	}
	return u, p.deps.Accounts.SetAdmin(ctx, uid, admin)
}

// SignOut ends all sign-ins of a person: sockets close, tokens given so far stop working.
func (p *Service) SignOut(ctx context.Context, uid string) (store.User, error) {
	// Sign-in times are whole seconds. Rounding up ends those of this second, too;
	// who signs in anew within the rest of it has to do so twice.
	at := p.deps.Now().Truncate(time.Second).Add(time.Second)
	u, err := p.deps.Store.EndSessions(ctx, uid, chat.MicrosOf(at))
	if err != nil {
		return u, err
	}
	return u, errors.Join(p.tell(ctx, u), p.deps.Accounts.Revoke(ctx, uid))
}

// Erase deletes a person with all that is theirs; see store.Erasure for what
// others keep. It may take long; when it is cut off, calling it again, or SweepErasures, goes on.
// A person who does not exist is problem.ErrNotFound. store.ErrLastAdmin.
func (p *Service) Erase(ctx context.Context, uid string) error {
	u, err := p.deps.Store.BeginErase(ctx, uid, p.now())
	if err != nil {
		return err
	}
	// First what others could still notice of them, then what is kept, and the
	// account last: until then the person can repeat the call themselves.
	if err := p.tell(ctx, u); err != nil {
		return err
	}
	if err := p.deps.Relay.Gone(ctx, uid); err != nil {
		return err
	}
	if err := p.deps.Store.EraseContent(ctx, uid); err != nil {
		return err
	}
	if err := p.deps.Accounts.Delete(ctx, uid); err != nil {
		return err
	}
	return p.deps.Store.FinishErase(ctx, uid, p.now())
}
