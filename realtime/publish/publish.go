// Package publish publishes delivery data (package delivery) to Pub/Sub or its emulator, from where it reaches persist.
//
// [PubSub] implements settle.Publisher. Publish returns nil only after Pub/Sub has stored the data. It may be called
// again after an error. While Pub/Sub cannot be reached, it returns problem.ErrUnavailable with the cause. It is safe
// for concurrent use. On one machine, infra/pubsubstub takes the place of this package.
package publish

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
)

// pubsubTimeout limits one Publish, including the client library's own retries. The caller retries after that.
const pubsubTimeout = 10 * time.Second

// PubSub publishes to one topic.
type PubSub struct {
	topic *pubsub.Publisher
}

// NewPubSub returns a publisher for the topic with this short name. The caller closes client after PubSub.Close.
func NewPubSub(client *pubsub.Client, topic string) *PubSub {
	p := client.Publisher(topic)
	p.PublishSettings.Timeout = pubsubTimeout
	// The settler has already batched the data, so every Publish is one message and is sent immediately.
	p.PublishSettings.CountThreshold = 1
	p.PublishSettings.DelayThreshold = time.Millisecond
	return &PubSub{p}
}

// Publish returns when Pub/Sub has confirmed that it stored the data, or with an error after at most 10 s. If ctx ends
// first, the data may or may not be published.
func (p *PubSub) Publish(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, pubsubTimeout)
	defer cancel()
	m := &pubsub.Message{Data: data, Attributes: trace.Attributes(ctx)}
	if _, err := p.topic.Publish(ctx, m).Get(ctx); err != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("publish %d bytes to %s: %w", len(data), p.topic.ID(), err))
	}
	return nil
}

// Close finishes the publishes in progress. Do not call Publish after it.
func (p *PubSub) Close() { p.topic.Stop() }
