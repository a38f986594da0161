// Command deadletters lists, replays and discards dead letters, the data that could not be saved:
//
//	go run ./functions/cmd/deadletters list                          all; with -id one, and its content
//	go run ./functions/cmd/deadletters replay                        all; with -id one
//	go run ./functions/cmd/deadletters -id ID -reason WHY discard
//
// It asks the chat that is running on this machine (go run ./infra/local). With -project it works on Google Cloud,
// with the credentials of the person who runs it (gcloud auth application-default login). That account needs the
// roles Cloud Datastore User, Logs Writer, Pub/Sub Subscriber and Pub/Sub Publisher. Replaying and discarding are in
// the audit log.
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
)

func main() { operator.Main(run) }

// queue names the parts of Pub/Sub that hold the dead letters of a project.
type queue struct {
	topic, subscription string
}

func run(ctx context.Context, env operator.Env) error {
	var (
		o operator.DeadLetterOrder
		t operator.Target
		q queue
	)
	f := flag.NewFlagSet("deadletters", flag.ContinueOnError)
	f.StringVar(&o.ID, "id", "", "`id` of one dead letter")
	f.StringVar(&o.Reason, "reason", "", "`reason` for the audit log; discarding needs one")
	f.StringVar(&q.topic, "topic", "delivery-acks", "Pub/Sub `topic` to replay to")
	f.StringVar(&q.subscription, "subscription", "dead-letters", "Pub/Sub `subscription` to collect from")
	t.AddFlags(f)
	f.Usage = func() {
		fmt.Fprintln(env.Stderr, "usage: go run ./functions/cmd/deadletters [flags] list|replay|discard")
		f.PrintDefaults()
	}
	if err := env.Parse(f); err != nil {
		return err
	}
	if f.NArg() != 1 {
		f.Usage()
		return operator.ErrUsage
	}
	o.Do, o.By = f.Arg(0), operator.Author()
	return t.Give(ctx, env, operator.DeadLettersPath, o, func(ctx context.Context) (string, error) {
		return q.handle(ctx, t, o, env.Getenv)
	})
}

// handle carries out the order on Google Cloud.
func (q queue) handle(ctx context.Context, t operator.Target, o operator.DeadLetterOrder,
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
	topic, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: t.Project, Subscription: q.subscription,
		AcksTopic: q.topic, Store: db, EmulatorHost: getenv("PUBSUB_EMULATOR_HOST")})
	if err != nil {
		return "", operator.Unreachable("Pub/Sub", err)
	}
	defer topic.Close()
	return operator.DeadLetters(ctx, operator.Deps{Store: db, Collector: topic, Replayer: topic, Record: record}, o)
}
