package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func micros(t time.Time) chat.Micros { return chat.MicrosOf(t) }

type adminProfile struct {
	profile
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	Admin         bool   `json:"admin"`
	Disabled      bool   `json:"disabled"`
	Deleting      bool   `json:"deleting"`
	LastActiveAt  int64  `json:"last_active_at"`
}

type adminPage struct {
	Users []adminProfile `json:"users"`
	Next  string         `json:"next"`
}

// audits returns the audit log, oldest first, each entry as "by action on reason outcome".
func (s *system) audits() (lines []string) {
	s.t.Helper()
	entries, _, err := s.store.AuditLog(s.t.Context(), "", 100)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range slices.Backward(entries) {
		lines = append(lines, strings.Join(strings.Fields(strings.Join([]string{e.By, e.Action, e.On, e.Reason, e.Outcome},
			" ")), " "))
	}
	return lines
}

func (s *system) audited(want ...string) {
	s.t.Helper()
	if got := s.audits(); !slices.Equal(got, want) {
		s.t.Errorf("audit log\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAdminUsers(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.clock.advance(time.Minute)
	s.user("bob")
	s.clock.advance(time.Minute)
	s.user("ada")
	if err := s.store.Touch(t.Context(), []string{"bob"}, micros(s.clock.Now().Add(24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.SetDisabled(t.Context(), "ada", true); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"": "ada bob root1", "?order=name": "ada bob root1",
		"?order=newest": "ada bob root1", "?order=active": "bob root1 ada",
		"?q=bo": "bob", "?q=BOB@ex": "bob", "?q=zzz": "", "?q=@": "", "?order=newest&limit=1": "ada"} {
		var page adminPage
		s.call("GET", "/admin/users"+query, token, nil).must(200, &page)
		var names []string
		for _, u := range page.Users {
			names = append(names, u.Username)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	var page adminPage
	s.call("GET", "/admin/users?limit=2", token, nil).must(200, &page)
	s.call("GET", "/admin/users?limit=2&cursor="+page.Next, token, nil).must(200, &page)
	if len(page.Users) != 1 || page.Next != "" {
		t.Errorf("last page %+v", page)
	}
	s.call("GET", "/admin/users?order=oldest", token, nil).refused(422, "invalid_fields")
	s.call("GET", "/admin/users?order=active&cursor="+page.Next+"x", token, nil).refused(422, "cursor_invalid")
	var u adminProfile
	s.call("GET", "/admin/users/ada", token, nil).must(200, &u)
	if !u.Disabled || u.Email != "ada@example.org" {
		t.Errorf("ada %+v", u)
	}
	for _, uid := range []string{"nobody", "a~b"} {
		for _, c := range []struct{ method, path string }{{"GET", ""}, {"PATCH", ""}, {"DELETE", ""}, {"POST", "/sign-out"},
			{"POST", "/password-reset"}, {"POST", "/conversations"}} {
			var body any = map[string]any{"reason": "x", "disabled": true}
			if c.method == "GET" {
				body = nil
			}
			s.call(c.method, "/admin/users/"+uid+c.path, token, body).refused(404, "user_not_found")
		}
	}
	s.audited() // reading lists is not an action
}

func TestAdminAdd(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	var u adminProfile
	s.call("POST", "/admin/users", token, ada("username", "support", "reason", "our help desk")).must(201, &u)
	if u.Username != "support" || u.Email != "ada@example.org" || u.Admin {
		t.Errorf("added %+v", u)
	}
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "ada@example.org", "correct horse"); err != nil {
		t.Error(err)
	}
	s.call("POST", "/admin/users", token, ada("email", "b@example.org", "username", "SUPPORT")).refused(409,
		"username_taken")
	s.call("POST", "/admin/users", token, ada("email", "x")).refused(422, "invalid_fields")
	s.audited("root1 add our help desk", "root1 add", "root1 add failed: username_taken")
}

func TestAdminDisable(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	bob := s.token("bob")
	s.call("GET", "/me", bob, nil).must(200, nil)
	var u adminProfile
	for range 2 { // the action may be repeated
		s.call("PATCH", "/admin/users/bob", token, map[string]any{"disabled": true, "reason": "spam"}).must(200, &u)
		if g := s.realtime.last(); !u.Disabled || g.UID != "bob" || !g.Disabled || !g.Exists {
			t.Errorf("bob %+v, gate %+v", u, g)
		}
	}
	s.call("GET", "/me", bob, nil).refused(403, "account_disabled")
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "bob@example.org", "correct horse"); err == nil {
		t.Error("bob can sign in")
	}
	s.call("PATCH", "/admin/users/bob", token, map[string]any{"disabled": false}).must(200, &u)
	if g := s.realtime.last(); u.Disabled || g.Disabled {
		t.Errorf("bob %+v, gate %+v", u, g)
	}
	if _, err := accountstest.SignIn(t.Context(), s.authHost, "bob@example.org", "correct horse"); err != nil {
		t.Error(err)
	}
	// If realtime/ is down, the call fails, the store has the change already, and repeating the call completes it.
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("PATCH", "/admin/users/bob", token, map[string]any{"disabled": true}).refused(503, "unavailable")
	s.call("GET", "/me", bob, nil).refused(403, "account_disabled")
	if a, err := s.accounts.Get(t.Context(), "bob"); err != nil || !a.Disabled {
		t.Errorf("account %+v, %v", a, err)
	}
	s.realtime.failWith(nil)
	s.call("PATCH", "/admin/users/bob", token, map[string]any{"disabled": true}).must(200, nil)
	s.audited("root1 disable bob spam", "root1 disable bob spam", "root1 enable bob", "root1 disable bob",
		"root1 disable bob failed: unavailable", "root1 disable bob")

	s.call("PATCH", "/admin/users/bob", token, form{}).refused(422, "nothing_to_change")
	s.call("PATCH", "/admin/users/bob", token, `{"disabled":"yes"}`).refused(422, "invalid_fields")
	s.call("PATCH", "/admin/users/bob", token, map[string]any{"disabled": true,
		"reason": strings.Repeat("x", 501)}).refused(422, "invalid_fields")
}

func TestAdminSignOut(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	bob := s.token("bob")
	s.call("POST", "/admin/users/bob/sign-out", token, form{"reason": "lost phone"}).must(204, nil)
	s.call("GET", "/me", bob, nil).refused(401, "token_ended")
	if g := s.realtime.last(); g.UID != "bob" || g.Disabled || g.ValidAfter <= micros(s.clock.Now()) {
		t.Errorf("gate %+v", g)
	}
	s.clock.advance(time.Second)
	s.call("GET", "/me", s.token("bob"), nil).must(200, nil)
	s.audited("root1 sign_out bob lost phone")
}

func TestAdminPasswordReset(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	s.call("POST", "/admin/users/bob/password-reset", token, nil).must(204, nil)
	s.audited("root1 password_reset bob")
}

func TestAdminRename(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	s.user("ada")
	var u adminProfile
	s.call("PATCH", "/admin/users/bob", token, form{"username": "robert", "display_name": "<b>Bob</b>",
		"reason": "asked"}).must(200, &u)
	if u.Username != "robert" || u.DisplayName != "<b>Bob</b>" {
		t.Errorf("bob %+v", u)
	}
	s.call("PATCH", "/admin/users/bob", token, form{"username": "ada"}).refused(409, "username_taken")
	s.call("PATCH", "/admin/users/bob", token, form{"display_name": ""}).refused(422, "invalid_fields")
}

func TestLastAdmin(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	for _, body := range []map[string]any{{"admin": false}, {"disabled": true}} {
		s.call("PATCH", "/admin/users/root1", token, body).refused(409, "last_admin")
	}
	s.call("DELETE", "/admin/users/root1", token, form{"reason": "left"}).refused(409, "last_admin")
	s.call("DELETE", "/me", token, nil).refused(409, "last_admin")
	s.account("bob")
	var u adminProfile
	s.call("PATCH", "/admin/users/bob", token, map[string]any{"admin": true}).must(200, &u)
	if a, err := s.accounts.Get(t.Context(), "bob"); err != nil || !a.Admin || !u.Admin {
		t.Errorf("bob %+v, account %+v, %v", u, a, err)
	}
	s.call("PATCH", "/admin/users/root1", token, map[string]any{"admin": false}).must(200, nil)
	s.call("GET", "/admin/users", token, nil).refused(403, "forbidden") // the old token still has the claim
	s.call("PATCH", "/admin/users/bob", s.token("bob", asAdmin), map[string]any{"admin": false}).refused(409, "last_admin")
}

func TestAdminDelete(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("eve")
	for _, body := range []any{nil, form{}, form{"reason": "  "}} {
		if a := s.call("DELETE", "/admin/users/eve", token, body); a.status != 400 && a.status != 415 && a.status != 422 {
			t.Errorf("deleting with the body %v: status %d", body, a.status)
		}
	}
	s.user("ada")
	s.save("eve", "ada", "from eve")
	eve := s.token("eve")
	s.realtime.failWith(problem.ErrUnavailable) // interrupted
	s.call("DELETE", "/admin/users/eve", token, form{"reason": "spam"}).refused(503, "unavailable")
	var u adminProfile
	s.call("GET", "/admin/users/eve", token, nil).must(200, &u)
	if !u.Deleting {
		t.Errorf("eve %+v", u)
	}
	s.realtime.failWith(nil)
	s.call("PATCH", "/admin/users/eve", token, map[string]any{"disabled": false}).must(200, &u)
	if !u.Disabled {
		t.Error("a user who is being deleted was enabled")
	}
	s.call("DELETE", "/admin/users/eve", token, form{"reason": "again"}).must(204, nil)
	s.call("DELETE", "/admin/users/eve", token, form{"reason": "again"}).refused(404, "user_not_found")
	s.call("GET", "/me", eve, nil).refused(403, "account_deleted")
	if page, _, err := s.store.Messages(t.Context(), "ada~eve", store.Position{}, 10); err != nil || len(page) != 0 {
		t.Errorf("messages %v, %v, want none", page, err)
	}
	if !slices.Contains(s.realtime.gone, "eve") {
		t.Errorf("users reported as gone: %v", s.realtime.gone)
	}
	if got := s.audits(); got[0] != "root1 delete eve spam" || got[1] != "root1 delete eve spam failed: unavailable" ||
		got[len(got)-1] != "root1 delete eve again" {
		t.Errorf("audit log %q", got)
	}
}

// Two admins who change one user at once both get a valid answer, and the user is in one of the two states.
func TestConcurrentAdmins(t *testing.T) {
	s := newSystem(t)
	_, one := s.admin("root1")
	_, two := s.admin("root2")
	for i := range 5 {
		name := s.account(fmt.Sprintf("bob%d", i))
		var wg sync.WaitGroup
		answers := make([]*answer, 3)
		wg.Go(func() { answers[0] = s.call("DELETE", "/admin/users/"+name, one, form{"reason": "spam"}) })
		wg.Go(func() { answers[1] = s.call("DELETE", "/admin/users/"+name, two, form{"reason": "spam"}) })
		wg.Go(func() {
			answers[2] = s.call("PATCH", "/admin/users/"+name, two, map[string]any{"disabled": true})
		})
		wg.Wait()
		for n, a := range answers {
			if a.status != 204 && a.status != 404 && !(n == 2 && a.status == 200) {
				t.Errorf("call %d: %d %s", n, a.status, a.body)
			}
		}
		if _, err := s.store.User(t.Context(), name); !errors.Is(err, problem.ErrNotFound) {
			t.Errorf("%s still exists: %v", name, err)
		}
	}
	// Two admins unmake each other.
	var wg sync.WaitGroup
	var a, b *answer
	wg.Go(func() { a = s.call("PATCH", "/admin/users/root2", one, map[string]any{"admin": false}) })
	wg.Go(func() { b = s.call("PATCH", "/admin/users/root1", two, map[string]any{"admin": false}) })
	wg.Wait()
	if (a.status == 200) == (b.status == 200) {
		t.Errorf("two admins who unmake each other: %d %s and %d %s", a.status, a.body, b.status, b.body)
	}
}

func TestAdminMessages(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	for _, n := range []string{"ada", "bob", "cyd"} {
		s.user(n)
	}
	saved := s.save("ada", "bob", "one", "two")
	s.save("cyd", "ada", "three")
	for _, reason := range []any{nil, "", "   ", strings.Repeat("x", 501)} {
		d := s.call("POST", "/admin/messages", token, map[string]any{"reason": reason,
			"conversation": "ada~bob"}).refused(422, "invalid_fields")
		if d.Fields["reason"] == "" {
			t.Errorf("messages of fields %v", d.Fields)
		}
		s.call("POST", "/admin/users/ada/conversations", token, map[string]any{"reason": reason}).refused(422,
			"invalid_fields")
	}
	s.audited()
	var list struct {
		Conversations []struct {
			ID   string  `json:"id"`
			With profile `json:"with"`
		} `json:"conversations"`
	}
	a := s.call("POST", "/admin/users/ada/conversations", token, form{"reason": " report 7 "})
	a.must(200, &list)
	if len(list.Conversations) != 2 || strings.Contains(string(a.body), "three") ||
		strings.Contains(string(a.body), `"two"`) {
		t.Errorf("conversations %s", a.body)
	}
	var page messagePage
	s.call("POST", "/admin/messages", token, form{"reason": "report 7", "conversation": "ada~bob"}).must(200, &page)
	if !reflect.DeepEqual(page.Messages, saved) {
		t.Errorf("messages %+v", page)
	}
	s.call("POST", "/admin/messages", token, form{"reason": "x", "conversation": "ada"}).refused(422,
		"conversation_invalid")
	s.call("POST", "/admin/messages", token, form{"reason": "x", "conversation": "ada~bob", "before": "x"}).refused(422,
		"before_invalid")
	s.audited("root1 read_conversations ada report 7", "root1 read_messages ada~bob report 7")
}

// Each entry is also logged, whatever the level of other records. The key and the field "action" are those of the
// sink's filter (infra/terraform/audit.tf).
func TestAuditEntriesAreLogged(t *testing.T) {
	var out bytes.Buffer
	s := newSystem(t, func(d *api.Deps) { d.AuditLog = slog.New(slog.NewJSONHandler(&out, nil)) })
	_, token := s.admin("root1")
	s.account("bob")
	s.call("POST", "/admin/users/bob/sign-out", token, form{"reason": "lost phone"}).must(204, nil)
	s.call("PATCH", "/admin/users/nobody", token, map[string]any{"disabled": true, "reason": "x"}).refused(404,
		"user_not_found")
	entries, _, err := s.store.AuditLog(t.Context(), "", 10)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	var logged []store.Audit
	for lines := json.NewDecoder(&out); lines.More(); {
		var line struct{ Audit store.Audit }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		logged = append([]store.Audit{line.Audit}, logged...)
	}
	if !slices.Equal(logged, entries) || logged[len(logged)-1].Action != "sign_out" {
		t.Errorf("logged %+v\nwant %+v", logged, entries)
	}
}

// An action that cannot be recorded in the audit log is not run.
func TestActionNeedsAuditLog(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.account("bob")
	s.deps.Store = noAudit{s.store}
	s.rebuild()
	s.call("PATCH", "/admin/users/bob", token, map[string]any{"disabled": true}).refused(503, "unavailable")
	s.call("POST", "/admin/messages", token, form{"reason": "x", "conversation": "ada~bob"}).refused(503, "unavailable")
	s.call("GET", "/admin/users.csv", token, nil).refused(503, "unavailable")
	if u, err := s.store.User(t.Context(), "bob"); err != nil || u.Disabled {
		t.Errorf("bob %+v, %v", u, err)
	}
}

// An admin needs both the claim in the token and the directory's record, at every call.
func TestAdminIsCheckedAtEveryCall(t *testing.T) {
	s := newSystem(t)
	_, token := s.admin("root1")
	s.admin("root2")
	s.call("GET", "/admin/users", token, nil).must(200, nil)
	s.call("GET", "/admin/users", s.token("root1", func(c jwt.MapClaims) { c["admin"] = "true" }), nil).refused(403,
		"forbidden")
	if _, err := s.store.SetAdmin(t.Context(), "root1", false, true); err != nil {
		t.Fatal(err)
	}
	s.call("GET", "/admin/users", token, nil).refused(403, "forbidden")
}
