package publish_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"go.uber.org/goleak"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/publish"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
)

var _ settle.Publisher = (*publish.PubSub)(nil)

func TestMain(m *testing.M) {
	// OpenCensus, a dependency of the Pub/Sub client, starts a worker when it is loaded and offers no way to stop it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// pubsubServer starts Google's in-process fake. TestPubSubOnTheEmulator uses Google's emulator instead.
func pubsubServer(t *testing.T, opts ...pstest.ServerReactorOption) (*pstest.Server, *pubsub.Client) {
	t.Helper()
	srv := pstest.NewServer(opts...)
	t.Cleanup(func() { srv.Close() })
	conn, err := grpc.NewClient(srv.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client, err := pubsub.NewClient(context.Background(), "demo-chat", option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); conn.Close() })
	return srv, client
}

const topic = "delivery-acks"

func createTopic(t *testing.T, client *pubsub.Client, name string) {
	t.Helper()
	in := &pubsubpb.Topic{Name: "projects/demo-chat/topics/" + name}
	if _, err := client.TopicAdminClient.CreateTopic(context.Background(), in); err != nil {
		t.Fatal(err)
	}
}

func TestPubSubConfirms(t *testing.T) {
	srv, client := pubsubServer(t)
	createTopic(t, client, topic)
	p := publish.NewPubSub(client, topic)
	defer p.Close()
	if err := p.Publish(context.Background(), []byte(`{"v":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := srv.Messages(); len(got) != 1 || string(got[0].Data) != `{"v":1}` {
		t.Errorf("after Publish, Pub/Sub has %v", got)
	} else if len(got[0].Attributes) != 0 {
		t.Errorf("a message that is not traced has the attributes %v", got[0].Attributes)
	}
	const id = "019a0000-0000-7000-8000-00000000a000"
	if err := p.Publish(trace.WithParent(context.Background(), id), []byte(`{"v":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := srv.Messages(); len(got) != 2 || got[1].Attributes[trace.Attribute] != trace.Parent(id) {
		t.Errorf("after a publish with a trace, Pub/Sub has %v", got)
	}
}

func TestPubSubFails(t *testing.T) {
	_, client := pubsubServer(t, pstest.WithErrorInjection("Publish", codes.PermissionDenied, "no"))
	p := publish.NewPubSub(client, topic)
	defer p.Close()
	if err := p.Publish(context.Background(), []byte("x")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("with a permission error: %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Publish(ctx, []byte("x")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("with a canceled context: %v, want unavailable", err)
	}
}

func TestPubSubOnTheEmulator(t *testing.T) {
	host := os.Getenv("PHOENIX_TEST_PUBSUB")
	if host == "" {
		t.Skip("PHOENIX_TEST_PUBSUB is not set; it is the address of a running Pub/Sub emulator")
	}
	t.Setenv("PUBSUB_EMULATOR_HOST", host)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := pubsub.NewClient(ctx, "demo-chat")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	name := fmt.Sprintf("publish-test-%d", time.Now().UnixNano())
	createTopic(t, client, name)
	sub, err := client.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name: "projects/demo-chat/subscriptions/" + name, Topic: "projects/demo-chat/topics/" + name})
	if err != nil {
		t.Fatal(err)
	}
	p := publish.NewPubSub(client, name)
	defer p.Close()
	if err := p.Publish(ctx, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	resp, err := client.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: sub.Name, MaxMessages: 1})
	if err != nil || len(resp.ReceivedMessages) != 1 || string(resp.ReceivedMessages[0].Message.Data) != "hello" {
		t.Errorf("pulled %v, %v", resp, err)
	}
}
