package testbed

import (
	"context"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pushTarget stands for persist. It passes every push to the test, which sends the status of the answer.
type pushTarget chan chan<- int

func (target pushTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := make(chan int, 1)
	select {
	case target <- status:
	case <-r.Context().Done(): // the queue was closed
		return
	}
	select {
	case code := <-status:
		w.WriteHeader(code)
	case <-r.Context().Done():
	}
}

// next waits for the next push, and returns the channel for its status.
func (target pushTarget) next(t *testing.T) chan<- int {
	t.Helper()
	select {
	case status := <-target:
		return status
	case <-time.After(10 * time.Second):
		t.Fatal("no push within 10 s")
		return nil
	}
}

func newTestQueue(t *testing.T) (*queue, pushTarget) {
	target := make(pushTarget)
	q, err := newQueue(target, rand.New(rand.NewPCG(1, 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.close)
	return q, target
}

func publishOne(t *testing.T, q *queue) error {
	t.Helper()
	_, err := q.Publish(t.Context(), &pubsubpb.PublishRequest{Messages: []*pubsubpb.PubsubMessage{{Data: []byte("x")}}})
	return err
}

func (q *queue) waitEmpty(t *testing.T) {
	t.Helper()
	testwait.Until(t, "the queue is empty", func() bool { return q.waiting.Load() == 0 })
}

func TestQueuePushesUntilSuccess(t *testing.T) {
	q, target := newTestQueue(t)
	if err := publishOne(t, q); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		target.next(t) <- http.StatusInternalServerError
	}
	last := target.next(t)
	if q.waiting.Load() != 1 {
		t.Error("the message was dropped without a 2xx answer")
	}
	last <- http.StatusOK
	q.waitEmpty(t)
}

func TestQueueFaults(t *testing.T) {
	t.Run("publishing fails", func(t *testing.T) {
		q, _ := newTestQueue(t)
		q.publishing.Store(&PublishFault{Fail: 1})
		if publishOne(t, q) == nil || q.published.Load() != 0 || q.waiting.Load() != 0 || q.pushed.Load() != 0 {
			t.Error("the message was published")
		}
	})
	t.Run("the answer to publishing is lost", func(t *testing.T) {
		q, target := newTestQueue(t)
		q.publishing.Store(&PublishFault{LoseReply: 1})
		if publishOne(t, q) == nil {
			t.Error("publishing succeeded")
		}
		target.next(t) <- http.StatusOK
		q.waitEmpty(t)
	})
	t.Run("pushed twice at once", func(t *testing.T) {
		q, target := newTestQueue(t)
		q.pushing.Store(&PushFault{Twice: true})
		if err := publishOne(t, q); err != nil {
			t.Fatal(err)
		}
		one, twin := target.next(t), target.next(t) // the second push begins before the first is answered
		one <- http.StatusOK
		twin <- http.StatusOK
		q.waitEmpty(t)
	})
	t.Run("the answer of persist is lost", func(t *testing.T) {
		q, target := newTestQueue(t)
		q.pushing.Store(&PushFault{LoseReply: 1})
		if err := publishOne(t, q); err != nil {
			t.Fatal(err)
		}
		target.next(t) <- http.StatusOK
		again := target.next(t)
		q.heal()
		again <- http.StatusOK // this push began before heal, so its answer is lost as well
		target.next(t) <- http.StatusOK
		q.waitEmpty(t)
	})
	t.Run("slow publishing ends with its context", func(t *testing.T) {
		q, _ := newTestQueue(t)
		q.publishing.Store(&PublishFault{Slow: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := q.Publish(ctx, &pubsubpb.PublishRequest{}); err == nil {
			t.Error("publishing succeeded")
		}
	})
}
