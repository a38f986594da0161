package users_test

import (
	"context"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// The gate says whether the user has a push subscription, whatever ends it.
func TestGateSaysPush(t *testing.T) {
	signIn := time.Now().Truncate(time.Second)
	sub := store.Subscription{Device: "phone", Endpoint: "https://push.example.org/1", SignIn: store.SignInTime(signIn),
		At: chat.MicrosOf(signIn)}
	all := func(store.Subscription) bool { return true }
	for name, end := range map[string]func(ctx context.Context, s *users.Service, u store.User) error{
		"removed": func(ctx context.Context, s *users.Service, u store.User) error { return s.Unsubscribe(ctx, u, all) },
		"signed out": func(ctx context.Context, s *users.Service, u store.User) error {
			return s.EndSession(ctx, u.UID, signIn)
		},
		"signed out by an admin": func(ctx context.Context, s *users.Service, u store.User) error {
			_, err := s.SignOut(ctx, u.UID)
			return err
		},
		"another sign-in ended the others": func(ctx context.Context, s *users.Service, u store.User) error {
			return s.EndOtherSessions(ctx, u.UID, signIn.Add(time.Second))
		},
		"another device signed the others out": func(ctx context.Context, s *users.Service, u store.User) error {
			return s.SignOutOthers(ctx, u.UID, signIn.Add(time.Second))
		},
		"the device was signed out": func(ctx context.Context, s *users.Service, u store.User) error {
			return s.SignOutDevice(ctx, u.UID, u.Devices[0].ID())
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			w := newWorld(t)
			g := &gates{last: map[string]internalapi.Gate{}}
			s := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Realtime: g, Log: quiet})
			u, err := w.steady().Create(ctx, ada)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []time.Time{signIn, signIn.Add(time.Second)} {
				u, _, err = w.store.RecordSignIn(ctx, u.UID, store.Seen{SignIn: store.SignInTime(at), At: chat.MicrosOf(at)})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Subscribe(ctx, u, sub); err != nil || !g.last[u.UID].Push || g.pushes != 1 {
				t.Fatalf("registered: %+v, %d gates, %v", g.last[u.UID], g.pushes, err)
			}
			// A call that is repeated because the gate could not be sent completes the change.
			g.fail = problem.ErrUnavailable
			if u, err = w.store.User(ctx, u.UID); err != nil {
				t.Fatal(err)
			}
			if end(ctx, s, u) == nil {
				t.Error("no error although the gate was not sent")
			}
			g.fail, g.last = nil, map[string]internalapi.Gate{}
			if u, err = w.store.User(ctx, u.UID); err != nil {
				t.Fatal(err)
			}
			if name != "the device was signed out" { // which is not listed anymore
				err = end(ctx, s, u)
			} else {
				err = s.RefreshGate(ctx, u.UID)
			}
			if got, sent := g.last[u.UID]; err != nil || !sent || got.Push {
				t.Errorf("the last gate is %+v, %v", got, err)
			}
		})
	}
}

// A user whose browser another account has registered has no push, and the gate says so.
func TestGateOfWhoLostTheEndpoint(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	g := &gates{last: map[string]internalapi.Gate{}}
	s := users.New(users.Deps{Store: w.store, Accounts: w.accounts, Realtime: g, Log: quiet})
	first, err := w.steady().Create(ctx, ada)
	if err != nil {
		t.Fatal(err)
	}
	form := ada
	form.Email, form.Username, form.DisplayName = "bob@example.org", "bob", "Bob"
	second, err := w.steady().Create(ctx, form)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []store.User{first, second} {
		err := s.Subscribe(ctx, u, store.Subscription{Device: "browser", Endpoint: "https://push.example.org/1"})
		if err != nil {
			t.Fatal(err)
		}
	}
	if g.last[first.UID].Push || !g.last[second.UID].Push {
		t.Errorf("gates %+v", g.last)
	}
}
