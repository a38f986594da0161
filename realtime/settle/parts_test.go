package settle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/redistest"
)

// receiptHook records when receipts are sent to Redis, and how many at once.
type receiptHook struct {
	mu       sync.Mutex
	at       []time.Time // guarded by mu
	receipts []int       // guarded by mu
	senders  []string    // guarded by mu: the keys of their inboxes, in order
}

func senderOf(i int) string { return fmt.Sprintf("inbox:{ann%d}", i) }

func (h *receiptHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *receiptHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *receiptHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	isReceipt := appendsEvent("delivered")
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.mu.Lock()
		n := 0
		for _, c := range cmds {
			if args := redistest.Args(c); isReceipt(args) {
				n++
				h.senders = append(h.senders, fmt.Sprint(args[3])) // EVALSHA, hash, number of keys, inbox
			}
		}
		if n > 0 {
			h.at, h.receipts = append(h.at, time.Now()), append(h.receipts, n)
		}
		h.mu.Unlock()
		return next(ctx, cmds)
	}
}

// stoppedFlush returns a flush of many users by a Settler that does not run, and the hook that watches it.
func stoppedFlush(t *testing.T, users int) (*Settler, []*device, *receiptHook) {
	b := redistest.Mini(t)
	x := start(t, b, newTopic(), Options{})
	h := &receiptHook{}
	redistest.AddHook(t, x.rdb, h)
	s := New(x.in, newTopic(), Options{})
	devices := make([]*device, users)
	for i := range devices {
		uid := fmt.Sprint("ben", i)
		d := x.attach(t, uid, "")
		d.w = s.Open(uid, d.at)
		x.send(t, fmt.Sprint("ann", i), uid, "hello")
		d.receive()
		d.ack()
		devices[i] = d
	}
	return s, devices, h
}

// Hundreds of receipts at once would delay messages that arrive meanwhile. So they are sent in parts, with pauses.
func TestFlushInParts(t *testing.T) {
	s, _, h := stoppedFlush(t, 2*partOfFlush+1)
	s.flushNow(t)
	same(t, "receipts at once", h.receipts, []int{partOfFlush, partOfFlush, 1})
	for i := 1; i < len(h.at); i++ {
		if d := h.at[i].Sub(h.at[i-1]); d < longestPause {
			t.Errorf("pause %d: %v, want at least %v", i, d, longestPause)
		}
	}
	same(t, "reported", s.Counters().Receipts.Load(), 2*partOfFlush+1)
}

// A flush that begins before the one before it has ended does not pause. Otherwise receipts would wait ever longer.
func TestFlushesThatDoNotKeepUp(t *testing.T) {
	s, _, h := stoppedFlush(t, 2*partOfFlush+1)
	s.mu.Lock()
	s.flushes++
	s.mu.Unlock()
	s.flushNow(t)
	same(t, "receipts at once", h.receipts, []int{2*partOfFlush + 1})
}

// Sockets that have closed wait for their acks, so theirs come first.
func TestClosedSocketsComeFirst(t *testing.T) {
	s, devices, h := stoppedFlush(t, partOfFlush+2)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, d := range devices[partOfFlush:] {
		if err := d.w.Close(over); err == nil {
			t.Error("the window is closed although nothing was flushed")
		}
	}
	s.flushNow(t)
	want := []string{senderOf(partOfFlush), senderOf(partOfFlush + 1)}
	same(t, "first receipts", h.senders[:2], want)
}
