// Package api answers the HTTP requests of the chat's clients (DESIGN §8).
//
// Each first path segment (signup, users, conversations, messages, me, admin)
// is a function of its own on Google Cloud, served at "/", so each handler
// of [API] takes the path below its segment; [API.Handler] mounts them all below /api/
// for one machine. A request runs through one place, [API.serve]: CORS, method,
// content type and body limit, the bearer token and the account's present
// state, then the endpoint, which returns a response or an error, then the
// writing and the logging of it. openapi.yaml, beside this package, describes all of it.
package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/relay"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
)

// Deps is what an API needs. All but the last group is required.
type Deps struct {
	Store    store.Store
	Accounts accounts.Accounts
	Verifier identity.Verifier
	Relay    relay.Relay

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
// state but a short-lived cache of figures.
type API struct {
	deps Deps
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
	return &API{deps: deps}
}

// Signup serves POST /signup.
func (a *API) Signup() http.Handler { return a.serve("signup", nil) }

// Users serves GET /users and GET /users/{uid}.
func (a *API) Users() http.Handler { return a.serve("users", nil) }

// Conversations serves GET /conversations.
func (a *API) Conversations() http.Handler { return a.serve("conversations", nil) }

// Messages serves GET /messages.
func (a *API) Messages() http.Handler { return a.serve("messages", nil) }

// Me serves GET, PATCH and DELETE /me, GET /me/export, PUT and DELETE /me/blocked/{uid}.
func (a *API) Me() http.Handler { return a.serve("me", nil) }

// Admin serves /admin/….
func (a *API) Admin() http.Handler { return a.serve("admin", nil) }

// Handler serves all of them below /api/.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for segment, h := range map[string]http.Handler{
		"signup": a.Signup(), "users": a.Users(), "conversations": a.Conversations(),
		"messages": a.Messages(), "me": a.Me(), "admin": a.Admin(),
	} {
		h = http.StripPrefix("/api/"+segment, h)
		mux.Handle("/api/"+segment, h)
		mux.Handle("/api/"+segment+"/", h)
	}
	return mux
}
