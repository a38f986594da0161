// Command eraseagain finds the users whom a restore of the database has brought back although they were deleted, and
// erases them:
//
//	go run ./functions/cmd/eraseagain -project P -url URL                        who they are
//	go run ./functions/cmd/eraseagain -project P -url URL -erase -reason WHY     erase them
//
// Accounts are in Identity Platform and are not restored, so these are the users without an account. Erasing is in the
// audit log.
//
// The command works on Google Cloud, with the credentials of the person who runs it (gcloud auth application-default
// login). That account needs the roles Cloud Datastore User, Logs Writer, Firebase Authentication Admin and Service
// Usage Consumer, and Service Account OpenID Connect Identity Token Creator on the service account of the admin
// function, as which the command calls the realtime service.
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/functions/users"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

func main() { operator.Main(run) }

func run(ctx context.Context, env operator.Env) error {
	var (
		o operator.EraseAgainOrder
		t operator.Target
		r operator.Realtime
	)
	f := flag.NewFlagSet("eraseagain", flag.ContinueOnError)
	f.BoolVar(&o.Erase, "erase", false, "erase the users that the command finds")
	f.StringVar(&o.Reason, "reason", "", "`reason` for the audit log; -erase needs one")
	f.StringVar(&t.Project, "project", "", "Google Cloud `project` of the chat; required")
	f.StringVar(&t.Database, "database", "", "Firestore `database` (default: \"(default)\")")
	r.AddFlags(f)
	f.Usage = func() {
		fmt.Fprintln(env.Stderr, "usage: go run ./functions/cmd/eraseagain -project P -url URL [-erase -reason WHY]")
		f.PrintDefaults()
	}
	if err := env.Parse(f); err != nil {
		return err
	}
	if f.NArg() != 0 || t.Project == "" || r.URL == "" {
		f.Usage()
		return operator.ErrUsage
	}
	o.By = operator.Author()
	return t.Give(ctx, env, "", o, func(ctx context.Context) (string, error) {
		return handle(ctx, t, r.Client(t.Project), o, env.Getenv)
	})
}

// handle carries out the order.
func handle(ctx context.Context, t operator.Target, realtime internalapi.API, o operator.EraseAgainOrder,
	getenv func(string) string) (string, error) {
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: t.Project, Database: t.Database,
		EmulatorHost: getenv("FIRESTORE_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firestore", err)
	}
	defer db.Close()
	record, err := operator.CloudRecorder(ctx, t.Project, getenv("FIRESTORE_EMULATOR_HOST"))
	if err != nil {
		return "", err
	}
	auth, err := accounts.NewFirebase(ctx, accounts.Options{Project: t.Project, QuotaProject: t.Project,
		EmulatorHost: getenv("FIREBASE_AUTH_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firebase Auth", err)
	}
	service := users.New(users.Deps{Store: db, Accounts: auth, Realtime: realtime})
	return operator.EraseAgain(ctx, operator.Deps{Store: db, Users: service, Accounts: auth, Record: record}, o)
}
