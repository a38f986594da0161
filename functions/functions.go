// Package functions is the part of the backend that runs as Cloud Run functions. It serves the HTTP API and saves
// delivered messages. (The other part, in realtime/, holds the WebSockets and the messages that wait.) This page is a
// tour for newcomers.
//
//	browser ─▶ signup · users · conversations · messages · me · admin ─▶ api ─┬─▶ store ─▶ Firestore
//	                                                                          └─▶ users ─┬─▶ store
//	                                                                                     ├─▶ accounts ─▶ Firebase Auth
//	                                                                                     └─▶ internalapi ─▶ realtime/
//
//	realtime/ ─▶ Pub/Sub ─▶ persist ─┬─▶ store
//	                                 ├─▶ internalapi ─▶ realtime/
//	                                 └─▶ deadletter ─▶ Pub/Sub ─▶ store
//
//	             Pub/Sub ─▶ notify ─┬─▶ push ─▶ the push services of browsers
//	                                └─▶ users ─▶ internalapi ─▶ realtime/
//
// # Input
//
// Package api receives the HTTP requests of clients. It verifies the ID token (realtime/identity), charges the budget
// of the user, reads their present record, and calls an endpoint, which reads or changes the store. openapi.yaml
// describes the endpoints.
//
// Package persist receives acknowledged messages, as CloudEvents that functions-framework makes of Pub/Sub pushes. It
// saves them. Data that can never be saved becomes a dead letter, which an operator replays or discards.
//
// Package notify receives, in the same way, events about messages that wait for somebody who is away, and sends a push
// to each of their browsers.
//
// # Packages
//
//   - store is the port to everything that is stored: users, messages, the audit log and dead letters. Its
//     implementations are store/storefirestore on Google Cloud and store/storebolt on one machine. Both pass
//     store/storetest.
//   - accounts is the port to the sign-in system, Firebase Auth.
//   - users makes the changes of a user that must take effect everywhere: in the store, in the sign-in system and in
//     realtime/, whose open sockets follow.
//   - deadletter keeps dead letters, and collects them from Pub/Sub.
//   - push decides which push subscriptions are accepted, keeps the key pair, and sends.
//   - costcap switches the chat off when it has cost too much.
//   - operator carries out the orders of the commands below cmd/: making the first admin, and handling dead letters.
//
// # Promises
//
//   - A message is saved only after it was delivered, and then it stays.
//   - A call or event that is repeated, reordered or run twice at once has the same effect as one.
//   - A user who was disabled, deleted or signed out can do nothing from then on.
//   - Every action of an admin or operator is in the audit log.
//
// # Running
//
// The functions hold no state that must survive: an instance that ends loses only what it had leased of the limits of
// users. This file registers them with functions-framework and builds what they need on the first request.
// Configuration comes from the environment: see settings in config.go. On Cloud Run, a program whose settings are not
// right does not start. On one machine, infra/stack puts the same packages together over stand-ins. functions_test.go
// runs each function as Google does, in a process of its own.
//
// realtime/DESIGN.md describes how all parts of the system work together.
package functions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
	"github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/oauth2"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/costcap"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/notify"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func init() {
	// Google generates the main function, so this is the only place that can refuse to start. Cloud Run gives no traffic
	// to a revision that does not start, so the deploy fails and the revision before keeps serving.
	if err := checkSettings(os.Getenv); err != nil {
		logging.New(os.Stderr, logging.Options{JSON: true}).Error("the settings are not right", "error", err)
		os.Exit(1)
	}
	s := newService(os.Getenv)
	for _, name := range httpFunctions {
		functions.HTTP(name, s.http(name))
	}
	functions.CloudEvent("persist", s.persist)
	functions.CloudEvent("notify", s.notify)
	functions.CloudEvent("cap", s.costCap)
}

// checkSettings returns what is wrong with the settings on Cloud Run. Elsewhere it returns nil: tests and commands
// import this package without any settings.
func checkSettings(getenv func(string) string) error {
	if getenv("K_SERVICE") == "" {
		return nil
	}
	_, err := readConfig(getenv)
	return err
}

// httpFunctions lists the functions that are segments of package api.
var httpFunctions = []string{"signup", "users", "conversations", "messages", "me", "admin"}

// service builds the functions on the first request, since Google generates the main function. If building fails, the
// next request tries again.
type service struct {
	getenv   func(string) string
	building chan struct{} // a lock that a context can interrupt: holds one token while it is free
	built    *built        // guarded by building
}

// built is the functions with everything that they need.
type built struct {
	handlers map[string]http.Handler
	persist  *persist.Function
	notify   *notify.Function
	cap      *costcap.Cap // nil: there is no cost cap
}

func newService(getenv func(string) string) *service {
	s := &service{getenv: getenv, building: make(chan struct{}, 1)}
	s.building <- struct{}{}
	return s
}

// get returns the functions and builds them if necessary. While another request builds them, it waits until ctx ends.
func (s *service) get(ctx context.Context) (*built, error) {
	select {
	case <-s.building:
	case <-ctx.Done():
		return nil, problem.ErrUnavailable.WithCause(ctx.Err())
	}
	defer func() { s.building <- struct{}{} }()
	if s.built != nil {
		return s.built, nil
	}
	// The clients outlive the request for which they are created.
	b, err := build(context.WithoutCancel(ctx), s.getenv)
	if err != nil {
		return nil, problem.ErrUnavailable.WithCause(fmt.Errorf("build the functions: %w", err))
	}
	s.built = b
	return b, nil
}

// http returns the function with that name.
func (s *service) http(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := s.get(r.Context())
		if err != nil {
			log := logging.New(os.Stderr, logging.Options{JSON: s.getenv("K_SERVICE") != ""})
			log.ErrorContext(r.Context(), "function cannot be built", "function", name, "error", err)
			api.Refuse(w, err)
			return
		}
		b.handlers[name].ServeHTTP(w, r.WithContext(logging.WithTrace(r.Context(), r)))
	}
}

// persist is the CloudEvent function. The framework answers an error with 500, and Pub/Sub delivers the event again.
func (s *service) persist(ctx context.Context, e event.Event) error {
	b, err := s.get(ctx)
	if err != nil {
		return err
	}
	return b.persist.Handle(ctx, e)
}

// notify is the CloudEvent function that sends pushes.
func (s *service) notify(ctx context.Context, e event.Event) error {
	b, err := s.get(ctx)
	if err != nil {
		return err
	}
	return b.notify.Handle(ctx, e)
}

// costCap is the CloudEvent function that handles the notifications of the budget.
func (s *service) costCap(ctx context.Context, e event.Event) error {
	b, err := s.get(ctx)
	if err != nil || b.cap == nil {
		return err
	}
	return b.cap.Handle(ctx, e)
}

// capped lists the services that the cost cap switches off. persist is not among them: what was acknowledged is still
// saved.
func capped() []string { return append([]string{"chat"}, httpFunctions...) }

// build builds the functions from the environment.
func build(ctx context.Context, getenv func(string) string) (_ *built, err error) {
	c, err := readConfig(getenv)
	if err != nil {
		return nil, err
	}
	log := logging.New(os.Stdout, logging.Options{JSON: c.onCloudRun, Level: c.logLevel, Project: c.project})
	// The audit log has no minimum level, so its log bucket gets every entry.
	auditLog := logging.New(os.Stdout, logging.Options{JSON: c.onCloudRun, Project: c.project})
	var undo []func() error
	defer func() {
		if err != nil { // the next request builds them again
			for _, f := range undo {
				err = errors.Join(err, f())
			}
		}
	}()
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: c.project, Database: c.database,
		AuditDatabase: c.auditDatabase, EmulatorHost: c.storeEmulator})
	if err != nil {
		return nil, err
	}
	undo = append(undo, db.Close)
	topic, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: c.project, DeadTopic: c.deadTopic,
		Subscription: c.deadSubscription,
		AcksTopic:    c.topic, Store: db, EmulatorHost: c.pubsubEmulator})
	if err != nil {
		return nil, err
	}
	undo = append(undo, topic.Close)
	auth, err := accounts.NewFirebase(ctx, accounts.Options{Project: c.project, APIKey: c.apiKey,
		EmulatorHost: c.authEmulator})
	if err != nil {
		return nil, err
	}
	verifier, err := newVerifier(c, getenv)
	if err != nil {
		return nil, err
	}
	var probers identity.ServiceVerifier
	if c.prober != "" {
		keys := identity.NewRemoteKeys(identity.GoogleKeysURL, nil, nil)
		if probers, err = identity.NewService(prober.Audience(c.origins[0]), []string{c.prober}, keys, nil); err != nil {
			return nil, err
		}
	}
	realtime := internalapi.NewClient(internalapi.ClientOptions{URL: c.internalURL, Audience: c.internalAudience,
		Tokens: &googleTokens{}})
	pushKeys, err := newPushKeys(ctx, c)
	if err != nil {
		return nil, err
	}
	sender := push.NewSender(c.pushServices, pushKeys, c.origins[0])
	a := api.New(api.Deps{
		Pushes: sender,
		Store:  db, Accounts: auth, Verifier: verifier, Probers: probers,
		DeadLetters: topic, Replayer: topic, Origins: c.origins, PushKeys: pushKeys, PushServices: c.pushServices,
		Realtime: realtime, Proxies: c.proxies, SignupsHourly: c.signupsHourly, PeopleListed: c.peopleListed,
		PlaceHeader: c.placeHeader, AdminFactor: c.adminFactor, Log: log, AuditLog: auditLog,
	})
	var limit *costcap.Cap
	if c.capPercent > 0 {
		limit, err = costcap.New(ctx, costcap.Options{Project: c.project, Region: c.region, Services: capped(),
			Percent: c.capPercent, Log: log})
		if err != nil {
			return nil, err
		}
	}
	settings.Print(log, getenv)
	return &built{
		cap: limit,
		handlers: map[string]http.Handler{"signup": a.Signup(), "users": a.Users(), "conversations": a.Conversations(),
			"messages": a.Messages(), "me": a.Me(), "admin": a.Admin()},
		notify: notify.New(notify.Deps{Store: db, Sender: sender,
			Gates:     users.New(users.Deps{Store: db, Accounts: auth, Realtime: realtime, Log: log}),
			Publisher: topic.Publisher(c.notifyTopic), Log: log}),
		persist: persist.New(persist.Deps{Store: db, DeadLetters: topic, Realtime: realtime, Log: log}),
	}, nil
}

// newPushKeys returns the key pair of pushes. There is no emulator of Secret Manager: beside those of the other
// services, it asks nobody, and no pair can be read.
func newPushKeys(ctx context.Context, c config) (push.Keys, error) {
	if c.storeEmulator != "" {
		return push.NewSecretKeys(ctx, c.project, c.pushSecret, option.WithoutAuthentication(),
			option.WithEndpoint("http://127.0.0.1:1"))
	}
	return push.NewSecretKeys(ctx, c.project, c.pushSecret)
}

func newVerifier(c config, getenv func(string) string) (identity.Verifier, error) {
	if c.authEmulator != "" {
		return identity.NewEmulator(c.project, getenv, nil)
	}
	return identity.NewFirebase(c.project, identity.NewRemoteKeys(identity.FirebaseKeysURL, nil, nil), nil)
}

// googleTokens returns ID tokens of this function's service account. It is an internalapi.TokenSource, and safe for
// concurrent use.
type googleTokens struct {
	mu      sync.Mutex
	sources map[string]oauth2.TokenSource // by audience; each caches its token until shortly before it expires
}

// Token implements internalapi.TokenSource.
func (g *googleTokens) Token(_ context.Context, audience string) (string, error) {
	g.mu.Lock()
	source := g.sources[audience]
	g.mu.Unlock()
	if source == nil {
		var err error
		// The source outlives the request, so it does not use the request's context.
		if source, err = idtoken.NewTokenSource(context.Background(), audience); err != nil {
			return "", fmt.Errorf("id token: %w", err)
		}
		g.mu.Lock()
		if g.sources == nil {
			g.sources = map[string]oauth2.TokenSource{}
		}
		g.sources[audience] = source
		g.mu.Unlock()
	}
	t, err := source.Token()
	if err != nil {
		return "", fmt.Errorf("id token: %w", err)
	}
	return t.AccessToken, nil
}
