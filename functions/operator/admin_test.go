package operator_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
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
	service := users.New(users.Deps{Store: db, Accounts: auth, Realtime: struct{ internalapi.API }{}})
	return &system{operator.Deps{Store: db, Users: service}, db, host}
}

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

func TestSetAdmin(t *testing.T) {
	s := newSystem(t)
	answer := s.order(t, operator.AdminOrder{Email: "The.Boss+x@Example.org", Create: true})
	_, password, ok := strings.Cut(answer, "shown only here: ")
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
