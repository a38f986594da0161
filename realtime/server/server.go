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
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
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

// Publisher takes delivery data; see settle.Publisher.
type Publisher interface {
	Publish(ctx context.Context, data []byte) error
}

// Deps is all that a server needs. The zero value of a field marked with a
// default means that default.
type Deps struct {
	Redis     redis.UniversalClient    // closed by the caller, after Run has returned
	Publisher Publisher                // where acknowledged messages go
	Verifier  identity.Verifier        // judges the tokens of people
	Services  identity.ServiceVerifier // judges the callers of /internal/; nil: these routes do not exist
	Client    fs.FS                    // the built web client; nil: no pages
	API       http.Handler             // mounted at /api/ with its full path; nil: not mounted
	Log       *slog.Logger             // default: slog.Default()
	Now       func() time.Time         // the server's wall clock; default: time.Now

	Instance  string       // names this instance in Redis and logs; unique; default: random
	Config    ClientConfig // /config.json
	Origins   []string     // exact values of Origin that may open a socket, like "https://chat.example.org"
	HostedURL string       // pages asked for at another host are redirected here; "": no redirects

	MaxSockets        int           // on this instance; default 950 (Cloud Run allows 1,000 requests at once, pages need some)
	MaxSocketsPerUser int           // on this instance; default 50
	SocketAgeMin      time.Duration // a socket is asked to move at a random age between these two;
	SocketAgeMax      time.Duration // defaults 45 and 55 min. Cloud Run ends it at 60.
	GoawayWithin      time.Duration // how long a socket that is asked to rotate or resync is still served; default 1 min
	DrainOver         time.Duration // over which Drain spreads its goaways; default 4 s
}

// Server serves one instance. Create it with New.
type Server struct {
	deps Deps
}

// New checks deps and builds the server. It does no I/O and starts nothing.
func New(deps Deps) (*Server, error) {
	return &Server{deps: deps}, nil
}

// Run does the background work of the instance (subscriptions, gathered acks,
// presence) until ctx ends, then waits for all of it to stop. Call it once,
// before serving; end ctx only after Drain has returned.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.NotFound(w, r)
}

// Drain moves all sockets elsewhere: new ones are refused, open ones are asked
// to go, spread over Deps.DrainOver, and served until they have gone or ctx
// ends, when they are closed with 1001. It returns when every socket's
// acknowledgements are settled, or shortly after ctx has ended: an error says
// how many sockets were still open then. Give it 8 s on Cloud Run, which kills
// 10 s after SIGTERM.
func (s *Server) Drain(ctx context.Context) error {
	return ctx.Err()
}
