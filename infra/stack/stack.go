// Package stack is the whole chat in one process: realtime instances, the
// functions and persist, put together from the same packages that run on Google
// Cloud, over stand-ins that speak the real protocols (DESIGN §1). The local
// launcher, the browser tests and fault tests start it; nothing below it knows
// that it is not in the cloud.
//
//	browser ─▶ Stack.URL ─┬─ /api/…                              functions/api
//	                      ├─ /identitytoolkit… /securetoken…     infra/authstub
//	                      ├─ /local/push/<secret>                functions/persist
//	                      └─ /ws, /config.json, the client       realtime/server, instance after instance
//
// By default everything is embedded: miniredis, infra/authstub, functions/store/storebolt, and a push
// straight to persist in Pub/Sub's format. Options put redis-server and
// Google's emulators in their place, started here or running already.
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
	"github.com/phoenixchat/phoenixchat/functions/persist"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// DefaultProject is the Google Cloud project that the system believes to be in.
// The Firebase SDKs take the prefix "demo-" for one that exists nowhere.
const DefaultProject = "demo-phoenix-chat"

// APIKey is what browsers name as their key; nothing on one machine checks it.
const APIKey = "local"

// Options say what to start. The zero value is the embedded default on a free
// port of the loopback address, without a client, with data that ends with the stack.
type Options struct {
	Listener  net.Listener // where the system answers, on the loopback address; nil takes a free port. Closed by Close
	Client    fs.FS        // the built web client; nil serves no pages
	Data      string       // folder that keeps accounts and messages; "" is a temporary one
	Project   string       // "" is DefaultProject
	Instances int          // of the realtime service; 0 is 1

	Emulators bool   // start redis-server, the Firestore and the Pub/Sub emulator where no address is given
	Redis     string // host:port of a Redis that runs
	Firestore string // host:port of a Firestore emulator that runs
	PubSub    string // host:port of a Pub/Sub emulator that runs
	Auth      string // host:port of a Firebase Auth emulator that runs

	Log           *slog.Logger // nil is slog.Default
	Mail          func(authstub.Mail)
	SignupsHourly int // from one address; 0 is 10,000, since one machine is one address

	// For tests.
	Now          func() time.Time // wall clock of all parts; nil is time.Now
	MaxSockets   int              // see server.Deps
	SocketAgeMin time.Duration
	SocketAgeMax time.Duration
	GoawayWithin time.Duration
}

// Stack is a running system. Its fields do not change; its methods may be called by many goroutines at once.
type Stack struct {
	URL       string      // of the whole system, without a slash at its end
	Instances []*Instance // the realtime instances, each with an address of its own
	Project   string

	RedisAddr     string // host:port
	FirestoreAddr string // "" with the embedded store
	PubSubAddr    string // "" with the direct push
	AuthAddr      string // host:port

	Store     store.Store
	Accounts  accounts.Accounts
	Users    *users.Service
	Collector deadletter.Collector
	Replayer  deadletter.Replayer

	publisher settle.Publisher

	log      *slog.Logger
	options  Options
	failed   chan error // see Failed
	bg       sync.WaitGroup
	closers  []closer // run by Close, last first
	closed   sync.Once
	closeErr error
}

// closer undoes one step of Start.
type closer struct {
	what string
	stop func(ctx context.Context) error
}

// closeTime is how long Close may take in all.
const closeTime = 5 * time.Second

// Start starts the system and returns when it answers. ctx bounds the starting
// only. What was started before an error is stopped again. A program that cannot be found is an *emulators.Missing.
func Start(ctx context.Context, o Options) (_ *Stack, err error) {
	s := &Stack{options: o, Project: o.Project, log: o.Log, failed: make(chan error, 1)}
	if s.Project == "" {
		s.Project = DefaultProject
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.options.Instances == 0 {
		s.options.Instances = 1
	}
	if s.options.SignupsHourly == 0 {
		s.options.SignupsHourly = 10_000
	}
	if s.options.Now == nil {
		s.options.Now = time.Now
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
	s.onClose("listener", func(context.Context) error { l.Close(); return nil }) // twice does no harm
	s.URL = "http://" + l.Addr().String()
	front := newFront()
	if err := s.startBackends(ctx); err != nil {
		return nil, err
	}
	d, err := s.startData(ctx, front)
	if err != nil {
		return nil, err
	}
	s.Store, s.publisher = d.store, d.publisher
	s.Accounts, err = accounts.NewFirebase(ctx, accounts.Options{Project: s.Project, APIKey: APIKey, EmulatorHost: s.AuthAddr})
	if err != nil {
		return nil, err
	}
	verifier, err := s.verifier()
	if err != nil {
		return nil, err
	}
	services, err := newSigner(s.URL, s.options.Now)
	if err != nil {
		return nil, err
	}
	listeners, err := s.listen(l)
	if err != nil {
		return nil, err
	}
	save := persist.New(persist.Deps{Store: s.Store, DeadLetters: d.letters, Now: s.options.Now, Log: s.log})
	s.Collector, s.Replayer = d.collector, d.replayer
	if s.Replayer == nil {
		s.Replayer = save
	}
	// Instances settle through the front while they stop, so it stops after them.
	s.serve("front", l, front)
	relays := internalapi.NewClient(internalapi.ClientOptions{URL: s.URL, Tokens: services})
	s.Users = users.New(users.Deps{Store: s.Store, Accounts: s.Accounts, Relay: relays, Now: s.options.Now, Log: s.log})
	functions := api.New(api.Deps{
		Store: s.Store, Accounts: s.Accounts, Verifier: verifier, Relay: relays, DeadLetters: s.Collector, Replayer: s.Replayer,
		Origins: s.origins(listeners), SignupsHourly: s.options.SignupsHourly, Now: s.options.Now, Log: s.log,
	})
	shared := instanceDeps{data: d, verifier: verifier, services: services.verifier, api: functions.Handler(), origins: s.origins(listeners)}
	s.onClose("instances", s.stopInstances)
	for i, l := range listeners {
		in, err := s.startInstance(i, l, shared)
		if err != nil {
			return nil, err
		}
		s.Instances = append(s.Instances, in)
	}
	return s, front.open(d.auth, save, s.Instances, s.clientConfig(s.URL))
}

// Publish hands data to what carries acknowledged messages to persist, as a realtime instance does.
// nil: with the embedded store it is saved or a dead letter, with Pub/Sub it will be.
func (s *Stack) Publish(ctx context.Context, data []byte) error {
	return s.publisher.Publish(ctx, data)
}

// onClose notes how to undo a step.
func (s *Stack) onClose(what string, stop func(context.Context) error) {
	s.closers = append(s.closers, closer{what, stop})
}

// Close stops everything that Start started, in the opposite order, within 5 s:
// sockets are asked to go, acknowledgements settled, data closed, programs
// ended. It may be called again; the error says what did not stop in order.
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
		s.bg.Wait()
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// Failed gives the reason when a part ends that should run until Close; the
// system is of no more use then.
func (s *Stack) Failed() <-chan error { return s.failed }

func (s *Stack) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first reason says enough
	}
}

// serve answers on l until Close.
func (s *Stack) serve(what string, l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.bg.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("the server %s ended by itself: %w", what, err))
		}
	})
	s.onClose(what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if srv.Shutdown(ctx) != nil { // someone still waits for an answer
			return srv.Close()
		}
		return nil
	})
}

// verifier believes the unsigned tokens of the stand-in and of the emulator.
func (s *Stack) verifier() (identity.Verifier, error) {
	return identity.NewEmulator(s.Project, func(name string) string {
		if name == "FIREBASE_AUTH_EMULATOR_HOST" {
			return s.AuthAddr
		}
		return ""
	}, s.options.Now)
}
