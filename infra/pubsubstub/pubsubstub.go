// Package pubsubstub stands in for Pub/Sub with a push subscription when the whole chat runs in one process. It posts
// each message to persist in the format of Pub/Sub's push requests and keeps nothing in memory: Publish returns only
// after the message was saved. A launcher that is killed therefore loses nothing.
package pubsubstub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
)

const (
	subscription = "projects/local/subscriptions/delivery-acks-persist"
	maxPosts     = 4                      // posts at the same time
	postTimeout  = 60 * time.Second       // of one post; Pub/Sub's ack deadline in production
	minBackoff   = 100 * time.Millisecond // before the second post (production: 1 s)
	maxBackoff   = 10 * time.Second       // between two posts (production: 600 s)
)

// Publisher implements settle.Publisher. Its methods are safe for concurrent use. Create it with New.
type Publisher struct {
	url    string
	client *http.Client
	log    *slog.Logger
	prefix string        // of message ids, so that they differ between two runs
	posts  chan struct{} // holds an entry for each post in progress

	closed context.Context // canceled by Close
	cancel context.CancelFunc

	ids atomic.Int64
}

// New returns a Publisher that posts to url.
func New(url string, log *slog.Logger) *Publisher {
	p := &Publisher{
		url:    url,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxPosts, IdleConnTimeout: time.Minute}},
		log:    log,
		prefix: strconv.FormatInt(time.Now().UnixMicro(), 10),
		posts:  make(chan struct{}, maxPosts),
	}
	p.closed, p.cancel = context.WithCancel(context.Background())
	return p
}

// Publish posts data until a post is answered with 2xx. It pauses after each failed post, with exponential backoff.
// It returns problem.ErrUnavailable with the last failure as its cause when ctx ends or Close is called first.
func (p *Publisher) Publish(ctx context.Context, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.closed, cancel)()
	body, err := body(subscription, p.prefix+strconv.FormatInt(p.ids.Add(1), 10), data, trace.Attributes(ctx))
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := p.post(ctx, body)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && (attempt == 1 || attempt%10 == 0) {
			p.log.Warn("push failed and will be retried", "attempt", attempt, "error", err)
		}
		select {
		case <-time.After(backoff(attempt)):
		case <-ctx.Done():
			return problem.ErrUnavailable.WithCause(err)
		}
	}
}

// Close makes every Publish return, those in progress included.
func (p *Publisher) Close() {
	p.cancel()
	p.client.CloseIdleConnections()
}

// backoff returns the pause after the given number of failed posts. It doubles each time, and a random half of it is
// left out, so that messages that failed together are not posted together again.
func backoff(failed int) time.Duration {
	d := min(maxBackoff, minBackoff<<min(failed-1, 20))
	return d/2 + rand.N(d/2+1)
}

func (p *Publisher) post(ctx context.Context, body []byte) error {
	select {
	case p.posts <- struct{}{}:
		defer func() { <-p.posts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// The connection is reused only if the body was read to its end.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("POST %s: %s", p.url, resp.Status)
	}
	return nil
}

// Body returns the body of a push request of a message without attributes.
func Body(subscription, id string, data []byte) ([]byte, error) {
	return body(subscription, id, data, nil)
}

// body returns the body of a push request. Pub/Sub sends two fields under their old names as well.
// https://cloud.google.com/pubsub/docs/push#receive_push
func body(subscription, id string, data []byte, attributes map[string]string) ([]byte, error) {
	if attributes == nil {
		attributes = map[string]string{}
	}
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	type message struct {
		Data         []byte            `json:"data"` // base64 in JSON
		Attributes   map[string]string `json:"attributes"`
		MessageID    string            `json:"messageId"`
		OldMessageID string            `json:"message_id"`
		PublishTime  string            `json:"publishTime"`
		OldTime      string            `json:"publish_time"`
	}
	return json.Marshal(struct {
		Message      message `json:"message"`
		Subscription string  `json:"subscription"`
	}{message{data, attributes, id, id, now, now}, subscription})
}
