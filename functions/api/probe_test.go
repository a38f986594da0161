package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/accounts/accountstest"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// probers accepts one token, and knows a service account that may not call.
type probers struct{}

func (probers) VerifyService(_ context.Context, token string) (string, error) {
	switch token {
	case "prober":
		return "chat-prober@acme-chat.iam.gserviceaccount.com", nil
	case "another account":
		return "", problem.ErrForbidden
	}
	return "", problem.ErrUnauthenticated
}

func newProbed(t *testing.T) (*system, *bytes.Buffer) {
	var log bytes.Buffer
	return newSystem(t, func(d *api.Deps) {
		d.Probers = probers{}
		d.Log = logging.New(&log, logging.Options{JSON: true, Level: slog.LevelError})
	}), &log
}

// Two users with verified addresses are made once. The tokens sign in as them, and as nobody else.
func TestProbe(t *testing.T) {
	s, log := newProbed(t)
	var first, again prober.Answer
	s.call("POST", "/admin/probe", "prober", nil).must(200, &first)
	s.call("POST", "/admin/probe", "prober", nil).must(200, &again)
	if len(first.Users) != 2 || first.Users[0].UID != prober.A || first.Users[1].UID != prober.B {
		t.Fatalf("users %+v", first.Users)
	}
	for i, u := range again.Users {
		if u.UID != first.Users[i].UID {
			t.Errorf("the second call has the user %s", u.UID)
		}
		account, err := s.accounts.Get(t.Context(), u.UID)
		if err != nil || !account.EmailVerified || account.Admin {
			t.Errorf("%+v, %v", account, err)
		}
		token, err := accountstest.SignInWithToken(t.Context(), s.authHost, u.Token)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := accountstest.Claims(token)
		if err != nil || claims["sub"] != u.UID || claims["email_verified"] != true {
			t.Errorf("claims %v, %v", claims, err)
		}
	}
	if strings.Contains(log.String(), first.Users[0].Token) {
		t.Error("a token is in the log")
	}
}

func TestProbeIsForTheProberOnly(t *testing.T) {
	s, _ := newProbed(t)
	_, root := s.admin("root1")
	s.call("POST", "/admin/probe", "", nil).refused(401, "unauthenticated")
	s.call("POST", "/admin/probe", root, nil).refused(401, "unauthenticated")
	s.call("POST", "/admin/probe", "another account", nil).refused(403, "forbidden")
	if _, err := s.store.User(t.Context(), prober.A); err == nil {
		t.Error("a refused call made a user")
	}
	newSystem(t).call("POST", "/admin/probe", "prober", nil).refused(404, "not_found")
}

// The prober's users are not found by others, and nobody can take their names or addresses.
func TestProberIsHidden(t *testing.T) {
	s, log := newProbed(t)
	s.user("ada")
	s.call("POST", "/admin/probe", "prober", nil).must(200, nil)
	for _, path := range []string{"/users", "/users?q=prober"} {
		var list struct {
			Users []struct{ UID string }
		}
		a := s.call("GET", path, s.token("ada"), nil)
		a.must(200, &list)
		for _, u := range list.Users {
			if prober.Is(u.UID) {
				t.Errorf("%s lists %s", path, u.UID)
			}
		}
	}
	for _, form := range []form{ada("username", "prober-c"), ada("email", "x@prober.invalid")} {
		s.call("POST", "/signup", "", form).refused(422, "invalid_fields")
	}
	var line struct {
		Figures map[string]int64
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatalf("%v in %q", err, log)
	}
	for name, want := range map[string]int64{"people": 1, "active_today": 0, "messages_today": 0, "dead_letters": 0,
		"sockets": 3, "queued": 2, "oldest_age_ms": 1500} {
		if got, ok := line.Figures[name]; !ok || got != want && name != "active_today" {
			t.Errorf("%s is %d (%v), want %d", name, got, ok, want)
		}
	}
}
