package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/server"
)

// Instance is one realtime instance.
type Instance struct {
	URL  string // serves the same paths as Stack.URL, but opens sockets only on this instance
	Name string

	server   *server.Server
	redis    redis.UniversalClient
	auth     http.Handler
	draining atomic.Bool

	cancel context.CancelFunc // ends server.Run
	done   chan error         // receives the result of server.Run
}

// ServeHTTP implements http.Handler.
func (in *Instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if in.auth != nil && authstub.Serves(r.URL.Path) {
		in.auth.ServeHTTP(w, r)
		return
	}
	in.server.ServeHTTP(w, r)
}

// Sockets returns the number of open sockets that the instance serves.
func (in *Instance) Sockets() int { return in.server.Sockets() }

// Drain moves the sockets of this instance to the other instances, as on a deploy (see server.Server.Drain).
// Stack.URL no longer uses the instance.
func (in *Instance) Drain(ctx context.Context) error {
	in.draining.Store(true)
	return in.server.Drain(ctx)
}

// Limits of sockets that have not said hello, as in production (realtime/cmd/realtime).
const (
	greetingNear = 200
	greetingFar  = 250
)

// instanceDeps has the dependencies that all instances share.
type instanceDeps struct {
	data     *data
	verifier identity.Verifier
	services identity.ServiceVerifier
	api      http.Handler
	origins  []string
}

// listen returns a listener for each instance. A single instance uses the listener of the front.
func (s *Stack) listen(front net.Listener) ([]net.Listener, error) {
	if s.options.Instances == 1 {
		return []net.Listener{front}, nil
	}
	var out []net.Listener
	for range s.options.Instances {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s.onClose("listener", func(context.Context) error { l.Close(); return nil }) // may be closed already
		out = append(out, l)
	}
	return out, nil
}

// origins returns all origins from which this system serves pages.
func (s *Stack) origins(listeners []net.Listener) []string {
	out := []string{s.URL}
	if len(listeners) > 1 {
		for _, l := range listeners {
			out = append(out, "http://"+l.Addr().String())
		}
	}
	return out
}

// hosts returns the host:port of each origin.
func hosts(origins []string) (out []string) {
	for _, o := range origins {
		out = append(out, strings.TrimPrefix(o, "http://"))
	}
	return out
}

// clientConfig returns the configuration of a client that is opened at url.
func (s *Stack) clientConfig(url string) server.ClientConfig {
	auth := url // every address serves the stand-in
	if s.options.Auth != "" {
		auth = "http://" + s.options.Auth
	}
	return server.ClientConfig{
		APIBase: "/api", RealtimeURL: "ws" + strings.TrimPrefix(url, "http") + "/ws", AuthEmulatorURL: auth,
		Firebase: server.FirebaseConfig{
			APIKey: apiKey, ProjectID: s.Project, AuthDomain: s.Project + ".firebaseapp.com",
		},
	}
}

// frontConfig is the configuration of a client that is opened at the address of the whole system.
type frontConfig struct {
	server.ClientConfig

	// LocalMails is the path of the mails of the stand-in, from which the client opens links without a mailbox. It is not
	// a field of server.ClientConfig, so no service on Google Cloud can send it.
	LocalMails string `json:"local_mails,omitempty"`
}

func (s *Stack) frontConfig(listeners []net.Listener) frontConfig {
	c := frontConfig{ClientConfig: s.clientConfig(s.URL)}
	c.Origins = s.origins(listeners)
	if s.options.ShowMails && s.options.Auth == "" {
		c.LocalMails = authstub.MailsPath(s.Project)
	}
	return c
}

// startInstance starts instance number i (from 0), which serves l.
func (s *Stack) startInstance(i int, l net.Listener, d instanceDeps) (*Instance, error) {
	in := &Instance{
		URL: "http://" + l.Addr().String(), Name: fmt.Sprintf("local-%d", i+1), auth: d.data.auth, done: make(chan error, 1),
		redis: redis.NewUniversalClient(inbox.Tune(&redis.UniversalOptions{Addrs: []string{s.RedisAddr}})),
	}
	var err error
	var greetings server.Greetings // no limits of an address
	if s.options.Proxies > 0 {
		greetings = server.Greetings{Near: greetingNear, Far: greetingFar}
	}
	in.server, err = server.New(server.Deps{
		Redis: in.redis, Gates: d.data.gates, Publisher: d.data.publisher, Notify: d.data.notifier,
		Verifier: d.verifier, Services: d.services, Client: s.options.Client, API: d.api, Log: s.log,
		Instance: in.Name, Config: s.clientConfig(in.URL), Origins: d.origins,
		Proxies: s.options.Proxies, Greetings: greetings,
		DrainOver: 300 * time.Millisecond, Inboxes: inbox.Options{Archive: d.data.archive, Limits: s.options.Limits},
	})
	if err != nil {
		return nil, errors.Join(err, in.redis.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	in.cancel = cancel
	s.background.Go(func() {
		err := in.server.Run(ctx)
		if ctx.Err() == nil {
			s.fail(fmt.Errorf("%s ended unexpectedly: %w", in.Name, err))
		}
		in.done <- err
	})
	if s.options.Instances > 1 {
		s.serve(in.Name, l, in)
	}
	return in, nil
}

// stopInstances stops all instances at the same time.
func (s *Stack) stopInstances(ctx context.Context) error {
	errs := make([]error, len(s.Instances))
	var all sync.WaitGroup
	for i, in := range s.Instances {
		all.Go(func() { errs[i] = in.stop(ctx, s.log) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// stop ends the instance. It returns an error if that takes longer than ctx allows.
func (in *Instance) stop(ctx context.Context, log *slog.Logger) error {
	defer in.cancel()
	// Browsers keep a draining socket until they have opened another one. That fails here, so the sockets are closed
	// after a moment.
	draining, stop := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer stop()
	if err := in.Drain(draining); err != nil {
		log.Debug("sockets closed", "instance", in.Name, "error", err)
	}
	in.cancel()
	select {
	case err := <-in.done:
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return errors.Join(err, in.redis.Close())
	case <-ctx.Done():
		return fmt.Errorf("%s did not end in time: %w", in.Name, ctx.Err())
	}
}
