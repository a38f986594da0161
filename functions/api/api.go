// Package api answers the HTTP requests of the chat's clients (DESIGN §8).
//
// On Google Cloud, each first path segment (signup, users, conversations, messages, me, admin) is a function of its
// own, served at "/". Each handler of [API] therefore takes the path below its segment. On one machine, [API.Handler]
// serves all of them below /api/.
//
// Every request takes the same way, see [API.serve]: CORS, path and method, the bearer token, the caller's budget (see
// [Budget]), the present state of the user, the content type and size of the body. Then the endpoint returns a response
// or an error, which is written and logged in one place. openapi.yaml in the folder above describes the endpoints.
package api

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/internal/share"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

// Deps is what an API needs. All but the last group is required.
type Deps struct {
	Store    store.Store
	Accounts accounts.Accounts
	Verifier identity.Verifier
	Realtime internalapi.API

	DeadLetters deadletter.Collector // moves dead letters into the store
	Replayer    deadletter.Replayer

	// Probers verifies the ID tokens of the service accounts that may call POST /admin/probe. nil: nobody may.
	Probers identity.ServiceVerifier

	PushKeys     push.Keys
	PushServices push.Services
	Pushes       Pusher // for tests that users ask for

	Origins []string // exact origins that may call from a browser, such as "https://chat.example.org"

	Proxies       int              // trusted proxies that append to X-Forwarded-For; see package clientaddr
	SignupsHourly int              // sign-ups from one address in an hour; 0: DefaultSignupsHourly
	PeopleListed  int              // people that lists show one user in an hour; 0: DefaultPeopleListed
	AdminFactor   bool             // calls of admins need a second factor
	PlaceHeader   string           // header with the place of a client, see package useragent; "": there is none
	Now           func() time.Time // nil: time.Now
	Log           *slog.Logger     // nil: slog.Default()
	AuditLog      *slog.Logger     // gets a copy of each entry of the audit log; nil: Log

	// Wait waits for d, or until ctx ends. Exports are paced with it. nil: with a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// DefaultSignupsHourly is enough for a classroom behind one address.
const DefaultSignupsHourly = 30

// API serves the functions. It is safe for concurrent use. Its only state is a short-lived cache of figures, the times
// of the last sweeps, and what it has leased of the budgets of users and networks.
type API struct {
	deps     Deps
	users    *users.Service
	figures  figures
	sweeps   sweeps
	ledger   ledger // of users
	networks ledger // of sign-ups: a flood of addresses must not make the ledger forget users
	people   Budget
	seen     seenPeople
	signIns  share.Group[store.User] // recordings under way
}

// New returns an API.
func New(deps Deps) *API {
	if deps.SignupsHourly == 0 {
		deps.SignupsHourly = DefaultSignupsHourly
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.AuditLog == nil {
		deps.AuditLog = deps.Log
	}
	if deps.PeopleListed == 0 {
		deps.PeopleListed = DefaultPeopleListed
	}
	if deps.Wait == nil {
		deps.Wait = wait
	}
	return &API{
		deps: deps,
		users: users.New(users.Deps{
			Store: deps.Store, Accounts: deps.Accounts, Realtime: deps.Realtime, Now: deps.Now, Log: deps.Log,
		}),
		ledger:   ledger{store: deps.Store, now: deps.Now},
		networks: ledger{store: deps.Store, now: deps.Now},
		people:   peopleListed(deps.PeopleListed),
		seen:     seenPeople{seed: maphash.MakeSeed()},
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// routes returns all endpoints by their first path segment.
func (a *API) routes() map[string][]route {
	return map[string][]route{
		"signup": {
			{method: "POST", access: anybody, body: required, handle: a.signup},
			{method: "POST", path: "/recover", access: anybody, body: required, handle: a.recoverAccount},
		},
		"users": {
			{method: "GET", access: user, budget: readUsers, most: mostUsers, also: a.people, handle: a.listUsers},
			{method: "GET", path: "/batch", access: user, budget: readUsers, most: mostUsersBatch, handle: a.usersBatch},
			{method: "GET", path: "/{uid}", access: user, budget: readUsers, handle: a.getUser},
			{method: "GET", path: "/{uid}/picture/{version}", access: user, budget: readUsers, handle: a.getPicture},
		},
		"conversations": {{method: "GET", access: user, budget: readConversations, most: mostConversations,
			handle: a.listConversations}},
		"messages": {
			{method: "GET", access: user, budget: readMessages, most: mostMessages, handle: a.listMessages},
			{method: "GET", path: "/batch", access: user, budget: readMessages, most: mostMessagesBatch,
				handle: a.messagesBatch},
			{method: "GET", path: "/changes", access: user, budget: readMessages, most: mostChanges, handle: a.listChanges},
		},
		"me": {
			{method: "GET", access: user, budget: readMe, handle: a.getMe},
			{method: "PATCH", access: user, body: required, budget: changeProfile, handle: a.patchMe},
			{method: "DELETE", access: leaving, long: true, budget: leave, handle: a.deleteMe},
			{method: "PUT", path: "/picture", access: user, body: pictureBody, budget: changeProfile,
				handle: a.putPicture},
			{method: "DELETE", path: "/picture", access: user, budget: safety, handle: a.deletePicture},
			{method: "GET", path: "/devices", access: user, budget: readMe, handle: a.listDevices},
			{method: "DELETE", path: "/devices", access: user, budget: safety, handle: a.signOutDevices},
			{method: "DELETE", path: "/devices/{id}", access: user, budget: safety, handle: a.signOutDevice},
			{method: "POST", path: "/sign-in", access: user, body: required, renews: true, budget: safety,
				handle: a.renewSignIn},
			{method: "POST", path: "/password", access: user, body: required, budget: safety, handle: a.changePassword},
			{method: "POST", path: "/recovery-codes", access: user, budget: safety, handle: a.newRecoveryCodes},
			{method: "DELETE", path: "/second-factor", access: user, budget: safety, handle: a.removeSecondFactor},
			{method: "POST", path: "/sign-out", access: user, budget: safety, handle: a.signOut},
			{method: "POST", path: "/sign-out-others", access: user, budget: safety, handle: a.signOutOthers},
			{method: "PUT", path: "/setting", access: user, body: required, budget: choose, handle: a.putSetting},
			{method: "GET", path: "/settings", access: user, budget: readMe, handle: a.listSettings},
			{method: "PUT", path: "/privacy", access: user, body: required, budget: safety, handle: a.putPrivacy},
			{method: "GET", path: "/push", access: user, budget: readMe, handle: a.getPush},
			{method: "PUT", path: "/push", access: user, body: required, budget: registerPush, handle: a.putPush},
			{method: "DELETE", path: "/push", access: user, body: required, budget: safety, handle: a.deletePush},
			{method: "POST", path: "/push/test", access: user, body: required, budget: registerPush, handle: a.testPush},
			{method: "GET", path: "/export", access: user, limit: exportTimeLimit, budget: askExport, also: exports,
				handle: a.exportMe},
			{method: "POST", path: "/reports", access: user, body: reportBody, budget: safety, handle: a.postReport},
			{method: "DELETE", path: "/warning", access: user, body: required, budget: safety, handle: a.confirmWarning},
			{method: "PUT", path: "/blocked/{uid}", access: user, budget: safety, handle: a.block},
			{method: "DELETE", path: "/blocked/{uid}", access: user, budget: safety, handle: a.unblock},
		},
		"admin": a.adminRoutes(),
	}
}

// Signup serves /signup.
func (a *API) Signup() http.Handler { return a.serve("signup") }

// Users serves /users.
func (a *API) Users() http.Handler { return a.serve("users") }

// Conversations serves /conversations.
func (a *API) Conversations() http.Handler { return a.serve("conversations") }

// Messages serves /messages.
func (a *API) Messages() http.Handler { return a.serve("messages") }

// Me serves /me.
func (a *API) Me() http.Handler { return a.serve("me") }

// Admin serves /admin.
func (a *API) Admin() http.Handler { return a.serve("admin") }

// Handler serves all segments below /api/. Every other path is answered 404, with problem details.
//
// It is not a ServeMux, which would redirect a path like /api//me: each segment decides about the path below it.
func (a *API) Handler() http.Handler {
	segments := map[string]http.Handler{}
	for segment := range a.routes() {
		segments[segment] = a.serve(segment)
	}
	unknown := a.serve("")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, below := strings.CutPrefix(r.URL.EscapedPath(), "/api/")
		segment, _, _ := strings.Cut(path, "/")
		h := segments[segment]
		if !below || h == nil {
			unknown.ServeHTTP(w, r)
			return
		}
		stripped, u := *r, *r.URL
		u.Path, u.RawPath = strings.TrimPrefix(u.Path, "/api/"+segment), ""
		stripped.URL = &u
		h.ServeHTTP(w, &stripped)
	})
}
