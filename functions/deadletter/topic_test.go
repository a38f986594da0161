package deadletter_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/google/uuid"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenixchat/phoenixchat/functions/deadletter"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
)

// The tests run on the library's fake, and on the emulator if there is one.
func TestTopic(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		srv := pstest.NewServer()
		t.Cleanup(func() { srv.Close() })
		testTopic(t, srv.Addr)
	})
	t.Run("emulator", func(t *testing.T) {
		host := os.Getenv("PHOENIX_TEST_PUBSUB")
		if host == "" {
			t.Skip("PHOENIX_TEST_PUBSUB is not set: no Pub/Sub emulator to test with")
		}
		testTopic(t, host)
	})
}

func testTopic(t *testing.T, host string) {
	ctx := t.Context()
	project := "d" + uuid.NewString()[:8]
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pubsub.NewClient(ctx, project, option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	name := func(kind, id string) string { return "projects/" + project + "/" + kind + "/" + id }
	for _, id := range []string{"acks", "dead"} {
		if _, err := admin.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: name("topics", id)}); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.SubscriptionAdminClient.CreateSubscription(ctx,
			&pubsubpb.Subscription{Name: name("subscriptions", id), Topic: name("topics", id)}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	topic, err := deadletter.NewTopic(ctx, deadletter.TopicOptions{Project: project, DeadTopic: "dead",
		Subscription: "dead", AcksTopic: "acks", Store: db, EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { topic.Close() })

	if n, err := topic.Collect(ctx); n != 0 || err != nil {
		t.Fatalf("collected %d, %v from an empty topic", n, err)
	}
	one, two := store.NewDeadLetter("7-delivered-0", 1000, "no uuid ☂", []byte{0, 0xff}), store.NewDeadLetter("8", 2000,
		"no JSON", []byte("x"))
	for range 2 { // a dead letter that is put twice is one
		if err := topic.Put(ctx, []store.DeadLetter{one, two}); err != nil {
			t.Fatal(err)
		}
	}
	// A message that Pub/Sub could not deliver has other attributes.
	if _, err := admin.TopicAdminClient.Publish(ctx, &pubsubpb.PublishRequest{Topic: name("topics", "dead"),
		Messages: []*pubsubpb.PubsubMessage{
			{Data: []byte(`{"v":1}`),
				Attributes: map[string]string{"CloudPubSubDeadLetterSourceDeliveryCount": "100"}}}}); err != nil {
		t.Fatal(err)
	}
	collected := 0
	for range 50 { // a pull may miss some
		n, err := topic.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if collected += n; collected == 5 {
			break
		}
	}
	list, _, err := db.DeadLetters(ctx, "", 10)
	if err != nil || len(list) != 3 || collected != 5 {
		t.Fatalf("collected %d, in the store %+v, %v", collected, list, err)
	}
	for i, want := range []store.DeadLetter{one, two} {
		if got := list[i]; got.ID != want.ID || got.At != want.At || got.Reason != want.Reason ||
			string(got.Data) != string(want.Data) {
			t.Errorf("dead letter %+v, want %+v", got, want)
		}
	}
	if !strings.Contains(list[2].Reason, "after 100 attempts") || list[2].At == 0 {
		t.Errorf("dead letter of Pub/Sub %+v", list[2])
	}
	if n, err := topic.Collect(ctx); n != 0 || err != nil {
		t.Errorf("collected %d more, %v", n, err)
	}

	if err := topic.Replay(ctx, list[2].Data); err != nil {
		t.Fatal(err)
	}
	got, err := admin.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: name("subscriptions", "acks"),
		MaxMessages: 1})
	if err != nil || len(got.ReceivedMessages) != 1 || string(got.ReceivedMessages[0].Message.Data) != `{"v":1}` {
		t.Errorf("replayed %v, %v", got, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := topic.Put(ended, []store.DeadLetter{one}); err == nil {
		t.Error("Put succeeds without publishing")
	}
}

func TestNewDeadLetter(t *testing.T) {
	for id, want := range map[string]string{"": "l", "..": "l..", "a/b ☂": "la_b__",
		strings.Repeat("x", 300): "l" + strings.Repeat("x", 200)} {
		if got := store.NewDeadLetter(id, 1, "r", nil).ID; got != want {
			t.Errorf("id %q becomes %q, want %q", id, got, want)
		}
	}
	l := store.NewDeadLetter("x", 1, strings.Repeat("☂", 1000), make([]byte, store.MaxDeadLetter+1))
	if len(l.Data) != store.MaxDeadLetter || !strings.Contains(l.Reason, "cut from 819201 bytes") || len(l.Reason) > 1010 {
		t.Errorf("large dead letter: %d bytes, reason %q", len(l.Data), l.Reason)
	}
}
