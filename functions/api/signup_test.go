package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

type form map[string]string

func ada(change ...string) form {
	f := form{"email": "Ada@Example.org", "password": "correct horse", "username": "Ada",
		"display_name": "  Ada   Lovelace "}
	for i := 0; i < len(change); i += 2 {
		f[change[i]] = change[i+1]
	}
	return f
}

type profile struct {
	UID         string `json:"uid"`
	Username    string `json:"username"`
	DisplayName string `json:"display_name"`
	CreatedAt   int64  `json:"created_at"`
	Deleted     bool   `json:"deleted"`
}

func TestSignup(t *testing.T) {
	s := newSystem(t)
	var p profile
	s.call("POST", "/signup", "", ada()).must(201, &p)
	if p.Username != "Ada" || p.DisplayName != "Ada Lovelace" || len(p.UID) != 28 || p.CreatedAt == 0 {
		t.Errorf("answer %+v", p)
	}
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "ada@example.org", "correct horse"); err != nil {
		t.Errorf("sign in: %v", err)
	}
	var me struct {
		profile
		Email   string   `json:"email"`
		Admin   bool     `json:"admin"`
		Blocked []string `json:"blocked"`
	}
	own := s.token(p.UID, func(c jwt.MapClaims) { c["email"] = "ada@example.org" })
	s.call("GET", "/me", own, nil).must(200, &me)
	if me.profile != p || me.Email != "ada@example.org" || me.Admin || me.Blocked == nil {
		t.Errorf("own profile %+v", me)
	}

	d := s.call("POST", "/signup", "", ada("email", "other@example.org", "username", "aDA")).refused(409, "username_taken")
	if d.Fields["username"] == "" {
		t.Error("the field does not have a message")
	}
	d = s.call("POST", "/signup", "", ada("email", "ADA@example.ORG", "username", "other")).refused(409, "email_taken")
	if d.Fields["email"] == "" {
		t.Error("the field does not have a message")
	}
	// A refusal does not reserve the address or the username that was free.
	s.call("POST", "/signup", "", ada("email", "other@example.org", "username", "other")).must(201, nil)
}

func TestSignupFields(t *testing.T) {
	s := newSystem(t)
	for _, tt := range []struct{ field, value string }{
		{"email", ""}, {"email", "ada"}, {"email", "ada@"}, {"email", "@example.org"}, {"email", "ada@localhost"},
		{"email", "a b@example.org"},
		{"email", "Ada <ada@example.org>"}, {"email", "ada@example.org, b@example.org"},
		{"email", strings.Repeat("a", 250) + "@example.org"},
		{"email", "ádá@example.org"}, {"email", "ada@exa\x00mple.org"},
		{"password", ""}, {"password", "short"},
		{"password", "        "}, {"password", "aaaaaaaaaa"},
		{"password", strings.Repeat("long", 51)},
		{"username", ""}, {"username", "ab"}, {"username", strings.Repeat("a", 31)}, {"username", "a b c"},
		{"username", "adá"}, {"username", "..."},
		{"username", ".ada"}, {"username", "ada-"}, {"username", "__ada__"}, {"username", "<b>ada</b>"},
		{"username", "Admin"}, {"username", "a/b/c"},
		{"display_name", ""}, {"display_name", "   "}, {"display_name", strings.Repeat("x", 51)},
		{"display_name", "a\u202eb"}, {"display_name", "a\x00b"},
		{"display_name", "\u200d\u200d"}, {"display_name", "\u3164"}, {"display_name", "\u2066x"},
	} {
		d := s.call("POST", "/signup", "", ada(tt.field, tt.value)).refused(422, "invalid_fields")
		if len(d.Fields) != 1 || d.Fields[tt.field] == "" || d.FieldCodes[tt.field] == "" {
			t.Errorf("%s %q: messages %v, codes %v", tt.field, tt.value, d.Fields, d.FieldCodes)
		}
	}
	for _, tt := range []struct{ password, code string }{
		{"password", "password_common"}, {"PassWord123", "password_common"},
		{"ada@example.org", "password_own_name"}, {"ada lovelace", "password_own_name"},
	} {
		d := s.call("POST", "/signup", "", ada("password", tt.password, "display_name", "Ada Lovelace")).refused(422, tt.code)
		if len(d.Fields) != 1 || d.Fields["password"] == "" {
			t.Errorf("password %q: messages %v", tt.password, d.Fields)
		}
	}
	d := s.call("POST", "/signup", "", ada("password", "password", "username", "")).refused(422, "invalid_fields")
	if len(d.Fields) != 2 {
		t.Errorf("two wrong fields: messages %v", d.Fields)
	}
	d = s.call("POST", "/signup", "", form{}).refused(422, "invalid_fields")
	if len(d.Fields) != 4 {
		t.Errorf("empty form: messages %v, want 4", d.Fields)
	}
	d = s.call("POST", "/signup", "", ada("email", "ádá@example.org", "display_name", "Ada ✅", "username", "admin",
		"password", "aaaaaaaaaa")).refused(422, "invalid_fields")
	want := map[string]string{"email": "email_letters", "display_name": "name_badge", "username": "username_reserved",
		"password": "password_repeated"}
	if !maps.Equal(d.FieldCodes, want) {
		t.Errorf("codes %v, want %v", d.FieldCodes, want)
	}
	// Mail servers know a domain with umlauts by its ASCII form, and so do the accounts.
	s.call("POST", "/signup", "", ada("email", "Ada@BÜCHER.example")).must(201, nil)
	s.call("POST", "/signup", "", ada("email", "ada@xn--bcher-kva.example", "username", "other")).
		refused(409, "email_taken")
	for i, ok := range []form{
		ada("display_name", "<b>Robert'); DROP TABLE</b>"), ada("display_name", "👩🏽\u200d🔬 Ada"), ada("display_name", "محمد"),
		ada("password", strings.Repeat("x1", 100)), ada("username", "a.b_c-d"), ada("username", strings.Repeat("z", 30)),
	} {
		ok["email"] = fmt.Sprintf("p%d@example.org", i)
		if ok["username"] == "Ada" {
			ok["username"] = fmt.Sprintf("ada%d", i)
		}
		s.call("POST", "/signup", "", ok).must(201, nil)
	}
}

func TestSignupBadRequests(t *testing.T) {
	s := newSystem(t)
	for _, body := range []string{"", "no json", "[]", "null", `"x"`, `{"email":`, `{} {}`, "\xff",
		`{"email":"` + "\xff" + `"}`, `{"email":"a@b.cd","email":"c@d.ef"}`, `{"display_name":"\ud800"}`,
		`{"display_name":"\udc00\ud800"}`, `{"display_name":"\ud83dx\ude00"}`, `{"\uDBFF":1}`,
		`{"display_name":"\\\ud800"}`} {
		s.call("POST", "/signup", "", body).refused(400, "bad_json")
	}
	d := s.call("POST", "/signup", "", `{"email": 7}`).refused(422, "invalid_fields")
	if d.Fields["email"] == "" {
		t.Errorf("a number as the address: messages %v", d.Fields)
	}
	s.call("POST", "/signup", "", strings.Repeat(" ", 20<<10)).refused(413, "body_too_large")
	for _, ct := range []string{"text/plain", "application/x-www-form-urlencoded", "", "application/json5"} {
		s.call("POST", "/signup", "", "{}", "Content-Type", ct).refused(415, "content_type")
	}
	s.call("POST", "/signup", "", ada(), "Content-Type", "Application/JSON; charset=utf-8").must(201, nil)
	a := s.call("GET", "/signup", "", nil)
	a.refused(405, "method_not_allowed")
	if a.header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
	s.call("POST", "/signup/more", "", ada()).refused(404, "not_found")
	s.call("GET", "/nothing", "", nil).refused(404, "not_found")
}

func TestSignupLimit(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.SignupsHourly, d.Proxies = 2, 1 })
	n := 0
	signup := func(forwarded string) *answer {
		n++
		return s.call("POST", "/signup", "", ada("username", fmt.Sprintf("ada%d", n), "email",
			fmt.Sprintf("ada%d@example.org", n)), "X-Forwarded-For", forwarded)
	}
	signup("203.0.113.7").must(201, nil)
	// not counted
	s.call("POST", "/signup", "", ada("email", ""), "X-Forwarded-For", "203.0.113.7").refused(422, "invalid_fields")
	// the part that the caller wrote is ignored
	signup("1.2.3.4, 203.0.113.7").must(201, nil)
	a := signup("5.6.7.8,203.0.113.7")
	d := a.refused(429, "too_many_signups")
	if d.RetryAfterMS != time.Hour.Milliseconds() || a.header.Get("Retry-After") != "3600" {
		t.Errorf("retry after %d ms, header %q", d.RetryAfterMS, a.header.Get("Retry-After"))
	}
	signup("203.0.113.8").must(201, nil)
	s.clock.advance(time.Hour)
	signup("203.0.113.7").must(201, nil)
	// All addresses of a /64 count as one.
	signup("2001:db8:1:1::1").must(201, nil)
	signup("2001:db8:1:1:ffff::2").must(201, nil)
	signup("2001:db8:1:1:ffff::3").refused(429, "too_many_signups")
	signup("2001:db8:1:2::1").must(201, nil)
	// A /48 has a bound of its own, five times as high.
	for i := 3; i <= 9; i++ {
		signup(fmt.Sprintf("2001:db8:1:%d::1", i)).must(201, nil)
	}
	signup("2001:db8:1:a::1").refused(429, "too_many_signups")
	signup("2001:db8:2:1::1").must(201, nil)
	// A client cannot choose which line of the header is read, nor pass for another address.
	signup("junk, ::ffff:203.0.113.7").must(201, nil)
	signup("203.0.113.7").refused(429, "too_many_signups")
}

// A sign-up answers whether an address or a username has an account. Each such answer counts, so the limits of the
// network bound them, and beyond the limit all answers are alike.
func TestTakenAddressesAreCounted(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.SignupsHourly = 3 })
	s.call("POST", "/signup", "", ada()).must(201, nil)
	s.call("POST", "/signup", "", ada("username", "other")).refused(409, "email_taken")
	s.call("POST", "/signup", "", ada("email", "other@example.org")).refused(409, "username_taken")
	taken := s.call("POST", "/signup", "", ada("username", "other"))
	taken.refused(429, "too_many_signups")
	free := s.call("POST", "/signup", "", ada("email", "free@example.org", "username", "other"))
	free.refused(429, "too_many_signups")
	if !bytes.Equal(taken.body, free.body) {
		t.Errorf("answers differ:\n%s\n%s", taken.body, free.body)
	}
}

// A sign-up sweeps one account that nobody has used for a week and whose address is not confirmed. Its owner can then
// sign up. An account that is used stays, also if its address is never confirmed.
func TestAbandonedAccountIsErased(t *testing.T) {
	s := newSystem(t)
	add := func(name string) (p profile) {
		t.Helper()
		s.call("POST", "/signup", "", ada("email", name+"@example.org", "username", name)).must(201, &p)
		return p
	}
	unconfirmed := func(name string) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c["email"], c["email_verified"] = name+"@example.org", false }
	}
	chatter := add("chatter")
	s.clock.advance(time.Second)
	squatter := add("squatter")
	s.clock.advance(time.Second)
	idle := add("idle")
	for range 7 {
		s.clock.advance(24 * time.Hour)
		s.call("GET", "/me", s.token(chatter.UID, unconfirmed("chatter")), nil).must(200, nil)
	}
	s.clock.advance(time.Minute)
	s.call("POST", "/signup", "", ada("email", "squatter@example.org", "username", "keeper")).refused(409, "email_taken")
	add("bob")
	exists := func(uid string) bool {
		t.Helper()
		_, err := s.store.User(t.Context(), uid)
		if err != nil && !errors.Is(err, problem.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	if !exists(chatter.UID) || exists(squatter.UID) || !exists(idle.UID) {
		t.Errorf("chatter %v, squatter %v, idle %v; want only the squatter erased", exists(chatter.UID),
			exists(squatter.UID), exists(idle.UID))
	}
	var owner profile
	s.call("POST", "/signup", "", ada("email", "squatter@example.org", "username", "keeper")).must(201, &owner)
	if !exists(idle.UID) {
		t.Error("two sweeps within a minute")
	}
	s.clock.advance(time.Minute)
	add("cyd")
	if exists(idle.UID) || !exists(chatter.UID) || !exists(owner.UID) {
		t.Errorf("idle %v, chatter %v, owner %v; want only idle erased", exists(idle.UID), exists(chatter.UID),
			exists(owner.UID))
	}
	if _, err := s.accounts.ByEmail(t.Context(), "idle@example.org"); !errors.Is(err, problem.ErrNotFound) {
		t.Errorf("the account of idle: %v", err)
	}
}

// Behind a load balancer, the last entry of the header is the load balancer, and everything before the last two entries
// was written by the client.
func TestSignupLimitBehindLoadBalancer(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.SignupsHourly, d.Proxies = 1, 2 })
	n := 0
	signup := func(forwarded string) *answer {
		n++
		return s.call("POST", "/signup", "", ada("username", fmt.Sprintf("ada%d", n), "email",
			fmt.Sprintf("ada%d@example.org", n)), "X-Forwarded-For", forwarded)
	}
	signup("203.0.113.7, 192.0.2.1").must(201, nil)
	signup("198.51.100.9, 203.0.113.7, 192.0.2.1").refused(429, "too_many_signups")
	signup("198.51.100.9, 192.0.2.1").must(201, nil)
}

// Beyond the limit, a sign-up costs no operation of the store.
func TestRefusedSignupIsFree(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.SignupsHourly = 1 })
	c := counting(s)
	s.call("POST", "/signup", "", ada()).must(201, nil)
	other := ada("email", "b@example.org", "username", "bob")
	s.call("POST", "/signup", "", other).refused(429, "too_many_signups")
	_, _, before := c.counts()
	for range 20 {
		s.call("POST", "/signup", "", other).refused(429, "too_many_signups")
	}
	if _, _, after := c.counts(); after != before {
		t.Errorf("20 refused sign-ups asked the store %d times", after-before)
	}
}

// Pairs of surrogates, and names in another case, are read as JSON says.
func TestJSONFields(t *testing.T) {
	s := newSystem(t)
	var p profile
	s.call("POST", "/signup", "", `{"email":"ada@example.org","EMAIL":"eve@example.org","password":"correct horse",`+
		`"username":"ada","display_name":"Ada \ud83d\ude00 \\ud800"}`).must(201, &p)
	if u, err := s.store.User(t.Context(), p.UID); err != nil || u.Email != "ada@example.org" ||
		p.DisplayName != "Ada \U0001f600 \\ud800" {
		t.Errorf("user %+v, %v", u, err)
	}
}

func TestCORS(t *testing.T) {
	s := newSystem(t)
	p := s.user("ada")
	pre := func(path, origin string) *answer {
		return s.call("OPTIONS", path, "", nil, "Origin", origin, "Access-Control-Request-Method", "PATCH",
			"Access-Control-Request-Headers", "authorization")
	}
	for _, path := range []string{"/signup", "/me", "/users/x", "/admin/users", "/conversations?x=1"} {
		a := pre(path, origin)
		a.must(http.StatusNoContent, nil)
		for name, want := range map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Max-Age": "7200",
			"Vary":                         "Origin",
			"Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
			"Access-Control-Allow-Headers": "Authorization, Content-Type"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", path, name, got, want)
			}
		}
	}
	for _, evil := range []string{"https://evil.example", "http://chat.example.org",
		"https://chat.example.org.evil.example", "https://chat.example.org:444", "null", origin + "/"} {
		a := pre("/me", evil)
		a.refused(403, "origin_refused")
		b := s.call("GET", "/me", s.token(p), nil, "Origin", evil)
		if a.header.Get("Access-Control-Allow-Origin") != "" || b.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("the origin %s may read answers", evil)
		}
	}
	a := s.call("GET", "/me", "", nil, "Origin", origin)
	a.refused(401, "unauthenticated") // errors can be read as well
	if a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Access-Control-Expose-Headers") == "" {
		t.Errorf("headers %v", a.header)
	}
}

func FuzzSignup(f *testing.F) {
	s := newSystem(f)
	for _, seed := range []string{`{}`,
		`{"email":"a@b.cd","password":"correct horse","username":"ada","display_name":"Ada"}`, `[`, "\xff", `{"email":{}}`,
		`{"username":"\u0000"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s.t = t
		a := s.call("POST", "/signup", "", string(body))
		switch a.status {
		case 201:
			// An accepted sign-up can be found by its username.
			var p profile
			a.must(201, &p)
			if _, err := s.store.UserByUsername(context.Background(), p.Username); err != nil {
				t.Errorf("%q is accepted, but the user is not found: %v", body, err)
			}
		case 400, 409, 413, 415, 422, 429:
		default:
			t.Errorf("%q: status %d, %s", body, a.status, a.body)
		}
	})
}
