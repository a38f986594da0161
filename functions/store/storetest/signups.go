package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func testSignup(t *testing.T, s store.Store) {
	ctx := context.Background()
	lease, err := s.Reserve(ctx, "Ada@Example.org", "Ada", "uid-1", "a1", t0, time.Minute)
	must(t, err)
	equal(t, "the lease's uid", lease.UID, "uid-1")
	equal(t, "the lease's end", lease.Expires, t0+60*second)

	_, err = s.User(ctx, "uid-1")
	mustBe(t, err, problem.ErrNotFound)
	u := store.User{UID: "uid-1", Username: "Ada", DisplayName: "Ada Lovelace", Email: "ada@example.org", CreatedAt: t0}
	must(t, s.Commit(ctx, lease, u))
	mustBe(t, s.Commit(ctx, lease, u), store.ErrSignupLost)
	got, err := s.User(ctx, "uid-1")
	must(t, err)
	equal(t, "the user", got, u)

	for _, name := range []string{"Ada", "ada", "ADA"} {
		_, err = s.Reserve(ctx, "else@example.org", name, "uid-2", "a2", t0+day*1000, time.Minute)
		mustBe(t, err, store.ErrUsernameTaken)
	}
	// The refused calls did not leave a lease.
	lease, err = s.Reserve(ctx, "else@example.org", "bob", "uid-2", "a3", t0, time.Minute)
	must(t, err)
	must(t, s.Commit(ctx, lease, store.User{UID: "uid-2", Username: "bob", Email: "else@example.org", CreatedAt: t0}))
}

// Sign-ups at the same time do not wait for each other's locks.
func testSignupsAtOnce(t *testing.T, s store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	const n = 12
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			name := fmt.Sprintf("user%d", i)
			lease, err := s.Reserve(ctx, name+"@example.org", name, "uid-"+name, "a", t0, time.Minute)
			if err == nil {
				err = s.Commit(ctx, lease, store.User{UID: "uid-" + name, Username: name, Email: name + "@example.org",
					CreatedAt: t0})
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
}

// An interrupted sign-up is continued by a retry with the same address: at once after a release, otherwise when its
// lease has ended. It does not block others for longer.
func testSignupInterrupted(t *testing.T, s store.Store) {
	ctx := context.Background()
	lease, err := s.Reserve(ctx, "ada@example.org", "ada", "uid-1", "a1", t0, time.Minute)
	must(t, err)

	_, err = s.Reserve(ctx, "ada@example.org", "ada", "uid-2", "a2", t0+second, time.Minute)
	mustBe(t, err, store.ErrSignupBusy)
	var p *problem.Error
	if !errors.As(err, &p) || p.RetryAfter != 59*time.Second {
		t.Errorf("retry after %v, want 59s", p.RetryAfter)
	}
	_, err = s.Reserve(ctx, "bob@example.org", "ada", "uid-3", "a3", t0+second, time.Minute)
	mustBe(t, err, store.ErrUsernameTaken)

	must(t, s.Release(ctx, lease))
	must(t, s.Release(ctx, lease))
	again, err := s.Reserve(ctx, "ada@example.org", "countess", "uid-2", "a4", t0+2*second, time.Minute)
	must(t, err)
	equal(t, "the uid of the retry", again.UID, "uid-1")
	mustBe(t, s.Commit(ctx, lease, store.User{UID: "uid-1", Username: "ada"}), store.ErrSignupLost)

	// The first username is free, since the retry has another.
	_, err = s.Reserve(ctx, "bob@example.org", "ada", "uid-3", "a5", t0+3*second, time.Minute)
	must(t, err)
	// The lease has ended without a release. The address keeps its uid, and others may take the username.
	later, err := s.Reserve(ctx, "ada@example.org", "countess", "uid-9", "a6", t0+120*second, time.Minute)
	must(t, err)
	equal(t, "the uid of the later retry", later.UID, "uid-1")
	_, err = s.Reserve(ctx, "cyd@example.org", "ada", "uid-4", "a7", t0+120*second, time.Minute)
	must(t, err)
	must(t, s.Commit(ctx, later, store.User{UID: "uid-1", Username: "countess", Email: "ada@example.org", CreatedAt: t0}))
	_, err = s.UserByUsername(ctx, "Countess")
	must(t, err)
}

// An attempt that lost its lease to another can no longer change anything.
func testSignupLostLease(t *testing.T, s store.Store) {
	ctx := context.Background()
	old, err := s.Reserve(ctx, "ada@example.org", "ada", "uid-1", "a1", t0, time.Minute)
	must(t, err)
	other, err := s.Reserve(ctx, "eve@example.org", "ada", "uid-2", "a2", t0+61*second, time.Minute)
	must(t, err)
	u := store.User{UID: "uid-1", Username: "ada", Email: "ada@example.org", CreatedAt: t0}
	mustBe(t, s.Commit(ctx, old, u), store.ErrSignupLost)
	must(t, s.Release(ctx, old)) // must not release the username, which eve leases now
	_, err = s.Reserve(ctx, "cyd@example.org", "ada", "uid-3", "a3", t0+62*second, time.Minute)
	mustBe(t, err, store.ErrUsernameTaken)
	must(t, s.Commit(ctx, other, store.User{UID: "uid-2", Username: "ada", Email: "eve@example.org", CreatedAt: t0}))
	must(t, s.Forget(ctx, old))
	_, err = s.Reserve(ctx, "cyd@example.org", "ada", "uid-3", "a4", t0+200*second, time.Minute)
	mustBe(t, err, store.ErrUsernameTaken)
}

// Of several concurrent sign-ups with one username, one succeeds.
func testConcurrentSignups(t *testing.T, s store.Store) {
	ctx := context.Background()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			uid, email := fmt.Sprintf("uid-%d", i), fmt.Sprintf("p%d@example.org", i)
			lease, err := s.Reserve(ctx, email, "ada", uid, "a", t0, time.Minute)
			if err == nil {
				err = s.Commit(ctx, lease, store.User{UID: uid, Username: "ada", Email: email, CreatedAt: t0})
			}
			errs[i] = err
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		// a conflict may be answered with unavailable
		case errors.Is(err, store.ErrUsernameTaken), errors.Is(err, problem.ErrUnavailable):
		default:
			t.Errorf("failed sign-up: error %v", err)
		}
	}
	equal(t, "successful sign-ups", won, 1)
}

func testStaleSignups(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 3 {
		_, err := s.Reserve(ctx, fmt.Sprintf("p%d@example.org", i), fmt.Sprintf("name%d", i), fmt.Sprintf("uid-%d", i), "a",
			t0+second*10*[]chat.Micros{2, 0, 1}[i], time.Second)
		must(t, err)
	}
	none, err := s.LeaseStale(ctx, t0, "sweep", t0+60*second, time.Minute, 10)
	must(t, err)
	equal(t, "leases that ended before the first", len(none), 0)
	stale, err := s.LeaseStale(ctx, t0+15*second, "sweep", t0+60*second, time.Minute, 1)
	must(t, err)
	equal(t, "the oldest", stale[0].UID, "uid-1")

	// A retry during the sweep has to wait, and starts again afterwards.
	_, err = s.Reserve(ctx, "p1@example.org", "name1", "uid-new", "b", t0+61*second, time.Second)
	mustBe(t, err, store.ErrSignupBusy)
	must(t, s.Forget(ctx, stale[0]))
	lease, err := s.Reserve(ctx, "p1@example.org", "name1", "uid-new", "b", t0+62*second, time.Minute)
	must(t, err)
	equal(t, "the uid after the sweep", lease.UID, "uid-new")

	// A sweep that lost its lease does not delete anything.
	stale, err = s.LeaseStale(ctx, t0+15*second, "sweep", t0+70*second, time.Second, 10)
	must(t, err)
	equal(t, "leases that remain", len(stale), 1)
	equal(t, "the uid of that one", stale[0].UID, "uid-2")
	_, err = s.Reserve(ctx, "p2@example.org", "name2", "uid-x", "c", t0+80*second, time.Minute)
	must(t, err)
	must(t, s.Forget(ctx, stale[0]))
	_, err = s.Reserve(ctx, "p9@example.org", "name2", "uid-9", "d", t0+81*second, time.Minute)
	mustBe(t, err, store.ErrUsernameTaken)
}
