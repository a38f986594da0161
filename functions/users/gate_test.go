package users_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// gates is a realtime service that keeps the last gate of each user. A test can do something before the first one.
type gates struct {
	before func() // called once, before the first gate is stored

	mu     sync.Mutex
	last   map[string]internalapi.Gate
	pushes int
	calls  []string // in order: the gates, purges and deletions
	fail   error
}

func (g *gates) GateChanged(_ context.Context, gate internalapi.Gate) error {
	if f := g.before; f != nil {
		g.before = nil
		f()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[gate.UID] = gate
	g.pushes++
	g.calls = append(g.calls, "gate "+gate.UID)
	return g.fail
}

func (g *gates) Gone(_ context.Context, uid string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[uid] = internalapi.Gate{UID: uid}
	g.calls = append(g.calls, "gone "+uid)
	return nil
}

func (g *gates) ProfileChanged(_ context.Context, uid string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, "profile "+uid)
	return g.fail
}

func (g *gates) OwnProfileChanged(_ context.Context, uid string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, "signed in "+uid)
	return g.fail
}

func (g *gates) Purge(_ context.Context, p internalapi.Purge) (internalapi.Purged, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, "purge "+p.From+" "+p.To+" "+p.Reason)
	return internalapi.Purged{}, g.fail
}

func (g *gates) Corrected(context.Context, []delivery.Delivered) error { return nil }
func (g *gates) Set(context.Context, internalapi.Setting) error        { return nil }

func (g *gates) Waiting(context.Context) (internalapi.Waiting, error) {
	return internalapi.Waiting{}, nil
}

func (g *gates) Figures(context.Context) (internalapi.Figures, error) {
	return internalapi.Figures{}, nil
}

// If the gates of two changes overtake each other, realtime/ ends up with the gate of the later change.
func TestGatesOutOfOrder(t *testing.T) {
	var w *world
	for name, other := range map[string]func(ctx context.Context, s *users.Service, uid string) error{
		"enabled": func(ctx context.Context, s *users.Service, uid string) error {
			_, err := s.SetDisabled(ctx, uid, false)
			return err
		},
		"blocked somebody": func(ctx context.Context, s *users.Service, uid string) error {
			_, err := s.SetBlocked(ctx, uid, "eve", true)
			return err
		},
		"confirmed the address": func(ctx context.Context, s *users.Service, uid string) error {
			return s.ConfirmAddress(ctx, uid)
		},
		"signed out": func(ctx context.Context, s *users.Service, uid string) error {
			_, err := s.SignOut(ctx, uid)
			return err
		},
		"signed out of one sign-in": func(ctx context.Context, s *users.Service, uid string) error {
			return s.EndSession(ctx, uid, time.Now())
		},
		"signed out of one device": func(ctx context.Context, s *users.Service, uid string) error {
			signIn := store.SignInTime(time.Now())
			u, _, err := w.store.RecordSignIn(ctx, uid, store.Seen{SignIn: signIn, At: signIn})
			if err != nil {
				return err
			}
			return s.SignOutDevice(ctx, uid, u.Devices[0].ID())
		},
		"deleted": func(ctx context.Context, s *users.Service, uid string) error { return s.Erase(ctx, uid) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			w = newWorld(t)
			u, err := w.steady().Create(ctx, ada)
			if err != nil {
				t.Fatal(err)
			}
			g := &gates{last: map[string]internalapi.Gate{}}
			s := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Realtime: g, Log: quiet})
			g.before = func() {
				if err := other(ctx, s, u.UID); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.SetDisabled(ctx, u.UID, true); err != nil && !errors.Is(err, problem.ErrNotFound) {
				t.Fatal(err)
			}
			want := internalapi.Gate{UID: u.UID}
			if now, err := w.store.User(ctx, u.UID); err == nil {
				want = internalapi.Gate{UID: u.UID, Exists: true, Disabled: !now.Active(), ValidAfter: now.ValidAfter,
					Ended: now.Ended, SignedOut: now.SignedOut, Blocked: now.Blocked, Unverified: !now.EmailVerified}
			} else if !errors.Is(err, problem.ErrNotFound) {
				t.Fatal(err)
			}
			if !g.last[u.UID].Equal(want) {
				t.Errorf("last gate %+v, want that of the store, %+v", g.last[u.UID], want)
			}
		})
	}
}

// A gate that does not change meanwhile is sent once.
func TestGateIsSentOnce(t *testing.T) {
	w := newWorld(t)
	u, err := w.steady().Create(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	g := &gates{last: map[string]internalapi.Gate{}}
	s := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Realtime: g, Log: quiet})
	if _, err := s.SetDisabled(t.Context(), u.UID, true); err != nil {
		t.Fatal(err)
	}
	if g.pushes != 1 || !g.last[u.UID].Disabled {
		t.Errorf("%d gates sent, last %+v, want 1 that is disabled", g.pushes, g.last[u.UID])
	}
}

// Disabling, deleting or blocking a user withdraws the messages that wait from them. The gate changes first, so that
// no message is queued after the purge.
func TestChangesWithdrawWhatWaits(t *testing.T) {
	w := newWorld(t)
	u, err := w.steady().Create(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	g := &gates{last: map[string]internalapi.Gate{}}
	s := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Realtime: g, Log: quiet})
	for _, c := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"block", func() error { _, err := s.SetBlocked(t.Context(), u.UID, "eve", true); return err },
			[]string{"signed in " + u.UID, "gate " + u.UID, "purge eve " + u.UID + " recipient_unavailable"}},
		{"unblock", func() error { _, err := s.SetBlocked(t.Context(), u.UID, "eve", false); return err },
			[]string{"signed in " + u.UID, "gate " + u.UID}},
		{"disable", func() error { _, err := s.SetDisabled(t.Context(), u.UID, true); return err },
			[]string{"gate " + u.UID, "purge " + u.UID + "  withdrawn"}},
		{"enable", func() error { _, err := s.SetDisabled(t.Context(), u.UID, false); return err },
			[]string{"gate " + u.UID}},
	} {
		g.calls = nil
		if err := c.do(); err != nil || !slices.Equal(g.calls, c.want) {
			t.Errorf("%s: %v, calls %q, want %q", c.what, err, g.calls, c.want)
		}
	}
	// A new profile is announced, but whether that succeeds does not matter.
	for _, fail := range []error{nil, problem.ErrUnavailable} {
		g.calls, g.fail = nil, fail
		name := "Ada King"
		_, err := s.Rename(t.Context(), u.UID, nil, &name, false)
		_, err2 := s.SetPicture(t.Context(), u.UID, nil)
		if err = errors.Join(err, err2); err != nil ||
			!slices.Equal(g.calls, []string{"profile " + u.UID, "profile " + u.UID}) {
			t.Errorf("new profile: %v, calls %q", err, g.calls)
		}
	}
	g.fail = problem.ErrUnavailable
	if _, err := s.SetBlocked(t.Context(), u.UID, "eve", true); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("block while realtime/ does not answer: %v", err)
	}
	g.calls = nil
	if _, err := s.SetDisabled(t.Context(), u.UID, true); !errors.Is(err, problem.ErrUnavailable) || len(g.calls) != 2 {
		t.Errorf("disable while realtime/ does not answer: %v, calls %q", err, g.calls)
	}
	g.fail, g.calls = nil, nil
	if err := s.Erase(t.Context(), u.UID); err != nil {
		t.Fatal(err)
	}
	want := []string{"gate " + u.UID, "purge " + u.UID + "  withdrawn", "gone " + u.UID, "profile " + u.UID}
	if !slices.Equal(g.calls, want) {
		t.Errorf("delete: calls %q, want %q", g.calls, want)
	}
}
