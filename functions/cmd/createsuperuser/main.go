// Command createsuperuser makes somebody an admin, with a new account where there is none:
//
//	go run ./functions/cmd/createsuperuser -email you@example.org
//
// does it in the chat that runs on this machine (go run ./infra/local). With
// -project it does so on Google Cloud, with the credentials of who runs it
// (gcloud auth application-default login), whose account needs the roles Cloud
// Datastore User and Firebase Authentication Admin. -revoke takes the right away again.
// Every use is in the audit log.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/control"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/superuser"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

// run is the whole command. Its error is for people.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	var o superuser.Order
	f := flag.NewFlagSet("createsuperuser", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.Email, "email", "", "`address` of the person; required")
	f.BoolVar(&o.Revoke, "revoke", false, "make them an ordinary person again")
	f.StringVar(&o.Username, "username", "", "`name` of a new account; default: made of the address")
	f.StringVar(&o.DisplayName, "name", "", "display `name` of a new account; default: the username")
	fromStdin := f.Bool("password-stdin", false, "read the password of a new account from standard input; default: a random one is made and told")
	project := f.String("project", "", "Google Cloud `project` of the chat; default: the chat that runs on this machine")
	database := f.String("database", "", "Firestore `database`; default: (default)")
	data := f.String("data", ".local", "data `folder` of the chat that runs on this machine")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if o.Email == "" || f.NArg() > 0 {
		fmt.Fprintln(stderr, "Give the person's address: -email you@example.org")
		return errUsage
	}
	if *fromStdin {
		b, err := io.ReadAll(io.LimitReader(stdin, 4096))
		if err != nil {
			return fmt.Errorf("The password cannot be read: %w", err)
		}
		o.Password = strings.TrimRight(string(b), "\r\n")
	}
	o.Create, o.By = !o.Revoke, control.Whoami()
	told, err := give(ctx, o, *project, *database, *data, getenv)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, told)
	return nil
}

// give carries out the order where it belongs.
func give(ctx context.Context, o superuser.Order, project, database, data string, getenv func(string) string) (string, error) {
	if project == "" {
		told, err := control.Send(ctx, data, superuser.Path, o)
		if errors.Is(err, control.ErrNotRunning) {
			return "", fmt.Errorf("No chat runs with the data folder %s. Start it in another terminal (go run ./infra/local), or name a Google Cloud project with -project.", data)
		}
		return told, err
	}
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: project, Database: database, EmulatorHost: getenv("FIRESTORE_EMULATOR_HOST")})
	if err != nil {
		return "", fmt.Errorf("Firestore cannot be reached: %w", err)
	}
	defer db.Close()
	who, err := accounts.NewFirebase(ctx, accounts.Options{Project: project, EmulatorHost: getenv("FIREBASE_AUTH_EMULATOR_HOST")})
	if err != nil {
		return "", fmt.Errorf("Firebase Auth cannot be reached: %w", err)
	}
	told, err := superuser.Run(ctx, superuser.Deps{Store: db, People: users.New(users.Deps{Store: db, Accounts: who, Relay: noRelay{}})}, o)
	if err != nil {
		// The cause, too: who runs this can do something about it.
		return "", fmt.Errorf("%s\n(%w)", control.Explain(err), err)
	}
	return told, nil
}

// noRelay stands where a relay would: being an admin or not changes no gate.
type noRelay struct{ internalapi.API }
