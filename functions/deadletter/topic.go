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

// Attributes of a dead letter on the dead-letter topic. Messages without them come from Pub/Sub itself, which could
// not deliver them.
const (
	attrID     = "letter_id"
	attrReason = "letter_reason"
	attrAt     = "letter_at" // microseconds
)

// TopicOptions names the parts that a Topic uses. A name may be empty if the methods that need it are not called.
type TopicOptions struct {
	Project      string
	DeadTopic    string        // for Put, which publishes to it
	Subscription string        // of the dead-letter topic; for Collect, which pulls from it
	AcksTopic    string        // for Replay, which publishes to it
	Store        store.Records // for Collect, which puts dead letters into it
	EmulatorHost string        // host:port of the emulator; "": Google's
}

// Topic is the dead letters of a chat on Google Cloud. It is safe for concurrent use, also by several processes, and
// does not start goroutines.
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

// NewTopic returns a Topic. It does not connect to Pub/Sub yet.
func NewTopic(ctx context.Context, o TopicOptions) (*Topic, error) {
	if o.Project == "" {
		return nil, errors.New("dead letters: no project")
	}
	t := &Topic{o: o}
	var opts []option.ClientOption
	if o.EmulatorHost != "" {
		conn, err := grpc.NewClient("passthrough:///"+o.EmulatorHost,
			grpc.WithTransportCredentials(insecure.NewCredentials()))
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

// Close closes the connections.
func (t *Topic) Close() error {
	if t.conn != nil { // with the emulator, both clients share one
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

// Publisher publishes to a topic of the project over the connection of a Topic. It is safe for concurrent use.
type Publisher struct {
	topic *Topic
	id    string
}

// Publisher returns a publisher to another topic.
func (t *Topic) Publisher(topic string) Publisher { return Publisher{t, topic} }

// Publish returns when Pub/Sub has stored the data. If it cannot, the error is problem.ErrUnavailable.
func (p Publisher) Publish(ctx context.Context, data []byte) error {
	return p.topic.publish(ctx, p.id, &pubsubpb.PubsubMessage{Data: data})
}

// publishWithin limits the time to publish one message. By default the library retries for a minute, which is longer
// than a whole call of persist may take.
const publishWithin = 5 * time.Second

// publish publishes messages, and returns when Pub/Sub has stored them.
func (t *Topic) publish(ctx context.Context, topic string, messages ...*pubsubpb.PubsubMessage) error {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	_, err := t.pub.Publish(ctx, &pubsubpb.PublishRequest{Topic: t.topic(topic), Messages: messages})
	if err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("publish to %s: %w", topic, err))
	}
	return nil
}

// Put implements Putter.
func (t *Topic) Put(ctx context.Context, dead []store.DeadLetter) error {
	// One at a time, since together they could exceed the 10 MB of a request. They are few.
	for _, l := range dead {
		m := &pubsubpb.PubsubMessage{Data: l.Data, Attributes: map[string]string{attrID: l.ID, attrReason: l.Reason,
			attrAt: strconv.FormatInt(int64(l.At), 10)}}
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

// maxPull limits the dead letters of one pull, so that they fit into one response with their data.
const maxPull = 50

// Collect implements Collector. It acknowledges a dead letter only when it is in the store. One that Pub/Sub delivers
// twice is in the store once.
func (t *Topic) Collect(ctx context.Context) (int, error) {
	name := "projects/" + t.o.Project + "/subscriptions/" + t.o.Subscription
	n := 0
	for ctx.Err() == nil {
		// ReturnImmediately is deprecated, since it may miss messages that are there. There is no replacement: without it,
		// Pull waits for messages, and here an admin waits for the answer. The next call finds what this one missed.
		//lint:ignore SA1019 see above
		got, err := t.sub.Pull(ctx, &pubsubpb.PullRequest{Subscription: name, MaxMessages: maxPull, ReturnImmediately: true})
		if err != nil && ctx.Err() != nil {
			return n, nil
		}
		if err != nil {
			return n, problem.ErrUnavailable.WithCause(fmt.Errorf("pull from %s: %w", t.o.Subscription, err))
		}
		if len(got.GetReceivedMessages()) == 0 {
			return n, nil
		}
		dead, acks := make([]store.DeadLetter, 0, maxPull), make([]string, 0, maxPull)
		for _, m := range got.GetReceivedMessages() {
			dead, acks = append(dead, deadLetterOf(m.GetMessage())), append(acks, m.GetAckId())
		}
		if err := t.o.Store.PutDeadLetters(ctx, dead); err != nil {
			return n, err
		}
		if err := t.sub.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: name, AckIds: acks}); err != nil {
			return n, problem.ErrUnavailable.WithCause(fmt.Errorf("acknowledge dead letters: %w", err))
		}
		n += len(dead)
	}
	return n, nil
}

// deadLetterOf converts a message of the dead-letter topic, which persist published or Pub/Sub could not deliver.
func deadLetterOf(m *pubsubpb.PubsubMessage) store.DeadLetter {
	a := m.GetAttributes()
	if id := a[attrID]; id != "" {
		at, err := strconv.ParseInt(a[attrAt], 10, 64)
		if err != nil {
			at = m.GetPublishTime().AsTime().UnixMicro()
		}
		l := store.NewDeadLetter(id, chat.Micros(at), a[attrReason], m.GetData())
		l.ID = l.ID[1:] // persist has already called NewDeadLetter, which adds a prefix
		return l
	}
	reason := "not saved: Pub/Sub stopped delivering it"
	if n := a["CloudPubSubDeadLetterSourceDeliveryCount"]; n != "" {
		reason = "not saved: Pub/Sub stopped delivering it after " + n + " attempts"
	}
	return store.NewDeadLetter(m.GetMessageId(), chat.MicrosOf(m.GetPublishTime().AsTime().Truncate(time.Microsecond)),
		reason, m.GetData())
}
