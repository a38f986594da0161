// Command deadletters lists, replays and discards what could not be saved:
//
//	go run ./functions/cmd/deadletters list                     all, or with -id one and its content
//	go run ./functions/cmd/deadletters replay                   all, or with -id one
//	go run ./functions/cmd/deadletters -id ID -reason WHY discard
//
// It asks the chat that runs on this machine (go run ./infra/local). With
// -project it works on Google Cloud, with the credentials of who runs it (gcloud auth application-default login), whose
// account needs the roles Cloud Datastore User, and Pub/Sub Subscriber and Publisher.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/phoenixchat/phoenixchat/functions/control"
	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
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

// cloud says where the dead letters of a project are.
type cloud struct {
	project, database, topic, subscription string
}

// run is the whole command. Its error is for people.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var (
		o deadletter.Order
		c cloud
	)
	f := flag.NewFlagSet("deadletters", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.ID, "id", "", "`id` of one dead letter")
	f.StringVar(&o.Reason, "reason", "", "`why`, for the audit log; discarding needs one")
	f.StringVar(&c.project, "project", "", "Google Cloud `project` of the chat; default: the chat that runs on this machine")
	f.StringVar(&c.database, "database", "", "Firestore `database`; default: (default)")
	f.StringVar(&c.topic, "topic", "delivery-acks", "Pub/Sub `topic` to replay to")
	f.StringVar(&c.subscription, "subscription", "dead-letters", "Pub/Sub `subscription` to collect from")
	data := f.String("data", ".local", "data `folder` of the chat that runs on this machine")
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./functions/cmd/deadletters [flags] list|replay|discard")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	o.Do, o.By = f.Arg(0), control.Whoami()
	if f.NArg() != 1 {
		f.Usage()
		return errUsage
	}
	var told string
	var err error
	if c.project == "" {
		told, err = control.Send(ctx, *data, deadletter.Path, o)
		if errors.Is(err, control.ErrNotRunning) {
			err = fmt.Errorf("No chat runs with the data folder %s. Start it in another terminal (go run ./infra/local), or name a Google Cloud project with -project.", *data)
		}
	} else {
		told, err = c.give(ctx, o, getenv)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, told)
	return nil
}

// give carries out an order on Google Cloud.
func (c cloud) give(ctx context.Context, o deadletter.Order, getenv func(string) string) (string, error) {
	db, err := storefirestore.Open(ctx, storefirestore.Options{Project: c.project, Database: c.database, EmulatorHost: getenv("FIRESTORE_EMULATOR_HOST")})
	if err != nil {
		return "", fmt.Errorf("Firestore cannot be reached: %w", err)
	}
	defer db.Close()
	topic, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: c.project, Subscription: c.subscription, AcksTopic: c.topic, Store: db, EmulatorHost: getenv("PUBSUB_EMULATOR_HOST")})
	if err != nil {
		return "", fmt.Errorf("Pub/Sub cannot be reached: %w", err)
	}
	defer topic.Close()
	told, err := deadletter.Run(ctx, deadletter.Deps{Local: db, Collector: topic, Replayer: topic}, o)
	if err != nil {
		// The cause, too: who runs this can do something about it.
		return "", fmt.Errorf("%s\n(%w)", control.Explain(err), err)
	}
	return told, nil
}
