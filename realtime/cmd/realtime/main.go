// Realtime serves the WebSockets and the pages of Phoenix Chat on Cloud Run
// (package realtime tours the service). All it can be told is in the environment; see
// config.go, or run it with -help.
//
// It ends on SIGTERM or SIGINT: sockets are moved away and served meanwhile,
// what was acknowledged is settled, and the process is gone before Cloud Run's 10 s.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/phoenixchat/phoenixchat/realtime/gate/gatefirestore"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/publish"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// Of the 10 s that Cloud Run gives after SIGTERM:
const (
	drainWithin  = 6 * time.Second         // sockets move, their acks are settled
	settleWithin = 2 * time.Second         // what is left of them
	pagesWithin  = 500 * time.Millisecond  // requests under way, once no socket is open
	endWithin    = 8500 * time.Millisecond // everything: what is still under way then is left to other instances
)

// maxGreeting is how many sockets of one address may wait for their hello at
// once. Behind one address can be a whole company that reconnects; each takes a moment.
const maxGreeting = 200

func main() {
	flag.Usage = func() { usage(flag.CommandLine.Output()) }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// usage lists the settings.
func usage(w io.Writer) {
	fmt.Fprintln(w, "realtime serves the WebSockets and the pages of Phoenix Chat. Its settings, in the environment:")
	for _, s := range settings {
		note := ""
		switch {
		case s.needed:
			note = " (needed)"
		case s.def != "":
			note = " (default " + s.def + ")"
		}
		fmt.Fprintf(w, "  %s\n      %s%s\n", s.name, s.about, note)
	}
}

// run serves until ctx ends, and returns when everything has stopped.
// listening, if not nil, is told the address.
func run(ctx context.Context, getenv func(string) string, out io.Writer, listening func(net.Addr)) error {
	c, err := readConfig(getenv)
	if err != nil {
		return fmt.Errorf("the settings are not right:\n%w", err)
	}
	log := logging.New(out, logging.Options{JSON: c.onCloudRun, Level: c.logLevel, Project: c.project})
	c.print(log, getenv)
	redis.SetLogger(redisLog{log})

	parts, err := build(ctx, c, getenv)
	if err != nil {
		return err
	}
	var deadline time.Time // of the end; set when it begins
	defer func() {
		if !by(deadline, parts.close) {
			log.Warn("clients of other services did not close in time; what they were at is done again elsewhere")
		}
	}()
	parts.deps.Log = log
	srv, err := server.New(parts.deps)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(c.port))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if listening != nil {
		listening(listener.Addr())
	}
	web := &http.Server{Handler: srv, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	background, stop := context.WithCancel(context.Background())
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(background) }()
	log.Info("serving", "address", listener.Addr().String(), "instance", srv.Name())

	var errs []error
	select {
	case <-ctx.Done():
	case err := <-served:
		errs = append(errs, fmt.Errorf("serve: %w", err))
		served <- http.ErrServerClosed
	case err := <-ran:
		errs = append(errs, err)
		ran <- nil
	}
	deadline = time.Now().Add(endWithin)
	drain, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := srv.Drain(drain); err != nil {
		log.Warn("not all sockets moved in time", "error", err)
	}
	last, cancel := context.WithTimeout(context.Background(), pagesWithin)
	defer cancel()
	if err := web.Shutdown(last); err != nil {
		web.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		errs = append(errs, err)
	}
	stop()
	var stopped error
	if by(deadline, func() { stopped = <-ran }) {
		errs = append(errs, stopped)
	} else {
		log.Warn("background work did not stop in time; other instances, or the next hello, will do what is left")
	}
	log.Info("stopped")
	return errors.Join(errs...)
}

// by calls f and waits for it until the deadline, if there is one. It reports
// whether f came back. One that did not is left to the end of the process: a command
// to Redis, or a publish that its library tries again, cannot be called off, and
// waiting for it would have Cloud Run kill the process.
func by(deadline time.Time, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	var late <-chan time.Time
	if !deadline.IsZero() {
		late = time.After(time.Until(deadline))
	}
	select {
	case <-done:
		return true
	case <-late:
		return false
	}
}

// parts is what run builds and must close.
type parts struct {
	deps    server.Deps
	closers []func()
}

func (p *parts) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}

// build connects to nothing yet: all clients connect when they are used.
func build(ctx context.Context, c config, getenv func(string) string) (_ *parts, err error) {
	p := &parts{} // not the result, which is nil when there is something to close
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	var verifier identity.Verifier
	if c.authEmulator != "" {
		verifier, err = identity.NewEmulator(c.project, getenv, nil)
	} else {
		verifier, err = identity.NewFirebase(c.project, identity.NewRemoteKeys(identity.FirebaseKeysURL, nil, nil), nil)
	}
	if err != nil {
		return nil, err
	}
	var services identity.ServiceVerifier
	if len(c.internalCallers) > 0 {
		services, err = identity.NewService(c.internalAudience, c.internalCallers, identity.NewRemoteKeys(identity.GoogleKeysURL, nil, nil), nil)
		if err != nil {
			return nil, err
		}
	}
	store, err := firestore.NewClient(ctx, c.project)
	if err != nil {
		return nil, fmt.Errorf("firestore: %w", err)
	}
	p.closers = append(p.closers, func() { store.Close() })
	queue, err := pubsub.NewClient(ctx, c.project)
	if err != nil {
		return nil, fmt.Errorf("pub/sub: %w", err)
	}
	p.closers = append(p.closers, func() { queue.Close() })
	publisher := publish.NewPubSub(queue, c.topic)
	p.closers = append(p.closers, publisher.Close)
	rdb, err := connectRedis(ctx, c)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, func() { rdb.Close() })
	p.deps = server.Deps{
		Redis: rdb, Gates: gatefirestore.New(store), Publisher: publisher, Verifier: verifier, Services: services,
		Client: os.DirFS(c.clientDir), Instance: instance(c), Config: c.client(), Origins: c.origins, HostedURL: c.hostedURL,
		MaxSockets: c.maxSockets, MaxGreeting: maxGreeting, Forwarded: c.onCloudRun, SocketAgeMin: c.ageMin, SocketAgeMax: c.ageMax,
		Settle: settle.Options{Drain: settleWithin},
	}
	return p, nil
}

// instance names this instance after its revision; the rest is random.
func instance(c config) string {
	if c.revision == "" {
		return ""
	}
	return c.revision + "-" + strings.ToLower(rand.Text()[:8])
}

// connectRedis returns a client for the Redis of the settings.
func connectRedis(ctx context.Context, c config) (redis.UniversalClient, error) {
	o := &redis.UniversalOptions{Addrs: c.redisAddrs, IsClusterMode: c.redisCluster}
	if c.redisCA != nil {
		o.TLSConfig = &tls.Config{RootCAs: c.redisCA, MinVersion: tls.VersionTLS12}
	}
	if c.redisIAM {
		tokens, err := google.DefaultTokenSource(ctx, "https://www.googleapis.com/auth/cloud-platform")
		if err != nil {
			return nil, fmt.Errorf("redis: no credentials of a Google account: %w", err)
		}
		o.CredentialsProviderContext = credentials(tokens)
	}
	return redis.NewUniversalClient(inbox.Tune(o)), nil
}

// credentials signs in to Memorystore with an access token. It is asked for
// each new connection; the source keeps a token for as long as it is good.
// https://cloud.google.com/memorystore/docs/cluster/manage-iam-auth
func credentials(tokens oauth2.TokenSource) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) {
		t, err := tokens.Token()
		if err != nil {
			return "", "", fmt.Errorf("redis: access token: %w", err)
		}
		return "default", t.AccessToken, nil
	}
}

// redisLog takes what go-redis has to say, which is about connections.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "says", fmt.Sprintf(format, v...))
}
