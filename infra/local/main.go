// Command local runs the whole chat on this machine: go run ./infra/local.
//
// It needs Go, and Node.js if the client has to be built. It builds the client if it is out of date, starts all parts
// in this process, prints the address, and keeps accounts and messages in .local. Ctrl-C ends it, and all processes
// that it started, within 5 s.
package main

//lint:file-ignore ST1005 These errors are sentences for the person at the terminal.

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/infra/authstub"
	"github.com/phoenixchat/phoenixchat/infra/emulators"
	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
	"github.com/phoenixchat/phoenixchat/infra/internal/webbuild"
	"github.com/phoenixchat/phoenixchat/infra/pushstub"
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
	case ctx.Err() != nil && errors.Is(err, context.Canceled): // Ctrl-C during the start
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// settings holds the values of the flags and of the environment variables.
type settings struct {
	port      int
	data      string
	fresh     bool
	emulators bool
	redis     string
	instances int
	client    string // folder of a built client
	superuser string // email address
	uid       string
	confirm   string
	revoke    bool
	json      bool
	pushStub  bool
	verbose   bool

	firestore, pubsub, auth string // *_EMULATOR_HOST
	adminFactorOff          bool   // ADMIN_SECOND_FACTOR
}

var errUsage = errors.New("usage")

func parse(args []string, getenv func(string) string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&s.port, "port", 8080, "listen on this `port` of the loopback address; 0 uses a free one")
	f.StringVar(&s.data, "data", ".local",
		"keep accounts and messages in this `folder`; a relative path is below the repository")
	f.BoolVar(&s.fresh, "fresh", false, "delete the accounts and messages of earlier runs")
	f.BoolVar(&s.emulators, "emulators", false,
		"use redis-server and Google's emulators of Firestore and Pub/Sub, which lose their data when they end")
	f.StringVar(&s.redis, "redis", "", "use the Redis at `host:port`")
	f.IntVar(&s.instances, "instances", 1, "run this `number` of realtime instances")
	f.StringVar(&s.client, "client", "", "serve the built client in this `folder` instead of building the one in web")
	f.StringVar(&s.superuser, "superuser", "",
		"make the user with this `email` address an admin of the running chat, and exit")
	f.StringVar(&s.uid, "uid", "", "like -superuser, but for the user with this `uid`, whose address need not be verified")
	f.StringVar(&s.confirm, "confirm", "", "with -uid: the `username`, to confirm that it is the right person")
	f.BoolVar(&s.revoke, "revoke", false, "with -superuser or -uid: remove the user's admin rights instead")
	f.BoolVar(&s.json, "json", false, "print the addresses as one line of JSON")
	f.BoolVar(&s.pushStub, "push-stub", false,
		"send no pushes to the push services of browsers, but to a stand-in, whose address -json prints")
	f.BoolVar(&s.verbose, "v", false, "log at debug level")
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./infra/local [flags]")
		f.PrintDefaults()
		fmt.Fprintln(stderr, "To use running emulators, set FIRESTORE_EMULATOR_HOST, PUBSUB_EMULATOR_HOST "+
			"or FIREBASE_AUTH_EMULATOR_HOST to host:port.\n"+
			"ADMIN_SECOND_FACTOR=off opens the admin panel without a second factor. So does an emulator of Firebase Auth.")
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, errUsage // the flag package has printed the error
	}
	if f.NArg() > 0 || s.instances < 1 || s.instances > 20 || s.port < 0 || s.port > 65535 {
		fmt.Fprintln(stderr, "There are no arguments besides flags. -instances must be 1 to 20, and -port 0 to 65535.")
		f.Usage()
		return s, errUsage
	}
	s.firestore, s.pubsub = getenv("FIRESTORE_EMULATOR_HOST"), getenv("PUBSUB_EMULATOR_HOST")
	s.auth = getenv("FIREBASE_AUTH_EMULATOR_HOST")
	switch factor := getenv("ADMIN_SECOND_FACTOR"); {
	case factor == "required" && s.auth != "":
		fmt.Fprintln(stderr, "ADMIN_SECOND_FACTOR=required is not possible with an emulator of Firebase Auth, "+
			"which has no authenticator apps.")
		return s, errUsage
	case factor != "" && factor != "required" && factor != "off":
		fmt.Fprintf(stderr, "ADMIN_SECOND_FACTOR is %q. It must be required or off.\n", factor)
		return s, errUsage
	default:
		s.adminFactorOff = factor == "off"
	}
	return s, nil
}

// run is the whole program. Its error is a sentence for the person at the terminal.
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
	if s.superuser != "" || s.uid != "" {
		order := operator.AdminOrder{Email: s.superuser, UID: s.uid, Confirm: s.confirm, Revoke: s.revoke, By: "local"}
		return sendSuperuserOrder(ctx, s.data, order, stdout)
	}
	if s.emulators {
		if err := emulators.Check(ctx, s.redis == "", s.firestore == "", s.pubsub == ""); err != nil {
			return err
		}
	}
	began := time.Now()
	lock, err := s.openDataFolder()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	// Listen before the build, so that a port in use is reported immediately.
	listener, err := listen(s.port)
	if err != nil {
		return err
	}
	say := func(line string) { fmt.Fprintln(stderr, line) }
	if s.client == "" {
		s.client = filepath.Join(root, "web", "dist")
		if err := webbuild.Ensure(ctx, filepath.Join(root, "web"), say); err != nil {
			listener.Close()
			return err
		}
	}
	level := slog.LevelWarn
	if s.verbose {
		level = slog.LevelDebug
	}
	var pushService http.Handler
	if s.pushStub {
		stub := pushstub.New()
		stub.Open()
		pushService = stub
	}
	st, err := stack.Start(ctx, stack.Options{
		PushService: pushService, ShowMails: true,
		Listener: listener, Client: os.DirFS(s.client), Data: s.data, Instances: s.instances,
		Emulators: s.emulators, Redis: s.redis, Firestore: s.firestore, PubSub: s.pubsub, Auth: s.auth,
		Log: logging.New(stderr, logging.Options{Level: level}),
		Mail: func(m authstub.Mail) {
			what := "Confirm the address"
			switch m.Type {
			case authstub.PasswordReset:
				what = "Set a new password for"
			case authstub.RecoverEmail:
				what = "Undo the change of the address"
			}
			fmt.Fprintf(stderr, "%s %s at %s\n", what, m.To, m.Link)
		},
		Code: func(email, code string) {
			fmt.Fprintf(stderr, "The code of %s's authenticator app is %s\n", email, code)
		},
		AdminFactorOff: s.adminFactorOff,
	})
	if err != nil {
		return fmt.Errorf("The chat could not start: %w", err)
	}
	stopControl, err := serveControl(st, s.data)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	s.printAddresses(st, stdout, time.Since(began))
	select {
	case <-ctx.Done():
	case err = <-st.Failed():
	}
	stopControl()
	return errors.Join(err, st.Close())
}

// openDataFolder creates and locks the data folder, and empties it if -fresh is set. It fails if another launcher has
// locked the folder.
func (s settings) openDataFolder() (*flock.Flock, error) {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("The data folder %s cannot be created: %w. Choose another one with -data.",
			s.data, cause(err))
	}
	lock := flock.New(filepath.Join(s.data, "lock"), flock.SetFlag(os.O_RDWR|os.O_CREATE))
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("The data folder %s cannot be written: %w. Choose another one with -data.",
			s.data, cause(err))
	case !locked:
		return nil, fmt.Errorf("Another launcher uses the data folder %s. "+
			"Stop it first, or choose another folder with -data.", s.data)
	}
	if s.fresh {
		for _, name := range stack.Files {
			if err := os.Remove(filepath.Join(s.data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, errors.Join(fmt.Errorf("The data folder %s cannot be emptied: %w.", s.data, cause(err)),
					lock.Unlock())
			}
		}
	}
	return lock, nil
}

// cause returns the error of the operating system without the path, which the message already has.
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
		return nil, fmt.Errorf("Port %d is used by another program. "+
			"Choose another one with -port, or a free one with -port 0.", port)
	}
	if err != nil {
		return nil, fmt.Errorf("Port %d cannot be used: %w. Choose another one with -port.", port, err)
	}
	return l, nil
}

// addresses is the output with -json.
type addresses struct {
	URL       string   `json:"url"`
	Instances []string `json:"instances"`
	Project   string   `json:"project"`
	Redis     string   `json:"redis"`
	Auth      string   `json:"auth"`
	Firestore string   `json:"firestore,omitempty"` // only with an emulator
	PubSub    string   `json:"pubsub,omitempty"`    // only with an emulator
	Push      string   `json:"push,omitempty"`      // only with -push-stub
	Data      string   `json:"data"`
	PID       int      `json:"pid"`
}

// printAddresses prints the addresses of the running system.
func (s settings) printAddresses(st *stack.Stack, out io.Writer, took time.Duration) {
	a := addresses{URL: st.URL, Project: st.Project, Redis: st.RedisAddr, Auth: st.AuthAddr,
		Firestore: st.FirestoreAddr, PubSub: st.PubSubAddr, Push: st.PushURL, Data: s.data, PID: os.Getpid()}
	for _, in := range st.Instances {
		a.Instances = append(a.Instances, in.URL)
	}
	if s.json {
		_ = json.NewEncoder(out).Encode(a) // an error means that the reader is gone
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
	fmt.Fprintf(out, "  data         %s (-fresh deletes it)\n", s.data)
	fmt.Fprintf(out, "  new admin    go run ./functions/cmd/createsuperuser -email you@example.org"+
		"   (in another terminal)\n")
	fmt.Fprintf(out, "  stop         Ctrl-C\n\n")
}
