package stage

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taker counts the pushes that it gets at once and in all, and answers with status.
type taker struct {
	mu      sync.Mutex
	status  int
	now     int
	most    int
	total   int
	arrived chan struct{}
}

func (k *taker) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	k.mu.Lock()
	k.now++
	k.most = max(k.most, k.now)
	k.total++
	status := k.status
	k.mu.Unlock()
	time.Sleep(20 * time.Millisecond) // long enough for a twin to be there
	k.mu.Lock()
	k.now--
	k.mu.Unlock()
	w.WriteHeader(status)
	k.arrived <- struct{}{}
}

func newTestQueue(t *testing.T, status int) (*queue, *taker) {
	k := &taker{status: status, arrived: make(chan struct{}, 1000)}
	q, err := newQueue(k, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.close)
	return q, k
}

func publishOne(t *testing.T, q *queue) error {
	t.Helper()
	_, err := q.Publish(t.Context(), &pubsubpb.PublishRequest{Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}})
	return err
}

func (k *taker) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-k.arrived:
		case <-time.After(10 * time.Second):
			t.Fatal("no push came")
		}
	}
}

func (q *queue) empty(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); q.waiting.Load() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the queue does not empty")
		}
	}
}

func TestQueuePushesUntilItIsTaken(t *testing.T) {
	q, k := newTestQueue(t, http.StatusInternalServerError)
	if err := publishOne(t, q); err != nil {
		t.Fatal(err)
	}
	k.wait(t, 2)
	if q.waiting.Load() != 1 {
		t.Error("given up although it was not taken")
	}
	k.mu.Lock()
	k.status = http.StatusOK
	k.mu.Unlock()
	q.empty(t)
}

func TestQueueFaults(t *testing.T) {
	t.Run("publishing fails", func(t *testing.T) {
		q, k := newTestQueue(t, http.StatusOK)
		q.publishing.Store(&PublishFault{Fail: 1})
		if publishOne(t, q) == nil || q.published.Load() != 0 || k.total != 0 {
			t.Error("published all the same")
		}
	})
	t.Run("the answer to publishing is lost", func(t *testing.T) {
		q, k := newTestQueue(t, http.StatusOK)
		q.publishing.Store(&PublishFault{LoseReply: 1})
		if publishOne(t, q) == nil {
			t.Error("answered")
		}
		k.wait(t, 1)
		q.empty(t)
	})
	t.Run("pushed twice at once", func(t *testing.T) {
		q, k := newTestQueue(t, http.StatusOK)
		q.pushing.Store(&PushFault{Twice: true})
		if err := publishOne(t, q); err != nil {
			t.Fatal(err)
		}
		k.wait(t, 2)
		q.empty(t)
		if k.most != 2 {
			t.Errorf("at most %d pushes at once, want 2", k.most)
		}
	})
	t.Run("the answer of persist is lost", func(t *testing.T) {
		q, k := newTestQueue(t, http.StatusOK)
		q.pushing.Store(&PushFault{LoseReply: 1})
		if err := publishOne(t, q); err != nil {
			t.Fatal(err)
		}
		k.wait(t, 2)
		q.heal()
		q.empty(t)
	})
	t.Run("slow publishing ends with its context", func(t *testing.T) {
		q, _ := newTestQueue(t, http.StatusOK)
		q.publishing.Store(&PublishFault{Slow: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := q.Publish(ctx, &pubsubpb.PublishRequest{}); err == nil {
			t.Error("published")
		}
	})
}
