// Command smoke asks a running chat whether it works, the way two people would: both
// sign up and sign in, each opens a socket, one writes, the other's device gets it, the
// sender sees "delivered", and the message is in the archive. Then both leave, and nothing
// of them stays.
//
//	go run ./infra/pipeline/smoke -url https://chat.example.org
//	go run ./infra/pipeline/smoke -url https://chat.example.org -revision https://next---chat-….run.app
//	go run ./infra/pipeline/smoke -url http://localhost:8080            # infra/local
//
// With -revision the sockets and the settings are asked of that revision, which takes no
// traffic yet. It ends with 0 when everything went well, clean-up included.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

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
	hosted := flags.String("url", "", "where people open the chat, as https://host")
	revision := flags.String("revision", "", "address of the revision to try, as https://host; default: that of -url")
	within := flags.Duration("within", 5*time.Minute, "time for all of it; cold starts and Pub/Sub's first push take some")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag; -help shows them", flags.Arg(0))
	}
	if *revision == "" {
		*revision = *hosted
	}
	t := trial{out: out, began: time.Now()}
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
