package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/uuid"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store"
)

func noEnv(string) string { return "" }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"list", "more"}, {"-nonsense"}} {
		var stderr bytes.Buffer
		if err := run(t.Context(), args, noEnv, nil, &stderr); !errors.Is(err, errUsage) || stderr.Len() == 0 {
			t.Errorf("%v is answered %v, %q", args, err, &stderr)
		}
	}
	if err := run(t.Context(), []string{"-help"}, noEnv, nil, new(bytes.Buffer)); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help is answered %v", err)
	}
	if err := run(t.Context(), []string{"-data", t.TempDir(), "list"}, noEnv, nil, nil); err == nil || !strings.Contains(err.Error(), "go run ./infra/local") {
		t.Errorf("where nothing runs: %v", err)
	}
}

// The way to Google Cloud, over the emulators: a letter that persist has put
// to the topic is listed, and replayed to where it came from.
func TestProject(t *testing.T) {
	firestore, host := os.Getenv("PHOENIX_TEST_FIRESTORE"), os.Getenv("PHOENIX_TEST_PUBSUB")
	if firestore == "" || host == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE and PHOENIX_TEST_PUBSUB are not both set: no emulators to test with")
	}
	ctx := t.Context()
	project := "l" + uuid.NewString()[:8]
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := pubsub.NewClient(ctx, project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, id := range []string{"delivery-acks", "dead-letters"} {
		topic := "projects/" + project + "/topics/" + id
		if _, err := c.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: topic}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{Name: "projects/" + project + "/subscriptions/" + id, Topic: topic}); err != nil {
			t.Fatal(err)
		}
	}
	persist, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: project, DeadTopic: "dead-letters", EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { persist.Close() })
	if err := persist.Put(ctx, []store.DeadLetter{store.NewDeadLetter("7", 1e15, "no JSON", []byte("the data"))}); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		return map[string]string{"FIRESTORE_EMULATOR_HOST": firestore, "PUBSUB_EMULATOR_HOST": host}[name]
	}
	give := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(ctx, append([]string{"-project", project}, args...), env, &out, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	told := ""
	for range 20 { // a pull may miss what was published a moment ago
		if told = give("list"); strings.HasSuffix(told, "Dead letters: 1.\n") {
			break
		}
	}
	if !strings.HasPrefix(told, "l7  ") {
		t.Errorf("the list is %q", told)
	}
	if told := give("-id", "l7", "replay"); !strings.HasPrefix(told, "Replayed: 1.") {
		t.Errorf("told is %q", told)
	}
	if told := give("list"); told != "Dead letters: 0.\n" {
		t.Errorf("the list is %q", told)
	}
	got, err := c.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: "projects/" + project + "/subscriptions/delivery-acks", MaxMessages: 1})
	if err != nil || len(got.ReceivedMessages) != 1 || string(got.ReceivedMessages[0].Message.Data) != "the data" {
		t.Errorf("replayed is %v, %v", got, err)
	}
}
