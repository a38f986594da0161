package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

func testSignIns(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	at := func(n int) chat.Micros { return t0 + chat.Micros(n)*second }
	record := func(n int) store.User {
		t.Helper()
		u, _, err := s.RecordSignIn(ctx, "ada", store.Seen{SignIn: at(n), At: at(n), Called: true})
		must(t, err)
		return u
	}
	for _, n := range []int{3, 1, 2, 3} {
		u := record(n)
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
	u = record(5)
	equal(t, "sign-ins after an ended one called", u.SignIns, []chat.Micros{at(1), at(3)})
	for n, ended := range []bool{1: false, 2: true, 3: false, 4: false, 5: true} {
		if got, err := s.User(ctx, "ada"); err != nil || n > 0 && got.HasEnded(at(n)) != ended {
			t.Errorf("sign-in %d has ended: %v, want %v (%v)", n, got.HasEnded(at(n)), ended, err)
		}
	}
	record(7)
	u, err = s.EndOtherSessions(ctx, "ada", at(3), at(8))
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
	_, _, err = s.RecordSignIn(ctx, "nobody", store.Seen{SignIn: t0, At: t0})
	mustBe(t, err, problem.ErrNotFound)
	for _, err := range []error{
		errOf(s.EndSession(ctx, "nobody", t0)), errOf(s.EndOtherSessions(ctx, "nobody", t0, 0)),
		errOf(s.SignOutDevice(ctx, "nobody", "1")),
		errOf(s.SetAddress(ctx, "nobody", store.AddressOf("a@example.org", true, t0))),
	} {
		mustBe(t, err, problem.ErrNotFound)
	}
}

// Uses of sign-ins make the list of devices, at most hourly for each. A device that is signed out loses all its
// sign-ins for good, and no other device does.
func testDevices(t *testing.T, s store.Store) {
	ctx := context.Background()
	const hour = 3600 * second
	addUser(t, s, "ada", "Ada", t0)
	phone := useragent.Client{Browser: "Safari", System: "iPhone", Place: "Zurich"}
	laptop := useragent.Client{Browser: "Firefox", System: "Linux"}
	see := func(seen store.Seen, added bool) store.User {
		t.Helper()
		u, got, err := s.RecordSignIn(ctx, "ada", seen)
		must(t, err)
		equal(t, "another device", got, added)
		return u
	}
	devices := func(want ...store.Device) {
		t.Helper()
		u, err := s.User(ctx, "ada")
		must(t, err)
		equal(t, "devices", u.ListedDevices(t0), want)
	}
	// One that only opens sockets is listed, too, and does not count as one that has called the API.
	u := see(store.Seen{SignIn: t0, At: t0 + second, Client: phone}, true)
	equal(t, "sign-ins that have called", len(u.SignIns), 0)
	see(store.Seen{SignIn: t0, At: t0 + hour, Client: laptop}, false) // too early to be recorded
	onPhone := store.Device{First: t0, Last: t0 + second, SignIns: []chat.Micros{t0}, Client: phone}
	devices(onPhone)
	u = see(store.Seen{SignIn: t0, At: t0 + second + hour, Client: phone, Called: true}, false)
	equal(t, "sign-ins that have called", u.SignIns, []chat.Micros{t0})
	equal(t, "last activity", u.LastActiveAt, t0+second+hour)
	onPhone.Last += hour
	onLaptop := store.Device{First: t0 + hour, Last: t0 + hour, SignIns: []chat.Micros{t0 + hour}, Client: laptop}
	see(store.Seen{SignIn: t0 + hour, At: t0 + hour, Client: laptop}, true)
	devices(onLaptop, onPhone)
	// A sign-in that replaces another one joins its device, also if it was listed on its own before.
	see(store.Seen{SignIn: t0 + hour + second, Replaces: t0 + hour, At: t0 + hour + second, Client: laptop}, false)
	see(store.Seen{SignIn: t0 + hour + 2*second, At: t0 + hour + 2*second, Client: laptop}, true)
	see(store.Seen{SignIn: t0 + hour + 2*second, Replaces: t0 + hour, At: t0 + hour + 2*second, Client: laptop}, false)
	onLaptop.SignIns = []chat.Micros{t0 + hour, t0 + hour + second, t0 + hour + 2*second}
	onLaptop.Last += 2 * second
	devices(onLaptop, onPhone)
	u, err := s.SignOutDevice(ctx, "ada", onLaptop.ID())
	must(t, err)
	for _, signIn := range onLaptop.SignIns {
		equal(t, "a sign-in of the device was signed out", u.WasSignedOut(signIn), true)
		see(store.Seen{SignIn: signIn, At: t0 + 2*hour, Called: true}, false)
	}
	equal(t, "the other device has ended", u.HasEnded(t0), false)
	devices(onPhone)
	mustBe(t, errOf(s.SignOutDevice(ctx, "ada", onLaptop.ID())), problem.New(problem.NotFound, "device_unknown", ""))
	// A sign-in that has ended does not give its place to another one.
	see(store.Seen{SignIn: t0 + 3*hour, Replaces: t0 + hour, At: t0 + 3*hour}, true)
	u, err = s.EndOtherSessions(ctx, "ada", t0+3*hour, 0)
	must(t, err)
	equal(t, "the phone was signed out", u.WasSignedOut(t0), true)
	equal(t, "devices", len(u.Devices), 1)
	// A sign-in that ends otherwise does not make its device delete its data.
	see(store.Seen{SignIn: t0 + 4*hour, At: t0 + 4*hour}, true)
	u, err = s.EndOtherSessions(ctx, "ada", t0+4*hour, t0+5*hour)
	must(t, err)
	equal(t, "has ended", u.HasEnded(t0+3*hour), true)
	equal(t, "was signed out", u.WasSignedOut(t0+3*hour), false)
	equal(t, "ended by a new password", u.EndedBy(t0+3*hour), t0+5*hour)
	equal(t, "signed out before", u.EndedBy(t0), 0)
	equal(t, "the present sign-in", u.EndedBy(t0+4*hour), 0)
	got, err := s.User(ctx, "ada")
	must(t, err)
	equal(t, "the stored time of the password", got.PasswordAt, t0+5*hour)
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
