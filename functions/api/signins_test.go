package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// signedInAt sets when the user of a token signed in.
func signedInAt(at time.Time) func(jwt.MapClaims) {
	return func(c jwt.MapClaims) { c["auth_time"] = at.Unix() }
}

// A sign-out ends its own sign-in, with the tokens that are refreshed later, and no other.
func TestSignOut(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	phone := s.clock.Now()
	onPhone := s.token("ada")
	s.clock.advance(time.Minute)
	laptop := s.clock.Now()
	s.call("POST", "/me/sign-out", onPhone, nil).must(204, nil)
	if g := s.realtime.last(); len(g.Ended) != 1 || g.Ended[0] != micros(phone) || g.ValidAfter != 0 {
		t.Errorf("gate %+v", g)
	}
	s.clock.advance(30 * 24 * time.Hour)
	for range 2 {
		s.call("GET", "/me", s.token("ada", signedInAt(phone)), nil).refused(401, "token_ended")
		s.call("POST", "/me/sign-out", s.token("ada", signedInAt(phone)), nil).refused(401, "token_ended")
	}
	s.call("GET", "/me", s.token("ada", signedInAt(laptop)), nil).must(200, nil)

	// If realtime/ is down, the sign-in has ended for the API, and the caller learns that sockets may still be open.
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("POST", "/me/sign-out", s.token("ada", signedInAt(laptop)), nil).refused(503, "unavailable")
	s.realtime.failWith(nil)
	s.call("GET", "/me", s.token("ada", signedInAt(laptop)), nil).refused(401, "token_ended")
}

// Ended sign-ins stay ended when there are more than the record lists.
func TestManySignOuts(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	first := s.clock.Now()
	const step = 10 * time.Second
	for range store.MaxEnded + 5 {
		s.call("POST", "/me/sign-out", s.token("ada"), nil).must(204, nil)
		s.clock.advance(step)
	}
	last := s.clock.Now()
	for at := first; at.Before(last); at = at.Add(step) {
		s.call("GET", "/me", s.token("ada", signedInAt(at)), nil).refused(401, "token_ended")
	}
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	if g := s.realtime.last(); len(g.Ended) != store.MaxEnded || g.ValidAfter != micros(first.Add(4*step+time.Second)) {
		t.Errorf("%d ended sign-ins, valid after %v, want %d and the time after the fifth", len(g.Ended), g.ValidAfter.Time(),
			store.MaxEnded)
	}
}

// The page in which the password has changed ends all other sign-ins, older and newer ones. A stolen token that is not
// fresh cannot do that to its owner.
func TestSignOutOthers(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	old := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.clock.advance(time.Hour)
	kept := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.clock.advance(time.Minute)
	newer := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.call("POST", "/me/sign-out-others", s.token("ada", signedInAt(old)), nil).refused(403, "sign_in_again")
	s.call("POST", "/me/sign-out-others", s.token("ada", signedInAt(kept)), nil).must(204, nil)
	for _, at := range []time.Time{old, newer} {
		s.call("GET", "/me", s.token("ada", signedInAt(at)), nil).refused(401, "token_ended")
	}
	s.call("GET", "/me", s.token("ada", signedInAt(kept)), nil).must(200, nil)
	if g := s.realtime.last(); g.ValidAfter != micros(kept) || !slices.Equal(g.Ended, listOf(newer)) {
		t.Errorf("gate %+v", g)
	}
	s.clock.advance(time.Minute)
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
}

// A flood of new sign-ins ends at the limit. It is answered later, and the sign-ins that are known go on meanwhile.
func TestManySignInsAtOnce(t *testing.T) {
	var counted *countedAccounts
	s := newSystem(t, func(d *api.Deps) {
		counted = &countedAccounts{Accounts: d.Accounts}
		d.Accounts = counted
	})
	s.account("ada")
	const most = 20 // DESIGN §8
	known := s.token("ada")
	for range most {
		s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
		s.clock.advance(time.Second)
	}
	next := s.clock.Now()
	for range 3 {
		d := s.call("GET", "/conversations", s.token("ada", signedInAt(next)), nil).refused(429, "rate_limited")
		if d.RetryAfterMS < 1_000 || d.RetryAfterMS > 60_000 {
			t.Errorf("try again in %d ms", d.RetryAfterMS)
		}
	}
	if n := counted.gets.Load(); n != most {
		t.Errorf("%d look-ups, want %d", n, most)
	}
	s.call("GET", "/me", known, nil).must(200, nil)
	s.clock.advance(time.Minute)
	s.call("GET", "/conversations", s.token("ada", signedInAt(next)), nil).must(200, nil)
}

// Another password ends all other sign-ins, which learn when it was changed. The caller's goes on until the page has
// signed in with the new password, which joins the device.
func TestChangePassword(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	phone := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.clock.advance(time.Hour)
	laptop := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.clock.advance(3 * time.Minute)
	s.call("POST", "/me/password", s.token("ada", signedInAt(laptop)), form{"password": "colder ashes by day"}).
		refused(403, "sign_in_again")
	entered := s.clock.Now() // the password, on the laptop
	s.call("POST", "/me/sign-in", s.token("ada"), form{"replaces": s.token("ada", signedInAt(laptop))}).must(204, nil)
	for password, code := range map[string]string{"Sunshine1": "password_common", "Ada@Example.org": "password_own_name",
		"short": "invalid_fields", strings.Repeat("x1", 101): "invalid_fields"} {
		d := s.call("POST", "/me/password", s.token("ada"), form{"password": password}).refused(422, code)
		if d.Fields["password"] == "" {
			t.Errorf("%s: %+v", password, d)
		}
	}
	s.call("GET", "/me", s.token("ada", signedInAt(phone)), nil).must(200, nil) // nothing has changed
	s.call("POST", "/me/password", s.token("ada"), form{"password": "cafe\u0301 au lait"}).must(204, nil)
	at := micros(s.clock.Now())
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "ada@example.org", "caf\u00e9 au lait"); err != nil {
		t.Errorf("sign-in with the new password: %v", err)
	}
	for _, signIn := range []time.Time{phone, laptop} {
		a := s.call("GET", "/me", s.token("ada", signedInAt(signIn)), nil)
		a.refused(401, "token_ended")
		var why struct {
			At chat.Micros `json:"password_changed_at"`
		}
		if a.must(401, &why); why.At != at {
			t.Errorf("the device learns that the password changed at %v, want %v", why.At, at)
		}
	}
	if g := s.realtime.last(); g.ValidAfter != micros(entered) || len(g.SignedOut) != 0 {
		t.Errorf("gate %+v", g)
	}
	s.clock.advance(2 * time.Second)
	var me struct {
		At chat.Micros `json:"password_changed_at"`
	}
	s.call("GET", "/me", s.token("ada", signedInAt(entered)), nil).must(200, &me)
	s.call("POST", "/me/sign-in", s.token("ada"), form{"replaces": s.token("ada", signedInAt(entered))}).must(204, nil)
	if list := s.devices(s.token("ada")); len(list) != 1 || !list[0].This || me.At != at {
		t.Errorf("devices %+v, changed at %v", list, me.At)
	}
	s.call("GET", "/me", s.token("ada", signedInAt(entered)), nil).refused(401, "token_ended")
	if len(s.realtime.ownProfiles) != 1 { // the laptop, beside the phone
		t.Errorf("announced %q", s.realtime.ownProfiles)
	}
}

// If realtime/ is down, the password has changed all the same, and the next sign-in ends the others.
func TestChangePasswordWithoutRealtime(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	phone := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.clock.advance(time.Hour)
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("POST", "/me/password", s.token("ada"), form{"password": "colder ashes by day"}).must(204, nil)
	s.realtime.failWith(nil)
	s.clock.advance(2 * time.Second)
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	if g := s.realtime.last(); g.ValidAfter <= micros(phone) {
		t.Errorf("gate %+v", g)
	}
}

// countedAccounts counts the look-ups of accounts.
type countedAccounts struct {
	accounts.Accounts
	gets atomic.Int64
	fail atomic.Bool
}

func (c *countedAccounts) Get(ctx context.Context, uid string) (accounts.Account, error) {
	c.gets.Add(1)
	if c.fail.Load() {
		return accounts.Account{}, problem.ErrUnavailable
	}
	return c.Accounts.Get(ctx, uid)
}

func (c *countedAccounts) GetAll(ctx context.Context, uids []string) (map[string]accounts.Account, error) {
	if c.fail.Load() {
		return nil, problem.ErrUnavailable
	}
	return c.Accounts.GetAll(ctx, uids)
}

// A password that was changed outside of our pages ends the earlier sign-ins when the owner signs in. Only the first
// call of a sign-in looks up the account.
func TestPasswordChangedElsewhere(t *testing.T) {
	var counted *countedAccounts
	s := newSystem(t, func(d *api.Deps) {
		counted = &countedAccounts{Accounts: d.Accounts}
		d.Accounts = counted
	})
	s.account("ada")
	s.clock.advance(time.Minute)
	thief := s.clock.Now()
	for range 3 {
		s.call("GET", "/me", s.token("ada", signedInAt(thief)), nil).must(200, nil)
		s.clock.advance(time.Minute)
	}
	if n := counted.gets.Load(); n != 1 || len(s.realtime.gates) != 0 {
		t.Errorf("%d look-ups and %d gates after three calls, want 1 and 0", n, len(s.realtime.gates))
	}
	password := "battery staple"
	if err := s.accounts.Update(t.Context(), "ada", accounts.Change{Password: &password}); err != nil {
		t.Fatal(err)
	}
	changed := s.clock.Now()
	s.clock.advance(2 * time.Second)
	owner := s.clock.Now()
	// The call succeeds although realtime/ is down, and the next call completes what it could not do.
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("GET", "/conversations", s.token("ada"), nil).must(200, nil)
	s.realtime.failWith(nil)
	sent := len(s.realtime.gates)
	s.call("GET", "/me", s.token("ada", signedInAt(owner)), nil).must(200, nil)
	if g := s.realtime.last(); len(s.realtime.gates) != sent+1 || g.ValidAfter != micros(changed.Add(time.Second)) {
		t.Errorf("%d gates, the last is %+v", len(s.realtime.gates)-sent, g)
	}
	for _, at := range []time.Time{thief, changed} {
		s.call("GET", "/me", s.token("ada", signedInAt(at)), nil).refused(401, "token_ended")
	}
	// Later sign-ins cause no more gates.
	sent = len(s.realtime.gates)
	s.clock.advance(time.Minute)
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	if len(s.realtime.gates) != sent {
		t.Errorf("%d more gates", len(s.realtime.gates)-sent)
	}
	// A sign-in that is older than the change ends itself with its first call.
	s.account("bob")
	bob := s.clock.Now()
	s.clock.advance(time.Minute)
	if err := s.accounts.Update(t.Context(), "bob", accounts.Change{Password: &password}); err != nil {
		t.Fatal(err)
	}
	s.call("GET", "/me", s.token("bob", signedInAt(bob)), nil).refused(401, "token_ended")
}

// The copy of the address follows the token. An older token does not bring an old address back, and an address that
// somebody else has taken moves to them.
func TestAddressFollowsTheAccount(t *testing.T) {
	s := newSystem(t)
	_, root := s.admin("root1")
	s.account("ada")
	address := func(email string, verified bool) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c["email"], c["email_verified"] = email, verified }
	}
	signIn := signedInAt(s.clock.Now()) // the only one; another address would end earlier ones
	s.clock.advance(time.Minute)
	before := s.token("ada", signIn)
	s.clock.advance(time.Minute)
	s.call("GET", "/me", s.token("ada", signIn, address("New@example.org", false)), nil).must(200, nil)
	u, err := s.store.User(t.Context(), "ada")
	if err != nil || u.Email != "new@example.org" || u.EmailVerified {
		t.Errorf("ada %+v, %v", u, err)
	}
	s.call("GET", "/me", before, nil).must(200, nil)
	if u, err = s.store.User(t.Context(), "ada"); err != nil || u.Email != "new@example.org" {
		t.Errorf("after a call with an older token: ada %+v, %v", u, err)
	}
	// ada changes the address again, and bob signs up with the one that she has left.
	s.clock.advance(time.Minute)
	stale := s.token("ada", signIn, address("new@example.org", true))
	s.clock.advance(time.Minute)
	s.call("POST", "/signup", "", form{"email": "new@example.org", "password": "quiet embers", "username": "bob",
		"display_name": "Bob"}).must(201, nil)
	for _, token := range []string{stale, before} {
		s.call("GET", "/me", token, nil).must(200, nil)
	}
	var page adminPage
	s.call("GET", "/admin/users?q=new@example.org", root, nil).must(200, &page)
	if len(page.Users) != 1 || page.Users[0].Username != "bob" {
		t.Errorf("users with the address: %+v", page.Users)
	}
	if u, err = s.store.User(t.Context(), "ada"); err != nil || u.Email != "" || u.EmailVerified {
		t.Errorf("ada %+v, %v", u, err)
	}
	// The panel asks for the addresses that the accounts have.
	var detail adminProfile
	s.call("GET", "/admin/users/ada", root, nil).must(200, &detail)
	if detail.Email != "ada@example.org" || !detail.EmailVerified {
		t.Errorf("ada in the panel: %+v", detail)
	}
}

// A change of the verification reaches realtime/ and the user's devices at once.
func TestVerificationChangesTheGate(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	signIn := signedInAt(s.clock.Now())
	for _, c := range []struct {
		email                string
		verified, unverified bool
		gates, notices       int
	}{
		{"ada@example.org", true, false, 0, 0},
		{"ada@example.org", false, true, 1, 1},
		{"new@example.org", false, true, 1, 0}, // because earlier sign-ins end
		{"new@example.org", true, false, 1, 1},
	} {
		s.clock.advance(time.Minute)
		gates, notices := len(s.realtime.gates), len(s.realtime.ownProfiles)
		s.call("GET", "/me", s.token("ada", signIn, func(claims jwt.MapClaims) {
			claims["email"], claims["email_verified"] = c.email, c.verified
		}), nil).must(200, nil)
		sent, notified := s.realtime.gates[gates:], len(s.realtime.ownProfiles)-notices
		if len(sent) != c.gates || notified != c.notices {
			t.Errorf("%s %v: %d gates, %d notices, want %d and %d", c.email, c.verified, len(sent), notified, c.gates, c.notices)
		}
		for _, g := range sent {
			if g.UID != "ada" || g.Unverified != c.unverified {
				t.Errorf("%s %v: gate %+v", c.email, c.verified, g)
			}
		}
	}
}

// A token with another address ends all earlier sign-ins. The log says so, without the addresses.
func TestAnotherAddressEndsEarlierSignIns(t *testing.T) {
	s := newSystem(t)
	var log bytes.Buffer
	s.deps.Log = slog.New(slog.NewTextHandler(&log, nil))
	s.rebuild()
	s.account("ada")
	s.clock.advance(time.Minute)
	before := s.token("ada")
	s.call("GET", "/me", before, nil).must(200, nil)
	s.clock.advance(time.Minute)
	after := s.token("ada", func(c jwt.MapClaims) { c["email"] = "new@example.org" })
	gates := len(s.realtime.gates)
	s.call("GET", "/me", after, nil).must(200, nil)
	since := micros(s.clock.Now().Truncate(time.Second))
	if sent := s.realtime.gates[gates:]; len(sent) != 1 || sent[0].ValidAfter != since {
		t.Errorf("gates %+v, want one that ends the earlier sign-ins", sent)
	}
	s.call("GET", "/me", before, nil).refused(401, "token_ended")
	s.call("GET", "/me", after, nil).must(200, nil)
	if n := strings.Count(log.String(), "changed the address"); n != 1 || strings.Contains(log.String(), "example.org") {
		t.Errorf("%d entries about the address, want 1 without it:\n%s", n, log.String())
	}
}

// Lists in the panel show the present addresses, or the copies while the sign-in system is down.
func TestAddressesInLists(t *testing.T) {
	var counted *countedAccounts
	s := newSystem(t, func(d *api.Deps) {
		counted = &countedAccounts{Accounts: d.Accounts}
		d.Accounts = counted
	})
	_, root := s.admin("root1")
	s.account("ada")
	s.user("bob") // without an account
	verified := false
	if err := s.accounts.Update(t.Context(), "ada", accounts.Change{EmailVerified: &verified}); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		t.Helper()
		var page adminPage
		s.call("GET", "/admin/users", root, nil).must(200, &page)
		var out []string
		for _, u := range page.Users {
			out = append(out, fmt.Sprint(u.Email, ":", u.EmailVerified))
		}
		return strings.Join(out, " ")
	}
	s.call("GET", "/me", root, nil).must(200, nil)
	counted.fail.Store(true)
	if got := list(); got != "ada@example.org:true bob@example.org:true root1@example.org:true" {
		t.Errorf("while the sign-in system is down: %s", got)
	}
	counted.fail.Store(false)
	if got := list(); got != "ada@example.org:false bob@example.org:true root1@example.org:true" {
		t.Errorf("list %s", got)
	}
	if u, err := s.store.User(t.Context(), "ada"); err != nil || u.EmailVerified {
		t.Errorf("ada %+v, %v", u, err)
	}
}

// Only a user whose address is verified in the sign-in system can become an admin.
func TestAdminNeedsVerifiedAddress(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	var eve adminProfile
	s.call("POST", "/admin/users", token, ada("username", "eve")).must(201, &eve)
	if eve.EmailVerified {
		t.Error("an address that an admin typed counts as verified")
	}
	makeAdmin := map[string]any{"admin": true}
	s.call("PATCH", "/admin/users/"+eve.UID, token, makeAdmin).refused(409, "email_unverified")
	if u, err := s.store.User(t.Context(), eve.UID); err != nil || u.Admin {
		t.Errorf("eve %+v, %v", u, err)
	}
	// The claim of a token is not enough: the account decides.
	s.call("GET", "/me", s.token(eve.UID, func(c jwt.MapClaims) { c["email"] = eve.Email }), nil).must(200, nil)
	s.call("PATCH", "/admin/users/"+eve.UID, token, makeAdmin).refused(409, "email_unverified")
	verified := true
	if err := s.accounts.Update(t.Context(), eve.UID, accounts.Change{EmailVerified: &verified}); err != nil {
		t.Fatal(err)
	}
	s.call("PATCH", "/admin/users/"+eve.UID, token, makeAdmin).must(200, &eve)
	if !eve.Admin || !eve.EmailVerified {
		t.Errorf("eve %+v", eve)
	}
	// An admin who is not verified can be unmade.
	verified = false
	if err := s.accounts.Update(t.Context(), eve.UID, accounts.Change{EmailVerified: &verified}); err != nil {
		t.Fatal(err)
	}
	s.call("PATCH", "/admin/users/"+eve.UID, token, map[string]any{"admin": false}).must(200, nil)
}

// Every call of an admin needs a recent sign-in. A refreshed token does not make a sign-in recent.
func TestAdminSignsInAgain(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	signedIn := s.clock.Now()
	s.clock.advance(15 * time.Minute)
	s.call("GET", "/admin/users", token, nil).must(200, nil)
	s.clock.advance(time.Second)
	token = s.token("root1", asAdmin, signedInAt(signedIn))
	calls := 0
	for _, row := range rows {
		method, endpoint, _ := strings.Cut(row.endpoint, " ")
		if strings.HasPrefix(endpoint, "/admin") {
			calls++
			s.call(method, row.path, token, row.body).refused(403, "sign_in_again")
		}
	}
	if calls < 18 {
		t.Errorf("%d endpoints for admins", calls)
	}
	s.audited()
	s.call("GET", "/me", token, nil).must(200, nil)
	s.call("GET", "/admin/users", s.token("root1", asAdmin), nil).must(200, nil)
}

// The log shows each sign-in once, each call of an admin and each refused call, with the client's address, and neither
// tokens nor email addresses.
func TestSignInsAreLogged(t *testing.T) {
	var out bytes.Buffer
	s := newSystem(t, func(d *api.Deps) {
		d.Log, d.Proxies = slog.New(slog.NewTextHandler(&out, nil)), 1
	})
	_, root := s.admin("root1")
	s.account("ada")
	token := s.token("ada")
	from := []string{"X-Forwarded-For", "203.0.113.9"}
	for _, c := range []struct {
		path, token string
		want        []string // parts of the lines; "" if the call is not logged with an address
	}{
		{"/me", token, []string{`msg="signed in" uid=ada`}},
		{"/me", token, nil},
		{"/admin/users", token, []string{`msg="request refused"`}},
		{"/me", token + "x", []string{`msg="request refused"`}},
		{"/admin/users", root, []string{`msg="signed in" uid=root1`, `msg="request answered"`}},
		{"/admin/users", root, []string{`msg="request answered"`}},
	} {
		out.Reset()
		s.call("GET", c.path, c.token, nil, from...)
		var lines []string
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "client=203.0.113.9") {
				lines = append(lines, line)
			}
		}
		if len(lines) != len(c.want) {
			t.Errorf("GET %s: logged\n%s", c.path, &out)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("GET %s: logged %s, want %s", c.path, lines[i], want)
			}
		}
		for _, secret := range []string{c.token, "@example.org"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("GET %s: the log contains %s", c.path, secret)
			}
		}
	}
}

// If the sign-in system is down, users who are signed in go on, and a sign-in is recorded later.
func TestSignInSystemDown(t *testing.T) {
	var counted *countedAccounts
	s := newSystem(t, func(d *api.Deps) {
		counted = &countedAccounts{Accounts: d.Accounts}
		d.Accounts = counted
	})
	s.account("ada")
	counted.fail.Store(true)
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	counted.fail.Store(false)
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	u, err := s.store.User(t.Context(), "ada")
	if err != nil || fmt.Sprint(u.SignIns) != fmt.Sprint(listOf(s.clock.Now())) {
		t.Errorf("sign-ins %v, %v", u.SignIns, err)
	}
}

// slowAccounts answers after release is closed.
type slowAccounts struct {
	accounts.Accounts
	release   chan struct{}
	now, most atomic.Int32 // calls under way, and the most at once
}

func (a *slowAccounts) Get(ctx context.Context, uid string) (accounts.Account, error) {
	now := a.now.Add(1)
	defer a.now.Add(-1)
	for most := a.most.Load(); now > most && !a.most.CompareAndSwap(most, now); most = a.most.Load() {
	}
	<-a.release
	return a.Accounts.Get(ctx, uid)
}

// The calls with which a client begins record its sign-in once, because transactions of several would lock each other
// out. A caller who leaves meanwhile does not end it for the others.
func TestCallsAtOnceRecordASignInOnce(t *testing.T) {
	var slow *slowAccounts
	var reads *countedUsers
	s := newSystem(t, func(d *api.Deps) {
		slow = &slowAccounts{Accounts: d.Accounts, release: make(chan struct{})}
		reads = &countedUsers{Store: d.Store}
		d.Accounts, d.Store = slow, reads
	})
	s.account("ada")
	const calls = 5
	token := s.token("ada")
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() { s.call("GET", "/me", token, nil).must(200, nil) })
	}
	testwait.Until(t, "all calls to read their user", func() bool { return reads.n.Load() >= calls })
	close(slow.release)
	wg.Wait()
	if most := slow.most.Load(); most != 1 {
		t.Errorf("%d recordings at once, want 1", most)
	}
	u, err := s.store.User(t.Context(), "ada")
	if err != nil || fmt.Sprint(u.SignIns) != fmt.Sprint(listOf(s.clock.Now())) {
		t.Errorf("sign-ins %v, %v", u.SignIns, err)
	}
}

// countedUsers counts the users that are read.
type countedUsers struct {
	store.Store
	n atomic.Int32
}

func (c *countedUsers) User(ctx context.Context, uid string) (store.User, error) {
	defer c.n.Add(1)
	return c.Store.User(ctx, uid)
}

// listOf returns a list of one time.
func listOf(at time.Time) []chat.Micros { return []chat.Micros{micros(at)} }
