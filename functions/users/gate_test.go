package users_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// gates is a realtime/ that keeps the last gate it was told, and lets a test do something else first.
type gates struct {
	before func() // once, before the first gate is taken

	mu   sync.Mutex
	last map[string]internalapi.Gate
	told int
}

func (g *gates) GateChanged(_ context.Context, gate internalapi.Gate) error {
	if f := g.before; f != nil {
		g.before = nil
		f()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[gate.UID] = gate
	g.told++
	return nil
}

func (g *gates) Gone(_ context.Context, uid string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[uid] = internalapi.Gate{UID: uid}
	return nil
}

func (g *gates) Figures(context.Context) (internalapi.Figures, error) {
	return internalapi.Figures{}, nil
}

// Of two changes whose notices cross, the one that the store took last holds.
func TestNoticesThatCross(t *testing.T) {
	for name, other := range map[string]func(ctx context.Context, p *users.Service, uid string) error{
		"enabled": func(ctx context.Context, p *users.Service, uid string) error {
			_, err := p.SetDisabled(ctx, uid, false)
			return err
		},
		"blocked somebody": func(ctx context.Context, p *users.Service, uid string) error {
			_, err := p.SetBlocked(ctx, uid, "eve", true)
			return err
		},
		"signed out": func(ctx context.Context, p *users.Service, uid string) error {
			_, err := p.SignOut(ctx, uid)
			return err
		},
		"deleted": func(ctx context.Context, p *users.Service, uid string) error { return p.Erase(ctx, uid) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			w := newWorld(t)
			u, err := w.steady().Create(ctx, ada)
			if err != nil {
				t.Fatal(err)
			}
			g := &gates{last: map[string]internalapi.Gate{}}
			p := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Relay: g, Log: quiet})
			g.before = func() {
				if err := other(ctx, p, u.UID); err != nil {
					t.Error(err)
				}
			}
			if _, err := p.SetDisabled(ctx, u.UID, true); err != nil && !errors.Is(err, problem.ErrNotFound) {
				t.Fatal(err)
			}
			want := internalapi.Gate{UID: u.UID}
			if now, err := w.store.User(ctx, u.UID); err == nil {
				want = internalapi.Gate{UID: u.UID, Exists: true, Disabled: !now.Active(), ValidAfter: now.ValidAfter, Blocked: now.Blocked}
			} else if !errors.Is(err, problem.ErrNotFound) {
				t.Fatal(err)
			}
			if !g.last[u.UID].Equal(want) {
				t.Errorf("told last: %+v; the store has %+v", g.last[u.UID], want)
			}
		})
	}
}

// A gate that stands is told once.
func TestOneNoticeForOneChange(t *testing.T) {
	w := newWorld(t)
	u, err := w.steady().Create(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	g := &gates{last: map[string]internalapi.Gate{}}
	if _, err := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Relay: g, Log: quiet}).SetDisabled(t.Context(), u.UID, true); err != nil {
		t.Fatal(err)
	}
	if g.told != 1 || !g.last[u.UID].Disabled {
		t.Errorf("told %d times, last %+v", g.told, g.last[u.UID])
	}
}
