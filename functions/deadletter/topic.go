package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	vkit "cloud.google.com/go/pubsub/v2/apiv1"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Attributes of a letter on the dead-letter topic. Messages without them are
// those that Pub/Sub itself gave up on.
const (
	attrID     = "letter_id"
	attrReason = "letter_reason"
	attrAt     = "letter_at" // microseconds
)

// TopicOptions name what a Topic uses; a part that names nothing cannot do what needs it.
type TopicOptions struct {
	Project      string
	DeadTopic    string        // Put publishes to it
	Subscription string        // of the dead-letter topic: Collect pulls from it
	AcksTopic    string        // Replay publishes to it
	Store        store.Records // Collect puts there
	EmulatorHost string        // host:port of the emulator; "": Google's
}

// Topic is dead letters on Google Cloud. It is safe for use by many
// goroutines and processes at once, and starts nothing in the background.
type Topic struct {
	o    TopicOptions
	pub  *vkit.TopicAdminClient
	sub  *vkit.SubscriptionAdminClient
	conn *grpc.ClientConn
}

var (
	_ Putter    = (*Topic)(nil)
	_ Collector = (*Topic)(nil)
	_ Replayer  = (*Topic)(nil)
)

// NewTopic returns a Topic. It does not reach for Pub/Sub yet.
func NewTopic(ctx context.Context, o TopicOptions) (*Topic, error) {
	if o.Project == "" {
		return nil, errors.New("dead letters: a project must be given")
	}
	t := &Topic{o: o}
	var opts []option.ClientOption
	if o.EmulatorHost != "" {
		conn, err := grpc.NewClient("passthrough:///"+o.EmulatorHost, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, fmt.Errorf("pubsub emulator: %w", err)
		}
		t.conn = conn
		opts = append(opts, option.WithGRPCConn(conn))
	}
	var err error
	if t.pub, err = vkit.NewTopicAdminClient(ctx, opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("pubsub: %w", err), t.Close())
	}
	if t.sub, err = vkit.NewSubscriptionAdminClient(ctx, opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("pubsub: %w", err), t.Close())
	}
	return t, nil
}

// Close ends the connections.
func (t *Topic) Close() error {
	if t.conn != nil { // with the emulator, both share one
		return t.conn.Close()
	}
	var errs []error
	if t.pub != nil {
		errs = append(errs, t.pub.Close())
	}
	if t.sub != nil {
		errs = append(errs, t.sub.Close())
	}
	return errors.Join(errs...)
}

func (t *Topic) topic(id string) string { return "projects/" + t.o.Project + "/topics/" + id }

// publishWithin is how long one message may take. The library itself would
// try for a minute, longer than the whole of persist has.
const publishWithin = 5 * time.Second

// publish returns when Pub/Sub has the messages.
func (t *Topic) publish(ctx context.Context, topic string, messages ...*pubsubpb.PubsubMessage) error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	_, err := t.pub.Publish(ctx, &pubsubpb.PublishRequest{Topic: t.topic(topic), Messages: messages})
	if err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("publishing to %s: %w", topic, err))
	}
	return nil
}

// Put implements Putter.
func (t *Topic) Put(ctx context.Context, letters []store.DeadLetter) error {
	// One at a time: together they could exceed the 10 MB of a request. They are few.
	for _, l := range letters {
		m := &pubsubpb.PubsubMessage{Data: l.Data, Attributes: map[string]string{attrID: l.ID, attrReason: l.Reason, attrAt: strconv.FormatInt(int64(l.At), 10)}}
		if err := t.publish(ctx, t.o.DeadTopic, m); err != nil {
			return err
		}
	}
	return nil
}

// Replay implements Replayer.
func (t *Topic) Replay(ctx context.Context, data []byte) error {
	return t.publish(ctx, t.o.AcksTopic, &pubsubpb.PubsubMessage{Data: data})
}

// pullMost is how many letters one pull may bring: with their data they stay
// below what one answer may hold.
const pullMost = 50

// Collect implements Collector. A letter is acknowledged only when it lies on the shelf; one
// that comes twice is one there.
func (t *Topic) Collect(ctx context.Context) (int, error) {
	name := "projects/" + t.o.Project + "/subscriptions/" + t.o.Subscription
	n := 0
	for ctx.Err() == nil {
		// ReturnImmediately is discouraged for those who wait for messages, since it
		// may miss some. Here an operator waits: what was missed comes with the next look.
		got, err := t.sub.Pull(ctx, &pubsubpb.PullRequest{Subscription: name, MaxMessages: pullMost, ReturnImmediately: true}) //nolint:staticcheck // see above
		if err != nil && ctx.Err() != nil {
			return n, nil
		}
		if err != nil {
			return n, problem.ErrUnavailable.WithCause(fmt.Errorf("pulling from %s: %w", t.o.Subscription, err))
		}
		if len(got.GetReceivedMessages()) == 0 {
			return n, nil
		}
		letters, acks := make([]store.DeadLetter, 0, pullMost), make([]string, 0, pullMost)
		for _, m := range got.GetReceivedMessages() {
			letters, acks = append(letters, letterOf(m.GetMessage())), append(acks, m.GetAckId())
		}
		if err := t.o.Store.PutDeadLetters(ctx, letters); err != nil {
			return n, err
		}
		if err := t.sub.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: name, AckIds: acks}); err != nil {
			return n, problem.ErrUnavailable.WithCause(fmt.Errorf("acknowledging dead letters: %w", err))
		}
		n += len(letters)
	}
	return n, nil
}

// letterOf makes a letter of a message on the dead-letter topic: of persist's own,
// or of one that Pub/Sub gave up on.
func letterOf(m *pubsubpb.PubsubMessage) store.DeadLetter {
	a := m.GetAttributes()
	if id := a[attrID]; id != "" {
		at, err := strconv.ParseInt(a[attrAt], 10, 64)
		if err != nil {
			at = m.GetPublishTime().AsTime().UnixMicro()
		}
		l := store.NewDeadLetter(id, chat.Micros(at), a[attrReason], m.GetData())
		l.ID = l.ID[1:] // NewLetter made it once already
		return l
	}
	reason := "Pub/Sub gave up: persist could not save it"
	if n := a["CloudPubSubDeadLetterSourceDeliveryCount"]; n != "" {
		reason = "Pub/Sub gave up after " + n + " attempts: persist could not save it"
	}
	return store.NewDeadLetter(m.GetMessageId(), chat.MicrosOf(m.GetPublishTime().AsTime().Truncate(time.Microsecond)), reason, m.GetData())
}
