package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
)

var (
	_ settle.Publisher = (*publish.PubSub)(nil)
	_ settle.Publisher = (*publish.Push)(nil)
)

func TestMain(m *testing.M) {
	// OpenCensus, which the Pub/Sub client brings, starts a worker in its init
	// and offers no way to stop it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// receiver is the persist function: an http.RoundTripper that answers what answer says.
type receiver struct {
	answer func(n int, data string) int // status; 0: the connection breaks

	mu    sync.Mutex
	got   []string
	ids   []string
	n     int
	now   int
	most  int
	takes time.Duration
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var push struct {
		Message struct {
			Data        []byte            `json:"data"`
			MessageID   string            `json:"messageId"`
			PublishTime time.Time         `json:"publishTime"`
			Attributes  map[string]string `json:"attributes"`
		} `json:"message"`
		Subscription string `json:"subscription"`
	}
	if err := json.Unmarshal(body, &push); err != nil {
		return nil, err
	}
	if push.Subscription == "" || push.Message.MessageID == "" || push.Message.PublishTime.IsZero() || push.Message.Attributes == nil {
		return nil, fmt.Errorf("not Pub/Sub's form: %s", body)
	}
	r.mu.Lock()
	r.n++
	n := r.n
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.now--
		r.mu.Unlock()
	}()
	select {
	case <-time.After(r.takes):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(n, string(push.Message.Data))
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status < 300 {
		r.mu.Lock()
		r.got = append(r.got, string(push.Message.Data))
		r.ids = append(r.ids, push.Message.MessageID)
		r.mu.Unlock()
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

func (r *receiver) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := slices.Clone(r.got)
	slices.Sort(got)
	return got
}

func newPush(t *testing.T, r *receiver, change func(*publish.PushOptions)) *publish.Push {
	t.Helper()
	o := publish.PushOptions{URL: "http://persist.example.org/", Client: &http.Client{Transport: r}, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	p, err := publish.NewPush(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func put(t *testing.T, p *publish.Push, data ...string) {
	t.Helper()
	for _, d := range data {
		if err := p.Publish(context.Background(), []byte(d)); err != nil {
			t.Fatal(err)
		}
	}
}

func closeAll(t *testing.T, p *publish.Push, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return p.Close(ctx)
}

func TestPushRepeatsUntilTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(n int, _ string) int { return []int{0, 500, 503, 429, 204}[min(n-1, 4)] }}
		p := newPush(t, r, func(o *publish.PushOptions) { o.Outstanding = 1 })
		put(t, p, "a")
		began := time.Now()
		if err := closeAll(t, p, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := r.received(); !slices.Equal(got, []string{"a"}) || r.n != 5 {
			t.Errorf("got %v after %d posts", got, r.n)
		}
		// 100, 200, 400 and 800 ms, each between a half and the whole.
		if took := time.Since(began); took < 750*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("four repeats took %v", took)
		}
	})
}

func TestPushOneBadMessageHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead []string
		r := &receiver{answer: func(_ int, data string) int {
			if data == "poison" {
				return 500
			}
			return 204
		}}
		p := newPush(t, r, func(o *publish.PushOptions) {
			o.Outstanding, o.MaxAttempts = 1, 5
			o.DeadLetter = func(data []byte, attempts int) { dead = append(dead, fmt.Sprint(string(data), attempts)) }
		})
		put(t, p, "poison", "b", "c")
		if err := closeAll(t, p, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := r.received(); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("got %v", got)
		}
		if !slices.Equal(dead, []string{"poison5"}) {
			t.Errorf("dead letters %v", dead)
		}
	})
}

func TestPushQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{takes: time.Minute / 2}
		p := newPush(t, r, func(o *publish.PushOptions) { o.Queue, o.Outstanding = 3, 2 })
		put(t, p, "a", "b", "c")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Publish(ctx, []byte("d")); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("a fourth in a queue of three: %v, want unavailable", err)
		}
		put(t, p, "e") // waits for room
		if err := closeAll(t, p, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := r.received(); !slices.Equal(got, []string{"a", "b", "c", "e"}) {
			t.Errorf("got %v", got)
		}
		if r.most != 2 {
			t.Errorf("%d posts at once, want 2", r.most)
		}
	})
}

func TestPushCloseSaysWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(int, string) int { return 503 }}
		p := newPush(t, r, nil)
		put(t, p, "a", "b")
		err := closeAll(t, p, 5*time.Second)
		if err == nil || !strings.Contains(err.Error(), "2 messages") {
			t.Errorf("Close: %v, want the number of messages lost", err)
		}
		if err := p.Publish(context.Background(), []byte("c")); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("Publish after Close: %v", err)
		}
	})
}

// With Wait nothing is accepted before it is saved.
func TestPushThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(n int, _ string) int { return []int{503, 204, 503}[min(n-1, 2)] }}
		p := newPush(t, r, func(o *publish.PushOptions) { o.Wait = true })
		put(t, p, "a")
		if got := r.received(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("Publish returned before the post was taken: %v", got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Publish(ctx, []byte("b")); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("never taken: %v, want unavailable", err)
		}
		if err := closeAll(t, p, time.Second); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPushMessageIDsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		p := newPush(t, r, nil)
		put(t, p, "a", "a", "a")
		if err := closeAll(t, p, time.Minute); err != nil {
			t.Fatal(err)
		}
		slices.Sort(r.ids)
		if len(slices.Compact(r.ids)) != 3 {
			t.Errorf("ids %v", r.ids)
		}
	})
}

// pubsubServer is Google's in-process fake; see TestPubSubOnTheEmulator for the real protocol's.
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
	if _, err := client.TopicAdminClient.CreateTopic(context.Background(), &pubsubpb.Topic{Name: "projects/demo-chat/topics/" + name}); err != nil {
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
		t.Errorf("Pub/Sub has %v when Publish returns", got)
	}
}

func TestPubSubFails(t *testing.T) {
	_, client := pubsubServer(t, pstest.WithErrorInjection("Publish", codes.PermissionDenied, "no"))
	p := publish.NewPubSub(client, topic)
	defer p.Close()
	if err := p.Publish(context.Background(), []byte("x")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("refused: %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Publish(ctx, []byte("x")); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("after its context: %v, want unavailable", err)
	}
}

func TestPubSubOnTheEmulator(t *testing.T) {
	host := os.Getenv("PHOENIX_TEST_PUBSUB")
	if host == "" {
		t.Skip("PHOENIX_TEST_PUBSUB is not set: it names a running Pub/Sub emulator")
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
