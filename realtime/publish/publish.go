// Package publish hands delivery data (package delivery) to whoever saves it:
// [PubSub] through Google's Pub/Sub or its emulator, [Push] on one machine by
// posting Pub/Sub's own push format straight to the persist function.
//
// Both implement settle.Publisher and keep its contract: Publish returns nil
// only when the data is in the queue that follows, may be repeated after an
// error, and gives problem.ErrUnavailable with the cause while that queue
// cannot be reached. Both are safe for use by many goroutines.
package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// pubsubTimeout is how long one publish may be tried by the client library,
// which repeats failed calls itself. The caller repeats what took longer.
const pubsubTimeout = 10 * time.Second

// PubSub publishes to one topic.
type PubSub struct {
	topic *pubsub.Publisher
}

// NewPubSub returns a publisher for topic (its short name) of client, whose
// owner closes it after Close.
func NewPubSub(client *pubsub.Client, topic string) *PubSub {
	p := client.Publisher(topic)
	p.PublishSettings.Timeout = pubsubTimeout
	// The settler has gathered already: every Publish is one message, sent at once.
	p.PublishSettings.CountThreshold = 1
	p.PublishSettings.DelayThreshold = time.Millisecond
	return &PubSub{p}
}

// Publish returns when Pub/Sub has confirmed the data, 10 s at most. When ctx
// ends first, the data may or may not be published.
func (p *PubSub) Publish(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, pubsubTimeout)
	defer cancel()
	if _, err := p.topic.Publish(ctx, &pubsub.Message{Data: data}).Get(ctx); err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("publish %d bytes to %s: %w", len(data), p.topic.ID(), err))
	}
	return nil
}

// Close sends what is under way and stops. Publish must not be called after it.
func (p *PubSub) Close() { p.topic.Stop() }

// errClosed is the cause of an error after Close.
var errClosed = errors.New("the publisher is closed")
