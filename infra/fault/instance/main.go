// Command instance is one realtime instance for fault tests. It runs the service of package server as
// realtime/cmd/realtime does, with four differences:
//
//   - Its settings come as one testbed.Spec.
//   - It requests what it reads from Firestore from the testbed, because the embedded store belongs to that process.
//   - Its clock can be wrong.
//   - It reports its goroutines and its heap.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/infra/fault/testbed"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/publish"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// Parts of the 10 s that Cloud Run grants after SIGTERM, as in realtime/cmd/realtime.
const (
	drainWithin  = 6 * time.Second         // sockets move, and their acks are settled
	settleWithin = 2 * time.Second         // the remaining acks are settled
	endWithin    = 8500 * time.Millisecond // everything
)

// Limits of sockets that have not said hello, as in production (realtime/cmd/realtime).
const (
	greetingNear = 200
	greetingFar  = 250
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// As in realtime/cmd/realtime, nothing that hangs may delay the end.
	context.AfterFunc(ctx, func() {
		time.Sleep(endWithin)
		slog.Warn("shutdown timed out")
		os.Exit(0)
	})
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "instance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var spec testbed.Spec
	if err := json.Unmarshal([]byte(os.Getenv(testbed.SpecEnv)), &spec); err != nil {
		return fmt.Errorf("%s: %w", testbed.SpecEnv, err)
	}
	ahead := time.Duration(spec.ClockMS) * time.Millisecond
	now := func() time.Time { return time.Now().Add(ahead) }
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))

	verifier, err := identity.NewEmulator(spec.Project, os.Getenv, now)
	if err != nil {
		return err
	}
	opts := &redis.UniversalOptions{Addrs: []string{spec.Redis}}
	inbox.Tune(opts)
	rdb := redis.NewUniversalClient(opts)
	defer rdb.Close()
	queue, err := pubsub.NewClient(context.Background(), spec.Project)
	if err != nil {
		return err
	}
	defer queue.Close()
	publisher := publish.NewPubSub(queue, spec.Topic)
	defer publisher.Close()
	notify := publish.NewPubSub(queue, testbed.NotifyTopic)
	defer notify.Close()

	deps := server.Deps{
		Redis: rdb, Gates: gates{spec.Gates}, Publisher: publisher, Verifier: verifier, Services: services{},
		Log: log, Now: now,
		Instance: spec.Name, Origins: []string{testbed.Origin}, MaxSockets: spec.MaxSockets,
		Greetings: server.Greetings{Near: greetingNear, Far: greetingFar}, Proxies: 1,
		Inboxes: inbox.Options{Archive: writers{spec.Writers},
			ReplicaWait: time.Duration(spec.ReplicaWaitMS) * time.Millisecond},
		SocketAgeMin: time.Duration(spec.SocketAgeMS) * time.Millisecond * 3 / 4,
		SocketAgeMax: time.Duration(spec.SocketAgeMS) * time.Millisecond,
		GoawayWithin: time.Duration(spec.GoawayWithinMS) * time.Millisecond,
		Settle:       settle.Options{Drain: settleWithin},
		// The people of a run are few and write a lot, so that the limit of one sender would be the rule.
		Notify: notify, Away: away.Options{SenderEvery: 100 * time.Millisecond},
	}
	srv, err := server.New(deps)
	if err != nil {
		return err
	}
	return serve(ctx, srv, spec.Addr)
}

// serve serves until ctx ends, then moves all sockets to other instances.
func serve(ctx context.Context, srv *server.Server, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(background) }()
	mux := http.NewServeMux()
	mux.Handle("/", srv)
	mux.HandleFunc("GET "+testbed.RuntimePath, reportRuntime)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	deadline, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if err := srv.Drain(deadline); err != nil {
		slog.Error("drain", "error", err)
	}
	_ = web.Close()
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reportRuntime answers with the testbed.Runtime of this process. It collects garbage first, so that the heap has only
// what is reachable.
func reportRuntime(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	out := testbed.Runtime{Goroutines: int64(runtime.NumGoroutine()), Heap: int64(m.HeapAlloc)}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		slog.Warn("report the runtime", "error", err)
	}
}

// services lets the testbed make the calls that are reserved for our own functions.
type services struct{}

func (services) VerifyService(_ context.Context, token string) (string, error) {
	if token != testbed.ServiceToken {
		return "", problem.ErrUnauthenticated
	}
	return "testbed", nil
}

// gates requests the gates of users from the testbed.
type gates struct{ url string }

// Gate implements gate.Source.
func (g gates) Gate(ctx context.Context, uid string) (out gate.Gate, err error) {
	err = fetch(ctx, g.url+uid, &out)
	return out, err
}

// writers requests from the testbed who has written in a conversation.
type writers struct{ url string }

// Writers implements inbox.Archive.
func (w writers) Writers(ctx context.Context, conversation string) (uids []string, err error) {
	err = fetch(ctx, w.url+conversation, &uids)
	return uids, err
}

// fetch requests a JSON value from the testbed.
func fetch(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return problem.ErrUnavailable.WithCause(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problem.ErrUnavailable.WithCause(errors.New(resp.Status))
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return problem.ErrUnavailable.WithCause(err)
	}
	return nil
}
