package emulators

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// The functions below receive the emulator's address as a parameter and do not read FIRESTORE_EMULATOR_HOST or
// PUBSUB_EMULATOR_HOST, so that one process can use several emulators.

// ownerCredentials is the token with which a server bypasses the security rules in the Firestore emulator.
type ownerCredentials struct{}

func (ownerCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}
func (ownerCredentials) RequireTransportSecurity() bool { return false }

func dial(addr string) (option.ClientOption, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(ownerCredentials{}))
	if err != nil {
		return nil, fmt.Errorf("connect to the emulator at %s: %w", addr, err)
	}
	return option.WithGRPCConn(conn), nil // closing the client closes it
}

// FirestoreClient returns a client of the emulator at addr. The caller closes it.
func FirestoreClient(ctx context.Context, addr, project string) (*firestore.Client, error) {
	conn, err := dial(addr)
	if err != nil {
		return nil, err
	}
	return firestore.NewClient(ctx, project, conn, option.WithTelemetryDisabled())
}

// PubSubClient returns a client of the emulator at addr. The caller closes it.
func PubSubClient(ctx context.Context, addr, project string) (*pubsub.Client, error) {
	conn, err := dial(addr)
	if err != nil {
		return nil, err
	}
	return pubsub.NewClient(ctx, project, conn, option.WithTelemetryDisabled())
}

// Names of the topics and subscriptions. They are the same as in Google Cloud (infra/terraform).
const (
	Topic            = "delivery-acks"
	Subscription     = "persist"
	DeadTopic        = "dead-letters"
	DeadSubscription = "dead-letters"

	NotifyTopic        = "notify"
	NotifySubscription = "notify"
)

// CreateTopics creates the topics with their push subscriptions, which post to these endpoints, and the dead-letter
// topic with a subscription to pull from. The settings are those of infra/terraform. If a push subscription exists,
// CreateTopics changes only its endpoint.
func CreateTopics(ctx context.Context, c *pubsub.Client, persist, notify string) error {
	topic := func(id string) string { return "projects/" + c.Project() + "/topics/" + id }
	subscription := func(id string) string { return "projects/" + c.Project() + "/subscriptions/" + id }
	for _, id := range []string{Topic, DeadTopic, NotifyTopic} {
		_, err := c.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: topic(id)})
		if err != nil && status.Code(err) != codes.AlreadyExists {
			return fmt.Errorf("create topic %s: %w", id, err)
		}
	}
	_, err := c.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name: subscription(DeadSubscription), Topic: topic(DeadTopic), AckDeadlineSeconds: 60})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create subscription %s: %w", DeadSubscription, err)
	}
	backoff := &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(time.Second),
		MaximumBackoff: durationpb.New(600 * time.Second)}
	for _, push := range []*pubsubpb.Subscription{
		{Name: subscription(Subscription), Topic: topic(Topic), AckDeadlineSeconds: 60, RetryPolicy: backoff,
			PushConfig:       &pubsubpb.PushConfig{PushEndpoint: persist},
			DeadLetterPolicy: &pubsubpb.DeadLetterPolicy{DeadLetterTopic: topic(DeadTopic), MaxDeliveryAttempts: 100}},
		{Name: subscription(NotifySubscription), Topic: topic(NotifyTopic), AckDeadlineSeconds: 60, RetryPolicy: backoff,
			PushConfig:               &pubsubpb.PushConfig{PushEndpoint: notify},
			MessageRetentionDuration: durationpb.New(10 * time.Minute)},
	} {
		_, err = c.SubscriptionAdminClient.CreateSubscription(ctx, push)
		if status.Code(err) == codes.AlreadyExists {
			_, err = c.SubscriptionAdminClient.UpdateSubscription(ctx, &pubsubpb.UpdateSubscriptionRequest{
				Subscription: push, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"push_config"}}})
		}
		if err != nil {
			return fmt.Errorf("create subscription %s: %w", push.Name, err)
		}
	}
	return nil
}
