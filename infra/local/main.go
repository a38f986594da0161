// Command local runs the whole chat on this machine: go run ./infra/local.
//
// It needs Go and, when the client has to be built, Node.js; nothing else. It builds the
// client where that is out of date, starts everything in this one process, prints
// one address, and keeps accounts and messages in .local. Ctrl-C ends it
// and all that it started within 5 s.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/lockfile"
	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
	"github.com/phoenixchat/phoenixchat/infra/stack"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case ctx.Err() != nil && errors.Is(err, context.Canceled): // Ctrl-C while it was starting
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// settings are the flags and the environment.
type settings struct {
	port      int
	data      string
	fresh     bool
	emulators bool
	redis     string
	instances int
	superuser string
	revoke    bool
	json      bool
	verbose   bool

	firestore, pubsub, auth string // *_EMULATOR_HOST
}

var errUsage = errors.New("usage")

func parse(args []string, getenv func(string) string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&s.port, "port", 8080, "`port` to answer on, on the loopback address only; 0 takes a free one")
	f.StringVar(&s.data, "data", ".local", "`folder` that keeps accounts and messages, below the repository unless absolute")
	f.BoolVar(&s.fresh, "fresh", false, "forget the accounts and messages of earlier runs")
	f.BoolVar(&s.emulators, "emulators", false, "use redis-server and Google's Firestore and Pub/Sub emulators, which forget everything in the end")
	f.StringVar(&s.redis, "redis", "", "use the Redis that runs at `host:port`")
	f.IntVar(&s.instances, "instances", 1, "run this `number` of realtime instances on one Redis")
	f.StringVar(&s.superuser, "superuser", "", "make the person with this `email` address an admin of the running system, and end")
	f.BoolVar(&s.revoke, "revoke", false, "with -superuser: make them an ordinary person again")
	f.BoolVar(&s.json, "json", false, "print the addresses as one line of JSON, for programs")
	f.BoolVar(&s.verbose, "v", false, "log what the system does")
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./infra/local [flags]")
		f.PrintDefaults()
		fmt.Fprintln(stderr, "FIRESTORE_EMULATOR_HOST, PUBSUB_EMULATOR_HOST and FIREBASE_AUTH_EMULATOR_HOST (host:port) name emulators that run already.")
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, errUsage // told by the flag package
	}
	if f.NArg() > 0 || s.instances < 1 || s.instances > 20 || s.port < 0 || s.port > 65535 {
		fmt.Fprintln(stderr, "Flags only; -instances is 1 to 20, -port 0 to 65535.")
		f.Usage()
		return s, errUsage
	}
	s.firestore, s.pubsub, s.auth = getenv("FIRESTORE_EMULATOR_HOST"), getenv("PUBSUB_EMULATOR_HOST"), getenv("FIREBASE_AUTH_EMULATOR_HOST")
	return s, nil
}

// run is the whole program. Its error is one line for people.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	s, err := parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(s.data) {
		s.data = filepath.Join(root, s.data)
	}
	if s.superuser != "" {
		return order(ctx, s.data, operator.AdminOrder{Email: s.superuser, Revoke: s.revoke, By: "local"}, stdout)
	}
	if s.emulators {
		if err := emulators.Check(ctx, s.redis == "", s.firestore == "", s.pubsub == ""); err != nil {
			return err
		}
	}
	began := time.Now()
	lock, err := s.folder()
	if err != nil {
		return err
	}
	defer lock.Release()
	// Before the build, so that a taken port is told at once.
	listener, err := listen(s.port)
	if err != nil {
		return err
	}
	say := func(line string) { fmt.Fprintln(stderr, line) }
	if err := webbuild.Ensure(ctx, filepath.Join(root, "web"), say); err != nil {
		listener.Close()
		return err
	}
	level := slog.LevelWarn
	if s.verbose {
		level = slog.LevelDebug
	}
	st, err := stack.Start(ctx, stack.Options{
		Listener: listener, Client: os.DirFS(filepath.Join(root, "web", "dist")), Data: s.data, Instances: s.instances,
		Emulators: s.emulators, Redis: s.redis, Firestore: s.firestore, PubSub: s.pubsub, Auth: s.auth,
		Log:  logging.New(stderr, logging.Options{Level: level}),
		Mail: func(m authstub.Mail) { fmt.Fprintf(stderr, "A new password for %s can be set at %s\n", m.To, m.Link) },
	})
	if err != nil {
		return fmt.Errorf("The chat could not start: %w", err)
	}
	control, err := serveControl(st, s.data)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	s.tell(st, stdout, time.Since(began))
	select {
	case <-ctx.Done():
	case err = <-st.Failed():
	}
	control()
	return errors.Join(err, st.Close())
}

// folder makes the data folder, keeps other launchers out of it and empties it where that was asked for.
func (s settings) folder() (*lockfile.Lock, error) {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("The data folder %s cannot be made: %w. Choose another with -data.", s.data, cause(err))
	}
	lock, err := lockfile.Take(filepath.Join(s.data, "lock"))
	if errors.Is(err, lockfile.ErrHeld) {
		return nil, fmt.Errorf("Another launcher uses the data folder %s. End that one first, or choose another folder with -data.", s.data)
	}
	if err != nil {
		return nil, fmt.Errorf("The data folder %s cannot be written: %w. Choose another with -data.", s.data, cause(err))
	}
	if s.fresh {
		for _, name := range stack.Files {
			if err := os.Remove(filepath.Join(s.data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, errors.Join(fmt.Errorf("The data folder %s cannot be emptied: %w.", s.data, cause(err)), lock.Release())
			}
		}
	}
	return lock, nil
}

// cause returns what the system said, without the path that the message has already.
func cause(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("Port %d is taken by another program. Choose another with -port, or any free one with -port 0.", port)
	}
	if err != nil {
		return nil, fmt.Errorf("Port %d cannot be used: %w. Choose another with -port.", port, err)
	}
	return l, nil
}

// addresses is the line for programs.
type addresses struct {
	URL       string   `json:"url"`
	Instances []string `json:"instances"`
	Project   string   `json:"project"`
	Redis     string   `json:"redis"`
	Auth      string   `json:"auth"`
	Firestore string   `json:"firestore,omitempty"` // only with an emulator
	PubSub    string   `json:"pubsub,omitempty"`    // only with an emulator
	Data      string   `json:"data"`
	PID       int      `json:"pid"`
}

// tell prints where the system is.
func (s settings) tell(st *stack.Stack, out io.Writer, took time.Duration) {
	a := addresses{URL: st.URL, Project: st.Project, Redis: st.RedisAddr, Auth: st.AuthAddr, Firestore: st.FirestoreAddr,
		PubSub: st.PubSubAddr, Data: s.data, PID: os.Getpid()}
	for _, in := range st.Instances {
		a.Instances = append(a.Instances, in.URL)
	}
	if s.json {
		_ = json.NewEncoder(out).Encode(a) // nobody reads it: nothing to do
		return
	}
	fmt.Fprintf(out, "\nPhoenix Chat runs at %s (started in %.1f s)\n\n", a.URL, took.Seconds())
	if len(a.Instances) > 1 {
		for i, u := range a.Instances {
			fmt.Fprintf(out, "  instance %d   %s\n", i+1, u)
		}
	}
	if a.Firestore != "" {
		fmt.Fprintf(out, "  Firestore    %s (project %s)\n", a.Firestore, a.Project)
	}
	if a.PubSub != "" {
		fmt.Fprintf(out, "  Pub/Sub      %s\n", a.PubSub)
	}
	fmt.Fprintf(out, "  Redis        %s\n", a.Redis)
	fmt.Fprintf(out, "  data         %s (-fresh starts clean)\n", s.data)
	fmt.Fprintf(out, "  an admin     go run ./functions/cmd/createsuperuser -email you@example.org   (in another terminal)\n")
	fmt.Fprintf(out, "  end          Ctrl-C\n\n")
}
