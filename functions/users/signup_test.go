package users_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// errCrash is the error of calls after the process has crashed.
var errCrash = errors.New("crashed")

// fuse counts the calls that leave the process, and makes it crash at one of them: before the call, or after it took
// effect. All later calls fail.
type fuse struct {
	mu    sync.Mutex
	left  int  // calls until the crash; negative: no crash
	after bool // the call takes effect before the crash
	burnt bool // the process has crashed
}

func (f *fuse) call(do func() error) error {
	f.mu.Lock()
	f.left--
	now, burnt, after := f.left == -1, f.burnt, f.after
	f.burnt = burnt || now
	f.mu.Unlock()
	switch {
	case burnt, now && !after:
		return errCrash
	case now:
		_ = do() // the result is lost
		return errCrash
	}
	return do()
}

// fusedStore is a store whose calls go through a fuse.
type fusedStore struct {
	users.Store
	*fuse
}

func (s fusedStore) Reserve(ctx context.Context, email, username, uid, attempt string, now chat.Micros,
	lease time.Duration) (l store.Signup, err error) {
	err = s.call(func() error {
		l, err = s.Store.Reserve(ctx, email, username, uid, attempt, now, lease)
		return err
	})
	return l, err
}
func (s fusedStore) Commit(ctx context.Context, l store.Signup, u store.User) error {
	return s.call(func() error { return s.Store.Commit(ctx, l, u) })
}
func (s fusedStore) Release(ctx context.Context, l store.Signup) error {
	return s.call(func() error { return s.Store.Release(ctx, l) })
}
func (s fusedStore) Forget(ctx context.Context, l store.Signup) error {
	return s.call(func() error { return s.Store.Forget(ctx, l) })
}
func (s fusedStore) BeginErase(ctx context.Context, uid string, at chat.Micros) (u store.User, err error) {
	err = s.call(func() error {
		u, err = s.Store.BeginErase(ctx, uid, at)
		return err
	})
	return u, err
}
func (s fusedStore) BeginEraseAbandoned(
	ctx context.Context, uid string, since, at chat.Micros,
) (u store.User, err error) {
	err = s.call(func() error {
		u, err = s.Store.BeginEraseAbandoned(ctx, uid, since, at)
		return err
	})
	return u, err
}
func (s fusedStore) EraseContent(ctx context.Context, uid string) error {
	return s.call(func() error { return s.Store.EraseContent(ctx, uid) })
}
func (s fusedStore) FinishErase(ctx context.Context, uid string, now chat.Micros) error {
	return s.call(func() error { return s.Store.FinishErase(ctx, uid, now) })
}

// fusedAccounts is a sign-in system whose calls go through a fuse.
type fusedAccounts struct {
	accounts.Accounts
	*fuse
}

func (a fusedAccounts) Create(ctx context.Context, n accounts.New) error {
	return a.call(func() error { return a.Accounts.Create(ctx, n) })
}
func (a fusedAccounts) Get(ctx context.Context, uid string) (got accounts.Account, err error) {
	err = a.call(func() error {
		got, err = a.Accounts.Get(ctx, uid)
		return err
	})
	return got, err
}
func (a fusedAccounts) Update(ctx context.Context, uid string, c accounts.Change) error {
	return a.call(func() error { return a.Accounts.Update(ctx, uid, c) })
}
func (a fusedAccounts) Delete(ctx context.Context, uid string) error {
	return a.call(func() error { return a.Accounts.Delete(ctx, uid) })
}

// fusedRealtime is a realtime service whose calls go through a fuse.
type fusedRealtime struct{ *fuse }

func (r fusedRealtime) GateChanged(context.Context, internalapi.Gate) error {
	return r.call(func() error { return nil })
}
func (r fusedRealtime) Gone(context.Context, string) error {
	return r.call(func() error { return nil })
}
func (r fusedRealtime) ProfileChanged(context.Context, string) error {
	return r.call(func() error { return nil })
}
func (r fusedRealtime) OwnProfileChanged(context.Context, string) error {
	return r.call(func() error { return nil })
}
func (r fusedRealtime) Purge(context.Context, internalapi.Purge) (internalapi.Purged, error) {
	return internalapi.Purged{Complete: true}, r.call(func() error { return nil })
}
func (r fusedRealtime) Corrected(context.Context, []delivery.Delivered) error { return nil }

func (r fusedRealtime) Set(context.Context, internalapi.Setting) error { return nil }
func (r fusedRealtime) Waiting(context.Context) (internalapi.Waiting, error) {
	return internalapi.Waiting{}, nil
}
func (r fusedRealtime) Figures(context.Context) (internalapi.Figures, error) {
	return internalapi.Figures{}, nil
}

// world is everything that survives a crash of the process.
type world struct {
	store    *storebolt.Store
	accounts *accounts.Firebase
	authHost string
	now      time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{store: db, authHost: authstubtest.Start(t, "demo-users"), now: time.Now()}
	if w.accounts, err = accounts.NewFirebase(t.Context(), accounts.Options{Project: "demo-users",
		EmulatorHost: w.authHost}); err != nil {
		t.Fatal(err)
	}
	return w
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// process returns the Service of a process that crashes as f says.
func (w *world) process(f *fuse) *users.Service {
	return users.New(users.Deps{Store: fusedStore{w.store, f}, Accounts: fusedAccounts{w.accounts, f},
		Realtime: fusedRealtime{f},
		Now:      func() time.Time { return w.now }, Log: quiet})
}

// steady returns the Service of a process that does not crash.
func (w *world) steady() *users.Service { return w.process(&fuse{left: -1}) }

var ada = users.Signup{Email: "ada@example.org", Password: "correct horse", Username: "ada", DisplayName: "Ada"}

// crashes runs f once for each call that leaves the process, with a crash before that call, and once with a crash
// after it, each time in a new world.
func crashes(t *testing.T, f func(t *testing.T, w *world, s *users.Service) (done bool)) {
	for _, after := range []bool{false, true} {
		for n, done := 0, false; !done; n++ {
			if n > 20 {
				t.Fatal("more than 20 calls")
			}
			t.Run(fmt.Sprintf("call_%d,after_%v", n, after), func(t *testing.T) {
				w := newWorld(t)
				done = f(t, w, w.process(&fuse{left: n, after: after}))
			})
		}
	}
}

// After a crash at any point of a sign-up, the same user can sign up again as soon as the lease has ended, with the
// password of the last attempt. No lease is left.
func TestRetryAfterCrash(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, s *users.Service) bool {
		ctx := t.Context()
		_, err := s.Create(ctx, ada)
		if err == nil {
			return true
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		committed := false
		if _, err := w.store.UserByEmail(ctx, ada.Email); err == nil {
			committed = true
		}
		again := ada
		again.Password = "battery staple"
		u, err := w.steady().Create(ctx, again)
		if errors.Is(err, store.ErrSignupBusy) || errors.Is(err, store.ErrUsernameTaken) && !committed {
			p := problem.Of(err)
			if p.RetryAfter <= 0 || p.RetryAfter > 15*time.Second {
				t.Errorf("retry after %v, want at most 15s", p.RetryAfter)
			}
			w.now = w.now.Add(p.RetryAfter)
			u, err = w.steady().Create(ctx, again)
		}
		password := again.Password
		if committed { // only the result was lost, and the user can sign in
			if !errors.Is(err, store.ErrUsernameTaken) {
				t.Fatalf("repeating a committed sign-up: error %v, want ErrUsernameTaken", err)
			}
			password = ada.Password
			if u, err = w.store.UserByEmail(ctx, ada.Email); err != nil {
				t.Fatal(err)
			}
			other := again
			other.Username = "other"
			if _, err := w.steady().Create(ctx, other); !errors.Is(err, accounts.ErrEmailTaken) {
				t.Fatalf("signing up again with the address: error %v, want ErrEmailTaken", err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		token, err := accountstest.SignIn(ctx, w.authHost, ada.Email, password)
		if err != nil {
			t.Fatalf("sign in: %v", err)
		}
		claims, err := accountstest.Claims(token)
		if err != nil || claims["sub"] != u.UID {
			t.Errorf("token of %v, want %v (%v)", claims["sub"], u.UID, err)
		}
		checkNoLeases(t, w)
		return false
	})
}

// checkNoLeases fails the test if a lease is left.
func checkNoLeases(t *testing.T, w *world) {
	t.Helper()
	far := chat.MicrosOf(w.now.Add(1000 * time.Hour))
	left, err := w.store.LeaseStale(t.Context(), far, "test", far, time.Second, 10)
	if err != nil || len(left) != 0 {
		t.Errorf("leases %v, %v, want none", left, err)
	}
}

// A sign-up that crashed and is not retried leaves no account: the sign-ups of others sweep it. Its username and
// address are free again.
func TestSweepSignups(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, s *users.Service) bool {
		ctx := t.Context()
		_, err := s.Create(ctx, ada)
		if err == nil {
			return true
		}
		if _, err := w.store.UserByEmail(ctx, ada.Email); err == nil {
			return false // only the result was lost
		}
		w.now = w.now.Add(16 * time.Second)
		bob := users.Signup{Email: "bob@example.org", Password: "correct horse", Username: "ada", DisplayName: "Bob"}
		if _, err := w.steady().Create(ctx, bob); err != nil {
			t.Fatalf("the username is still taken: %v", err)
		}
		w.now = w.now.Add(2 * time.Hour)
		if err := w.steady().SweepSignups(ctx); err != nil {
			t.Fatal(err)
		}
		if a, err := w.accounts.ByEmail(ctx, ada.Email); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("account %+v, %v after the sweep, want none", a, err)
		}
		checkNoLeases(t, w)
		if _, err := w.store.UserByUsername(ctx, "ada"); err != nil {
			t.Errorf("the sweep released the username of bob: %v", err)
		}
		return false
	})
}

// Of several concurrent sign-ups with one address, exactly one succeeds, and the account has its password.
func TestConcurrentSignups(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			form := ada
			form.Password, form.Username = fmt.Sprintf("correct horse %d", i), fmt.Sprintf("ada%d", i)
			_, errs[i] = w.steady().Create(t.Context(), form)
		})
	}
	wg.Wait()
	won := 0
	for i, err := range errs {
		_, serr := accountstest.SignIn(t.Context(), w.authHost, ada.Email, fmt.Sprintf("correct horse %d", i))
		switch {
		case err == nil:
			won++
			if serr != nil {
				t.Errorf("sign-up %d succeeded, but signing in fails: %v", i, serr)
			}
		case !errors.Is(err, store.ErrSignupBusy) && !errors.Is(err, accounts.ErrEmailTaken) &&
			!errors.Is(err, store.ErrSignupLost):
			t.Errorf("sign-up %d: error %v", i, err)
		case serr == nil:
			t.Errorf("sign-up %d failed, but its password works", i)
		}
	}
	if won != 1 {
		t.Errorf("%d sign-ups succeeded, want 1", won)
	}
}

// A sign-up that takes over the account of an interrupted one ends the sign-ins of that one, which may be somebody
// else's.
func TestTakeoverEndsSignIns(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	reserved, err := w.store.Reserve(ctx, ada.Email, ada.Username, "left", "attempt", chat.MicrosOf(w.now), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.accounts.Create(ctx, accounts.New{UID: reserved.UID, Email: ada.Email, Password: "of somebody else",
		DisplayName: "Eve"}); err != nil {
		t.Fatal(err)
	}
	eve := w.now
	w.now = w.now.Add(time.Minute)
	u, err := w.steady().Create(ctx, ada)
	if err != nil || u.UID != reserved.UID || !u.HasEnded(store.SignInTime(eve)) || u.HasEnded(store.SignInTime(w.now)) {
		t.Errorf("user %+v, %v; want the account that was left, without its sign-ins", u, err)
	}
	w.now = w.now.Add(time.Minute)
	other, err := w.steady().Create(ctx, users.Signup{Email: "bob@example.org", Password: "correct horse", Username: "bob",
		DisplayName: "Bob"})
	if err != nil || other.ValidAfter != 0 {
		t.Errorf("a new account: %+v, %v", other, err)
	}
}

// A sign-up does not take over an account that it did not create.
func TestForeignAccountIsKept(t *testing.T) {
	w := newWorld(t)
	if err := w.accounts.Create(t.Context(), accounts.New{UID: "foreign", Email: ada.Email, Password: "its own password",
		DisplayName: "x"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.steady().Create(t.Context(), ada); !errors.Is(err, accounts.ErrEmailTaken) {
			t.Fatalf("error %v, want ErrEmailTaken", err)
		}
	}
	if _, err := accountstest.SignIn(t.Context(), w.authHost, ada.Email, "its own password"); err != nil {
		t.Errorf("the account was changed: %v", err)
	}
	checkNoLeases(t, w)
}

// After a crash at any point of an erasure, a sweep or a repeated call finishes it.
func TestEraseAfterCrash(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, s *users.Service) bool {
		ctx := t.Context()
		u, err := w.steady().Create(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Erase(ctx, u.UID)
		if err == nil {
			return true
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		w.now = w.now.Add(10 * time.Minute)
		if have, err := w.store.User(ctx, u.UID); err == nil && have.ErasingAt != 0 {
			err = w.steady().SweepErasures(ctx)
			if err != nil {
				t.Fatal(err)
			}
		} else if err == nil { // the erasure had not begun
			if err := w.steady().Erase(ctx, u.UID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.store.User(ctx, u.UID); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("the user still exists: %v", err)
		}
		if _, err := w.accounts.Get(ctx, u.UID); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("the account still exists: %v", err)
		}
		return false
	})
}
