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
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// errCrash is what calls give once the process is gone.
var errCrash = errors.New("crashed")

// fuse counts the calls that leave the process, and lets it crash at one of
// them: before it, or after it took effect. Afterwards nothing leaves any more.
type fuse struct {
	mu    sync.Mutex
	left  int  // calls until it burns; below 0: never
	after bool // the call takes effect, and its answer is lost
	burnt bool
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
		_ = do() // its answer is lost
		return errCrash
	}
	return do()
}

// fusedStore and fusedAccounts put a fuse before what Enrol and Erase call.
type fusedStore struct {
	users.Store
	*fuse
}

func (s fusedStore) Reserve(ctx context.Context, email, username, uid, attempt string, now chat.Micros, lease time.Duration) (l store.Signup, err error) {
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
func (s fusedStore) EraseContent(ctx context.Context, uid string) error {
	return s.call(func() error { return s.Store.EraseContent(ctx, uid) })
}
func (s fusedStore) FinishErase(ctx context.Context, uid string, now chat.Micros) error {
	return s.call(func() error { return s.Store.FinishErase(ctx, uid, now) })
}

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

type fusedRelay struct{ *fuse }

func (r fusedRelay) GateChanged(context.Context, internalapi.Gate) error {
	return r.call(func() error { return nil })
}
func (r fusedRelay) Gone(context.Context, string) error { return r.call(func() error { return nil }) }
func (r fusedRelay) Figures(context.Context) (internalapi.Figures, error) {
	return internalapi.Figures{}, nil
}

// world is everything that outlives a process.
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
	w := &world{store: db, authHost: authstubtest.Start(t, "demo-people"), now: time.Now()}
	if w.accounts, err = accounts.NewFirebase(t.Context(), accounts.Options{Project: "demo-people", EmulatorHost: w.authHost}); err != nil {
		t.Fatal(err)
	}
	return w
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// process is a process over the world, which crashes when f burns.
func (w *world) process(f *fuse) *users.Service {
	return users.New(users.Deps{Store: fusedStore{w.store, f}, Accounts: fusedAccounts{w.accounts, f}, Relay: fusedRelay{f},
		Now: func() time.Time { return w.now }, Log: quiet})
}

func (w *world) steady() *users.Service { return w.process(&fuse{left: -1}) }

var ada = users.Signup{Email: "ada@example.org", Password: "correct horse", Username: "ada", DisplayName: "Ada"}

// crashes runs f with a crash at every call that it makes, before and after the
// call took effect, each time in a new world.
func crashes(t *testing.T, f func(t *testing.T, w *world, p *users.Service) (done bool)) {
	for _, after := range []bool{false, true} {
		for n, done := 0, false; !done; n++ {
			if n > 20 {
				t.Fatal("there is no end to the calls")
			}
			t.Run(fmt.Sprintf("call_%d,after_%v", n, after), func(t *testing.T) {
				w := newWorld(t)
				done = f(t, w, w.process(&fuse{left: n, after: after}))
			})
		}
	}
}

// Wherever a sign-up breaks off, the same person gets in, with the password of their
// last try, as soon as the lease has ended; and nothing is left over.
func TestSignupCrashes(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, p *users.Service) bool {
		ctx := t.Context()
		_, err := p.Create(ctx, ada)
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
				t.Errorf("to be tried again after %v", p.RetryAfter)
			}
			w.now = w.now.Add(p.RetryAfter)
			u, err = w.steady().Create(ctx, again)
		}
		password := again.Password
		if committed { // only the answer was lost: the person is told to sign in, and can
			if !errors.Is(err, store.ErrUsernameTaken) {
				t.Fatalf("a sign-up that was done is answered %v", err)
			}
			password = ada.Password
			if u, err = w.store.UserByEmail(ctx, ada.Email); err != nil {
				t.Fatal(err)
			}
			other := again
			other.Username = "other"
			if _, err := w.steady().Create(ctx, other); !errors.Is(err, accounts.ErrEmailTaken) {
				t.Fatalf("the address of a sign-up that was done is answered %v", err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		token, err := accountstest.SignIn(ctx, w.authHost, ada.Email, password)
		if err != nil {
			t.Fatalf("signing in: %v", err)
		}
		claims, err := accountstest.Claims(token)
		if err != nil || claims["sub"] != u.UID {
			t.Errorf("the token is for %v, the user %v (%v)", claims["sub"], u.UID, err)
		}
		nothingLeft(t, w)
		return false
	})
}

// nothingLeft fails the test if a lease is left.
func nothingLeft(t *testing.T, w *world) {
	t.Helper()
	far := chat.MicrosOf(w.now.Add(1000 * time.Hour))
	left, err := w.store.LeaseStale(t.Context(), far, "test", far, time.Second, 10)
	if err != nil || len(left) != 0 {
		t.Errorf("leases are left: %v, %v", left, err)
	}
}

// Whoever does not come back leaves no account behind: others' sign-ups sweep
// it, the name can be taken by another, and the address by anybody.
func TestSignupsThatNeverCameBackAreSwept(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, p *users.Service) bool {
		ctx := t.Context()
		_, err := p.Create(ctx, ada)
		if err == nil {
			return true
		}
		if _, err := w.store.UserByEmail(ctx, ada.Email); err == nil {
			return false // only the answer was lost
		}
		w.now = w.now.Add(16 * time.Second)
		bob := users.Signup{Email: "bob@example.org", Password: "correct horse", Username: "ada", DisplayName: "Bob"}
		if _, err := w.steady().Create(ctx, bob); err != nil {
			t.Fatalf("the name is still taken: %v", err)
		}
		w.now = w.now.Add(2 * time.Hour)
		if err := w.steady().SweepSignups(ctx); err != nil {
			t.Fatal(err)
		}
		if a, err := w.accounts.ByEmail(ctx, ada.Email); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("an account is left: %+v, %v", a, err)
		}
		nothingLeft(t, w)
		if _, err := w.store.UserByUsername(ctx, "ada"); err != nil {
			t.Errorf("the sweep took bob's name: %v", err)
		}
		return false
	})
}

// Of several who sign up with one address at once, exactly one gets in, and
// the account has the password of that one.
func TestSignupsAtOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			p := ada
			p.Password, p.Username = fmt.Sprintf("correct horse %d", i), fmt.Sprintf("ada%d", i)
			_, errs[i] = w.steady().Create(t.Context(), p)
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
				t.Errorf("who was told yes cannot sign in: %v", serr)
			}
		case !errors.Is(err, store.ErrSignupBusy) && !errors.Is(err, accounts.ErrEmailTaken) && !errors.Is(err, store.ErrSignupLost):
			t.Errorf("a loser is told %v", err)
		case serr == nil:
			t.Error("who was told no can sign in")
		}
	}
	if won != 1 {
		t.Errorf("%d got in", won)
	}
}

// An account that was made elsewhere is never taken over by a sign-up.
func TestForeignAccountsAreNotTakenOver(t *testing.T) {
	w := newWorld(t)
	if err := w.accounts.Create(t.Context(), accounts.New{UID: "foreign", Email: ada.Email, Password: "its own password", DisplayName: "x"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.steady().Create(t.Context(), ada); !errors.Is(err, accounts.ErrEmailTaken) {
			t.Fatalf("the sign-up is answered %v", err)
		}
	}
	if _, err := accountstest.SignIn(t.Context(), w.authHost, ada.Email, "its own password"); err != nil {
		t.Errorf("the account was changed: %v", err)
	}
	nothingLeft(t, w)
}

// An erasure that crashed anywhere is finished by repeating it.
func TestErasureCrashes(t *testing.T) {
	crashes(t, func(t *testing.T, w *world, p *users.Service) bool {
		ctx := t.Context()
		u, err := w.steady().Create(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Erase(ctx, u.UID)
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
		} else if err == nil { // it had not begun
			if err := w.steady().Erase(ctx, u.UID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.store.User(ctx, u.UID); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("the user is still there: %v", err)
		}
		if _, err := w.accounts.Get(ctx, u.UID); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("the account is still there: %v", err)
		}
		return false
	})
}
