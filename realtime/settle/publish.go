package settle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// publishTimeout limits one call of Publish.
const publishTimeout = 10 * time.Second

// pubMessage is a Pub/Sub message that a flush fills and publishes.
type pubMessage struct {
	delivery.Raw
	bytes int
	marks []publishedMark // of Raw.Read, in the same order
	ids   []string        // of messages in Raw.Delivered that are traced
	err   error           // not confirmed
}

// publishedMark is a read mark with the time that a Pub/Sub message has of it.
type publishedMark struct {
	mark *readMark
	at   chat.Micros
}

// pubMessages are the Pub/Sub messages of one flush.
type pubMessages struct {
	maxMessages, maxBytes int
	list                  []*pubMessage
}

// withRoom returns the last Pub/Sub message if it has room for an entry of that size in bytes, else nil.
func (p *pubMessages) withRoom(size int) *pubMessage {
	if len(p.list) == 0 {
		return nil
	}
	last := p.list[len(p.list)-1]
	if last.bytes+size > p.maxBytes || len(last.Delivered)+len(last.Changed)+len(last.Read) >= p.maxMessages {
		return nil
	}
	return last
}

// add returns a Pub/Sub message for an entry of that size, and counts the size.
func (p *pubMessages) add(size int) *pubMessage {
	m := p.withRoom(size)
	if m == nil {
		m = &pubMessage{bytes: 64} // of the JSON around the entries
		p.list = append(p.list, m)
	}
	m.bytes += size + 1
	return m
}

// publish puts the messages and read marks of all items into as few Pub/Sub messages as possible, publishes these, and
// waits for their confirmation. Each item then keeps the contiguous prefix of its list that is confirmed. Messages that
// an earlier flush has published are not published again.
func (s *Settler) publish(ctx context.Context, items []*item) {
	pubs := &pubMessages{maxMessages: s.opts.maxMessages, maxBytes: s.opts.maxBytes}
	for _, it := range items {
		if it.err == nil {
			for i, d := range it.delivered {
				if _, ok := it.progress.publishedAt(it.messages[i].ID); ok {
					it.pubs = append(it.pubs, nil)
					continue
				}
				entry := encodeDelivered(it.events[i], d)
				pub := pubs.add(len(entry))
				it.pubs = append(it.pubs, pub)
				if d.item.Change != nil {
					pub.Changed = append(pub.Changed, entry)
					continue
				}
				pub.Delivered = append(pub.Delivered, entry)
				if trace.Traced(d.item.ID(), d.item.From()) {
					pub.ids = append(pub.ids, d.item.ID())
				}
			}
		}
		s.addReadMarks(pubs, it)
	}
	if len(pubs.list) == 0 {
		return
	}
	s.publishAll(ctx, pubs.list)
	for _, it := range items {
		for k, pub := range it.pubs {
			if pub != nil && pub.err != nil {
				it.keepConfirmed(k)
				it.cut(k, fmt.Errorf("settle: publish acks: %w", pub.err))
				break
			}
		}
	}
	s.confirmReadMarks(pubs)
}

// keepConfirmed records which messages behind the first k, whose confirmation is missing, are confirmed nevertheless.
func (it *item) keepConfirmed(k int) {
	for i, pub := range it.pubs[k:] {
		if pub != nil && pub.err == nil {
			it.keepProgress().published[it.messages[k+i].ID] = it.delivered[k+i].at
		}
	}
}

// firstPub returns the Pub/Sub message of the first message of the list that is not published yet, or nil.
func (it *item) firstPub() *pubMessage {
	for _, pub := range it.pubs {
		if pub != nil {
			return pub
		}
	}
	return nil
}

// cut keeps the first k messages of the list. If k is 0, the item fails with err.
func (it *item) cut(k int, err error) {
	if k == 0 {
		it.err = err
		return
	}
	it.to, it.short = it.messages[k-1].ID, true
	it.messages, it.events, it.delivered = it.messages[:k], it.events[:k], it.delivered[:k]
}

// publishAll publishes several Pub/Sub messages at once, and starts no other after the first failure.
func (s *Settler) publishAll(ctx context.Context, list []*pubMessage) {
	sem := make(chan struct{}, maxFlushes)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, pub := range list {
		sem <- struct{}{}
		mu.Lock()
		pub.err = failed
		mu.Unlock()
		if pub.err != nil {
			<-sem
			continue
		}
		wg.Go(func() {
			defer func() { <-sem }()
			if pub.err = s.publishOne(ctx, pub); pub.err != nil {
				mu.Lock()
				failed = pub.err
				mu.Unlock()
			}
		})
	}
	wg.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == nil {
		s.publishFailures, s.publishAfter = 0, time.Time{}
		return
	}
	s.publishFailures++
	s.publishAfter = time.Now().Add(s.backoff(s.publishFailures))
	s.opts.Log.Warn("publishing acks failed and will be retried", "error", failed,
		"failures", s.publishFailures, "users", len(s.dirty))
}

func (s *Settler) publishOne(ctx context.Context, pub *pubMessage) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if len(pub.ids) > 0 {
		ctx = trace.WithParent(ctx, pub.ids[0])
	}
	if err := s.pub.Publish(ctx, pub.Encode()); err != nil {
		s.counters.PublishFailed.Add(1)
		return err
	}
	s.counters.Published.Add(1)
	for _, id := range pub.ids {
		trace.Log(s.opts.Log, trace.Published, id, slog.Int("messages", len(pub.Delivered)))
	}
	return nil
}

// Beginnings of events, as wire.MarshalMessage and wire.MarshalChange encode them.
var (
	beginMessage = []byte(`{"type":"` + wire.EventMessage + `",`)
	beginChange  = []byte(`{"type":"` + wire.EventChange + `",`)
)

// encodeDelivered encodes an entry of a Pub/Sub message. It takes the fields from the event, as wire.MarshalMessage or
// wire.MarshalChange has encoded it, because encoding them again costs many times as much.
func encodeDelivered(event []byte, d delivered) json.RawMessage {
	const end = `}`
	begin := beginMessage
	if d.item.Change != nil {
		begin = beginChange
	}
	fields, ok := bytes.CutPrefix(event, begin)
	if !ok || !bytes.HasSuffix(fields, []byte(end)) {
		if c := d.item.Change; c != nil {
			return encode(delivery.Changed{Change: *c, DeliveredAt: d.at})
		}
		return encode(delivery.Delivered{Message: *d.item.Message, DeliveredAt: d.at})
	}
	entry := make([]byte, 0, len(event)+len(`,"delivered_at":1700000000000000`))
	entry = append(append(entry, '{'), fields[:len(fields)-len(end)]...)
	return append(strconv.AppendInt(append(entry, `,"delivered_at":`...), int64(d.at), 10), end...)
}

// encode encodes an entry of a Pub/Sub message, which consists of strings and integers.
func encode(v any) json.RawMessage {
	b, err := chat.Marshal(v)
	if err != nil { // cannot happen
		panic(err)
	}
	return b
}
