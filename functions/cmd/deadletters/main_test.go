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
	"github.com/phoenixchat/phoenixchat/functions/operator"
	"github.com/phoenixchat/phoenixchat/functions/store"
)

func noEnv(string) string { return "" }

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"list", "more"}, {"-nonsense"}} {
		var stderr bytes.Buffer
		err := run(t.Context(), operator.Env{Args: args, Getenv: noEnv, Stderr: &stderr})
		if !errors.Is(err, operator.ErrUsage) || stderr.Len() == 0 {
			t.Errorf("%v: error %v, stderr %q, want ErrUsage and an explanation", args, err, &stderr)
		}
	}
	err := run(t.Context(), operator.Env{Args: []string{"-help"}, Getenv: noEnv, Stderr: new(bytes.Buffer)})
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: error %v, want flag.ErrHelp", err)
	}
	err = run(t.Context(), operator.Env{Args: []string{"-data", t.TempDir(), "list"}, Getenv: noEnv})
	if err == nil || !strings.Contains(err.Error(), "go run ./infra/local") {
		t.Errorf("without a running chat: error %v", err)
	}
}

// The order is carried out on Google Cloud, that is, on the emulators: a dead letter that persist published is
// listed, and replayed to the topic that it came from.
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
		if _, err := c.SubscriptionAdminClient.CreateSubscription(ctx,
			&pubsubpb.Subscription{Name: "projects/" + project + "/subscriptions/" + id, Topic: topic}); err != nil {
			t.Fatal(err)
		}
	}
	persist, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: project, DeadTopic: "dead-letters",
		EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { persist.Close() })
	if err := persist.Put(ctx, []store.DeadLetter{store.NewDeadLetter("7", 1e15, "no JSON",
		[]byte("the data"))}); err != nil {
		t.Fatal(err)
	}
	env := func(name string) string {
		return map[string]string{"FIRESTORE_EMULATOR_HOST": firestore, "PUBSUB_EMULATOR_HOST": host}[name]
	}
	give := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		err := run(ctx, operator.Env{Args: append([]string{"-project", project}, args...), Getenv: env, Stdout: &out,
			Stderr: &out})
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	answer := ""
	for range 20 { // a pull may miss what was published a moment ago
		if answer = give("list"); strings.HasSuffix(answer, "Dead letters: 1.\n") {
			break
		}
	}
	if !strings.HasPrefix(answer, "l7  ") {
		t.Errorf("list %q", answer)
	}
	if answer := give("-id", "l7", "replay"); !strings.HasPrefix(answer, "Replayed: 1.") {
		t.Errorf("answer %q", answer)
	}
	if answer := give("list"); answer != "Dead letters: 0.\n" {
		t.Errorf("list after the replay %q", answer)
	}
	got, err := c.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: "projects/" + project +
		"/subscriptions/delivery-acks", MaxMessages: 1})
	if err != nil || len(got.ReceivedMessages) != 1 || string(got.ReceivedMessages[0].Message.Data) != "the data" {
		t.Errorf("replayed %v, %v", got, err)
	}
}
