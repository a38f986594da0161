package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

type userPage struct {
	Users []profile `json:"users"`
	Next  string    `json:"next"`
}

func (p userPage) names() (names []string) {
	for _, u := range p.Users {
		names = append(names, u.Username)
	}
	return names
}

func TestDirectory(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"dora", "ada", "cyd", "bob", "adam"} {
		s.user(n)
	}
	token := s.token("cyd")
	var all []string
	cursor := ""
	for range 10 {
		var page userPage
		s.call("GET", "/users?limit=2&cursor="+cursor, token, nil).must(200, &page)
		all = append(all, page.names()...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if want := []string{"ada", "adam", "bob", "dora"}; !slices.Equal(all, want) {
		t.Errorf("directory %v, want %v", all, want)
	}
	for q, want := range map[string][]string{"ad": {"ada", "adam"}, "AD": {"ada", "adam"}, "cyd": nil,
		"@ada": {"ada", "adam"}, "x": nil,
		"ada@example.org": nil, "ada%40": {"ada", "adam"}, "%20": {"ada", "adam", "bob", "dora"}, "%00": nil,
		"%F0%9F%98%80": nil} {
		var page userPage
		s.call("GET", "/users?q="+q, token, nil).must(200, &page)
		if got := page.names(); !slices.Equal(got, want) {
			t.Errorf("%q finds %v, want %v", q, got, want)
		}
	}
	a := s.call("GET", "/users", token, nil)
	if strings.Contains(string(a.body), "@example.org") {
		t.Errorf("the directory contains email addresses: %s", a.body)
	}
	var page userPage
	s.call("GET", "/users?username=ADA", token, nil).must(200, &page)
	if !slices.Equal(page.names(), []string{"ada"}) {
		t.Errorf("by username: %v", page.names())
	}
	s.call("GET", "/users?username=nobody", token, nil).must(200, &page)
	if len(page.Users) != 0 {
		t.Errorf("by an unknown username: %v", page.names())
	}

	s.call("GET", "/users?cursor=forged", token, nil).refused(422, "cursor_invalid")
	for _, limit := range []string{"0", "-1", "201", "x", "1e3"} {
		s.call("GET", "/users?limit="+limit, token, nil).refused(422, "invalid_fields")
	}
	s.call("GET", "/users?q="+strings.Repeat("x", 201), token, nil).refused(422, "invalid_fields")

	var p profile
	s.call("GET", "/users/ada", token, nil).must(200, &p)
	if p.Username != "ada" {
		t.Errorf("user %+v", p)
	}
	for _, uid := range []string{"nobody", "a~b", strings.Repeat("x", 200), "%2e%2e"} {
		s.call("GET", "/users/"+uid, token, nil).refused(404, "user_not_found")
	}
	// A disabled user is not listed, but old conversations can still show them.
	if _, err := s.store.SetDisabled(t.Context(), "ada", true); err != nil {
		t.Fatal(err)
	}
	s.call("GET", "/users?q=ada", token, nil).must(200, &page)
	if !slices.Equal(page.names(), []string{"adam"}) {
		t.Errorf("with ada disabled: %v", page.names())
	}
	s.call("GET", "/users/ada", token, nil).must(200, nil)
}

// People whose address is not confirmed come last, until a token says that it is.
func TestDirectoryRanks(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ann", "abe", "art", "cyd"} {
		s.user(n)
	}
	address := func(verified bool) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c["email_verified"] = verified }
	}
	signIn := signedInAt(s.clock.Now())
	for _, step := range []struct {
		verified bool
		want     []string
	}{
		{false, []string{"ann", "art", "abe"}},
		{true, []string{"abe", "ann", "art"}},
	} {
		s.clock.advance(time.Minute)
		s.call("GET", "/me", s.token("abe", signIn, address(step.verified)), nil).must(200, nil)
		for _, path := range []string{"/users?limit=2", "/users?limit=2&q=a"} {
			var all []string
			for cursor, done := "", false; !done; {
				var page userPage
				s.call("GET", path+"&cursor="+cursor, s.token("cyd"), nil).must(200, &page)
				all = append(all, page.names()...)
				cursor, done = page.Next, page.Next == ""
			}
			if !slices.Equal(all, step.want) {
				t.Errorf("%s with abe verified %v: %v, want %v", path, step.verified, all, step.want)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	old := s.token("ada")
	foreign := s.token("ada", func(c jwt.MapClaims) {
		c["aud"], c["iss"] = "other", "https://securetoken.google.com/other"
	})
	expired := s.token("ada", func(c jwt.MapClaims) { c["exp"] = s.clock.Now().Unix() - 1 })
	for name, tt := range map[string]struct {
		token, code string
		status      int
	}{
		"none":            {"", "unauthenticated", 401},
		"garbage":         {"garbage", "unauthenticated", 401},
		"huge":            {strings.Repeat("x", 9000), "unauthenticated", 401},
		"another project": {foreign, "unauthenticated", 401},
		"expired":         {expired, "token_ended", 401},
		"unknown user":    {s.token("nobody"), "account_deleted", 403},
	} {
		a := s.call("GET", "/me", tt.token, nil)
		a.refused(tt.status, tt.code)
		if (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: WWW-Authenticate %q", name, a.header.Get("WWW-Authenticate"))
		}
	}
	s.call("GET", "/me", "", nil, "Authorization", "Basic YTpi").refused(401, "unauthenticated")
	s.call("GET", "/me", "", nil, "Authorization", "bearer "+old).must(200, nil)
	// Signing out everywhere also ends tokens of the same second.
	if _, err := s.store.EndSessions(t.Context(), "ada", chat.MicrosOf(s.clock.Now().Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	s.call("GET", "/me", old, nil).refused(401, "token_ended")
	s.clock.advance(time.Second)
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	if _, err := s.store.SetDisabled(t.Context(), "ada", true); err != nil {
		t.Fatal(err)
	}
	s.call("GET", "/me", s.token("ada"), nil).refused(403, "account_disabled")
	if u, err := s.store.User(t.Context(), "ada"); err != nil || u.LastActiveAt == 0 {
		t.Errorf("the activity was not recorded: %+v, %v", u, err)
	}
}

func TestProfile(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.user("bob")
	token := s.token("ada")
	var me profile
	s.call("PATCH", "/me", token, form{"display_name": " Countess\tof  Lovelace "}).must(200, &me)
	if me.DisplayName != "Countess of Lovelace" || me.Username != "ada" {
		t.Errorf("own profile %+v", me)
	}
	if a, err := s.accounts.Get(t.Context(), "ada"); err != nil || a.DisplayName != "Countess of Lovelace" {
		t.Errorf("account %+v, %v", a, err)
	}
	s.call("PATCH", "/me", token, form{"username": "Countess"}).must(200, &me)
	s.call("PATCH", "/me", token, form{}).must(200, &me)
	if me.Username != "Countess" {
		t.Errorf("own profile %+v", me)
	}
	s.call("PATCH", "/me", token, form{"username": "BOB"}).refused(409, "username_taken")
	s.call("PATCH", "/me", token, form{"username": "admin"}).refused(422, "invalid_fields")
	d := s.call("PATCH", "/me", token, form{"username": "x", "display_name": ""}).refused(422, "invalid_fields")
	if len(d.Fields) != 2 {
		t.Errorf("messages of fields %v", d.Fields)
	}
	s.call("PATCH", "/me", token, `{"admin":true,"disabled":true,"uid":"bob"}`).must(200, &me)
	if u, _ := s.store.User(t.Context(), "ada"); u.Admin {
		t.Error("a user made themselves an admin")
	}
	s.call("PUT", "/me", token, nil).refused(405, "method_not_allowed")
}

func TestBlocking(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	s.user("eve")
	token := s.token("ada")
	var me struct {
		Blocked []string `json:"blocked"`
	}
	for range 2 {
		s.call("PUT", "/me/blocked/eve", token, nil).must(200, &me)
		if !slices.Equal(me.Blocked, []string{"eve"}) || !slices.Equal(s.realtime.last().Blocked, []string{"eve"}) ||
			s.realtime.last().UID != "ada" || !s.realtime.last().Exists {
			t.Errorf("blocked %v, gate %+v", me.Blocked, s.realtime.last())
		}
	}
	s.call("PUT", "/me/blocked/ada", token, nil).refused(422, "blocked_self")
	s.call("PUT", "/me/blocked/nobody", token, nil).refused(404, "user_not_found")
	s.call("PUT", "/me/blocked/a~b", token, nil).refused(404, "user_not_found")
	for _, uid := range []string{"eve", "nobody"} {
		s.call("DELETE", "/me/blocked/"+uid, token, nil).must(200, &me)
	}
	if len(me.Blocked) != 0 || len(s.realtime.last().Blocked) != 0 {
		t.Errorf("blocked %v, gate %+v", me.Blocked, s.realtime.last())
	}
	// If realtime/ cannot be reached, the call fails, and repeating it works.
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("PUT", "/me/blocked/eve", token, nil).refused(503, "unavailable")
	s.realtime.failWith(nil)
	s.call("PUT", "/me/blocked/eve", token, nil).must(200, nil)
}

func TestDeleteMe(t *testing.T) {
	s := newSystem(t)
	s.account("eve")
	s.user("ada")
	s.save("eve", "ada", "from eve")
	s.save("ada", "eve", "from ada")
	token := s.token("eve")
	old := s.token("eve", func(c jwt.MapClaims) { c["auth_time"] = s.clock.Now().Add(-11 * time.Minute).Unix() })
	s.call("DELETE", "/me", old, nil).refused(403, "sign_in_again")

	// After an interrupted deletion, the user can do nothing but repeat it, which continues it.
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("DELETE", "/me", token, nil).refused(503, "unavailable")
	s.call("GET", "/me", token, nil).refused(403, "account_deleted")
	if !s.realtime.last().Disabled {
		t.Errorf("gate %+v", s.realtime.last())
	}
	s.realtime.failWith(nil)
	s.call("DELETE", "/me", token, nil).must(204, nil)
	if !slices.Contains(s.realtime.gone, "eve") {
		t.Errorf("users reported as gone: %v", s.realtime.gone)
	}
	s.call("DELETE", "/me", token, nil).refused(403, "account_deleted")
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "eve@example.org", "correct horse"); err == nil {
		t.Error("the account still exists")
	}
	var list struct {
		Conversations []conversation `json:"conversations"`
	}
	s.call("GET", "/conversations", s.token("ada"), nil).must(200, &list)
	if len(list.Conversations) != 1 || !list.Conversations[0].With.Deleted || list.Conversations[0].With.UID != "eve" ||
		list.Conversations[0].Preview.Text != "from ada" {
		t.Errorf("conversations of ada %+v", list)
	}
	// The address can sign up again. The username is held.
	s.call("POST", "/signup", "", ada("email", "eve@example.org", "username", "eve")).refused(409, "username_taken")
	s.call("POST", "/signup", "", ada("email", "eve@example.org", "username", "eve2")).must(201, nil)
}

// An interrupted deletion that is not repeated is finished during the requests of others.
func TestInterruptedDeletionIsFinished(t *testing.T) {
	s := newSystem(t)
	s.account("eve")
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("DELETE", "/me", s.token("eve"), nil).refused(503, "unavailable")
	s.realtime.failWith(nil)
	s.clock.advance(6 * time.Minute)
	s.call("GET", "/me", s.token(s.user("ada")), nil).must(200, nil)
	if _, err := s.store.User(t.Context(), "eve"); err == nil {
		t.Error("eve still exists")
	}
}

func TestManyBlocked(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	s.user("eve")
	for i := range 1000 {
		if _, err := s.store.SetBlocked(t.Context(), "ada", fmt.Sprintf("x%d", i), true); err != nil {
			t.Fatal(err)
		}
	}
	s.call("PUT", "/me/blocked/eve", s.token("ada"), nil).refused(409, "blocked_full")
}
