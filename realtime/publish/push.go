package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// PushOptions are the settings of a Push. Zero values mean the defaults.
type PushOptions struct {
	URL          string       // of the persist function; required
	Subscription string       // as it stands in the body; default "projects/local/subscriptions/delivery-acks-persist"
	Client       *http.Client // default: one of its own
	Log          *slog.Logger // default: slog.Default()

	Queue       int           // messages that may wait; default 1,000
	Outstanding int           // posts at once; default 4
	Timeout     time.Duration // of one post, like Pub/Sub's ack deadline; default 60 s
	MinBackoff  time.Duration // before the second try; default 100 ms (Pub/Sub in production: 1 s)
	MaxBackoff  time.Duration // between tries; default 10 s (Pub/Sub in production: 600 s)

	// MaxAttempts is after how many failed posts a message goes to DeadLetter;
	// default 100. Without DeadLetter posts are repeated for ever.
	MaxAttempts int
	DeadLetter  func(data []byte, attempts int)

	// Wait makes Publish return only when the message was posted and answered
	// 2xx: nothing is queued in memory then, and a killed process loses nothing.
	Wait bool
}

// Push posts each message to a URL in the format of a Pub/Sub push
// subscription, and repeats what is not answered 2xx with a growing, jittered
// delay, each message on its own, so that their order may change, as in Pub/Sub. It has
// no disk: what it has accepted and not yet posted is lost with the process
// (unless PushOptions.Wait is set). Create it with NewPush.
type Push struct {
	opts   PushOptions
	slots  chan struct{} // one per message in the queue
	posts  chan struct{} // one per post under way
	prefix string        // of message ids
	ids    atomic.Int64

	ctx    context.Context // of queued messages; ends when Close gives up
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // one per queued message
}

// NewPush returns a Push to opts.URL.
func NewPush(opts PushOptions) (*Push, error) {
	if opts.URL == "" {
		return nil, errors.New("publish: no URL to push to")
	}
	def(&opts.Subscription, "projects/local/subscriptions/delivery-acks-persist")
	def(&opts.Queue, 1000)
	def(&opts.Outstanding, 4)
	def(&opts.Timeout, 60*time.Second)
	def(&opts.MinBackoff, 100*time.Millisecond)
	def(&opts.MaxBackoff, 10*time.Second)
	def(&opts.MaxAttempts, 100)
	if opts.Client == nil {
		opts.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: opts.Outstanding, IdleConnTimeout: time.Minute}}
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Push{opts: opts, ctx: ctx, cancel: cancel,
		slots: make(chan struct{}, opts.Queue), posts: make(chan struct{}, opts.Outstanding),
		prefix: strconv.FormatInt(time.Now().UnixMicro(), 10)}, nil
}

// def sets *v to its default where it is zero.
func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Publish returns when the message has its place in the queue, which it waits
// for while the queue is full, or, with PushOptions.Wait, when it was
// posted. It keeps no reference to data.
func (p *Push) Publish(ctx context.Context, data []byte) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return problem.ErrUnavailable.WithCause(fmt.Errorf("push queue is full (%d): %w", p.opts.Queue, ctx.Err()))
	}
	release := func() { <-p.slots }
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		release()
		return problem.ErrUnavailable.WithCause(errClosed)
	}
	p.wg.Add(1)
	p.mu.Unlock()
	body, err := p.body(data)
	if err != nil {
		release()
		p.wg.Done()
		return err
	}
	data = bytes.Clone(data)
	if p.opts.Wait {
		defer p.wg.Done()
		defer release()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(p.ctx, cancel)()
		return p.deliver(ctx, data, body)
	}
	go func() {
		defer p.wg.Done()
		defer release()
		if err := p.deliver(p.ctx, data, body); err != nil {
			p.opts.Log.Error("push: a message was dropped at shutdown", "bytes", len(data), "error", err)
		}
	}()
	return nil
}

// Queued returns how many messages wait or are being posted.
func (p *Push) Queued() int { return len(p.slots) }

// Close takes no more messages, waits until the queue is empty or ctx ends,
// and drops what is left then, with an error that says how much. It returns
// when nothing runs any more.
func (p *Push) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	empty := make(chan struct{})
	go func() { p.wg.Wait(); close(empty) }()
	select {
	case <-empty:
		p.cancel()
		p.opts.Client.CloseIdleConnections()
		return nil
	case <-ctx.Done():
	}
	left := p.Queued()
	p.cancel()
	<-empty
	p.opts.Client.CloseIdleConnections()
	return fmt.Errorf("push: %d messages were not posted: %w", left, ctx.Err())
}

// deliver posts body until it is answered 2xx, dead-lettered, or ctx ends.
func (p *Push) deliver(ctx context.Context, data, body []byte) error {
	for attempt := 1; ; attempt++ {
		err := p.attempt(ctx, body)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return problem.ErrUnavailable.WithCause(err)
		}
		if attempt == 1 || attempt%10 == 0 {
			p.opts.Log.Warn("push: not taken, will be tried again", "attempt", attempt, "error", err)
		}
		if attempt >= p.opts.MaxAttempts && p.opts.DeadLetter != nil {
			p.opts.DeadLetter(data, attempt)
			return nil
		}
		timer := time.NewTimer(p.backoff(attempt))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return problem.ErrUnavailable.WithCause(err)
		}
	}
}

// backoff returns the delay after the given number of failed posts: doubling,
// between half and the whole of it at random.
func (p *Push) backoff(attempt int) time.Duration {
	d := p.opts.MaxBackoff
	if shift := attempt - 1; shift < 20 {
		d = min(d, p.opts.MinBackoff<<shift)
	}
	return d/2 + rand.N(d/2+1)
}

func (p *Push) attempt(ctx context.Context, body []byte) error {
	select {
	case p.posts <- struct{}{}:
		defer func() { <-p.posts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.opts.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.opts.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// Read to the end, or the connection is not used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("POST %s: %s", p.opts.URL, resp.Status)
	}
	return nil
}

// body wraps data as Pub/Sub's push does, old spellings included.
// https://cloud.google.com/pubsub/docs/push#receive_push
func (p *Push) body(data []byte) ([]byte, error) {
	id := p.prefix + strconv.FormatInt(p.ids.Add(1), 10)
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	type message struct {
		Data         []byte            `json:"data"`
		Attributes   map[string]string `json:"attributes"`
		MessageID    string            `json:"messageId"`
		OldMessageID string            `json:"message_id"`
		PublishTime  string            `json:"publishTime"`
		OldTime      string            `json:"publish_time"`
	}
	return json.Marshal(struct {
		Message      message `json:"message"`
		Subscription string  `json:"subscription"`
	}{message{data, map[string]string{}, id, id, now, now}, p.opts.Subscription})
}
