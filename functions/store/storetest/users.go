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
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func testUsers(t *testing.T, s store.Store) {
	ctx := context.Background()
	ada := addUser(t, s, "Ada", "Ada Lovelace", t0)
	bob := addUser(t, s, "bob", "Bob", t0+1)
	found, err := s.Users(ctx, []string{"Ada", "bob", "nobody", "Ada"})
	must(t, err)
	equal(t, "the users", found, map[string]store.User{"Ada": ada, "bob": bob})
	none, err := s.Users(ctx, nil)
	must(t, err)
	equal(t, "the users of no ids", len(none), 0)

	for _, name := range []string{"ada", "ADA"} {
		u, err := s.UserByUsername(ctx, name)
		must(t, err)
		equal(t, "the user by name", u.UID, "Ada")
	}
	// Callers store addresses in lower case. They are found in any case.
	u, err := s.UserByEmail(ctx, "BOB@example.ORG")
	must(t, err)
	equal(t, "the user by address", u.UID, "bob")
	for _, err := range []error{
		errOf(s.User(ctx, "nobody")), errOf(s.UserByUsername(ctx, "nobody")), errOf(s.UserByEmail(ctx, "bob@example.or")),
		errOf(s.Rename(ctx, "nobody", nil, nil, t0, false)), errOf(s.SetBlocked(ctx, "nobody", "Ada", true)),
		errOf(s.SetAdmin(ctx, "nobody", true, true)), errOf(s.SetDisabled(ctx, "nobody", true)),
		errOf(s.EndSessions(ctx, "nobody", t0)), errOf(s.BeginErase(ctx, "nobody", t0)),
	} {
		mustBe(t, err, problem.ErrNotFound)
	}
}

// errOf returns the error of a call with two results.
func errOf[T any](_ T, err error) error { return err }

func testRename(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	name, display := "Countess", "Ada King"
	u, err := s.Rename(ctx, "ada", &name, &display, t0, false)
	must(t, err)
	equal(t, "the username", u.Username, name)
	equal(t, "the display name", u.DisplayName, display)
	got, err := s.UserByUsername(ctx, "countess")
	must(t, err)
	equal(t, "who is found by the new name", got.UID, "ada")
	_, err = s.UserByUsername(ctx, "ada")
	mustBe(t, err, problem.ErrNotFound)
	page, _, err := s.Search(ctx, store.Search{Prefix: "king", Limit: 10})
	must(t, err)
	equal(t, "who is found by the new word", uids(page), []string{"ada"})

	// The old username is held, but the user may take it again.
	old := "ada"
	_, err = s.Rename(ctx, "bob", &old, nil, t0+29*day, false)
	mustBe(t, err, store.ErrUsernameTaken)
	_, err = s.Reserve(ctx, "x@example.org", "ada", "x", "a", t0+29*day, time.Minute)
	mustBe(t, err, store.ErrUsernameTaken)
	_, err = s.Rename(ctx, "ada", &old, nil, t0+2*day, false)
	must(t, err)
	_, err = s.Rename(ctx, "ada", &name, nil, t0+31*day, false)
	must(t, err)
	_, err = s.Rename(ctx, "bob", &old, nil, t0+62*day, false)
	must(t, err)
	// Only the case changes.
	upper := "ADA"
	u, err = s.Rename(ctx, "bob", &upper, nil, t0+63*day, false)
	must(t, err)
	equal(t, "the username", u.Username, "ADA")
	_, err = s.UserByUsername(ctx, "ada")
	must(t, err)
}

// Two changes of the username are possible in 30 days. Neither the display name, nor the case, nor what an operator
// changes counts.
func testRenames(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	rename := func(name string, at chat.Micros, operator bool) error {
		_, err := s.Rename(ctx, "ada", &name, nil, at, operator)
		return err
	}
	must(t, rename("ada1", t0, false))
	must(t, rename("ADA1", t0+second, false))
	must(t, rename("ada2", t0+2*day, false))
	display := "Countess"
	_, err := s.Rename(ctx, "ada", nil, &display, t0+3*day, false)
	must(t, err)
	err = rename("ada3", t0+29*day, false)
	mustBe(t, err, store.ErrRenames)
	equal(t, "the time to wait", problem.Of(err).RetryAfter, 24*time.Hour)
	mustBe(t, rename("ada", t0+29*day, false), store.ErrRenames) // nor back to a name that is held for them
	if _, err := s.UserByUsername(ctx, "ada3"); !errors.Is(err, problem.ErrNotFound) {
		t.Errorf("a refused change has taken the name: %v", err)
	}
	u, err := s.UserByUsername(ctx, "ada2")
	must(t, err)
	equal(t, "the user after a refused change", u.UID, "ada")
	must(t, rename("ada4", t0+29*day, true))
	must(t, rename("ada5", t0+30*day, false)) // the first change is 30 days old
	mustBe(t, rename("ada6", t0+31*day, false), store.ErrRenames)
	must(t, rename("ada7", t0+32*day, false))
}

// People whom a user has blocked go on seeing the names that the user had then.
func testFrozenNames(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	sees := func(uid, username, display string) {
		t.Helper()
		u, err := s.User(ctx, "ada")
		must(t, err)
		gotName, gotDisplay := u.NamesFor(uid)
		equal(t, uid+" sees", []string{gotName, gotDisplay}, []string{username, display})
	}
	block := func(uid string, blocked bool) {
		t.Helper()
		_, err := s.SetBlocked(ctx, "ada", uid, blocked)
		must(t, err)
	}
	rename := func(username, display string) {
		t.Helper()
		_, err := s.Rename(ctx, "ada", &username, &display, t0, true)
		must(t, err)
	}
	block("eve", true)
	sees("eve", "ada", "Ada")
	rename("ada2", "Ada the second")
	block("mallory", true)
	rename("ada3", "Ada the third")
	sees("eve", "ada", "Ada")
	sees("mallory", "ada2", "Ada the second")
	sees("bob", "ada3", "Ada the third")
	block("eve", false)
	sees("eve", "ada3", "Ada the third")
	block("eve", true)
	rename("ada4", "Ada the fourth")
	sees("eve", "ada3", "Ada the third")
	sees("mallory", "ada2", "Ada the second")
}

// A call counts the documents that it reads, also those that it does not return.
func testMeter(t *testing.T, s store.Store) {
	for i := range 5 {
		addUser(t, s, fmt.Sprintf("u%d", i), "Same Name", t0+chat.Micros(i))
	}
	save(t, s, []delivery.Delivered{message("u0", "u1", t0, "a"),
		message("u0", "u1", t0+1, "b"), message("u2", "u1", t0+2, "c")}, nil)
	reads := func(what string, want int64, call func(ctx context.Context) error) {
		t.Helper()
		ctx, m := store.WithMeter(context.Background())
		must(t, call(ctx))
		if m.Read() != want {
			t.Errorf("%s: %d documents, want %d", what, m.Read(), want)
		}
	}
	reads("a user", 1, func(ctx context.Context) error { return errOf(s.User(ctx, "u1")) })
	reads("users", 3, func(ctx context.Context) error { return errOf(s.Users(ctx, []string{"u1", "u2", "nobody"})) })
	reads("a user by name", 2, func(ctx context.Context) error { return errOf(s.UserByUsername(ctx, "u1")) })
	reads("a page and one", 3, func(ctx context.Context) error {
		_, _, err := s.Search(ctx, store.Search{Limit: 2})
		return err
	})
	reads("a list of the hidden", 5, func(ctx context.Context) error {
		_, _, err := s.Search(ctx, store.Search{Limit: 9, Hide: func(store.User) bool { return true }})
		return err
	})
	reads("conversations", 4, func(ctx context.Context) error { // two documents and two counts
		_, _, err := s.Conversations(ctx, "u1", "", 10)
		return err
	})
	reads("messages", 2, func(ctx context.Context) error {
		_, _, err := s.Messages(ctx, "u0~u1", store.Position{}, 10)
		return err
	})
}

func testBlocked(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	for range 2 {
		u, err := s.SetBlocked(ctx, "ada", "bob", true)
		must(t, err)
		equal(t, "the blocked", u.Blocked, []string{"bob"})
	}
	u, err := s.User(ctx, "ada")
	must(t, err)
	equal(t, "bob is blocked", u.HasBlocked("bob"), true)
	for range 2 {
		u, err = s.SetBlocked(ctx, "ada", "bob", false)
		must(t, err)
		equal(t, "the number of blocked", len(u.Blocked), 0)
	}
}

func testLastAdmin(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	_, err := s.SetAdmin(ctx, "bob", false, true) // bob was not an admin
	must(t, err)
	u, err := s.SetAdmin(ctx, "ada", true, true)
	must(t, err)
	equal(t, "ada is admin", u.Admin, true)
	for _, err := range []error{
		errOf(s.SetAdmin(ctx, "ada", false, true)), errOf(s.SetDisabled(ctx, "ada", true)), errOf(s.BeginErase(ctx, "ada",
			t0)),
	} {
		mustBe(t, err, store.ErrLastAdmin)
	}
	_, err = s.SetAdmin(ctx, "bob", true, true)
	must(t, err)
	_, err = s.SetDisabled(ctx, "bob", true)
	must(t, err)
	_, err = s.SetAdmin(ctx, "ada", false, true) // bob is disabled, so he does not count
	mustBe(t, err, store.ErrLastAdmin)
	_, err = s.SetDisabled(ctx, "bob", false)
	must(t, err)
	_, err = s.SetAdmin(ctx, "ada", false, true)
	must(t, err)
	_, err = s.SetAdmin(ctx, "bob", false, false) // as the operator's command does
	must(t, err)
}

// Of two admins who unmake each other at once, at most one succeeds.
func testConcurrentLastAdmins(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 2 {
		addUser(t, s, fmt.Sprintf("a%d", i), "x", t0)
		addUser(t, s, fmt.Sprintf("b%d", i), "x", t0)
	}
	for i := range 2 {
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
		for _, uid := range []string{a, b} {
			_, err := s.SetAdmin(ctx, uid, true, false)
			must(t, err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 2)
		wg.Go(func() { _, errs[0] = s.SetAdmin(ctx, a, false, true) })
		wg.Go(func() { _, errs[1] = s.SetDisabled(ctx, b, true) })
		wg.Wait()
		if errs[0] == nil && errs[1] == nil {
			t.Fatal("the last two admins unmade each other")
		}
		for _, err := range errs {
			if err != nil && !errors.Is(err, store.ErrLastAdmin) && !errors.Is(err, problem.ErrUnavailable) {
				t.Errorf("failed call: error %v", err)
			}
		}
		for _, uid := range []string{a, b} {
			_, err := s.SetAdmin(ctx, uid, false, false)
			must(t, err)
		}
	}
}

func testSessions(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	addUser(t, s, prober.A, "Prober", t0+2*day) // is neither counted nor listed
	listed, _, err := s.Search(ctx, store.Search{Limit: 10})
	must(t, err)
	equal(t, "listed", len(listed), 2)
	for _, at := range []chat.Micros{t0 + 5, t0 + 3} {
		u, err := s.EndSessions(ctx, "ada", at)
		must(t, err)
		equal(t, "valid after", u.ValidAfter, t0+5)
	}
	must(t, s.Touch(ctx, []string{"bob"}, t0+day))
	must(t, s.Touch(ctx, nil, t0+day))
	_, err = s.User(ctx, "nobody")
	mustBe(t, err, problem.ErrNotFound)
	all, active, err := s.CountUsers(ctx, t0+day)
	must(t, err)
	equal(t, "all", all, int64(2))
	equal(t, "active", active, int64(1))
	_, active, err = s.CountUsers(ctx, t0+day+1)
	must(t, err)
	equal(t, "active later", active, int64(0))
}
