package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// A search passes over users whom it must not show, and its cursor does not name them.
func testSearchHidden(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 9 {
		addUser(t, s, fmt.Sprintf("u%d", i), fmt.Sprintf("Common %d", i), t0)
	}
	hide := func(u store.User) bool { return u.UID == "u2" || u.UID == "u3" || u.UID == "u8" }
	for _, prefix := range []string{"", "com"} {
		for limit := 1; limit <= 9; limit++ {
			got := everything(t, func(c string) ([]store.User, string, error) {
				for _, list := range []string{"people", "word:com"} {
					if mark, err := store.ParseMark(c, list); err == nil && mark != nil && hide(store.User{UID: mark.ID}) {
						t.Errorf("the cursor names %s", mark.ID)
					}
				}
				return s.Search(ctx, store.Search{Prefix: prefix, Cursor: c, Limit: limit, Hide: hide})
			})
			equal(t, fmt.Sprintf("%q in pages of %d", prefix, limit), uids(got), []string{"u0", "u1", "u4", "u5", "u6", "u7"})
		}
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

// verify makes the address of users verified, or not.
func verify(t *testing.T, s store.Store, verified bool, at chat.Micros, uids ...string) {
	t.Helper()
	for _, uid := range uids {
		u, err := s.User(context.Background(), uid)
		must(t, err)
		_, err = s.SetAddress(context.Background(), uid, store.AddressOf(u.Email, verified, at))
		must(t, err)
	}
}

// Users whose address is verified come first, in the directory and in searches for words. The list of admins by name
// does not depend on it.
func testSearchRanks(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 6 {
		addUser(t, s, fmt.Sprintf("u%d", i), fmt.Sprintf("Pat %d", i), t0)
	}
	check := func(when string, want ...string) {
		t.Helper()
		for limit := 1; limit <= 7; limit++ {
			for _, q := range []store.Search{{}, {Prefix: "p"}, {Prefix: "pat u"}, {Prefix: "pat", All: true}} {
				got := everything(t, func(c string) ([]store.User, string, error) {
					q.Cursor, q.Limit = c, limit
					return s.Search(ctx, q)
				})
				equal(t, fmt.Sprintf("%s, %q (all %v) in pages of %d", when, q.Prefix, q.All, limit), uids(got), want)
			}
			got := everything(t, func(c string) ([]store.User, string, error) {
				return s.Search(ctx, store.Search{All: true, Cursor: c, Limit: limit})
			})
			equal(t, when+", by name", uids(got), []string{"u0", "u1", "u2", "u3", "u4", "u5"})
		}
	}
	check("nobody is verified", "u0", "u1", "u2", "u3", "u4", "u5")
	verify(t, s, true, t0+1, "u4", "u2")
	check("two are verified", "u2", "u4", "u0", "u1", "u3", "u5")
	verify(t, s, false, t0+2, "u2")
	verify(t, s, true, t0+2, "u5")
	check("another one is", "u4", "u5", "u0", "u1", "u2", "u3")
	// A user who loses the copy of the address, because another account has it, is not verified.
	_, err := s.SetAddress(ctx, "u0", store.AddressOf("u4@example.org", true, t0+3))
	must(t, err)
	check("an address has moved", "u0", "u5", "u1", "u2", "u3", "u4")
	name := "Pat 9"
	_, err = s.Rename(ctx, "u0", nil, &name, t0, false)
	must(t, err)
	page, _, err := s.Search(ctx, store.Search{Limit: 3})
	must(t, err)
	equal(t, "a verified user with a new name", uids(page), []string{"u5", "u0", "u1"})
	// The list of admins is another list, so neither accepts the other's cursor.
	for _, all := range []bool{false, true} {
		_, next, err := s.Search(ctx, store.Search{All: all, Limit: 1})
		must(t, err)
		_, _, err = s.Search(ctx, store.Search{All: !all, Limit: 1, Cursor: next})
		mustBe(t, err, store.ErrCursor)
	}
}

// Somebody's place changes while a list is read, also that of the user after whom the next page begins. Nobody else is
// missing or listed twice, and the list ends.
func testSearchWhileRanksChange(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 8 {
		addUser(t, s, fmt.Sprintf("u%d", i), fmt.Sprintf("Pat %d", i), t0)
	}
	at := t0
	for _, prefix := range []string{"", "pat"} {
		for _, moved := range []int{1, 3, 4, 6} {
			for _, after := range []int{2, 4, 6} {
				uid := fmt.Sprintf("u%d", moved)
				at++
				verify(t, s, false, at, "u4", "u5", "u6", "u7", uid)
				verify(t, s, true, at, "u0", "u1", "u2", "u3")
				at++
				page := 0
				seen := map[string]int{}
				everything(t, func(c string) ([]store.User, string, error) {
					if page++; page == after+1 {
						verify(t, s, moved >= 4, at, uid)
					}
					found, next, err := s.Search(ctx, store.Search{Prefix: prefix, Cursor: c, Limit: 1})
					for _, u := range found {
						seen[u.UID]++
					}
					return found, next, err
				})
				for i := range 8 {
					if other := fmt.Sprintf("u%d", i); other != uid && seen[other] != 1 {
						t.Errorf("%q: %s is listed %d times while %s moves after page %d", prefix, other, seen[other], uid, after)
					}
				}
				if seen[uid] > 2 {
					t.Errorf("%q: %s, who moves, is listed %d times", prefix, uid, seen[uid])
				}
			}
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
