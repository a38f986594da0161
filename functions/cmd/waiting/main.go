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
// role Cloud Datastore User, for the audit log, and Service Account OpenID Connect Identity Token Creator on the
// service account of the admin function, as which the command calls the realtime service.
package main

import (
	"context"
	"flag"
	"fmt"
	"sync"

	"golang.org/x/oauth2"
	"google.golang.org/api/impersonate"

	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
)

func main() { operator.Main(run) }

// service says where the realtime service of a project is, and who may call it.
type service struct {
	url, account string
}

func run(ctx context.Context, env operator.Env) error {
	var (
		o operator.WaitingOrder
		t operator.Target
		s service
	)
	f := flag.NewFlagSet("waiting", flag.ContinueOnError)
	f.StringVar(&o.Purge, "purge", "", "`uid` of a sender whose waiting messages are withdrawn")
	f.StringVar(&o.To, "to", "", "`uid` of a recipient: withdraw only what waits for them")
	f.StringVar(&o.Reason, "reason", "", "`reason` for the audit log; -purge needs one")
	f.StringVar(&s.url, "url", "", "`URL` of the chat, with -project")
	f.StringVar(&s.account, "account", "",
		"service `account` to call the chat as, with -project (default: chat-admin of the project)")
	t.AddFlags(f)
	f.Usage = func() {
		fmt.Fprintln(env.Stderr, "usage: go run ./functions/cmd/waiting [flags]")
		f.PrintDefaults()
	}
	if err := env.Parse(f); err != nil {
		return err
	}
	if f.NArg() != 0 || (t.Project != "" && s.url == "") {
		f.Usage()
		return operator.ErrUsage
	}
	o.By = operator.Author()
	return t.Give(ctx, env, operator.WaitingPath, o, func(ctx context.Context) (string, error) {
		return s.handle(ctx, t, o, env.Getenv)
	})
}

// handle carries out the order on Google Cloud.
func (s service) handle(ctx context.Context, t operator.Target, o operator.WaitingOrder,
	getenv func(string) string) (string, error) {
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: t.Project, Database: t.Database,
		EmulatorHost: getenv("FIRESTORE_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Firestore", err)
	}
	defer db.Close()
	if s.account == "" {
		s.account = "chat-admin@" + t.Project + ".iam.gserviceaccount.com"
	}
	realtime := internalapi.NewClient(internalapi.ClientOptions{URL: s.url, Tokens: &tokens{account: s.account}})
	return operator.Waiting(ctx, operator.Deps{Store: db, Realtime: realtime}, o)
}

// tokens returns ID tokens of a service account that the caller may impersonate. It is an internalapi.TokenSource.
type tokens struct {
	account string

	once   sync.Once
	source oauth2.TokenSource
	err    error
}

// Token implements internalapi.TokenSource. All tokens are for the audience of the first one.
func (k *tokens) Token(_ context.Context, audience string) (string, error) {
	k.once.Do(func() {
		// The source outlives the request, so it does not use the request's context.
		k.source, k.err = impersonate.IDTokenSource(context.Background(),
			impersonate.IDTokenConfig{Audience: audience, TargetPrincipal: k.account, IncludeEmail: true})
	})
	if k.err != nil {
		return "", fmt.Errorf("id token of %s: %w", k.account, k.err)
	}
	t, err := k.source.Token()
	if err != nil {
		return "", fmt.Errorf("id token of %s: %w", k.account, err)
	}
	return t.AccessToken, nil
}
