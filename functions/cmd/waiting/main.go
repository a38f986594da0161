// Command waiting shows whose messages wait for devices of their recipients, and withdraws them:
//
//	go run ./functions/cmd/waiting                                             who fills what
//	go run ./functions/cmd/waiting -purge UID -reason WHY                      everything that waits from one user
//	go run ./functions/cmd/waiting -purge UID -to UID -reason WHY              only what waits for one recipient
//
// A withdrawn message is refused to its sender, unless a device of the recipient has it already. Withdrawing is in the
// audit log.
//
// The command asks the chat that is running on this machine (go run ./infra/local). With -project it works on Google
// Cloud, with the credentials of the person who runs it (gcloud auth application-default login). That account needs the
// roles Cloud Datastore User and Logs Writer, for the audit log, and Service Account OpenID Connect Identity Token
// Creator on the service account of the admin function, as which the command calls the realtime service.
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
)

func main() { operator.Main(run) }

func run(ctx context.Context, env operator.Env) error {
	var (
		o operator.WaitingOrder
		t operator.Target
		r operator.Realtime
	)
	f := flag.NewFlagSet("waiting", flag.ContinueOnError)
	f.StringVar(&o.Purge, "purge", "", "`uid` of a sender whose waiting messages are withdrawn")
	f.StringVar(&o.To, "to", "", "`uid` of a recipient: withdraw only what waits for them")
	f.StringVar(&o.Reason, "reason", "", "`reason` for the audit log; -purge needs one")
	r.AddFlags(f)
	t.AddFlags(f)
	f.Usage = func() {
		fmt.Fprintln(env.Stderr, "usage: go run ./functions/cmd/waiting [flags]")
		f.PrintDefaults()
	}
	if err := env.Parse(f); err != nil {
		return err
	}
	if f.NArg() != 0 || (t.Project != "" && r.URL == "") {
		f.Usage()
		return operator.ErrUsage
	}
	o.By = operator.Author()
	return t.Give(ctx, env, operator.WaitingPath, o, func(ctx context.Context) (string, error) {
		return handle(ctx, t, r, o, env.Getenv)
	})
}

// handle carries out the order on Google Cloud.
func handle(ctx context.Context, t operator.Target, r operator.Realtime, o operator.WaitingOrder,
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
	return operator.Waiting(ctx, operator.Deps{Store: db, Realtime: r.Client(t.Project), Record: record}, o)
}
