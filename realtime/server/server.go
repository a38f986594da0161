// Package server is the HTTP face of the realtime service: the WebSocket, the
// web client and its configuration, the internal routes for our own functions,
// and the health checks. It builds the parts below it (inboxes, settler, gates,
// presence) from what it is given, so that several whole services can live in
// one process.
//
//	srv, err := server.New(deps)          // no I/O yet
//	go srv.Run(ctx)                       // background work until ctx ends
//	http.Serve(listener, srv)             // routes
//	srv.Drain(ctx)                        // moves all sockets away, settles, then Run may end
//
// Routes:
//
//	/ws                         the WebSocket (package wire tells the protocol)
//	/config.json                what the web client must know
//	/api/…                      Deps.API, where one machine serves all
//	/internal/gate|gone|figures JSON, for our own functions only
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
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// ClientConfig is what /config.json tells the web client.
type ClientConfig struct {
	APIBase         string         `json:"api_base"`     // without a slash at its end: "/api", or the URL of the functions
	RealtimeURL     string         `json:"realtime_url"` // ws:// or wss://, with /ws
	Firebase        FirebaseConfig `json:"firebase"`
	AuthEmulatorURL string         `json:"auth_emulator_url,omitempty"`
}

// FirebaseConfig is what the Firebase browser SDK must know; none of it is secret.
type FirebaseConfig struct {
	APIKey     string `json:"apiKey"`
	ProjectID  string `json:"projectId"`
	AuthDomain string `json:"authDomain"`
}

// Deps is all that a server needs. The zero value of a field with a default
// means that default.
type Deps struct {
	Redis     redis.UniversalClient    // see inbox.Tune; closed by the caller, after Run has returned
	Gates     gate.Source              // where a missing gate is read
	Publisher settle.Publisher         // where acknowledged messages go
	Verifier  identity.Verifier        // judges the tokens of people
	Services  identity.ServiceVerifier // judges the callers of /internal/; nil: these routes do not exist
	Client    fs.FS                    // the built web client, read by New; nil: no pages
	API       http.Handler             // mounted at /api/ with its full path; nil: not mounted
	Log       *slog.Logger             // default: slog.Default()
	Now       func() time.Time         // the server's wall clock; default: time.Now

	Instance  string       // names this instance in Redis and logs; unique; default: random
	Config    ClientConfig // /config.json
	Origins   []string     // exact values of Origin that may open a socket, like "https://chat.example.org"
	HostedURL string       // pages asked for at a host that is neither this nor an origin's are redirected here; "": no redirects

	MaxSockets        int            // on this instance; default 950 (Cloud Run allows 1,000 requests at once, pages need some)
	MaxSocketsPerUser int            // on this instance; default 50
	MaxGreeting       int            // sockets from one address that have not said a good hello yet; default: no bound
	Forwarded         bool           // addresses are the last of X-Forwarded-For, as behind Cloud Run's front end
	Limits            session.Limits // of frames; defaults there
	SocketAgeMin      time.Duration  // a socket is asked to move at a random age between these two;
	SocketAgeMax      time.Duration  // defaults 45 and 55 min. Cloud Run ends it at 60.
	GoawayWithin      time.Duration  // how long a socket that is asked to rotate or resync is still served; default 1 min
	ResyncOver        time.Duration  // over which the goaways after a return of Redis are spread; default 5 s
	DrainOver         time.Duration  // over which Drain spreads its goaways; default 4 s

	Inboxes inbox.Options  // Listener, Gates, Now and Log are set by New
	Settle  settle.Options // Now and Log are set by New
}

// Server serves one instance. Create it with New.
type Server struct {
	deps     Deps
	log      *slog.Logger
	mux      *http.ServeMux
	pages    *pages // nil without a client
	upgrader websocket.Upgrader
	started  time.Time

	subscriber *redissub.Listener
	inboxes    *inbox.Inboxes
	gates      *gate.Gates
	presence   *presence.Presence
	settler    *settle.Settler
	sessions   *session.Sessions

	greetings unwelcomed
	sockets  atomic.Int64 // being served
	draining atomic.Bool
	ready    atomic.Bool // Redis has answered, or 10 s have passed
}

// New checks deps and builds the server. It starts nothing and asks nothing of
// Redis.
func New(deps Deps) (*Server, error) {
	if err := deps.complete(); err != nil {
		return nil, err
	}
	log := deps.Log.With("instance", deps.Instance)
	s := &Server{deps: deps, log: log, mux: http.NewServeMux(), started: time.Now()}
	s.subscriber = redissub.New(deps.Redis, redissub.Options{Log: log})
	s.gates = gate.New(deps.Redis, deps.Gates, gate.Options{Listener: s.subscriber, Now: deps.Now, Log: log})
	deps.Inboxes.Listener, deps.Inboxes.Gates, deps.Inboxes.Now, deps.Inboxes.Log = s.subscriber, s.gates, deps.Now, log
	s.inboxes = inbox.New(deps.Redis, deps.Inboxes)
	deps.Settle.Now, deps.Settle.Log = deps.Now, log
	s.settler = settle.New(s.inboxes, deps.Publisher, deps.Settle)
	s.presence = presence.New(deps.Redis, deps.Instance, presence.Options{Listener: s.subscriber,
		Sockets: func() int { return s.sessions.Open() }, Log: log})
	s.sessions = session.New(session.Deps{
		Inboxes: s.inboxes, Settler: s.settler, Gates: s.gates, Presence: s.presence, Verifier: deps.Verifier,
		Log: log, Now: deps.Now, Limits: deps.Limits, PerUser: deps.MaxSocketsPerUser,
		AgeMin: deps.SocketAgeMin, AgeMax: deps.SocketAgeMax, GoawayWithin: deps.GoawayWithin,
		ResyncOver: deps.ResyncOver, DrainOver: deps.DrainOver,
	})
	s.upgrader = websocket.Upgrader{
		HandshakeTimeout: 5 * time.Second, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{wire.Subprotocol},
		// Checked by serveSocket, which tells the client; see there.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	if deps.Client != nil {
		var err error
		if s.pages, err = readPages(deps.Client, deps.HostedURL, deps.Origins); err != nil {
			return nil, err
		}
	}
	return s, s.route()
}

// complete fills in the defaults and reports what is missing.
func (d *Deps) complete() error {
	var errs []error
	for _, need := range []struct {
		missing bool
		name    string
	}{{d.Redis == nil, "Redis"}, {d.Gates == nil, "Gates"}, {d.Publisher == nil, "Publisher"}, {d.Verifier == nil, "Verifier"}} {
		if need.missing {
			errs = append(errs, fmt.Errorf("server: %s is missing", need.name))
		}
	}
	for _, o := range d.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			errs = append(errs, fmt.Errorf("server: origin %q is not of the form https://host", o))
		}
	}
	if d.HostedURL != "" {
		if u, err := url.Parse(d.HostedURL); err != nil || u.Scheme == "" || u.Host == "" {
			errs = append(errs, fmt.Errorf("server: hosted URL %q is not one", d.HostedURL))
		}
		d.HostedURL = strings.TrimSuffix(d.HostedURL, "/")
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Instance == "" {
		d.Instance = "i-" + strings.ToLower(rand.Text()[:12])
	}
	if d.MaxSockets <= 0 {
		d.MaxSockets = 950
	}
	return errors.Join(errs...)
}

// Run does the background work of the instance (subscriptions, gathered acks,
// presence) until ctx ends, then waits for all of it to stop; what is acknowledged is
// settled before, within settle.Options.Drain. Call it once, before serving;
// end ctx only after Drain has returned. The error is nil, or says what
// stopped by itself.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := []struct {
		name string
		run  func(context.Context) error
	}{
		{"listen", s.subscriber.Run}, {"inbox", s.inboxes.Run}, {"gate", s.gates.Run},
		{"presence", s.presence.Run}, {"settle", s.settler.Run}, {"session", s.sessions.Run}, {"ready", s.becomeReady},
	}
	stopped := make(chan error, len(parts))
	for _, p := range parts {
		go func() {
			err := p.run(ctx)
			if ctx.Err() == nil && p.name != "ready" {
				err = fmt.Errorf("server: %s stopped by itself: %w", p.name, err)
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
	return errors.Join(errs...)
}

// Drain moves all sockets elsewhere: new ones are refused, open ones are asked
// to go, spread over Deps.DrainOver, and served until they have gone. Those that stay are closed
// with 1001 when three quarters of the time have passed. It returns when every
// socket has ended and its acknowledgements are settled, or when ctx ends: the error
// says how many were still open then. Give it 7 s on Cloud Run, which kills
// 10 s after SIGTERM.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.log.Info("draining", "sockets", s.sessions.Open())
	begin := time.Now()
	if err := s.sessions.Drain(ctx); err != nil {
		return fmt.Errorf("server: %d sockets were still open: %w", s.sessions.Open(), err)
	}
	s.log.Info("drained", "took", time.Since(begin))
	return nil
}

// Sockets returns the number of open sockets.
func (s *Server) Sockets() int { return s.sessions.Open() }

// Name returns the name of this instance.
func (s *Server) Name() string { return s.deps.Instance }
