// Package api answers the HTTP requests of the chat's clients (DESIGN §8).
//
// Each first path segment (signup, users, conversations, messages, me, admin)
// is a function of its own on Google Cloud, served at "/", so each handler
// of [API] takes the path below its segment; [API.Handler] mounts them all below /api/
// for one machine. Every request runs through one place, [API.serve]: CORS, method,
// the bearer token and the account's present state, content type and body limit,
// then the endpoint, which returns a response or an error, then the
// writing and the logging of it. openapi.yaml, in the folder above, describes all of it.
package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
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
	Relay    internalapi.API

	DeadLetters deadletter.Collector // brings dead letters onto the store's shelf
	Replayer    deadletter.Replayer

	Origins []string // exact origins that may call from a browser, such as "https://chat.example.org"

	Proxies       int              // how many trusted proxies append to X-Forwarded-For: 0 takes the connection's address, 1 is Cloud Run
	SignupsHourly int              // sign-ups from one address in an hour; 0: DefaultSignupsHourly
	Now           func() time.Time // nil: time.Now
	Log           *slog.Logger     // nil: slog.Default()
}

// DefaultSignupsHourly leaves room for a classroom behind one address.
const DefaultSignupsHourly = 30

// API serves the functions. It is safe for use by many goroutines and has no
// state but a short-lived cache of figures and when it last tidied up.
type API struct {
	deps    Deps
	people  *users.Service
	figures figures
	sweeps  sweeps
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
	return &API{deps: deps, people: users.New(users.Deps{Store: deps.Store, Accounts: deps.Accounts, Relay: deps.Relay, Now: deps.Now, Log: deps.Log})}
}

// routes lists every endpoint by first path segment, with the path below it.
func (a *API) routes() map[string][]route {
	return map[string][]route{
		"signup": {{method: "POST", access: anybody, body: required, handle: a.signup}},
		"users": {
			{method: "GET", access: person, handle: a.listUsers},
			{method: "GET", path: "/{uid}", access: person, handle: a.getUser},
		},
		"conversations": {{method: "GET", access: person, handle: a.listConversations}},
		"messages":      {{method: "GET", access: person, handle: a.listMessages}},
		"me": {
			{method: "GET", access: person, handle: a.getMe},
			{method: "PATCH", access: person, body: required, handle: a.patchMe},
			{method: "DELETE", access: leaving, long: true, handle: a.deleteMe},
			{method: "GET", path: "/export", access: person, long: true, handle: a.exportMe},
			{method: "PUT", path: "/blocked/{uid}", access: person, handle: a.block},
			{method: "DELETE", path: "/blocked/{uid}", access: person, handle: a.unblock},
		},
		"admin": a.adminRoutes(),
	}
}

// Signup serves POST /signup.
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

// Handler serves all of them below /api/. What is not theirs is answered 404, with problem details.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for segment := range a.routes() {
		h := http.StripPrefix("/api/"+segment, a.serve(segment))
		mux.Handle("/api/"+segment, h)
		mux.Handle("/api/"+segment+"/", h)
	}
	mux.Handle("/", a.serve(""))
	return mux
}
