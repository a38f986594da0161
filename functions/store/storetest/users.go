package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
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
		errOf(s.Rename(ctx, "nobody", nil, nil, t0)), errOf(s.SetBlocked(ctx, "nobody", "Ada", true)),
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
	u, err := s.Rename(ctx, "ada", &name, &display, t0)
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
	_, err = s.Rename(ctx, "bob", &old, nil, t0+29*day)
	mustBe(t, err, store.ErrUsernameTaken)
	_, err = s.Reserve(ctx, "x@example.org", "ada", "x", "a", t0+29*day, time.Minute)
	mustBe(t, err, store.ErrUsernameTaken)
	_, err = s.Rename(ctx, "ada", &old, nil, t0+2*day)
	must(t, err)
	_, err = s.Rename(ctx, "ada", &name, nil, t0+3*day)
	must(t, err)
	_, err = s.Rename(ctx, "bob", &old, nil, t0+34*day)
	must(t, err)
	// Only the case changes.
	upper := "ADA"
	u, err = s.Rename(ctx, "bob", &upper, nil, t0+35*day)
	must(t, err)
	equal(t, "the username", u.Username, "ADA")
	_, err = s.UserByUsername(ctx, "ada")
	must(t, err)
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

func testSearchName(t *testing.T, s store.Store) {
	ctx := context.Background()
	// Case and accents do not matter. Equal names are sorted by uid.
	for i, name := range []string{"bertha", "Élodie", "adam", "Ada", "zoe", "Bertha", "ｆｕｌｌ"} {
		addUser(t, s, fmt.Sprintf("u%d", i), name, t0)
	}
	want := []string{"u3", "u2", "u0", "u5", "u1", "u6", "u4"}
	for limit := 1; limit <= 8; limit++ {
		got := everything(t, func(c string) ([]store.User, string, error) {
			page, next, err := s.Search(ctx, store.Search{Cursor: c, Limit: limit})
			if len(page) > limit {
				t.Errorf("%d users on a page of at most %d", len(page), limit)
			}
			return page, next, err
		})
		equal(t, fmt.Sprintf("everybody in pages of %d", limit), uids(got), want)
	}
	// Users who appear or disappear while a list is read do not duplicate or hide others.
	page, next, err := s.Search(ctx, store.Search{Limit: 3})
	must(t, err)
	equal(t, "the first page", uids(page), want[:3])
	_, err = s.SetDisabled(ctx, "u5", true)
	must(t, err)
	addUser(t, s, "u7", "aaron", t0)
	addUser(t, s, "u8", "coco", t0)
	page, _, err = s.Search(ctx, store.Search{Limit: 3, Cursor: next})
	must(t, err)
	equal(t, "the second page", uids(page), []string{"u8", "u1", "u6"})
	page, _, err = s.Search(ctx, store.Search{Limit: 100, All: true})
	must(t, err)
	equal(t, "all, disabled ones too", len(page), 9)
	for _, limit := range []int{-1, 0} {
		page, _, err = s.Search(ctx, store.Search{Limit: limit})
		must(t, err)
		equal(t, "a page of an odd limit", len(page), 1)
	}
}

func testSearchWord(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "enchantress", "Ada Lovelace", t0)
	addUser(t, s, "a.turing", "Alan Turing", t0)
	addUser(t, s, "grace", "Grace Hopper-Adams", t0)
	addUser(t, s, "long", "Wolfeschlegelsteinhausenbergerdorff", t0)
	addUser(t, s, "long2", "Wolfeschlegelsteinmetz", t0)
	_, err := s.SetDisabled(ctx, "long2", true)
	must(t, err)
	for query, want := range map[string][]string{
		"a": {"enchantress", "a.turing", "grace"}, "ADA": {"enchantress", "grace"}, "ádám": {"grace"},
		"love": {"enchantress"}, "lace": nil, "tur": {"a.turing"}, "a.t": {"a.turing"}, "ada lo": {"enchantress"},
		"lo ada": {"enchantress"},
		"ada x":  nil, "ench": {"enchantress"}, "wolfeschlegelsteinhausenb": {"long"}, "wolfeschlegelstein": {"long"},
		"hopper": {"grace"}, "hopper-ad": {"grace"}, "grace  HOPPER": {"grace"},
		"%": nil, "*": nil, "  ": {"enchantress", "a.turing", "grace", "long"},
	} {
		for _, limit := range []int{1, 2, 50} {
			got := everything(t, func(c string) ([]store.User, string, error) {
				return s.Search(ctx, store.Search{Prefix: query, Cursor: c, Limit: limit})
			})
			if !slices.Equal(uids(got), want) {
				t.Errorf("%q in pages of %d: %v, want %v", query, limit, uids(got), want)
			}
		}
	}
	all, _, err := s.Search(ctx, store.Search{Prefix: "wolfe", All: true, Limit: 5})
	must(t, err)
	equal(t, "disabled ones, too", uids(all), []string{"long", "long2"})
}

func testSearchOrders(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 5 {
		addUser(t, s, fmt.Sprintf("u%d", i), "x", t0+chat.Micros(i%3)*second) // 0 1 2 0 1
	}
	must(t, s.Touch(ctx, []string{"u1", "nobody"}, t0+5*day))
	must(t, s.Touch(ctx, []string{"u3"}, t0+7*day))
	must(t, s.Touch(ctx, []string{"u3"}, t0+6*day)) // does not lower it
	for order, want := range map[string][]string{store.ByNewest: {"u2", "u4", "u1", "u3", "u0"},
		store.ByActive: {"u3", "u1", "u4", "u2", "u0"}} {
		for _, limit := range []int{1, 2, 3, 5} {
			got := everything(t, func(c string) ([]store.User, string, error) {
				return s.Search(ctx, store.Search{Order: order, All: true, Cursor: c, Limit: limit})
			})
			equal(t, order, uids(got), want)
		}
	}
}

func testSearchEmail(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, n := range []string{"ada", "adam", "bob"} {
		addUser(t, s, n, "x", t0)
	}
	for query, want := range map[string][]string{"ada@": {"ada"}, "ADA@Example.org": {"ada"}, "bob@example.com": nil,
		"@": nil} {
		got, _, err := s.Search(ctx, store.Search{Prefix: query, All: true, Limit: 10})
		must(t, err)
		equal(t, query, uids(got), want)
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
	for _, at := range []chat.Micros{t0 + 5, t0 + 3} {
		u, err := s.EndSessions(ctx, "ada", at)
		must(t, err)
		equal(t, "valid after", u.ValidAfter, t0+5)
	}
	must(t, s.Touch(ctx, []string{"bob"}, t0+day))
	must(t, s.Touch(ctx, nil, t0+day))
	_, err := s.User(ctx, "nobody")
	mustBe(t, err, problem.ErrNotFound)
	all, active, err := s.CountUsers(ctx, t0+day)
	must(t, err)
	equal(t, "all", all, int64(2))
	equal(t, "active", active, int64(1))
	_, active, err = s.CountUsers(ctx, t0+day+1)
	must(t, err)
	equal(t, "active later", active, int64(0))
}
