package operator_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// system is a store and a sign-in system in which orders are carried out.
type system struct {
	deps     operator.Deps
	store    *storebolt.Store
	authHost string
}

func newSystem(t *testing.T) *system {
	t.Helper()
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	host := authstubtest.Start(t, "demo-super")
	auth, err := accounts.NewFirebase(t.Context(), accounts.Options{Project: "demo-super", EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	service := users.New(users.Deps{Store: db, Accounts: auth, Realtime: noRealtime{}})
	return &system{operator.Deps{Store: db, Users: service, Accounts: auth}, db, host}
}

// noRealtime panics if it is called, but for the calls that createsuperuser ignores.
type noRealtime struct{ internalapi.API }

func (noRealtime) GateChanged(context.Context, internalapi.Gate) error { return nil }
func (noRealtime) ProfileChanged(context.Context, string) error        { return nil }
func (noRealtime) OwnProfileChanged(context.Context, string) error     { return nil }

// order carries out an order and returns the answer.
func (s *system) order(t *testing.T, o operator.AdminOrder) string {
	t.Helper()
	o.By = "ops@host"
	answer, err := operator.SetAdmin(t.Context(), s.deps, o)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// claims returns the claims of a token that the user gets now.
func (s *system) claims(t *testing.T, email, password string) map[string]any {
	t.Helper()
	token, err := accountstest.SignIn(t.Context(), s.authHost, email, password)
	if err != nil {
		t.Fatal(err)
	}
	c, err := accountstest.Claims(token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setEmail changes the address of an account, but not the copy in the store.
func (s *system) setEmail(t *testing.T, uid, email string) {
	t.Helper()
	body := `{"localId": "` + uid + `", "email": "` + email + `", "emailVerified": true}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.authHost+
		"/identitytoolkit.googleapis.com/v1/projects/demo-super/accounts:update", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer owner")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("set the address: %s", resp.Status)
	}
}

func TestSetAdmin(t *testing.T) {
	s := newSystem(t)
	answer := s.order(t, operator.AdminOrder{Email: "The.Boss+x@Example.org", Create: true})
	_, password, ok := strings.Cut(answer, "shown only here: ")
	password, _, _ = strings.Cut(password, "\n")
	if !ok || !strings.HasPrefix(answer, "the.bossx is an admin now.") {
		t.Fatalf("answer %q", answer)
	}
	if c := s.claims(t, "the.boss+x@example.org", password); c["admin"] != true {
		t.Errorf("claims of the token: %v", c)
	}
	// An existing user is promoted, not created again. The last admin can be unmade.
	if answer = s.order(t, operator.AdminOrder{Email: "the.boss+x@example.org", Create: true,
		Password: "another password"}); !strings.Contains(answer, "its password was not changed") {
		t.Errorf("answer %q", answer)
	}
	if answer = s.order(t, operator.AdminOrder{Email: "the.boss+x@example.org",
		Revoke: true}); answer != "the.bossx is no longer an admin." {
		t.Errorf("answer %q", answer)
	}
	if c := s.claims(t, "the.boss+x@example.org", password); c["admin"] != nil {
		t.Errorf("claims of the token: %v", c)
	}
	u, err := s.store.UserByEmail(t.Context(), "the.boss+x@example.org")
	if err != nil || u.Admin {
		t.Errorf("user %+v, %v; want one who is not an admin", u, err)
	}
	if answer = s.order(t, operator.AdminOrder{Email: "a@example.org", Create: true, Username: "support",
		DisplayName: "Help", Password: "correct horse"}); strings.Contains(answer, "password") ||
		!strings.HasPrefix(answer, "Help is") {
		t.Errorf("answer %q", answer)
	}
	for _, o := range []operator.AdminOrder{{Email: "nobody@example.org"},
		{Email: "nobody@example.org", Create: true, Revoke: true}} {
		if _, err := operator.SetAdmin(t.Context(), s.deps, o); problem.Of(err).Code != "user_not_found" {
			t.Errorf("%+v: error %v, want user_not_found", o, err)
		}
	}
	_, err = operator.SetAdmin(t.Context(), s.deps, operator.AdminOrder{Email: "no address", Create: true, Password: "x"})
	if text := operator.Explain(err); !strings.Contains(text, "email: ") || !strings.Contains(text, "password: ") {
		t.Errorf("explanation %q, want one line per bad field", text)
	}
	entries, _, err := s.store.AuditLog(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, e := range entries {
		if e.By != "command:ops@host" && e.By != "command:" {
			t.Errorf("audit entry %+v", e)
		}
		log = append(log, e.Action)
	}
	if got := strings.Join(log, " "); got != "add add make_admin add unmake_admin make_admin make_admin add" {
		t.Errorf("audit log %q", got)
	}
}

// Somebody signed up with the address of the operator. An order by that address does not make them an admin.
func TestUnverifiedAddress(t *testing.T) {
	s := newSystem(t)
	const email, password = "operator@corp.example", "warm embers at night"
	u, err := s.deps.Users.Create(t.Context(), users.Signup{Email: email, Password: password, Username: "squatter",
		DisplayName: "Robin Reed"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []operator.AdminOrder{
		{Email: email}, {Email: email, Create: true}, {Email: email, Confirm: "squatter"}, {UID: u.UID},
	} {
		o.By = "ops@host"
		_, err := operator.SetAdmin(t.Context(), s.deps, o)
		text := operator.Explain(err)
		if problem.Of(err).Code != "email_unverified" {
			t.Errorf("%+v: error %v, want email_unverified", o, err)
		}
		for _, fact := range []string{u.UID, "squatter", "Robin Reed", email + " (not verified)", "created",
			"last active", "open the link in the mail to " + email, "-uid " + u.UID + " -confirm squatter"} {
			if !strings.Contains(text, fact) {
				t.Errorf("%+v: the text lacks %q:\n%s", o, fact, text)
			}
		}
	}
	wrong := operator.AdminOrder{UID: u.UID, Confirm: "operator"}
	if _, err := operator.SetAdmin(t.Context(), s.deps, wrong); problem.Of(err).Code != "confirm_wrong" {
		t.Errorf("another username: error %v, want confirm_wrong", err)
	}
	if shown := s.order(t, operator.AdminOrder{UID: u.UID, Show: true}); !strings.Contains(shown, "squatter") {
		t.Errorf("shown %q", shown)
	}
	if entries, _, err := s.store.AuditLog(t.Context(), "", 10); err != nil || len(entries) != 0 {
		t.Errorf("refused orders are in the audit log: %+v, %v", entries, err)
	}
	if c := s.claims(t, email, password); c["admin"] != nil || c["email_verified"] != false {
		t.Errorf("claims after refused orders: %v", c)
	}
	// The operator knows that it is the right person. The address is verified from then on.
	s.order(t, operator.AdminOrder{UID: u.UID, Confirm: "squatter"})
	if c := s.claims(t, email, password); c["admin"] != true || c["email_verified"] != true {
		t.Errorf("claims: %v", c)
	}
	if u, err = s.store.User(t.Context(), u.UID); err != nil || !u.Admin || !u.EmailVerified {
		t.Errorf("user %+v, %v", u, err)
	}
	s.order(t, operator.AdminOrder{Email: email, Revoke: true})
	s.order(t, operator.AdminOrder{Email: email})
	entries, _, err := s.store.AuditLog(t.Context(), "", 10)
	if err != nil || len(entries) != 4 || entries[3].Action != "verify_email" || entries[3].On != u.UID {
		t.Errorf("audit log %+v, %v", entries, err)
	}
	for _, o := range []operator.AdminOrder{{UID: "nobody", Confirm: "x"}, {UID: "nobody", Show: true}} {
		if _, err := operator.SetAdmin(t.Context(), s.deps, o); problem.Of(err).Code != "user_not_found" {
			t.Errorf("%+v: error %v, want user_not_found", o, err)
		}
	}
}

// The sign-in system says who has an address, not the copy in the store.
func TestAddressThatMoved(t *testing.T) {
	s := newSystem(t)
	ctx := t.Context()
	create := func(email, username string) store.User {
		t.Helper()
		u, err := s.deps.Users.Create(ctx, users.Signup{Email: email, Password: "warm embers at night", Username: username,
			DisplayName: username, Verified: true})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	old, now := create("ops@example.org", "old"), create("other@example.org", "new")
	s.setEmail(t, old.UID, "left@example.org")
	s.setEmail(t, now.UID, "ops@example.org")
	s.order(t, operator.AdminOrder{Email: "ops@example.org"})
	for uid, want := range map[string]bool{old.UID: false, now.UID: true} {
		if u, err := s.store.User(ctx, uid); err != nil || u.Admin != want {
			t.Errorf("%s is an admin: %v, want %v (%v)", u.Username, u.Admin, want, err)
		}
	}
}

// An admin who has lost the authenticator app and the recovery codes gets in again with the password alone.
func TestResetSecondFactor(t *testing.T) {
	s := newSystem(t)
	const email, password = "boss@example.org", "warm embers at night"
	s.order(t, operator.AdminOrder{Email: email, Create: true, Password: password, Username: "boss"})
	authstubtest.Enroll(t, s.authHost, email, password, time.Now())
	if token, _ := accountstest.SignIn(t.Context(), s.authHost, email, password); token != "" {
		t.Fatal("the password alone signs in")
	}
	before := time.Now()
	answer := s.order(t, operator.AdminOrder{Email: email, ResetFactor: true})
	if answer != "The second factor was removed. boss is signed out everywhere." {
		t.Errorf("answer %q", answer)
	}
	// A second order finishes what the first may have left undone, and says that there was no factor.
	again := s.order(t, operator.AdminOrder{Email: email, ResetFactor: true})
	if again != "This account had no second factor. boss is signed out everywhere." {
		t.Errorf("without a factor: answer %q", again)
	}
	if c := s.claims(t, email, password); c["admin"] != true {
		t.Errorf("claims of the token: %v", c)
	}
	u, err := s.store.UserByEmail(t.Context(), email)
	if err != nil || !u.Admin || u.ValidAfter < chat.MicrosOf(before) {
		t.Errorf("user %+v, %v; want an admin whose sign-ins have ended", u, err)
	}
	entries, _, err := s.store.AuditLog(t.Context(), "", 1)
	if err != nil || len(entries) != 1 || entries[0].Action != "reset_second_factor" || entries[0].OnName != "boss" {
		t.Errorf("audit log %+v, %v", entries, err)
	}
	_, err = operator.SetAdmin(t.Context(), s.deps, operator.AdminOrder{Email: "nobody@example.org", ResetFactor: true,
		Create: true})
	if problem.Of(err).Code != "user_not_found" {
		t.Errorf("the factor of nobody: %v", err)
	}
}

// The answer leads a new admin to the panel, which opens only with a second factor.
func TestTheWayToThePanel(t *testing.T) {
	s := newSystem(t)
	const email, password = "boss@example.org", "warm embers at night"
	s.deps.Panel = operator.Panel{URL: "http://127.0.0.1:8080", Factor: true, Codes: "the terminal of infra/local"}
	steps := `
The panel opens once this account has a second factor:
  1. Sign in at http://127.0.0.1:8080
  2. Open the settings, then "Two-step verification", and set it up with an authenticator app.
     Without an app: the codes are also printed in the terminal of infra/local.
  3. Keep the recovery codes that are shown then. One of them is enough to replace a lost app.
  4. Open the panel at http://127.0.0.1:8080/admin
If the app and the recovery codes are lost, run createsuperuser with -reset-second-factor.`
	expect := func(o operator.AdminOrder, want string) {
		t.Helper()
		o.Email = email
		if got := s.order(t, o); got != want {
			t.Errorf("%+v: answer\n%s\nwant\n%s", o, got, want)
		}
	}
	expect(operator.AdminOrder{Create: true, Password: password},
		"boss is an admin now.\nA new account was created."+steps)
	expect(operator.AdminOrder{Revoke: true}, "boss is no longer an admin.")
	expect(operator.AdminOrder{ResetFactor: true}, "This account had no second factor. boss is signed out everywhere.")
	expect(operator.AdminOrder{}, "boss is an admin now."+steps)
	authstubtest.Enroll(t, s.authHost, email, password, time.Now())
	expect(operator.AdminOrder{},
		"boss is an admin now.\nThis account has a second factor already. The panel is at http://127.0.0.1:8080/admin")
	expect(operator.AdminOrder{ResetFactor: true},
		"The second factor was removed. boss is signed out everywhere."+steps)

	s.deps.Panel = operator.Panel{Factor: true} // on Google Cloud
	answer := s.order(t, operator.AdminOrder{Email: email})
	for _, want := range []string{"1. Sign in at the address that this prints: terraform -chdir=infra/terraform output",
		"4. Open the panel at /admin of the chat\n", `"Two-step verification"`} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks %q:\n%s", want, answer)
		}
	}
	if strings.Contains(answer, "infra/local") {
		t.Errorf("on Google Cloud, nobody prints codes:\n%s", answer)
	}
	s.deps.Panel = operator.Panel{URL: "http://127.0.0.1:8080"}
	expect(operator.AdminOrder{}, "boss is an admin now.\nThe panel is at http://127.0.0.1:8080/admin")
}

// An order that cannot be recorded is not carried out.
func TestOrderNeedsAuditLog(t *testing.T) {
	s := newSystem(t)
	s.deps.Store = noAudit{s.store}
	if _, err := operator.SetAdmin(t.Context(), s.deps, operator.AdminOrder{Email: "a@example.org",
		Create: true}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
	if _, err := s.store.UserByEmail(t.Context(), "a@example.org"); !errors.Is(err, problem.ErrNotFound) {
		t.Errorf("the user was created: %v", err)
	}
}

// noAudit is a store whose audit log cannot be written.
type noAudit struct{ *storebolt.Store }

func (noAudit) AddAudit(context.Context, store.Audit) error { return problem.ErrUnavailable }
