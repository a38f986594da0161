package settle

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// pubBatch is one Pub/Sub message in the making.
type pubBatch struct {
	delivery.Batch
	bytes int
	err   error
}

// publish puts the messages and read marks of all items into as few Pub/Sub
// messages as possible, and waits until they are confirmed. What is not
// confirmed is cut off: each item keeps a contiguous confirmed prefix.
func (s *Settler) publish(ctx context.Context, items []*item) {
	var batches []*pubBatch
	room := func(bytes int) int {
		last := len(batches) - 1
		if last < 0 || batches[last].bytes+bytes > s.opts.MaxBytes ||
			len(batches[last].Delivered)+len(batches[last].Read) >= s.opts.MaxMessages {
			batches = append(batches, &pubBatch{bytes: 64})
			last++
		}
		batches[last].bytes += bytes + 1
		return last
	}
	parts := make([][]int, len(items)) // the batch of each delivered message
	reads := make([][]int, len(items)) // and of each read mark
	for i, it := range items {
		if it.err != nil {
			continue
		}
		for _, d := range it.delivered {
			n := room(encodedSize(d))
			batches[n].Delivered = append(batches[n].Delivered, d)
			parts[i] = append(parts[i], n)
		}
		for conversation, at := range it.reads {
			r := delivery.Read{Conversation: conversation, By: it.p.uid, At: at}
			n := room(encodedSize(r))
			batches[n].Read = append(batches[n].Read, r)
			reads[i] = append(reads[i], n)
		}
	}
	if len(batches) == 0 {
		return
	}
	s.publishAll(ctx, batches)
	for i, it := range items {
		for k, at := range parts[i] {
			if err := batches[at].err; err != nil {
				it.cut(k, fmt.Errorf("not published: %w", err))
				break
			}
		}
		for _, at := range reads[i] {
			if batches[at].err != nil {
				s.holdReads(it)
				break
			}
		}
		if it.err != nil || it.overtakes() {
			s.holdReads(it)
		}
	}
}

// cut keeps the first k messages of the list.
func (it *item) cut(k int, err error) {
	if k == 0 {
		it.err = err
		return
	}
	it.to = it.messages[k-1].ID
	it.messages, it.delivered = it.messages[:k], it.delivered[:k]
}

// publishAll publishes batches, a few at once, and stops at the first failure.
func (s *Settler) publishAll(ctx context.Context, batches []*pubBatch) {
	sem := make(chan struct{}, maxFlushes)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, b := range batches {
		sem <- struct{}{}
		mu.Lock()
		b.err = failed
		mu.Unlock()
		if b.err != nil {
			<-sem
			continue
		}
		wg.Go(func() {
			defer func() { <-sem }()
			if b.err = s.publishOne(ctx, b); b.err != nil {
				mu.Lock()
				failed = b.err
				mu.Unlock()
			}
		})
	}
	wg.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == nil {
		s.failures, s.retryAt = 0, time.Time{}
		return
	}
	s.failures++
	s.retryAt = time.Now().Add(s.backoff(s.failures))
	s.opts.Log.Warn("publishing acknowledgements failed; it will be tried again", "err", failed,
		"failures", s.failures, "users", len(s.dirty))
}

func (s *Settler) publishOne(ctx context.Context, b *pubBatch) error {
	data, err := b.Encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Publish)
	defer cancel()
	if err := s.pub.Publish(ctx, data); err != nil {
		s.n.publishFailed.Add(1)
		return err
	}
	s.n.published.Add(1)
	return nil
}

// encodedSize returns how many bytes v takes in a batch.
func encodedSize(v any) int {
	b, err := json.Marshal(v)
	if err != nil { // strings and integers only: cannot happen
		panic(err)
	}
	return len(b)
}
