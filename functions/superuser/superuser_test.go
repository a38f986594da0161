package superuser_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/control"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/functions/superuser"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub/authstubtest"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

type system struct {
	deps     superuser.Deps
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
	who, err := accounts.NewFirebase(t.Context(), accounts.Options{Project: "demo-super", EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	p := users.New(users.Deps{Store: db, Accounts: who, Relay: struct{ internalapi.API }{}})
	return &system{superuser.Deps{Store: db, People: p}, db, host}
}

func (s *system) run(t *testing.T, o superuser.Order) string {
	t.Helper()
	o.By = "ops@host"
	told, err := superuser.Run(t.Context(), s.deps, o)
	if err != nil {
		t.Fatal(err)
	}
	return told
}

// claims are those of a token that the person gets now.
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

func TestRun(t *testing.T) {
	s := newSystem(t)
	told := s.run(t, superuser.Order{Email: "The.Boss+x@Example.org", Create: true})
	_, password, ok := strings.Cut(told, "told only here: ")
	if !ok || !strings.HasPrefix(told, "the.bossx is an admin now.") {
		t.Fatalf("told is %q", told)
	}
	if c := s.claims(t, "the.boss+x@example.org", password); c["admin"] != true {
		t.Errorf("the token says %v", c)
	}
	// promoted, not made anew; repeated; and unmade, though the last one
	if told = s.run(t, superuser.Order{Email: "the.boss+x@example.org", Create: true, Password: "another password"}); !strings.Contains(told, "its password is as it was") {
		t.Errorf("told is %q", told)
	}
	if told = s.run(t, superuser.Order{Email: "the.boss+x@example.org", Revoke: true}); told != "the.bossx is no admin any more." {
		t.Errorf("told is %q", told)
	}
	if c := s.claims(t, "the.boss+x@example.org", password); c["admin"] != nil {
		t.Errorf("the token says %v", c)
	}
	u, err := s.store.UserByEmail(t.Context(), "the.boss+x@example.org")
	if err != nil || u.Admin {
		t.Errorf("the user is %+v, %v", u, err)
	}
	if told = s.run(t, superuser.Order{Email: "a@example.org", Create: true, Username: "support", DisplayName: "Help", Password: "correct horse"}); strings.Contains(told, "password") || !strings.HasPrefix(told, "Help is") {
		t.Errorf("told is %q", told)
	}
	for _, o := range []superuser.Order{{Email: "nobody@example.org"}, {Email: "nobody@example.org", Create: true, Revoke: true}} {
		if _, err := superuser.Run(t.Context(), s.deps, o); problem.Of(err).Code != "user_not_found" {
			t.Errorf("%+v is answered %v", o, err)
		}
	}
	_, err = superuser.Run(t.Context(), s.deps, superuser.Order{Email: "no address", Create: true, Password: "x"})
	if text := control.Explain(err); !strings.Contains(text, "email: ") || !strings.Contains(text, "password: ") {
		t.Errorf("bad fields are explained as %q", text)
	}
	entries, _, err := s.store.AuditLog(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, e := range entries {
		if e.By != "command:ops@host" && e.By != "command:" {
			t.Errorf("the entry is %+v", e)
		}
		log = append(log, e.Action)
	}
	if got := strings.Join(log, " "); got != "add add make_admin add unmake_admin make_admin make_admin add" {
		t.Errorf("the audit log is %s", got)
	}
}

func TestWithoutAuditLogNothingIsDone(t *testing.T) {
	s := newSystem(t)
	s.deps.Store = noAudit{s.store}
	if _, err := superuser.Run(t.Context(), s.deps, superuser.Order{Email: "a@example.org", Create: true}); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("the order is answered %v", err)
	}
	if _, err := s.store.UserByEmail(t.Context(), "a@example.org"); !errors.Is(err, problem.ErrNotFound) {
		t.Errorf("the account is there: %v", err)
	}
}

type noAudit struct{ *storebolt.Store }

func (noAudit) AddAudit(context.Context, store.Audit) error { return problem.ErrUnavailable }
