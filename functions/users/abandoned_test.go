package users_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

const week = 7 * 24 * time.Hour

// An account without a verified address that nobody has used for a week is erased, also if the erasure is interrupted
// at any point. Its address is free again.
func TestSweepAbandoned(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, s *users.Service) bool {
		ctx := t.Context()
		u, err := w.steady().Create(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(week)
		if err := w.steady().SweepAbandoned(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.User(ctx, u.UID); err != nil {
			t.Fatalf("erased after exactly a week: %v", err)
		}
		w.now = w.now.Add(time.Microsecond)
		done := s.SweepAbandoned(ctx) == nil
		if !done { // one of the next sweeps erases it
			for _, sweep := range []func(context.Context) error{w.steady().SweepAbandoned, w.steady().SweepErasures} {
				w.now = w.now.Add(time.Hour)
				if err := sweep(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := w.store.User(ctx, u.UID); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("user: %v, want none", err)
		}
		if a, err := w.accounts.ByEmail(ctx, ada.Email); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("account %+v, %v, want none", a, err)
		}
		again := ada
		again.Username, again.Password = "countess", "battery staple"
		if _, err := w.steady().Create(ctx, again); err != nil {
			t.Errorf("the address cannot be used again: %v", err)
		}
		if _, err := accountstest.SignIn(ctx, w.authHost, ada.Email, again.Password); err != nil {
			t.Errorf("signing in: %v", err)
		}
		return done
	})
}

// An account stays if it is used, if its address is confirmed, if its user is an admin, or if it is disabled: otherwise
// the address of a disabled one could be used again. One call erases one account.
func TestSweepAbandonedKeepsOthers(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.steady(), t.Context()
	add := func(name string) store.User {
		t.Helper()
		w.now = w.now.Add(time.Second)
		u, err := s.Create(ctx, users.Signup{Email: name + "@example.org", Password: "correct horse", Username: name,
			DisplayName: name})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	confirmed, elsewhere, admin, active, disabled := add("confirmed"), add("elsewhere"), add("chief"), add("active"),
		add("disabled")
	gone := []store.User{add("gone1"), add("gone2")}
	must(s.ConfirmAddress(ctx, confirmed.UID))
	yes := true
	must(w.accounts.Update(ctx, elsewhere.UID, accounts.Change{EmailVerified: &yes})) // nobody has used a newer token
	_, err := w.store.SetAdmin(ctx, admin.UID, true, false)
	must(err)
	_, err = s.SetDisabled(ctx, disabled.UID, true)
	must(err)
	w.now = w.now.Add(week)
	used := store.Seen{SignIn: store.SignInTime(w.now), At: chat.MicrosOf(w.now)}
	_, _, err = w.store.RecordSignIn(ctx, active.UID, used)
	must(err)
	w.now = w.now.Add(time.Second)
	left := func() (n int) {
		t.Helper()
		for _, u := range gone {
			switch _, err := w.store.User(ctx, u.UID); {
			case err == nil:
				n++
			case !errors.Is(err, problem.ErrNotFound):
				t.Fatal(err)
			}
		}
		return n
	}
	must(s.SweepAbandoned(ctx)) // finds that "elsewhere" has confirmed the address
	if u, err := w.store.User(ctx, elsewhere.UID); err != nil || !u.EmailVerified || left() != 2 {
		t.Errorf("user %+v, %v, and %d others; want a verified one, and 2", u, err, left())
	}
	for want := 1; want >= 0; want-- {
		must(s.SweepAbandoned(ctx))
		if n := left(); n != want {
			t.Errorf("%d abandoned accounts are left, want %d", n, want)
		}
	}
	must(s.SweepAbandoned(ctx))
	for _, u := range []store.User{confirmed, elsewhere, admin, active, disabled} {
		if now, err := w.store.User(ctx, u.UID); err != nil || now.ErasingAt != 0 {
			t.Errorf("%s: %+v, %v", u.Username, now, err)
		}
	}
}
