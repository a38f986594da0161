package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

const t0 = chat.Micros(1e15)

var hold = chat.Micros(store.NameHold.Microseconds())

func TestUserRename(t *testing.T) {
	name := func(s string) *string { return &s }
	failure := errors.New("lookup failed")
	for _, tt := range []struct {
		what              string
		username, display *string
		found             *store.Name
		lookup            error
		want              store.User
		entries           map[string]store.Name
		err               error
	}{
		{what: "nothing", want: store.User{UID: "a", Username: "Ada", DisplayName: "Ada L."}},
		{what: "display name", display: name("Ada King"), want: store.User{UID: "a", Username: "Ada",
			DisplayName: "Ada King"}},
		{what: "case of the username", username: name("ADA"), lookup: failure,
			want: store.User{UID: "a", Username: "ADA", DisplayName: "Ada L."}},
		{what: "free username", username: name("Countess"), want: store.User{UID: "a", Username: "Countess",
			DisplayName: "Ada L."},
			entries: map[string]store.Name{"ada": {UID: "a", Expires: t0 + hold}, "countess": {UID: "a"}}},
		{what: "own held username", username: name("Countess"), found: &store.Name{UID: "a", Expires: t0 + 1},
			want:    store.User{UID: "a", Username: "Countess", DisplayName: "Ada L."},
			entries: map[string]store.Name{"ada": {UID: "a", Expires: t0 + hold}, "countess": {UID: "a"}}},
		{what: "username held until now", username: name("Countess"), found: &store.Name{UID: "b", Expires: t0},
			want:    store.User{UID: "a", Username: "Countess", DisplayName: "Ada L."},
			entries: map[string]store.Name{"ada": {UID: "a", Expires: t0 + hold}, "countess": {UID: "a"}}},
		{what: "username of another user", username: name("Countess"), found: &store.Name{UID: "b"},
			err: store.ErrUsernameTaken},
		{what: "held username", username: name("Countess"), found: &store.Name{UID: "b", Expires: t0 + 1},
			err: store.ErrUsernameTaken},
		{what: "leased username", username: name("Countess"), found: &store.Name{EmailKey: "e", Expires: t0 + 1},
			err: store.ErrUsernameTaken},
		{what: "failing lookup", username: name("Countess"), lookup: failure, err: failure},
	} {
		u := store.User{UID: "a", Username: "Ada", DisplayName: "Ada L."}
		entries, err := u.Rename(tt.username, tt.display, t0, true, func(key string) (*store.Name, error) {
			if key != "countess" {
				t.Errorf("%s: the entry of %q is looked up", tt.what, key)
			}
			return tt.found, tt.lookup
		})
		if !errors.Is(err, tt.err) || !maps.Equal(entries, tt.entries) {
			t.Errorf("%s: entries %v, error %v, want %v, %v", tt.what, entries, err, tt.entries, tt.err)
		}
		if err == nil && fmt.Sprint(u) != fmt.Sprint(tt.want) {
			t.Errorf("%s: user %+v, want %+v", tt.what, u, tt.want)
		}
	}
}

func TestUserSetBlocked(t *testing.T) {
	u := store.User{UID: "a"}
	for range 2 { // blocking twice is blocking once
		if err := u.SetBlocked("b", true); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(u.Blocked, []string{"b"}) || !u.HasBlocked("b") || u.HasBlocked("c") {
		t.Errorf("blocked %v, want [b]", u.Blocked)
	}
	for range 2 {
		if err := u.SetBlocked("b", false); err != nil || len(u.Blocked) != 0 {
			t.Errorf("after unblocking: blocked %v, error %v", u.Blocked, err)
		}
	}
	for i := range store.MaxBlocked {
		if err := u.SetBlocked(fmt.Sprint(i), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.SetBlocked("one more", true); !errors.Is(err, store.ErrBlockedFull) || len(u.Blocked) != store.MaxBlocked {
		t.Errorf("one more than %d: error %v, want ErrBlockedFull", store.MaxBlocked, err)
	}
	if err := u.SetBlocked("7", true); err != nil {
		t.Errorf("blocking somebody again when the list is full: %v", err)
	}
}

// The last active admin stays an active admin, unless the caller says otherwise.
func TestUserLastAdmin(t *testing.T) {
	none := func(string) (bool, error) { return false, nil }
	another := func(string) (bool, error) { return true, nil }
	failure := errors.New("lookup failed")
	failing := func(string) (bool, error) { return false, failure }
	unused := func(string) (bool, error) { t.Error("other admins are looked up without need"); return false, nil }

	admin := store.User{UID: "a", Admin: true}
	changes := map[string]func(u *store.User, other store.OtherAdmin) error{
		"unmake":  func(u *store.User, other store.OtherAdmin) error { return u.SetAdmin(false, true, other) },
		"disable": func(u *store.User, other store.OtherAdmin) error { return u.SetDisabled(true, other) },
		"erase": func(u *store.User, other store.OtherAdmin) error {
			_, err := u.BeginErase(t0, other)
			return err
		},
	}
	for name, change := range changes {
		for _, tt := range []struct {
			what  string
			user  store.User
			other store.OtherAdmin
			err   error
		}{
			{"last admin", admin, none, store.ErrLastAdmin},
			{"one of two admins", admin, another, nil},
			{"failing lookup", admin, failing, failure},
			{"ordinary user", store.User{UID: "a"}, unused, nil},
			{"disabled admin", store.User{UID: "a", Admin: true, Disabled: true}, unused, nil},
		} {
			u := tt.user
			if err := change(&u, tt.other); !errors.Is(err, tt.err) {
				t.Errorf("%s, %s: error %v, want %v", name, tt.what, err, tt.err)
			} else if err != nil && (u.Admin != tt.user.Admin || u.Active() != tt.user.Active()) {
				t.Errorf("%s, %s: refused, but the user is %+v", name, tt.what, u)
			}
		}
	}
	u := admin
	if err := u.SetAdmin(false, false, unused); err != nil || u.Admin {
		t.Errorf("unmaking the last admin without keepOne: error %v, user %+v", err, u)
	}
	if err := u.SetAdmin(true, true, unused); err != nil || !u.Admin {
		t.Errorf("making an admin: error %v, user %+v", err, u)
	}
	if err := u.SetDisabled(false, unused); err != nil || u.Disabled {
		t.Errorf("enabling: error %v, user %+v", err, u)
	}
}

func TestUserBeginErase(t *testing.T) {
	other := func(string) (bool, error) { return true, nil }
	u := store.User{UID: "a", Admin: true}
	if begun, err := u.BeginErase(t0, other); !begun || err != nil || u.ErasingAt != t0 || !u.Disabled || u.Active() {
		t.Errorf("begun %v, error %v, user %+v", begun, err, u)
	}
	if begun, err := u.BeginErase(t0+1, other); begun || err != nil || u.ErasingAt != t0 {
		t.Errorf("a second time: begun %v, error %v, user %+v", begun, err, u)
	}
	// A user who is being deleted stays disabled.
	if err := u.SetDisabled(false, other); err != nil || !u.Disabled {
		t.Errorf("enabling a user who is being deleted: error %v, user %+v", err, u)
	}
}

func TestUserEndSessions(t *testing.T) {
	u := store.User{}
	for _, at := range []chat.Micros{5, 7, 6} {
		u.EndSessions(at)
	}
	if u.ValidAfter != 7 {
		t.Errorf("ValidAfter is %d, want 7", u.ValidAfter)
	}
}

func TestSignupCheckCommit(t *testing.T) {
	mine := store.Signup{EmailKey: "e", Username: "ada", UID: "a", Attempt: "1", Expires: t0}
	with := func(change func(*store.Signup)) *store.Signup {
		s := mine
		change(&s)
		return &s
	}
	leased, u := &store.Name{EmailKey: "e", Expires: t0}, store.User{UID: "a", Username: "ada"}
	if err := mine.CheckCommit(mine, leased, u); err != nil {
		t.Errorf("a lease that is held: %v", err)
	}
	for what, tt := range map[string]struct {
		stored *store.Signup
		name   *store.Name
	}{
		"no lease":                      {nil, leased},
		"lease of another attempt":      {with(func(s *store.Signup) { s.Attempt = "2" }), leased},
		"released lease":                {with(func(s *store.Signup) { s.Attempt = "" }), leased},
		"lease of another uid":          {with(func(s *store.Signup) { s.UID = "b" }), leased},
		"no entry for the username":     {&mine, nil},
		"username leased by another":    {&mine, &store.Name{EmailKey: "f", Expires: t0}},
		"username that belongs to them": {&mine, &store.Name{UID: "a", EmailKey: "e"}},
	} {
		if err := tt.stored.CheckCommit(mine, tt.name, u); !errors.Is(err, store.ErrSignupLost) {
			t.Errorf("%s: error %v, want ErrSignupLost", what, err)
		}
	}
}

func TestRenew(t *testing.T) {
	old := &store.Signup{EmailKey: "e", Username: "ada", UID: "a", Attempt: "1", Expires: t0 + 2e6}
	if _, err := store.Renew(old, "e", "ada", "b", "2", t0, time.Minute); !errors.Is(err, store.ErrSignupBusy) {
		t.Errorf("another attempt holds the lease: error %v, want ErrSignupBusy", err)
	}
	want := store.Signup{EmailKey: "e", Username: "eve", UID: "a", Attempt: "2", Expires: t0 + 2e6 + 60e6}
	if got, err := store.Renew(old, "e", "eve", "b", "2", t0+2e6, time.Minute); err != nil || got != want {
		t.Errorf("the lease has ended: %+v, %v, want %+v", got, err, want)
	}
}
