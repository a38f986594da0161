// Package server is the HTTP layer of the realtime service: the WebSocket, the web client and its configuration, the
// internal routes for our own functions, and the health checks. It builds the parts below it (inboxes, settler, gates,
// presence) from its dependencies, so that several whole services can run in one process.
//
//	srv, err := server.New(deps)          // no I/O yet
//	go srv.Run(ctx)                       // background work until ctx ends
//	http.Serve(listener, srv)             // routes
//	srv.Drain(ctx)                        // moves all sockets away and settles their acks; then end Run
//
// Routes:
//
//	/ws                         the WebSocket (package wire documents the protocol)
//	/config.json                the configuration of the web client
//	/api/…                      Deps.API, if one machine serves everything
//	/internal/gate|gone|profile|figures JSON, for our own functions only (package internalapi)
//	/health/live, /health/ready
//	anything else               the web client
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// ClientConfig is the content of /config.json, the configuration of the web client.
type ClientConfig struct {
	APIBase         string         `json:"api_base"`     // without a trailing slash: "/api", or the URL of the functions
	RealtimeURL     string         `json:"realtime_url"` // ws:// or wss://, with /ws
	Firebase        FirebaseConfig `json:"firebase"`
	AuthEmulatorURL string         `json:"auth_emulator_url,omitempty"`
	Origins         []string       `json:"origins"` // those whose pages may open a socket; New sets them
}

// FirebaseConfig is what a browser needs to call Firebase Auth. None of it is secret.
type FirebaseConfig struct {
	APIKey     string `json:"apiKey"`
	ProjectID  string `json:"projectId"`
	AuthDomain string `json:"authDomain"`
}

// Deps is everything that a server needs. The zero value of a field with a default means that default.
type Deps struct {
	Redis     redis.UniversalClient    // see inbox.Tune; the caller closes it after Run has returned
	Gates     gate.Source              // reads a gate that is not cached
	Publisher settle.Publisher         // receives acknowledged messages
	Notify    away.Publisher           // receives events about messages to people who are away; nil: nobody is notified
	Verifier  identity.Verifier        // verifies the tokens of users
	Services  identity.ServiceVerifier // verifies the callers of /internal/; nil: these routes do not exist
	Client    fs.FS                    // the built web client, which New reads; nil: no pages
	API       http.Handler             // mounted at /api/ with its full path; nil: not mounted
	Log       *slog.Logger             // default: slog.Default()
	Now       func() time.Time         // the server's wall clock; default: time.Now

	// Jitter returns a random duration in [0, below). Tests that repeat a run from a seed set it; default: rand.N.
	Jitter func(below time.Duration) time.Duration

	Instance string       // unique name of this instance in Redis and logs; default: random
	Config   ClientConfig // /config.json
	Origins  []string     // exact values of Origin that may open a socket, like "https://chat.example.org"

	// HostedURL is the public URL of the chat. A request for a page on a host that is neither this one nor that of an
	// origin is redirected to it. "": no redirects.
	HostedURL string

	// MaxSockets limits the sockets of this instance; default 950. Cloud Run allows 1,000 concurrent requests, and pages
	// need some of them.
	MaxSockets        int
	MaxSocketsPerUser int            // on this instance; default 10
	Watched           int            // people whose presence a user may watch in an hour on this instance; default 250
	Greetings         Greetings      // limits of sockets whose hello is not accepted yet
	Proxies           int            // trusted proxies that append to X-Forwarded-For; see package clientaddr
	PlaceHeader       string         // header with the place of a client; see package useragent; "": there is none
	Limits            session.Limits // of frames; see there for the defaults
	SocketAgeMin      time.Duration  // a socket is asked to move at a random age from this, default 45 min,
	SocketAgeMax      time.Duration  // to this, default 55 min; Cloud Run ends it at 60 min
	GoawayWithin      time.Duration  // time that a socket has after a rotate or resync; default 1 min
	ResyncOver        time.Duration  // time over which goaways are spread after Redis came back; default 5 s
	DrainOver         time.Duration  // time over which Drain spreads its goaways; default 4 s

	Inboxes inbox.Options  // New sets Subscriber, Runner, Gates, Now and Log
	Settle  settle.Options // New sets Now, Log and Jitter
	Away    away.Options   // New sets Now, Log and Answered
}

// Server is one instance of the realtime service. Create it with New.
type Server struct {
	deps     Deps
	log      *slog.Logger
	mux      *http.ServeMux
	pages    *pages // nil without a client
	upgrader websocket.Upgrader

	subscriber *redissub.Subscriber
	inboxes    *inbox.Inboxes
	runner     *script.Runner
	gates      *gate.Gates
	presence   *presence.Presence
	settler    *settle.Settler
	sessions   *session.Sessions
	signIns    *signins.Recorder
	away       *away.Notifier

	greetings greeting
	sockets   atomic.Int64 // being served
	draining  atomic.Bool
	ready     atomic.Bool // Redis has answered, or 10 s have passed
}

// New checks deps and builds the server. It starts no goroutine and sends nothing to Redis.
func New(deps Deps) (*Server, error) {
	if err := deps.complete(); err != nil {
		return nil, err
	}
	log := deps.Log.With("instance", deps.Instance)
	s := &Server{deps: deps, log: log, mux: http.NewServeMux(), greetings: greeting{limits: deps.Greetings}}
	s.subscriber = redissub.New(deps.Redis, redissub.Options{Log: log, Jitter: deps.Jitter})
	runner := script.NewRunner(deps.Redis, script.Options{ReplicaWait: deps.Inboxes.ReplicaWait})
	s.runner = runner
	s.gates = gate.New(deps.Redis, deps.Gates, gate.Options{Subscriber: s.subscriber, Runner: runner, Now: deps.Now,
		Log: log})
	deps.Inboxes.Subscriber, deps.Inboxes.Runner, deps.Inboxes.Gates = s.subscriber, runner, s.gates
	deps.Inboxes.Now, deps.Inboxes.Log = deps.Now, log
	deps.Away.Now, deps.Away.Log, deps.Away.Answered = deps.Now, log, s.hasAnswered
	s.away = away.New(deps.Notify, deps.Away)
	if deps.Notify != nil {
		deps.Inboxes.Away = s.away.Notify
	}
	s.inboxes = inbox.New(deps.Redis, deps.Inboxes)
	deps.Settle.Now, deps.Settle.Log, deps.Settle.Jitter = deps.Now, log, deps.Jitter
	s.settler = settle.New(s.inboxes, deps.Publisher, deps.Settle)
	s.presence = presence.New(deps.Redis, deps.Instance, presence.Options{Subscriber: s.subscriber, Runner: runner,
		Gates: s.gates, Sockets: func() int { return s.sessions.Open() }, Log: log, Jitter: deps.Jitter})
	s.gates.OnChange(s.presence.GateChanged)
	s.signIns = signins.New(runner, deps.Publisher, log)
	s.sessions = session.New(session.Deps{
		Inboxes: s.inboxes, Settler: s.settler, Gates: s.gates, Presence: s.presence, Verifier: deps.Verifier,
		Log: log, Now: deps.Now, Jitter: deps.Jitter, Limits: deps.Limits,
		PerUser: deps.MaxSocketsPerUser, Watched: deps.Watched,
		AgeMin: deps.SocketAgeMin, AgeMax: deps.SocketAgeMax, GoawayWithin: deps.GoawayWithin,
		ResyncOver: deps.ResyncOver, DrainOver: deps.DrainOver, Announced: announced(deps),
		NewPeopleUnverified: deps.Inboxes.Limits.WithDefaults().NewPeopleUnverified,
		Welcomed:            s.signIns.Opened, Away: deps.Inboxes.Away,
	})
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: 5 * time.Second, Subprotocols: []string{wire.Subprotocol},
		ReadBufferSize: 1 << 10, // more bytes of a frame are read without the buffer
		// Package session writes frames itself. The library writes only the answer to a breach of the protocol.
		WriteBufferSize: 256, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true }, // serveSocket has checked it
		Error:       s.handshakeFailed,
	}
	if deps.Client != nil {
		var err error
		if s.pages, err = readPages(deps.Client, deps.HostedURL, deps.Origins); err != nil {
			return nil, err
		}
	}
	return s, s.route()
}

// hasAnswered reports whether uid has answered other, of whose message uid should be notified. If other has caused too
// many questions to the archive, it reports that uid has not.
func (s *Server) hasAnswered(ctx context.Context, uid, other string) (bool, error) {
	answered, err := s.inboxes.HasWritten(ctx, uid, other)
	if errors.Is(err, inbox.ErrRateLimited) {
		return false, nil
	}
	return answered, err
}

// announced returns the limits that clients learn in the welcome.
func announced(deps Deps) wire.Limits {
	l, strangers := wire.DefaultLimits(), deps.Inboxes.Limits.WithDefaults()
	l.StrangerMessages, l.StrangerBytes = strangers.StrangerMessages, strangers.StrangerBytes
	l.NewPeople = strangers.NewPeople
	return l
}

// complete sets the defaults, and reports everything that is missing or invalid.
func (d *Deps) complete() error {
	var errs []error
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Redis", d.Redis == nil}, {"Gates", d.Gates == nil}, {"Publisher", d.Publisher == nil},
		{"Verifier", d.Verifier == nil},
	} {
		if need.missing {
			errs = append(errs, fmt.Errorf("server: Deps.%s is missing", need.name))
		}
	}
	for _, o := range d.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			errs = append(errs, fmt.Errorf("server: origin %q is not of the form https://host", o))
		}
	}
	if d.HostedURL != "" {
		if u, err := url.Parse(d.HostedURL); err != nil || u.Scheme == "" || u.Host == "" {
			errs = append(errs, fmt.Errorf("server: hosted URL %q is not an absolute URL", d.HostedURL))
		}
		d.HostedURL = strings.TrimSuffix(d.HostedURL, "/")
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Jitter == nil {
		d.Jitter = mathrand.N[time.Duration]
	}
	if d.Instance == "" {
		d.Instance = "i-" + strings.ToLower(rand.Text()[:12])
	}
	if d.MaxSockets <= 0 {
		d.MaxSockets = 950
	}
	if d.Greetings.All <= 0 {
		d.Greetings.All = max(d.MaxSockets/3, 1)
	}
	d.Config.Origins = append([]string{}, d.Origins...) // not null in JSON
	return errors.Join(errs...)
}

// waitForCalls is how long Run waits for calls to Redis whose results nobody needs.
const waitForCalls = 3 * time.Second

// Run does the background work of the instance (subscriptions, settlement, presence) until ctx ends. It then waits for
// all of it to stop; settlement may take settle.Options.Drain for the acks that it has. Call Run once, before serving,
// and end ctx only after Drain has returned. The error is nil, unless a part stopped before ctx ended.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []struct {
		name string
		run  func(context.Context) error
	}{
		{"redissub", s.subscriber.Run}, {"inbox", s.inboxes.Run}, {"gate", s.gates.Run},
		{"presence", s.presence.Run}, {"settle", s.settler.Run}, {"session", s.sessions.Run},
		{"signins", s.signIns.Run}, {"away", s.away.Run}, {"ready", s.becomeReady}, {"report", s.report},
	}
	stopped := make(chan error, len(parts))
	for _, p := range parts {
		go func() {
			err := p.run(ctx)
			if ctx.Err() == nil && p.name != "ready" {
				err = fmt.Errorf("server: %s stopped unexpectedly: %w", p.name, err)
				cancel()
			} else {
				err = nil
			}
			stopped <- err
		}()
	}
	var errs []error
	for range parts {
		errs = append(errs, <-stopped)
	}
	rest, end := context.WithTimeout(context.WithoutCancel(ctx), waitForCalls)
	defer end()
	s.runner.Wait(rest)
	return errors.Join(errs...)
}

// Drain moves all sockets to other instances. It refuses new ones, and sends a goaway to the open ones, spread over
// Deps.DrainOver. They are served until they have moved. Those that remain after three quarters of the time are closed
// with code 1001. Drain returns when every socket has ended and its acks are settled, or when ctx ends; the error then
// says how many were still open. Give it 7 s on Cloud Run, which kills the process 10 s after SIGTERM.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.log.Info("draining", "sockets", s.sessions.Open())
	start := time.Now()
	if err := s.sessions.Drain(ctx); err != nil {
		return fmt.Errorf("server: drain: %d sockets are still open: %w", s.sessions.Open(), err)
	}
	s.log.Info("drained", "took", time.Since(start))
	return nil
}

// Sockets returns the number of open sockets.
func (s *Server) Sockets() int { return s.sessions.Open() }

// Name returns the name of this instance.
func (s *Server) Name() string { return s.deps.Instance }
