// Command smoke tests a running chat with two users. They sign up, sign in and open sockets. One sends a message, and
// the command checks that the other user's device receives it, that the sender sees "delivered", and that the message
// is in the archive. The other one answers. Then it deletes both users with all their data.
//
//	go run ./infra/pipeline/smoke -url https://chat.example.org
//	go run ./infra/pipeline/smoke -url https://chat.example.org -revision https://next---chat-….run.app
//	go run ./infra/pipeline/smoke -url http://localhost:8080            # infra/local
//
// With -revision it reads the settings from that revision, which gets no traffic yet, and opens the sockets there. All
// its requests have the header Chat-Revision: next. Behind a load balancer the newest revision has no address of its
// own, so -revision is the same as -url, and the load balancer chooses the revision by that header.
// The exit code is 0 if everything worked, including the cleanup.
//
// With -prober it uses two permanent users instead, and needs the service account of the prober
// (infra/terraform/prober.tf). Nobody signs up, no mail is sent, and nothing is deleted. The functions create these
// users in the first run, and neither the directory nor the figures show them. Their addresses are verified, and
// each has written to the other, so that no limit on strangers applies to them. Several runs at once do not disturb
// each other: every run has devices of its own, and waits for its own messages only.
//
// Such a run logs for each step whether it succeeded in time, in the format of Cloud Logging. The service level
// objectives are about these lines (infra/terraform/slo.tf). A run with -revision does not, because people do not use
// that revision.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/api/idtoken"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

// revisionHeader makes the load balancer choose the newest revision (infra/terraform/domain.tf).
const revisionHeader = "Chat-Revision"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, googleIdentity); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

// identity returns an ID token of the prober's service account for an audience.
type identity func(ctx context.Context, audience string) (string, error)

func run(ctx context.Context, args []string, out io.Writer, prove identity) error {
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	hosted := flags.String("url", "", "address of the chat, as https://host")
	revision := flags.String("revision", "",
		"address of the revision to test, as https://host; the default is that of -url")
	prober := flags.Bool("prober", false, "use the prober's users, as the service account of the prober")
	within := flags.Duration("within", 5*time.Minute, "time limit; cold starts and Pub/Sub's first push take time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not a flag; -help shows the flags", flags.Arg(0))
	}
	t := trial{out: out, began: time.Now(), header: http.Header{}}
	ofPeople := *revision == ""
	if ofPeople {
		*revision = *hosted
	} else {
		t.header.Set(revisionHeader, "next")
	}
	if *prober {
		t.identity = prove
		t.log = logging.New(out, logging.Options{JSON: true})
		t.silent = !ofPeople
	}
	for _, u := range []struct {
		flag, value string
		into        **url.URL
	}{{"-url", *hosted, &t.hosted}, {"-revision", *revision, &t.revision}} {
		parsed, err := url.Parse(u.value)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Path != "" {
			return fmt.Errorf("%s %q is not of the form https://host", u.flag, u.value)
		}
		*u.into = parsed
	}
	ctx, cancel := context.WithTimeout(ctx, *within)
	defer cancel()
	return t.run(ctx)
}

// googleIdentity returns an ID token of the service account of this process.
func googleIdentity(ctx context.Context, audience string) (string, error) {
	source, err := idtoken.NewTokenSource(ctx, audience)
	if err != nil {
		return "", fmt.Errorf("id token: %w", err)
	}
	t, err := source.Token()
	if err != nil {
		return "", fmt.Errorf("id token: %w", err)
	}
	return t.AccessToken, nil
}
