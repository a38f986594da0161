// Package functions is what answers HTTP and saves messages: the Cloud Run
// functions of Phoenix Chat. This file registers them with functions-framework and builds what
// they need on first use; all the rest is in the packages below.
//
//	signup, users, conversations, messages, me, admin    HTTP, package api
//	persist                                              CloudEvent from Pub/Sub, package persist
//
// A request comes to package api, which checks the ID token (realtime/identity)
// and the account's present state, and reads or changes the store (package
// store: storefirestore on Google Cloud, storebolt on one machine). What changes people
// everywhere, in the store, in Firebase Auth (package accounts) and in
// realtime/ (package internalapi), is package users, which the commands below cmd/ use, too.
//
// Messages come to package persist as devices acknowledge them. What it can
// never save goes to package deadletter, and an operator replays or discards it.
//
// Promised is: a message is saved only when it was delivered, and then for good; whatever is
// repeated, reordered or done twice at once has the effect of once; who was disabled,
// deleted or signed out can do nothing from then on; every act of an operator is in the audit log.
//
// The functions hold no state. Configuration comes from the environment: see
// settings in config.go. openapi.yaml describes the HTTP side.
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

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func init() {
	s := newService(os.Getenv)
	for _, name := range httpFunctions {
		functions.HTTP(name, s.http(name))
	}
	functions.CloudEvent("persist", s.persist)
}

// httpFunctions are the names under which the parts of package api are registered.
var httpFunctions = []string{"signup", "users", "conversations", "messages", "me", "admin"}

// service builds the functions when the first request comes, since the main
// that Google generates offers no other moment. A build that fails is tried again with the next request.
type service struct {
	getenv   func(string) string
	building chan struct{} // holds one token: who builds has taken it
	built    *built        // guarded by building
}

// built is everything that the functions are.
type built struct {
	handlers map[string]http.Handler
	persist  *persist.Function
}

func newService(getenv func(string) string) *service {
	s := &service{getenv: getenv, building: make(chan struct{}, 1)}
	s.building <- struct{}{}
	return s
}

// get returns the functions, built if need be. It waits for one that builds,
// as long as ctx lasts.
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
	// The clients outlive the request that makes them.
	b, err := build(context.WithoutCancel(ctx), s.getenv)
	if err != nil {
		return nil, problem.ErrUnavailable.WithCause(fmt.Errorf("the functions cannot be built: %w", err))
	}
	s.built = b
	return b, nil
}

// http returns the function of one name.
func (s *service) http(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := s.get(r.Context())
		if err != nil {
			logging.New(os.Stderr, logging.Options{JSON: s.getenv("K_SERVICE") != ""}).ErrorContext(r.Context(), "not ready", "function", name, "error", err)
			api.Refuse(w, err)
			return
		}
		b.handlers[name].ServeHTTP(w, r.WithContext(logging.WithTrace(r.Context(), r)))
	}
}

// persist is the CloudEvent function. The framework answers an error with 500: Pub/Sub tries again.
func (s *service) persist(ctx context.Context, e event.Event) error {
	b, err := s.get(ctx)
	if err != nil {
		return err
	}
	return b.persist.Handle(ctx, e)
}

// build builds the functions from the environment.
func build(ctx context.Context, getenv func(string) string) (_ *built, err error) {
	c, err := readConfig(getenv)
	if err != nil {
		return nil, err
	}
	log := logging.New(os.Stdout, logging.Options{JSON: c.onCloudRun, Level: c.logLevel, Project: c.project})
	var undo []func() error
	defer func() {
		if err != nil { // the next request builds anew
			for _, f := range undo {
				err = errors.Join(err, f())
			}
		}
	}()
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: c.project, Database: c.database, EmulatorHost: c.storeEmulator})
	if err != nil {
		return nil, err
	}
	undo = append(undo, db.Close)
	topic, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: c.project, DeadTopic: c.deadTopic, Subscription: c.deadSubscription,
		AcksTopic: c.topic, Store: db, EmulatorHost: c.pubsubEmulator})
	if err != nil {
		return nil, err
	}
	undo = append(undo, topic.Close)
	who, err := accounts.NewFirebase(ctx, accounts.Options{Project: c.project, APIKey: c.apiKey, EmulatorHost: c.authEmulator})
	if err != nil {
		return nil, err
	}
	verifier, err := newVerifier(c, getenv)
	if err != nil {
		return nil, err
	}
	a := api.New(api.Deps{
		Store: db, Accounts: who, Verifier: verifier, DeadLetters: topic, Replayer: topic, Origins: c.origins,
		Relay:   internalapi.NewClient(internalapi.ClientOptions{URL: c.internalURL, Audience: c.internalAudience, Tokens: &googleTokens{}}),
		Proxies: c.proxies, SignupsHourly: c.signupsHourly, Log: log,
	})
	settings.Print(log, getenv)
	return &built{
		handlers: map[string]http.Handler{"signup": a.Signup(), "users": a.Users(), "conversations": a.Conversations(),
			"messages": a.Messages(), "me": a.Me(), "admin": a.Admin()},
		persist: persist.New(persist.Deps{Store: db, Letters: topic, Log: log}),
	}, nil
}

func newVerifier(c config, getenv func(string) string) (identity.Verifier, error) {
	if c.authEmulator != "" {
		return identity.NewEmulator(c.project, getenv, nil)
	}
	return identity.NewFirebase(c.project, identity.NewRemoteKeys(identity.FirebaseKeysURL, nil, nil), nil)
}

// googleTokens gives the ID tokens of this function's service account. It is a
// relay.TokenSource, safe for use by many goroutines.
type googleTokens struct {
	mu      sync.Mutex
	sources map[string]oauth2.TokenSource // by audience; they keep their token until shortly before it ends
}

// Token implements relay.TokenSource.
func (g *googleTokens) Token(_ context.Context, audience string) (string, error) {
	g.mu.Lock()
	source := g.sources[audience]
	g.mu.Unlock()
	if source == nil {
		var err error
		// Not the request's context: the source outlives it.
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
