// Command createsuperuser makes a user an admin, and creates the user if the address is new:
//
//	go run ./functions/cmd/createsuperuser -email you@example.org
//
// It asks the chat that is running on this machine (go run ./infra/local). With -project it works on Google Cloud,
// with the credentials of the person who runs it (gcloud auth application-default login). That account needs the
// roles Cloud Datastore User and Firebase Authentication Admin. With -revoke it makes the admin an ordinary user
// again. Every use is in the audit log.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

func main() { operator.Main(run) }

func run(ctx context.Context, env operator.Env) error {
	var (
		o operator.AdminOrder
		t operator.Target
	)
	f := flag.NewFlagSet("createsuperuser", flag.ContinueOnError)
	f.StringVar(&o.Email, "email", "", "email `address` of the user; required")
	f.BoolVar(&o.Revoke, "revoke", false, "make the admin an ordinary user again")
	f.StringVar(&o.Username, "username", "", "`name` of a new user (default: derived from the address)")
	f.StringVar(&o.DisplayName, "name", "", "display `name` of a new user (default: the username)")
	fromStdin := f.Bool("password-stdin", false,
		"read the password of a new user from standard input (default: a random password, which is printed)")
	t.AddFlags(f)
	if err := env.Parse(f); err != nil {
		return err
	}
	if o.Email == "" || f.NArg() > 0 {
		fmt.Fprintln(env.Stderr, "Give the email address of the user: -email you@example.org")
		return operator.ErrUsage
	}
	if *fromStdin {
		b, err := io.ReadAll(io.LimitReader(env.Stdin, 4096))
		if err != nil {
			return operator.Failure{Text: "The password cannot be read from standard input: " + err.Error(), Cause: err}
		}
		o.Password = strings.TrimRight(string(b), "\r\n")
	}
	o.Create, o.By = !o.Revoke, operator.Author()
	return t.Give(ctx, env, operator.AdminPath, o, func(ctx context.Context) (string, error) {
		return setAdmin(ctx, t, o, env.Getenv)
	})
}

// setAdmin carries out the order on Google Cloud.
func setAdmin(ctx context.Context, t operator.Target, o operator.AdminOrder,
	getenv func(string) string) (string, error) {
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: t.Project, Database: t.Database,
		EmulatorHost: getenv("FIRESTORE_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firestore", err)
	}
	defer db.Close()
	auth, err := accounts.NewFirebase(ctx, accounts.Options{Project: t.Project,
		EmulatorHost: getenv("FIREBASE_AUTH_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firebase Auth", err)
	}
	service := users.New(users.Deps{Store: db, Accounts: auth, Realtime: noRealtime{}})
	return operator.SetAdmin(ctx, operator.Deps{Store: db, Users: service}, o)
}

// noRealtime panics if it is called. Whether a user is an admin is not part of their gate, so realtime/ need not know.
type noRealtime struct{ internalapi.API }
