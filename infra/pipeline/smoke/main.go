// Command smoke tests a running chat with two users. They sign up, sign in and open sockets. One sends a message, and
// the command checks that the other user's device receives it, that the sender sees "delivered", and that the message
// is in the archive. Then it deletes both users with all their data.
//
//	go run ./infra/pipeline/smoke -url https://chat.example.org
//	go run ./infra/pipeline/smoke -url https://chat.example.org -revision https://next---chat-….run.app
//	go run ./infra/pipeline/smoke -url http://localhost:8080            # infra/local
//
// With -revision it reads the settings from that revision, which gets no traffic yet, and opens the sockets there. All
// its requests have the header Chat-Revision: next. Behind a load balancer the newest revision has no address of its
// own, so -revision is the same as -url, and the load balancer chooses the revision by that header.
// The exit code is 0 if everything worked, including the cleanup.
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
)

// revisionHeader makes the load balancer choose the newest revision (infra/terraform/domain.tf).
const revisionHeader = "Chat-Revision"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	hosted := flags.String("url", "", "address of the chat, as https://host")
	revision := flags.String("revision", "",
		"address of the revision to test, as https://host; the default is that of -url")
	within := flags.Duration("within", 5*time.Minute, "time limit; cold starts and Pub/Sub's first push take time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not a flag; -help shows the flags", flags.Arg(0))
	}
	t := trial{out: out, began: time.Now(), header: http.Header{}}
	if *revision == "" {
		*revision = *hosted
	} else {
		t.header.Set(revisionHeader, "next")
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
