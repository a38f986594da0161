package testbed

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// queue is a stand-in for Pub/Sub with a push subscription. Instances publish over gRPC, with Google's client
// library. The queue keeps each message until persist has answered with a 2xx status. Faults can be set for
// publishing and for pushing.
type queue struct {
	pubsubpb.UnimplementedPublisherServer
	persist http.Handler
	notify  func(data []byte) // gets the data of a message of NotifyTopic; nil: it is discarded
	log     *record.Log       // nil: nothing is recorded

	server *grpc.Server
	addr   string
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  chan struct{} // bounds concurrent pushes

	publishing atomic.Pointer[PublishFault]
	pushing    atomic.Pointer[PushFault]

	published, pushed, failed atomic.Int64
	waiting                   atomic.Int64 // accepted, and without a 2xx answer so far
	ids                       atomic.Int64

	mu  sync.Mutex
	rnd *rand.Rand // guarded by mu
}

// PublishFault describes what fails in publishing.
type PublishFault struct {
	Fail      float64       // share of calls that are refused
	LoseReply float64       // share of calls that succeed and are answered with an error
	Slow      time.Duration // how much longer every call takes
}

// PushFault describes what fails in pushing to persist.
type PushFault struct {
	Fail      float64       // share of pushes that fail before persist is called
	LoseReply float64       // share of pushes whose answer is lost after persist has succeeded
	Slow      time.Duration // how much longer every push takes
	Twice     bool          // make every push twice at the same time
	Shuffle   time.Duration // delay every push by a random time up to this
}

func newQueue(persist http.Handler, rnd *rand.Rand, log *record.Log) (*queue, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for publishers: %w", err)
	}
	q := &queue{
		persist: persist, log: log, server: grpc.NewServer(), addr: l.Addr().String(), rnd: rnd,
		slots: make(chan struct{}, 16),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.heal()
	pubsubpb.RegisterPublisherServer(q.server, q)
	q.wg.Go(func() { _ = q.server.Serve(l) })
	return q, nil
}

func (q *queue) heal() {
	q.publishing.Store(&PublishFault{})
	q.pushing.Store(&PushFault{})
}

func (q *queue) close() {
	q.cancel()
	q.server.Stop()
	q.wg.Wait()
}

// chance returns true with probability p.
func (q *queue) chance(p float64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rnd.Float64() < p
}

// randomBelow returns a random duration below d.
func (q *queue) randomBelow(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Duration(q.rnd.Int64N(int64(d)))
}

// GetTopic implements pubsubpb.PublisherServer. Every topic exists.
func (q *queue) GetTopic(_ context.Context, r *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	return &pubsubpb.Topic{Name: r.Topic}, nil
}

// Publish implements pubsubpb.PublisherServer.
func (q *queue) Publish(ctx context.Context, r *pubsubpb.PublishRequest) (*pubsubpb.PublishResponse, error) {
	f := q.publishing.Load()
	if !q.sleep(ctx, f.Slow) {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if q.chance(f.Fail) {
		return nil, status.Error(codes.Unavailable, "publishing fails")
	}
	var ids []string
	for _, m := range r.Messages {
		id := strconv.FormatInt(q.ids.Add(1), 10)
		ids = append(ids, id)
		if strings.HasSuffix(r.Topic, "/topics/"+NotifyTopic) {
			if q.notify != nil {
				q.wg.Go(func() { q.notify(m.Data) })
			}
			continue
		}
		q.published.Add(1)
		q.waiting.Add(1)
		q.record(m.Data)
		q.wg.Go(func() { q.deliver(id, m.Data) })
	}
	if q.chance(f.LoseReply) {
		return nil, status.Error(codes.Unavailable, "the answer to publishing is lost")
	}
	return &pubsubpb.PublishResponse{MessageIds: ids}, nil
}

// record records the messages in the data of a Pub/Sub message.
func (q *queue) record(data []byte) {
	raw, err := delivery.Decode(data)
	if err != nil || q.log == nil {
		return // persist makes it a dead letter
	}
	for _, entry := range raw.Delivered {
		if d, err := delivery.DecodeDelivered(entry); err == nil {
			q.log.Add(record.Entry{Kind: record.Published, ID: d.Key(), Conversation: d.Conversation})
		}
	}
	for _, entry := range raw.Changed {
		if c, err := delivery.DecodeChanged(entry); err == nil {
			q.log.Add(record.Entry{Kind: record.Published, ID: chat.KeyOf(c.ID, c.From), Conversation: c.Conversation})
		}
	}
}

// deliver pushes one message until persist has answered with a 2xx status.
func (q *queue) deliver(id string, data []byte) {
	body, err := json.Marshal(map[string]any{
		"subscription": "projects/fault/subscriptions/delivery-acks-persist",
		"message": map[string]any{
			"data": base64.StdEncoding.EncodeToString(data), "attributes": map[string]string{},
			"messageId": id, "message_id": id, "publishTime": time.Now().UTC().Format(time.RFC3339Nano),
		},
	})
	if err != nil { // cannot happen: only strings
		panic(err)
	}
	for try := 0; ; try++ {
		f := q.pushing.Load()
		if !q.sleep(q.ctx, q.randomBelow(f.Shuffle)) {
			return
		}
		ok := false
		var twin sync.WaitGroup
		if f.Twice {
			twin.Go(func() { q.push(f, body) })
		}
		ok = q.push(f, body)
		twin.Wait()
		if ok {
			q.waiting.Add(-1)
			return
		}
		q.failed.Add(1)
		wait := min(100*time.Millisecond<<min(try, 6), 2*time.Second)
		if !q.sleep(q.ctx, wait/2+q.randomBelow(wait)) {
			return
		}
	}
}

// push calls persist once, and reports whether its answer arrived and was a 2xx status.
func (q *queue) push(f *PushFault, body []byte) (ok bool) {
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-q.ctx.Done():
		return false
	}
	if !q.sleep(q.ctx, f.Slow) || q.chance(f.Fail) {
		return false
	}
	q.pushed.Add(1)
	r := httptest.NewRequestWithContext(q.ctx, http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	q.persist.ServeHTTP(w, r)
	return w.Code/100 == 2 && !q.chance(f.LoseReply)
}

func (q *queue) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	case <-q.ctx.Done():
		return false
	}
}
