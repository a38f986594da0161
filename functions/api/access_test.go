package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// cast is a system with all callers of the table.
type cast struct {
	*system
	tokens map[string]string // by caller
}

// callers are the columns of the table, with the answer to each caller where they have no access.
var callers = []struct {
	name   string
	status int
	code   string
}{
	{"anonymous", 401, "unauthenticated"},
	{"user", 403, "forbidden"},            // bob, whom most rows are about
	{"other user", 403, "forbidden"},      // ada
	{"unverified user", 403, "forbidden"}, // nobody has confirmed the address
	{"limited user", 403, "forbidden"},    // may not write to new people
	{"former device", 401, "signed_out"},
	{"disabled user", 403, "account_disabled"},
	{"disabled admin", 403, "account_disabled"},
	{"deleted user", 403, "account_deleted"},
	{"admin", 0, ""},
	{"former admin with an old token", 403, "forbidden"},
	{"user with a forged claim", 403, "forbidden"}, // a claim that the directory does not confirm
	{"admin without the claim", 403, "forbidden"},  // made an admin after the token was issued
	{"admin without a second factor", 403, "second_factor_required"},
	{"admin who gave no code", 403, "sign_in_again"},
	{"signed out admin", 401, "token_ended"},
	{"expired token", 401, "token_ended"},
	{"token of another project", 401, "unauthenticated"},
}

func newCast(t *testing.T) *cast {
	t.Helper()
	s := newSystem(t, func(d *api.Deps) { d.AdminFactor = true })
	ctx := t.Context()
	c := &cast{s, map[string]string{"anonymous": ""}}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"root1", "bare", "alone"} {
		s.admin(name)
	}
	for _, name := range []string{"root1", "alone"} {
		s.enroll(name)
		// The first call of a sign-in records the factor, and ends all others.
		s.call("GET", "/me", s.token(name, withFactor), nil).must(200, nil)
	}
	s.clock.advance(time.Second)
	s.account("bob")
	must(s.store.SetPicture(ctx, "bob", &bobsPicture))
	c.tokens["user"] = s.token("bob")
	c.tokens["other user"] = s.token(s.user("ada"))
	c.tokens["admin"] = s.token("root1", asAdmin, withFactor)
	c.tokens["admin without a second factor"] = s.token("bare", asAdmin)
	c.tokens["admin who gave no code"] = s.token("alone", asAdmin)
	c.tokens["unverified user"] = s.token(s.account("unproved"), func(m jwt.MapClaims) { m["email_verified"] = false })
	s.call("GET", "/me", c.tokens["unverified user"], nil).must(200, nil) // so that the record says it
	must(s.store.LimitContacts(ctx, s.account("limited"), micros(s.clock.Now())+3600e6))
	c.tokens["limited user"] = s.token("limited")
	c.tokens["former device"] = s.formerDevice("moved")
	s.user("dis")
	must(s.store.SetDisabled(ctx, "dis", true))
	c.tokens["disabled user"] = s.token("dis")
	for _, n := range []string{"disadm", "former", "late", "out"} {
		s.user(n)
		must(s.store.SetAdmin(ctx, n, true, true))
		c.tokens[n] = s.token(n, asAdmin)
	}
	must(s.store.SetDisabled(ctx, "disadm", true))
	c.tokens["disabled admin"] = c.tokens["disadm"]
	must(s.store.SetAdmin(ctx, "former", false, true))
	c.tokens["former admin with an old token"] = c.tokens["former"]
	c.tokens["user with a forged claim"] = s.token(s.user("forger"), asAdmin)
	c.tokens["admin without the claim"] = s.token("late")
	must(s.store.EndSessions(ctx, "out", micros(s.clock.Now())+1e6))
	c.tokens["signed out admin"] = c.tokens["out"]
	c.tokens["expired token"] = s.token("root1", asAdmin, func(m jwt.MapClaims) { m["exp"] = s.clock.Now().Unix() })
	c.tokens["token of another project"] = s.token("root1", asAdmin, func(m jwt.MapClaims) {
		m["aud"] = "other"
		m["iss"] = "https://securetoken.google.com/other"
	})
	c.tokens["deleted user"] = s.token("gone")
	s.save("bob", "ada", "hello")
	must(s.store.AddReport(ctx, storedReport))
	must(nil, s.store.PutDeadLetters(ctx, []store.DeadLetter{store.NewDeadLetter("1", 1, "no JSON", []byte("x"))}))
	s.realtime.gates = nil
	return c
}

// formerDevice creates a user, and returns the token of a device on which they were signed out from another one.
func (s *system) formerDevice(name string) (token string) {
	s.t.Helper()
	token = s.knownToken(name)
	s.clock.advance(time.Second)
	other := s.token(name)
	s.call("DELETE", "/me/devices/"+s.devices(other)[1].ID, other, nil).must(204, nil)
	return token
}

// bobsPicture is the picture of a user of the table.
var bobsPicture = picture("lossy.webp")

// muteBob is a setting that the members of a conversation may choose.
var muteBob = chat.Setting{Conversation: "bob~root1", Kind: chat.SettingMute, Choice: chat.Choice{
	Value: chat.MutedAlways, At: chat.MicrosOf(time.Now()), ID: "019a0000-0000-7000-8000-000000000001"}}

// rows are the endpoints, each with a call that an admin may make.
var rows = []struct {
	endpoint string
	path     string
	body     any
	status   int      // of the answer to callers who have access
	callers  []string // who have access besides admins; nil: none
	admin    int      // status of the answer to the admin, if it is another one
}{
	{"GET /users", "/users", nil, 200, everyUser, 0},
	{"GET /users/batch", "/users/batch?uid=bob&uid=dis", nil, 200, everyUser, 0},
	{"GET /users/{uid}", "/users/bob", nil, 200, everyUser, 0},
	{"GET /users/{uid}/picture/{version}", "/users/bob/picture/" + bobsPicture.Version, nil, 200, everyUser, 0},
	{"GET /conversations", "/conversations", nil, 200, everyUser, 0},
	{"GET /messages", "/messages?conversation=bob~root1", nil, 200, []string{"user"}, 0}, // one of its members
	{"GET /messages/batch", "/messages/batch?page=bob~root1", nil, 200, []string{"user"}, 0},
	{"GET /messages/changes", "/messages/changes?since=0", nil, 200, everyUser, 0},
	{"GET /me", "/me", nil, 200, everyUser, 0},
	{"PATCH /me", "/me", form{"display_name": "New"}, 200, everyUser, 0},
	{"GET /me/push", "/me/push", nil, 200, everyUser, 0},
	{"PUT /me/push", "/me/push", aDevice, 204, everyUser, 0},
	{"POST /me/push/test", "/me/push/test", form{"device": "none"}, 404, everyUser, 0},
	{"DELETE /me/push", "/me/push", form{"device": "phone"}, 204, everyUser, 0},
	{"GET /me/export", "/me/export", nil, 200, everyUser, 0},
	{"PUT /me/picture", "/me/picture", string(bobsPicture.Data), 200, everyUser, 0},
	{"DELETE /me/picture", "/me/picture", nil, 200, everyUser, 0},
	{"GET /me/devices", "/me/devices", nil, 200, everyUser, 0},
	{"DELETE /me/devices", "/me/devices", nil, 204, everyUser, 0},
	{"DELETE /me/devices/{id}", "/me/devices/1", nil, 404, everyUser, 0}, // it is not signed in
	{"POST /me/sign-in", "/me/sign-in", form{"replaces": ""}, 204, everyUser, 0},
	{"POST /me/password", "/me/password", form{"password": "colder ashes by day"}, 204, everyUser, 0},
	{"POST /me/recovery-codes", "/me/recovery-codes", nil, 403, everyUser, 200}, // only the admin has given a code
	{"DELETE /me/second-factor", "/me/second-factor", nil, 403, everyUser, 200},
	{"POST /me/sign-out", "/me/sign-out", nil, 204, everyUser, 0},
	{"POST /me/sign-out-others", "/me/sign-out-others", nil, 204, everyUser, 0},
	{"PUT /me/setting", "/me/setting", muteBob, 200, []string{"user"}, 0},
	{"GET /me/settings", "/me/settings", nil, 200, everyUser, 0},
	{"PUT /me/privacy", "/me/privacy", chat.Privacy{LastSeen: chat.Nobody}, 200, everyUser, 0},
	{"POST /me/reports", "/me/reports", form{}, 204, everyUser, 0},
	{"DELETE /me/warning", "/me/warning", map[string]any{"at": 1}, 204, everyUser, 0},
	{"PUT /me/blocked/{uid}", "/me/blocked/dis", nil, 200, everyUser, 0},
	{"DELETE /me/blocked/{uid}", "/me/blocked/dis", nil, 200, everyUser, 0},

	{"GET /admin/users", "/admin/users", nil, 200, nil, 0},
	{"POST /admin/users", "/admin/users", ada("username", "newcomer"), 201, nil, 0},
	{"GET /admin/users.csv", "/admin/users.csv", nil, 200, nil, 0},
	{"GET /admin/users/{uid}", "/admin/users/bob", nil, 200, nil, 0},
	{"PATCH /admin/users/{uid}", "/admin/users/bob", map[string]any{"disabled": true}, 200, nil, 0},
	{"DELETE /admin/users/{uid}", "/admin/users/bob", form{"reason": "spam"}, 204, nil, 0},
	{"POST /admin/users/{uid}/sign-out", "/admin/users/bob/sign-out", nil, 204, nil, 0},
	{"POST /admin/users/{uid}/password-reset", "/admin/users/bob/password-reset", form{}, 204, nil, 0},
	{"POST /admin/users/{uid}/conversations", "/admin/users/bob/conversations", form{"reason": "a report"}, 200, nil, 0},
	{"POST /admin/messages", "/admin/messages", form{"reason": "a report", "conversation": "ada~bob"}, 200, nil, 0},
	{"GET /admin/reports", "/admin/reports", nil, 200, nil, 0},
	{"GET /admin/reports/{id}", "/admin/reports/" + storedReport.ID, nil, 200, nil, 0},
	{"POST /admin/reports/{id}/act", "/admin/reports/" + storedReport.ID + "/act",
		form{"action": "disable", "reason": "spam"}, 204, nil, 0},
	{"GET /admin/figures", "/admin/figures", nil, 200, nil, 0},
	{"GET /admin/dead-letters", "/admin/dead-letters", nil, 200, nil, 0},
	{"POST /admin/dead-letters/replay", "/admin/dead-letters/replay", nil, 200, nil, 0},
	{"GET /admin/dead-letters/{id}", "/admin/dead-letters/l1", nil, 200, nil, 0},
	{"POST /admin/dead-letters/{id}/replay", "/admin/dead-letters/l1/replay", nil, 204, nil, 0},
	{"POST /admin/dead-letters/{id}/discard", "/admin/dead-letters/l1/discard", form{"reason": "noise"}, 204, nil, 0},
	{"GET /admin/audit", "/admin/audit", nil, 200, nil, 0},
	{"GET /admin/audit.csv", "/admin/audit.csv", nil, 200, nil, 0},

	{"DELETE /me", "/me", nil, 204, everyUser, 0}, // last: it deletes the callers
}

// everyUser lists the callers who have the access of an ordinary user.
var everyUser = []string{"user", "other user", "former admin with an old token", "user with a forged claim",
	"admin without the claim", "admin without a second factor", "admin who gave no code", "unverified user",
	"limited user"}

// Every endpoint that needs a token is called by every kind of caller.
func TestAccess(t *testing.T) {
	have := api.New(api.Deps{}).Endpoints()
	for _, row := range rows {
		if !slices.Contains(have, row.endpoint) {
			t.Errorf("endpoint %s does not exist", row.endpoint)
		}
		have = slices.DeleteFunc(have, func(e string) bool { return e == row.endpoint })
	}
	slices.Sort(have)
	if want := []string{"POST /admin/probe", "POST /signup", "POST /signup/recover"}; !slices.Equal(have, want) {
		t.Errorf("endpoints without a row: %v, want only %v", have, want)
	}
	refusals := newCast(t) // shared, since a refused call does not change anything
	users := newCast(t)    // shared, since ordinary users change only their own data
	for _, name := range []string{"ada", "forger", "former", "late"} {
		if err := users.accounts.Create(t.Context(), accounts.New{UID: name, Email: name + "@example.org",
			Password: "correct horse", DisplayName: name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range rows {
		t.Run(strings.ReplaceAll(row.endpoint, " ", ""), func(t *testing.T) {
			method, _, _ := strings.Cut(row.endpoint, " ")
			for _, caller := range callers {
				t.Run(caller.name, func(t *testing.T) {
					may := caller.name == "admin" || slices.Contains(row.callers, caller.name)
					c := refusals
					switch {
					case may && (caller.name == "admin" && method != "GET" || row.endpoint == "POST /me/sign-out"):
						c = newCast(t)
					case may:
						c = users
					}
					c.t = t
					var header []string
					if row.endpoint == "PUT /me/picture" {
						header = []string{"Content-Type", bobsPicture.Type}
					}
					body := row.body
					if row.endpoint == "POST /me/reports" {
						body = aReport("dis") // an id is used once
					}
					a := c.call(method, row.path, c.tokens[caller.name], body, header...)
					status := row.status
					if caller.name == "admin" && row.admin != 0 {
						status = row.admin
					}
					switch {
					case may:
						a.must(status, nil)
					case strings.HasPrefix(caller.name, "admin") && !strings.HasPrefix(row.path, "/admin/"):
						a.refused(403, "forbidden") // like any other user outside the panel
					default:
						a.refused(caller.status, caller.code)
					}
				})
			}
		})
	}
	// None of the refused calls had an effect.
	u, err := refusals.store.User(t.Context(), "bob")
	entries, _, aerr := refusals.store.AuditLog(t.Context(), "", 10)
	if err != nil || aerr != nil || u.Disabled || u.ValidAfter != 0 || len(entries) != 0 ||
		len(refusals.realtime.gates) != 0 {
		t.Errorf("after refused calls: bob %+v, audit log %+v, gates %+v (%v, %v)", u, entries, refusals.realtime.gates, err,
			aerr)
	}
}
