package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func testSignIns(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	at := func(n int) chat.Micros { return t0 + chat.Micros(n)*second }
	for _, n := range []int{3, 1, 2, 3} {
		u, err := s.RecordSignIn(ctx, "ada", at(n))
		must(t, err)
		equal(t, "a recorded sign-in is new", u.IsNewSignIn(at(n)), false)
	}
	u, err := s.EndSession(ctx, "ada", at(2))
	must(t, err)
	equal(t, "sign-ins", u.SignIns, []chat.Micros{at(1), at(3)})
	// One that was never recorded can end, too. Ending it again changes nothing.
	for range 2 {
		u, err = s.EndSession(ctx, "ada", at(5))
		must(t, err)
		equal(t, "ended", u.Ended, []chat.Micros{at(2), at(5)})
	}
	u, err = s.RecordSignIn(ctx, "ada", at(5))
	must(t, err)
	equal(t, "sign-ins after an ended one called", u.SignIns, []chat.Micros{at(1), at(3)})
	for n, ended := range []bool{1: false, 2: true, 3: false, 4: false, 5: true} {
		if got, err := s.User(ctx, "ada"); err != nil || n > 0 && got.HasEnded(at(n)) != ended {
			t.Errorf("sign-in %d has ended: %v, want %v (%v)", n, got.HasEnded(at(n)), ended, err)
		}
	}
	u, err = s.RecordSignIn(ctx, "ada", at(7))
	must(t, err)
	u, err = s.EndOtherSessions(ctx, "ada", at(3))
	must(t, err)
	equal(t, "valid after", u.ValidAfter, at(3))
	equal(t, "ended", u.Ended, []chat.Micros{at(5), at(7)})
	equal(t, "sign-ins", u.SignIns, []chat.Micros{at(3)})
	u, err = s.EndSessions(ctx, "ada", at(6)+1) // the comparison is in whole seconds
	must(t, err)
	equal(t, "ended", u.Ended, []chat.Micros{at(7)})
	equal(t, "sign-ins", len(u.SignIns), 0)
	got, err := s.User(ctx, "ada")
	must(t, err)
	equal(t, "the stored user", got, u)
	for _, err := range []error{
		errOf(s.EndSession(ctx, "nobody", t0)), errOf(s.EndOtherSessions(ctx, "nobody", t0)),
		errOf(s.RecordSignIn(ctx, "nobody", t0)),
		errOf(s.SetAddress(ctx, "nobody", store.AddressOf("a@example.org", true, t0))),
	} {
		mustBe(t, err, problem.ErrNotFound)
	}
}

// The newest copy of an address wins, and no two users have the same.
func testAddresses(t *testing.T, s store.Store) {
	ctx := context.Background()
	add := func(name, email string, at chat.Micros) {
		t.Helper()
		lease, err := s.Reserve(ctx, email, name, name, "attempt", at, time.Minute)
		must(t, err)
		must(t, s.Commit(ctx, lease, store.User{UID: name, Username: name, DisplayName: name, Email: email, EmailAt: at,
			CreatedAt: at}))
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		for name, email := range want {
			u, err := s.User(ctx, name)
			must(t, err)
			equal(t, when+": address of "+name, fmt.Sprintf("%s %v", u.Email, u.EmailVerified), email)
		}
	}
	add("ada", "one@example.org", t0)
	add("bob", "two@example.org", t0)
	_, err := s.SetAddress(ctx, "ada", store.AddressOf("ONE@example.org", true, t0+1))
	must(t, err)
	check("verified", map[string]string{"ada": "one@example.org true"})
	_, err = s.SetAddress(ctx, "ada", store.AddressOf("old@example.org", true, t0))
	must(t, err)
	check("an older address", map[string]string{"ada": "one@example.org true"})

	// bob has the address of ada by now, who has not been seen with her new one.
	_, err = s.SetAddress(ctx, "bob", store.AddressOf("one@example.org", true, t0+10))
	must(t, err)
	check("moved", map[string]string{"ada": " false", "bob": "one@example.org true"})
	u, err := s.UserByEmail(ctx, "one@example.org")
	must(t, err)
	equal(t, "who has the address", u.UID, "bob")
	_, err = s.SetAddress(ctx, "ada", store.AddressOf("one@example.org", true, t0+5))
	must(t, err)
	check("an older token", map[string]string{"ada": " false", "bob": "one@example.org true"})
	_, err = s.SetAddress(ctx, "ada", store.AddressOf("three@example.org", false, t0+11))
	must(t, err)
	check("known again", map[string]string{"ada": "three@example.org false", "bob": "one@example.org true"})
	// A copy that turns out to be older than another user's is not kept.
	_, err = s.SetAddress(ctx, "bob", store.AddressOf("four@example.org", true, t0+20))
	must(t, err)
	_, err = s.SetAddress(ctx, "ada", store.AddressOf("four@example.org", true, t0+15))
	must(t, err)
	check("not kept", map[string]string{"ada": " false", "bob": "four@example.org true"})

	// A sign-up shows that the address is not anybody else's.
	add("cyd", "four@example.org", t0+30)
	check("after a sign-up", map[string]string{"bob": " false", "cyd": "four@example.org false"})
	page, _, err := s.Search(ctx, store.Search{Prefix: "@", All: true, Limit: 10})
	must(t, err)
	equal(t, "users by an address without a beginning", len(page), 0)
	page, _, err = s.Search(ctx, store.Search{Prefix: "four@", All: true, Limit: 10})
	must(t, err)
	equal(t, "users with the address", uids(page), []string{"cyd"})
}
