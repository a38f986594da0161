// Realtime serves the WebSockets and the pages of Phoenix Chat on Cloud Run. The comment of package realtime is a tour
// of the service. Configuration comes from environment variables; config.go and -help list them.
//
// On SIGTERM or SIGINT it moves its sockets to other instances, which it serves in the meantime, settles the acks that
// it has, and exits within the 10 s that Cloud Run gives it.
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

// How the 10 s that Cloud Run gives after SIGTERM are divided.
const (
	drainWithin  = 6 * time.Second         // sockets move, and their acks are settled
	settleWithin = 2 * time.Second         // the remaining acks are settled
	pagesWithin  = 500 * time.Millisecond  // other requests end, after the sockets are closed
	endWithin    = 8500 * time.Millisecond // everything; other instances do what is unfinished then
)

// Limits of sockets that have not said hello yet. A whole company that reconnects may have one address, but each of its
// sockets needs only a moment.
const (
	greetingNear = 200 // of one IPv4 address or IPv6 /64
	greetingFar  = 250 // of one IPv4 /24 or IPv6 /48
)

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

// usage describes the settings.
func usage(w io.Writer) {
	fmt.Fprintln(w, "realtime serves the WebSockets and the pages of Phoenix Chat. Its environment variables:")
	settings.Usage(w)
}

// run serves until ctx ends, and returns when everything has stopped. If listening is not nil, it is called with the
// address on which run listens.
func run(ctx context.Context, getenv func(string) string, out io.Writer, listening func(net.Addr)) error {
	c, err := readConfig(getenv)
	if err != nil {
		return fmt.Errorf("the settings are not right:\n%w", err)
	}
	log := logging.New(out, logging.Options{JSON: c.onCloudRun, Level: c.logLevel, Project: c.project})
	settings.Print(log, getenv)
	tuneMemory(log, getenv)
	redis.SetLogger(redisLog{log})

	parts, err := build(ctx, c, getenv)
	if err != nil {
		return err
	}
	var deadline time.Time // for the shutdown; set when it begins
	defer func() {
		if !waitUntil(deadline, parts.close) {
			log.Warn("clients of other services did not close in time; other instances will repeat unfinished work")
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
	web := &http.Server{Handler: srv,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	background, stop := context.WithCancel(context.Background())
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(background) }()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		returnMemory(background, srv.Counters().Session.Opened.Load, freeMemory)
	}()
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
	<-returned
	var stopped error
	if waitUntil(deadline, func() { stopped = <-ran }) {
		errs = append(errs, stopped)
	} else {
		log.Warn("background work did not stop in time; other instances, or the next hello, will do the rest")
	}
	log.Info("stopped")
	return errors.Join(errs...)
}

// waitUntil calls f and waits for it, until the deadline if there is one. It reports whether f returned. If f does not
// return in time, it is left running until the process exits: a command to Redis, or a publish that the client library
// retries, cannot be canceled, and if run waited for it, Cloud Run would kill the process.
func waitUntil(deadline time.Time, f func()) bool {
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

// parts is what run builds and has to close.
type parts struct {
	deps    server.Deps
	closers []func()
}

func (p *parts) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}

// build creates the dependencies of the server. It does not connect yet: every client connects when it is first used.
func build(ctx context.Context, c config, getenv func(string) string) (_ *parts, err error) {
	p := &parts{} // not the named result, which is nil after an error, when there is something to close
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
		keys := identity.NewRemoteKeys(identity.GoogleKeysURL, nil, nil)
		services, err = identity.NewService(c.internalAudience, c.internalCallers, keys, nil)
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
	notify := publish.NewPubSub(queue, c.notifyTopic)
	p.closers = append(p.closers, notify.Close)
	rdb, err := connectRedis(ctx, c)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, func() { rdb.Close() })
	p.deps = server.Deps{
		Redis: rdb, Gates: gatefirestore.New(store), Publisher: publisher, Notify: notify,
		Verifier: verifier, Services: services,
		Client: os.DirFS(c.clientDir), Instance: instance(c), Config: c.client(),
		Origins: c.origins, HostedURL: c.hostedURL,
		MaxSockets: c.maxSockets, Greetings: server.Greetings{Near: greetingNear, Far: greetingFar},
		Proxies: c.proxies, PlaceHeader: c.placeHeader, Watched: c.watchedHourly,
		SocketAgeMin: c.ageMin, SocketAgeMax: c.ageMax,
		Settle:  settle.Options{Drain: settleWithin},
		Inboxes: inbox.Options{Archive: gatefirestore.NewArchive(store), Limits: c.limits, ReplicaWait: c.replicaWait},
	}
	return p, nil
}

// instance returns the name of this instance: its revision and a random suffix. "" lets the server choose a name.
func instance(c config) string {
	if c.revision == "" {
		return ""
	}
	return c.revision + "-" + strings.ToLower(rand.Text()[:8])
}

// connectRedis returns a client of the Redis that the settings describe. It does not connect yet.
func connectRedis(ctx context.Context, c config) (redis.UniversalClient, error) {
	o := &redis.UniversalOptions{Addrs: c.redisAddrs, IsClusterMode: c.redisCluster}
	if c.redisCA != nil {
		o.TLSConfig = &tls.Config{RootCAs: c.redisCA, MinVersion: tls.VersionTLS12}
	}
	if c.redisIAM {
		tokens, err := google.DefaultTokenSource(ctx, "https://www.googleapis.com/auth/cloud-platform")
		if err != nil {
			return nil, fmt.Errorf("redis: find Google credentials: %w", err)
		}
		o.CredentialsProviderContext = credentials(tokens)
	}
	inbox.Tune(o)
	o.Dialer = redisDialer(o)
	return redis.NewUniversalClient(o), nil
}

// credentials signs in to Memorystore with an access token. go-redis calls the result for each new connection; the
// token source caches a token while it is valid.
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

// redisLog logs the messages of go-redis, which are about connections, at debug level.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}
