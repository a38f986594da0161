package pubsubstub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

var _ settle.Publisher = (*Publisher)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// persist is an http.RoundTripper in place of the persist function.
type persist struct {
	answer func(n int, data string) int // status of post number n; 0 breaks the connection; nil answers 204
	delay  time.Duration                // before each answer

	mu    sync.Mutex
	posts int
	now   int // posts in progress
	most  int // highest value of now
	saved []string
	ids   []string
}

func (p *persist) RoundTrip(req *http.Request) (*http.Response, error) {
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
	if push.Subscription == "" || push.Message.MessageID == "" || push.Message.PublishTime.IsZero() ||
		push.Message.Attributes == nil {
		return nil, fmt.Errorf("not in Pub/Sub's push format: %s", body)
	}
	p.mu.Lock()
	p.posts++
	n := p.posts
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	select {
	case <-time.After(p.delay):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	status := http.StatusNoContent
	if p.answer != nil {
		status = p.answer(n, string(push.Message.Data))
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status < 300 {
		p.mu.Lock()
		p.saved = append(p.saved, string(push.Message.Data))
		p.ids = append(p.ids, push.Message.MessageID)
		p.mu.Unlock()
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status),
		Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

func publisher(t *testing.T, to *persist) *Publisher {
	t.Helper()
	p := New("http://persist.example.org/", slog.New(slog.DiscardHandler))
	p.client = &http.Client{Transport: to}
	t.Cleanup(p.Close)
	return p
}

func TestPublishRetriesUntilAPostSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &persist{answer: func(n int, _ string) int { return []int{0, 500, 503, 429, 204}[min(n-1, 4)] }}
		p := publisher(t, to)
		began := time.Now()
		if err := p.Publish(t.Context(), []byte("a")); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(to.saved, []string{"a"}) || to.posts != 5 {
			t.Errorf("persist saved %v after %d posts, want a after 5", to.saved, to.posts)
		}
		// The pauses are 100, 200, 400 and 800 ms, or down to half of each.
		if took := time.Since(began); took < 750*time.Millisecond || took > 1500*time.Millisecond {
			t.Errorf("four retries took %v, want 750 ms to 1.5 s", took)
		}
	})
}

func TestPublishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &persist{answer: func(int, string) int { return 503 }}
		p := publisher(t, to)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Publish(ctx, []byte("a")); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("Publish: %v, want unavailable", err)
		}
		if len(to.saved) > 0 {
			t.Errorf("persist saved %v", to.saved)
		}
	})
}

func TestOneBadMessageDoesNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &persist{answer: func(_ int, data string) int {
			if data == "poison" {
				return 500
			}
			return 204
		}}
		p := publisher(t, to)
		poison := make(chan error, 1)
		go func() { poison <- p.Publish(context.Background(), []byte("poison")) }()
		synctest.Wait()
		for _, data := range []string{"b", "c"} {
			if err := p.Publish(t.Context(), []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(to.saved, []string{"b", "c"}) {
			t.Errorf("persist saved %v, want b and c", to.saved)
		}
		p.Close()
		if err := <-poison; !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("the bad message, after Close: %v, want unavailable", err)
		}
	})
}

func TestPostsAtTheSameTimeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &persist{delay: 30 * time.Second}
		p := publisher(t, to)
		var wg sync.WaitGroup
		for i := range 3 * maxPosts {
			wg.Go(func() {
				if err := p.Publish(t.Context(), fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if to.most != maxPosts || len(to.saved) != 3*maxPosts {
			t.Errorf("%d posts at the same time and %d messages saved, want %d and %d",
				to.most, len(to.saved), maxPosts, 3*maxPosts)
		}
	})
}

func TestCloseEndsPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &persist{answer: func(int, string) int { return 503 }}
		p := publisher(t, to)
		published := make(chan error, 1)
		go func() { published <- p.Publish(context.Background(), []byte("a")) }()
		synctest.Wait()
		p.Close()
		if err := <-published; !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("Publish while Close is called: %v, want unavailable", err)
		}
		if err := p.Publish(context.Background(), []byte("b")); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("Publish after Close: %v, want unavailable", err)
		}
	})
}

func TestMessageIDsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &persist{}
		p := publisher(t, to)
		for range 3 {
			if err := p.Publish(t.Context(), []byte("a")); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(to.ids)
		if len(to.ids) != 3 || len(slices.Compact(to.ids)) != 3 {
			t.Errorf("message ids %v, want three different ones", to.ids)
		}
	})
}
