package api_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// withFactor is the claim of a sign-in that a second factor has confirmed.
func withFactor(c jwt.MapClaims) {
	c["firebase"] = map[string]any{"sign_in_provider": "password", "sign_in_second_factor": "totp"}
}

// enroll gives the account of a user a second factor.
func (s *system) enroll(name string) {
	s.t.Helper()
	authstubtest.Enroll(s.t, s.authHost, name+"@example.org", "correct horse", s.clock.Now())
}

// factorState is what the own profile says of the second factor.
type factorState struct {
	On    bool  `json:"second_factor"`
	Codes int   `json:"recovery_codes"`
	At    int64 `json:"recovery_codes_at"`
}

func (s *system) factor(token string) (f factorState) {
	s.t.Helper()
	s.call("GET", "/me", token, nil).must(200, &f)
	return f
}

// newCodes asks for recovery codes.
func (s *system) newCodes(token string) []string {
	s.t.Helper()
	var out struct {
		Codes []string `json:"codes"`
	}
	s.call("POST", "/me/recovery-codes", token, nil).must(200, &out)
	return out.Codes
}

func recovery(name, password, code string) form {
	return form{"email": name + "@example.org", "password": password, "code": code}
}

func TestRecoveryCodes(t *testing.T) {
	s := newSystem(t)
	other := s.knownToken("ada")
	s.clock.advance(time.Minute)
	if f := s.factor(s.token("ada")); f != (factorState{}) {
		t.Errorf("without a factor: %+v", f)
	}
	s.call("POST", "/me/recovery-codes", s.token("ada"), nil).refused(403, "sign_in_again")
	// A token with the claim alone does not give codes: the sign-in system is asked.
	s.call("POST", "/me/recovery-codes", s.token("ada", withFactor), nil).refused(409, "no_second_factor")

	s.enroll("ada")
	s.clock.advance(time.Second)
	own := s.token("ada", withFactor)
	if f := s.factor(own); !f.On || f.Codes != 0 {
		t.Errorf("after the enrollment: %+v", f)
	}
	s.call("GET", "/me", other, nil).refused(401, "token_ended")
	codes := s.newCodes(own)
	if f := s.factor(own); f.Codes != len(codes) || len(codes) != 10 || f.At != int64(micros(s.clock.Now())) {
		t.Errorf("with %d codes: %+v", len(codes), f)
	}
	unique := map[string]bool{}
	for _, code := range codes {
		unique[code] = true
		if !regexp.MustCompile(`^([A-Z2-7]{4}-){5}[A-Z2-7]{4}$`).MatchString(code) {
			t.Errorf("code %q", code)
		}
	}
	if len(unique) != len(codes) {
		t.Errorf("codes repeat: %q", codes)
	}
	u, err := s.store.User(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if stored := fmt.Sprint(u.Recovery); strings.Contains(stored, codes[0]) ||
		strings.Contains(stored, strings.ReplaceAll(codes[0], "-", "")) {
		t.Error("a code is stored as it is")
	}
	// New ones replace them.
	again := s.newCodes(own)
	s.call("POST", "/signup/recover", "", recovery("ada", "correct horse", codes[0])).refused(422, "recovery_code_wrong")
	s.call("POST", "/signup/recover", "", recovery("ada", "correct horse", again[0])).must(204, nil)

	s.clock.advance(11 * time.Minute)
	s.call("POST", "/me/recovery-codes", own, nil).refused(401, "token_ended")
}

// If the sign-in system gives a sign-in that has enrolled a factor no new time, the codes end the other sign-ins.
func TestRecoveryCodesEndOtherSignIns(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	at := s.clock.Now()
	s.call("GET", "/me", s.token("ada"), nil).must(200, nil)
	s.clock.advance(time.Second)
	other := s.token("ada")
	s.call("GET", "/me", other, nil).must(200, nil)
	s.clock.advance(time.Second)
	s.enroll("ada")
	own := s.token("ada", signedInAt(at), withFactor)
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("POST", "/me/recovery-codes", own, nil).refused(503, "unavailable")
	s.realtime.failWith(nil)
	failed := s.realtime.sent()
	s.newCodes(own)
	s.call("GET", "/me", other, nil).refused(401, "token_ended")
	if f := s.factor(own); !f.On {
		t.Errorf("state %+v", f)
	}
	if g := s.realtime.last(); len(g.Ended) != 1 || s.realtime.sent() == failed {
		t.Errorf("the gate %+v does not end the other sign-in, or was not sent again", g)
	}
	s.clock.advance(11 * time.Minute)
	s.call("POST", "/me/recovery-codes", own, nil).refused(403, "sign_in_again")
}

// An enrollment is a sign-in in the second before which the sign-in system ends all others. Later sign-ins do not end
// it, whether or not the client has made recovery codes.
func TestTheSignInOfAnEnrollmentStays(t *testing.T) {
	for _, codes := range []bool{true, false} {
		s := newSystem(t)
		before := s.knownToken("ada")
		s.clock.advance(time.Minute)
		s.enroll("ada")
		own := s.token("ada", withFactor)
		if codes {
			s.newCodes(own)
		}
		s.call("GET", "/me", own, nil).must(200, nil)
		s.clock.advance(time.Minute)
		s.call("GET", "/me", s.token("ada", withFactor), nil).must(200, nil) // another device
		s.call("GET", "/me", own, nil).must(200, nil)
		s.call("GET", "/me", before, nil).refused(401, "token_ended")
		// A later change ends both.
		s.clock.advance(time.Minute)
		password := "battery staple"
		if err := s.accounts.Update(t.Context(), "ada", accounts.Change{Password: &password}); err != nil {
			t.Fatal(err)
		}
		s.clock.advance(time.Second)
		s.call("GET", "/me", s.token("ada", withFactor), nil).must(200, nil)
		s.call("GET", "/me", own, nil).refused(401, "token_ended")
	}
}

func TestRemoveSecondFactor(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.enroll("ada")
	s.clock.advance(time.Second)
	at := s.clock.Now()
	own := s.token("ada", withFactor)
	s.newCodes(own)
	s.call("DELETE", "/me/second-factor", s.token("ada"), nil).refused(403, "sign_in_again")
	s.clock.advance(11 * time.Minute)
	s.call("DELETE", "/me/second-factor", s.token("ada", withFactor, signedInAt(at)), nil).refused(403, "sign_in_again")
	fresh := s.token("ada", withFactor)
	var f factorState
	s.call("DELETE", "/me/second-factor", fresh, nil).must(200, &f)
	if f.On {
		t.Errorf("answer %+v", f)
	}
	for range 2 { // it may be repeated
		s.call("DELETE", "/me/second-factor", fresh, nil).must(200, nil)
	}
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "ada@example.org", "correct horse"); err != nil {
		t.Errorf("the password alone: %v", err)
	}
	s.call("GET", "/me", s.token("ada", withFactor, signedInAt(at)), nil).must(200, nil) // other devices stay signed in
}

func TestRecover(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.account("bob")
	s.enroll("ada")
	s.enroll("bob")
	s.clock.advance(time.Second)
	own, bobs := s.token("ada", withFactor), s.token("bob", withFactor)
	codes := s.newCodes(own)
	bob := s.newCodes(bobs)
	refused := func(f form, status int, code string) {
		t.Helper()
		s.call("POST", "/signup/recover", "", f).refused(status, code)
	}
	refused(recovery("ada", "wrong horse", codes[0]), 403, "wrong_password")
	refused(recovery("nobody", "correct horse", codes[0]), 403, "wrong_password")
	refused(recovery("ada", "correct horse", bob[0]), 422, "recovery_code_wrong")
	for _, code := range []string{"", "123456", codes[0][1:], codes[0] + "A", strings.Repeat("A", 5000)} {
		refused(recovery("ada", "correct horse", code), 422, "recovery_code_wrong")
	}
	if f := s.factor(own); !f.On || f.Codes != 10 {
		t.Errorf("after wrong attempts: %+v", f)
	}

	// A code may be typed in other ways.
	typed := " " + strings.ToLower(strings.ReplaceAll(codes[0], "-", " "))
	s.call("POST", "/signup/recover", "", recovery("ada", "correct horse", typed)).must(204, nil)
	s.call("GET", "/me", own, nil).refused(401, "token_ended")
	s.call("GET", "/me", bobs, nil).must(200, nil)
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "ada@example.org", "correct horse"); err != nil {
		t.Errorf("the password alone: %v", err)
	}
	s.clock.advance(time.Minute)
	if f := s.factor(s.token("ada")); f.On || f.Codes != 9 {
		t.Errorf("after the recovery: %+v", f)
	}
	refused(recovery("ada", "correct horse", codes[0]), 422, "recovery_code_wrong") // used
	refused(recovery("ada", "correct horse", codes[1]), 409, "no_second_factor")
	// The other codes are for the next factor.
	s.enroll("ada")
	s.clock.advance(time.Minute)
	if f := s.factor(s.token("ada", withFactor)); !f.On || f.Codes != 9 {
		t.Errorf("with another factor: %+v", f)
	}
	s.call("POST", "/signup/recover", "", recovery("ada", "correct horse", codes[1])).must(204, nil)
}

// A recovery that fails halfway can be repeated with the same code.
func TestRecoverIsRepeated(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.enroll("ada")
	s.clock.advance(time.Second)
	codes := s.newCodes(s.token("ada", withFactor))
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("POST", "/signup/recover", "", recovery("ada", "correct horse", codes[0])).refused(503, "unavailable")
	s.realtime.failWith(nil)
	failed := s.realtime.sent()
	s.call("POST", "/signup/recover", "", recovery("ada", "correct horse", codes[0])).must(204, nil)
	if g := s.realtime.last(); g.ValidAfter <= micros(s.clock.Now()) || s.realtime.sent() == failed {
		t.Errorf("the gate %+v does not end the sign-ins, or was not sent again", g)
	}
	s.clock.advance(time.Minute)
	if f := s.factor(s.token("ada")); f.On || f.Codes != 9 {
		t.Errorf("after the recovery: %+v", f)
	}
}

// The attempts of an account with the right password are limited, and so are those of a network.
func TestRecoveriesAreLimited(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.Proxies = 1 })
	s.account("ada")
	s.enroll("ada")
	s.clock.advance(time.Second)
	codes := s.newCodes(s.token("ada", withFactor))
	wrong := recovery("ada", "correct horse", strings.Repeat("A", 24))
	n := 0
	from := func(f form) *answer {
		n++
		return s.call("POST", "/signup/recover", "", f, "X-Forwarded-For", fmt.Sprintf("198.51.%d.7", n))
	}
	for range api.RecoveriesPerHour {
		from(wrong).refused(422, "recovery_code_wrong")
	}
	d := from(recovery("ada", "correct horse", codes[0])).refused(429, "too_many_tries")
	if d.RetryAfterMS != time.Hour.Milliseconds() {
		t.Errorf("try again in %d ms", d.RetryAfterMS)
	}
	s.clock.advance(time.Hour)
	from(recovery("ada", "correct horse", codes[0])).must(204, nil)

	one := func(i int) *answer {
		f := recovery(fmt.Sprintf("nobody%d", i), "correct horse", strings.Repeat("A", 24))
		return s.call("POST", "/signup/recover", "", f, "X-Forwarded-For", "203.0.113.7")
	}
	for i := range 30 {
		one(i).refused(403, "wrong_password")
	}
	one(30).refused(429, "too_many_tries")
}

// With AdminFactor, an admin's calls need a second factor, which both the directory and the token know.
func TestAdminsNeedASecondFactor(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.AdminFactor = true })
	uid, token := s.admin("root1")
	s.call("GET", "/admin/users", token, nil).refused(403, "second_factor_required")
	// A claim without the factor, as after its removal.
	s.call("GET", "/admin/users", s.token(uid, asAdmin, withFactor), nil).refused(403, "second_factor_required")
	s.call("GET", "/me", token, nil).must(200, nil)
	s.enroll(uid)
	s.clock.advance(time.Second)
	s.call("GET", "/admin/users", s.token(uid, asAdmin, withFactor), nil).must(200, nil)
	s.clock.advance(time.Second)
	s.call("GET", "/admin/users", s.token(uid, asAdmin), nil).refused(403, "sign_in_again")
	at := s.clock.Now()
	s.call("GET", "/admin/users", s.token(uid, asAdmin, withFactor), nil).must(200, nil)
	s.clock.advance(16 * time.Minute)
	s.call("GET", "/admin/users", s.token(uid, asAdmin, withFactor, signedInAt(at)), nil).refused(403, "sign_in_again")
	// Nobody else learns more than before.
	s.call("GET", "/admin/users", s.knownToken("bob"), nil).refused(403, "forbidden")
}
