// Package stack runs the whole chat in one process: the realtime instances, the functions and persist. They are the
// packages that run on Google Cloud, on top of stand-ins that speak the protocols of the cloud services (DESIGN §1).
// The local launcher and the browser tests start a stack. The parts do not know that they are not in the cloud.
//
//	browser ─▶ Stack.URL ─┬─ /api/…                              functions/api
//	                      ├─ /identitytoolkit… /securetoken…     infra/authstub
//	                      ├─ /local/push/<secret>                functions/persist
//	                      ├─ /local/notify/<secret>              functions/notify
//	                      └─ /ws, /config.json, the client       realtime/server, one instance after the other
//
// By default all backends are embedded: miniredis, infra/authstub, functions/store/storebolt, and infra/pubsubstub,
// which pushes directly to persist. Options replace them by redis-server and Google's emulators, which are started by
// the stack or already running.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/notify"
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// defaultProject is the Google Cloud project id that every part is given. The Firebase SDKs treat the prefix "demo-"
// as a project that does not exist.
const defaultProject = "demo-phoenix-chat"

// signupsHourly is the number of sign-ups allowed from one address. It is far above production's, because all users
// of a local system share one address.
const signupsHourly = 10_000

// apiKey is the API key that browsers send. No part of a stack checks it.
const apiKey = "local"

// Options configures a stack. The zero value has the embedded backends, listens on a free port of the loopback
// address, serves no client, and keeps its data only until it is closed.
type Options struct {
	Listener  net.Listener // on the loopback address, closed by Close; nil listens on a free port
	Client    fs.FS        // the built web client; nil serves no pages
	Data      string       // folder for accounts and messages; "" is a temporary folder
	Instances int          // number of realtime instances; 0 is 1

	// Proxies is the number of trusted proxies that append to X-Forwarded-For. With 0, all clients have one address, so
	// the limits of an address are far above production's. With more, production's apply.
	Proxies int

	Emulators bool   // start redis-server and the Firestore and Pub/Sub emulators for which no address is given
	Redis     string // host:port of a running Redis
	Firestore string // host:port of a running Firestore emulator
	PubSub    string // host:port of a running Pub/Sub emulator
	Auth      string // host:port of a running Firebase Auth emulator

	// Limits of waiting messages; zero values are those of production. Tests that are not about limits may use
	// inbox.Generous.
	Limits inbox.Limits

	// ShowMails names the list of the stand-in's mails in config.json, so that the client can open them. It has no effect
	// with Auth.
	ShowMails bool

	Log  *slog.Logger        // nil is slog.Default
	Mail func(authstub.Mail) // called with each password reset; nil logs its link

	// Code is called with a code whenever an enrollment of an authenticator app, or a sign-in, asks the owner of an
	// address for one. nil: nobody sees it. It has no effect with Auth.
	Code func(email, code string)

	// AdminFactorOff lets admins work without a second factor, as infra/local does with ADMIN_SECOND_FACTOR=off. With
	// Auth, they always do: Google's emulator has no authenticator apps.
	AdminFactorOff bool

	// PushService stands in for the push services of browsers, at Stack.PushURL. nil: pushes go to the real ones.
	PushService http.Handler

	Probers identity.ServiceVerifier // who may sign in as the prober's users; nil: nobody

	project string // for tests that share an emulator; "" is defaultProject
}

// Stack is a running system. Its fields do not change. Its methods are safe for concurrent use.
type Stack struct {
	URL       string      // of the whole system, without a trailing slash
	Instances []*Instance // the realtime instances, each with its own address
	Project   string
	PushURL   string // of Options.PushService, without a trailing slash; "" without one

	AdminFactor bool // calls of admins need a second factor

	RedisAddr     string // host:port
	FirestoreAddr string // "" with the embedded store
	PubSubAddr    string // "" with infra/pubsubstub
	AuthAddr      string // host:port

	Store     store.Store
	Accounts  accounts.Accounts
	Users     *users.Service
	Collector deadletter.Collector
	Replayer  deadletter.Replayer
	Realtime  internalapi.API

	publisher settle.Publisher
	notifier  settle.Publisher

	log        *slog.Logger
	options    Options
	failed     chan error // see Failed
	background sync.WaitGroup
	closers    []closer // called by Close in reverse order
	closed     sync.Once
	closeErr   error
}

// closer reverses one step of Start.
type closer struct {
	what string
	stop func(ctx context.Context) error
}

// closeTime is the maximum duration of Close.
const closeTime = 5 * time.Second

// Start starts the system and returns when it accepts requests. ctx applies only to the start. After an error, Start
// stops the parts that it has started. If a program was not found, the error is an *emulators.Missing.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	s := &Stack{options: o, Project: o.project, AdminFactor: !o.AdminFactorOff && o.Auth == "", log: o.Log,
		failed: make(chan error, 1)}
	if s.Project == "" {
		s.Project = defaultProject
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.options.Instances == 0 {
		s.options.Instances = 1
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	l := o.Listener
	if l == nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	s.onClose("listener", func(context.Context) error { l.Close(); return nil }) // may be closed already
	s.URL = "http://" + l.Addr().String()
	listeners, err := s.listen(l)
	if err != nil {
		return nil, err
	}
	front := newFront()
	if err := s.startBackends(ctx); err != nil {
		return nil, err
	}
	d, err := s.startData(ctx, front, hosts(s.origins(listeners)))
	if err != nil {
		return nil, err
	}
	s.Store, s.publisher, s.notifier = d.store, d.publisher, d.notifier
	s.Accounts, err = accounts.NewFirebase(ctx,
		accounts.Options{Project: s.Project, APIKey: apiKey, EmulatorHost: s.AuthAddr})
	if err != nil {
		return nil, err
	}
	verifier, err := s.verifier()
	if err != nil {
		return nil, err
	}
	services, err := newSigner(s.URL)
	if err != nil {
		return nil, err
	}
	realtimeAPI := internalapi.NewClient(internalapi.ClientOptions{URL: s.URL, Tokens: services})
	save := persist.New(persist.Deps{Store: s.Store, DeadLetters: d.deadLetters, Realtime: realtimeAPI, Log: s.log})
	s.Collector, s.Replayer = d.collector, d.replayer
	if s.Replayer == nil {
		s.Replayer = save
	}
	pushServices, err := s.pushServices()
	if err != nil {
		return nil, err
	}
	sender := push.NewSender(pushServices, d.pushKeys, operator)
	s.onClose("sender of pushes", func(context.Context) error { sender.Close(); return nil })
	s.Realtime = realtimeAPI
	s.Users = users.New(users.Deps{Store: s.Store, Accounts: s.Accounts, Realtime: realtimeAPI, Log: s.log})
	notifier := notify.New(notify.Deps{Store: s.Store, Sender: sender, Gates: s.Users, Publisher: d.notifier, Log: s.log})
	// While they stop, instances publish acknowledgements to persist through the front, so the front must stop later.
	s.serve("front", l, front)
	hourly := signupsHourly
	if o.Proxies > 0 {
		hourly = api.DefaultSignupsHourly
	}
	functions := api.New(api.Deps{
		Store: s.Store, Accounts: s.Accounts, Verifier: verifier, Realtime: realtimeAPI,
		DeadLetters: s.Collector, Replayer: s.Replayer, Probers: o.Probers, PushKeys: d.pushKeys, PushServices: pushServices,
		Pushes: sender, Origins: s.origins(listeners), Proxies: o.Proxies, SignupsHourly: hourly,
		AdminFactor: s.AdminFactor, Log: s.log,
	})
	shared := instanceDeps{data: d, verifier: verifier, services: services.verifier, api: functions.Handler(),
		origins: s.origins(listeners)}
	s.onClose("instances", s.stopInstances)
	for i, l := range listeners {
		in, err := s.startInstance(i, l, shared)
		if err != nil {
			return nil, err
		}
		s.Instances = append(s.Instances, in)
	}
	return s, front.open(d.auth, save, notifier, s.Instances, s.frontConfig(listeners))
}

// Publish publishes data for persist, as a realtime instance does. If it returns nil with the embedded store, the
// data is saved or has become a dead letter. With Pub/Sub, that happens later.
func (s *Stack) Publish(ctx context.Context, data []byte) error {
	return s.publisher.Publish(ctx, data)
}

// Notify publishes an event for notify, as a realtime instance does. It is handled later.
func (s *Stack) Notify(ctx context.Context, data []byte) error { return s.notifier.Publish(ctx, data) }

// operator is the contact that push services get.
const operator = "operator@localhost"

// pushServices returns the push services to which pushes may be sent, and starts the stand-in.
func (s *Stack) pushServices() (push.Services, error) {
	services, err := push.ParseServices(push.DefaultServices)
	if err != nil || s.options.PushService == nil {
		return services, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return services, err
	}
	s.PushURL = "http://" + l.Addr().String()
	services.Local = s.PushURL
	s.serve("push service", l, s.options.PushService)
	return services, nil
}

// onClose registers a function that Close calls.
func (s *Stack) onClose(what string, stop func(context.Context) error) {
	s.closers = append(s.closers, closer{what, stop})
}

// Close stops all parts in reverse order within 5 s: it asks clients to leave, settles acknowledgements, closes the
// data and ends the programs. The error names the parts that did not stop properly. Close may be called more than
// once.
func (s *Stack) Close() error {
	s.closed.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime-time.Second)
		defer cancel()
		var errs []error
		for i := len(s.closers) - 1; i >= 0; i-- {
			if err := s.closers[i].stop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", s.closers[i].what, err))
			}
		}
		s.background.Wait()
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// Failed returns a channel that receives an error when a part ends before Close. The system is unusable then.
func (s *Stack) Failed() <-chan error { return s.failed }

func (s *Stack) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first error is enough
	}
}

// serve serves l until Close.
func (s *Stack) serve(what string, l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.background.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("the server %s ended unexpectedly: %w", what, err))
		}
	})
	s.onClose(what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if srv.Shutdown(ctx) != nil { // requests are still in progress
			return srv.Close()
		}
		return nil
	})
}

// verifier returns a verifier that accepts the unsigned tokens of the stand-in and of the emulator.
func (s *Stack) verifier() (identity.Verifier, error) {
	return identity.NewEmulator(s.Project, func(name string) string {
		if name == "FIREBASE_AUTH_EMULATOR_HOST" {
			return s.AuthAddr
		}
		return ""
	}, nil)
}
