package settle

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

const (
	maxFlushes  = 4   // at once: a slow publish does not hold up other users
	maxPersons  = 500 // in one flush
	streamLists = 50  // lists read in one round trip, ...
	streamList  = 200 // ... each of so many events at most
	minBackoff  = 250 * time.Millisecond
)

// Run flushes until ctx ends, then flushes what is left for at most
// Options.Drain, and returns the cause of ctx. It must be called exactly once.
func (s *Settler) Run(ctx context.Context) error {
	// Flushes outlive ctx by Drain: what was acknowledged is settled on SIGTERM.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ended := ctx.Done()
	var drained <-chan time.Time
	for {
		batch, wait := s.take(ended == nil)
		if len(batch) > 0 {
			wg.Go(func() { s.flush(work, batch) })
			continue
		}
		if ended == nil && s.idle() {
			return context.Cause(ctx)
		}
		timer.Reset(wait)
		select {
		case <-s.poke:
		case <-timer.C:
		case <-ended:
			ended = nil
			drained = time.After(s.opts.Drain)
		case <-drained:
			cancel()
			s.opts.Log.Warn("not everything that was acknowledged is settled; other instances, or the next hello, will do it",
				"users", s.Snapshot().Waiting)
			return context.Cause(ctx)
		}
	}
}

// idle reports whether nothing waits and nothing is under way.
func (s *Settler) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dirty) == 0 && s.flushing == 0
}

// take returns whose turn it is to be settled, marked as in flight; or how
// long to wait until somebody's is.
func (s *Settler) take(drain bool) ([]*person, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.due.IsZero() && drain && len(s.dirty) > 0 {
		s.due = now
	}
	switch {
	case s.due.IsZero() || s.flushing >= maxFlushes:
		return nil, time.Hour // poked when that changes
	case now.Before(s.due) && !drain:
		return nil, s.due.Sub(now)
	case now.Before(s.retryAt):
		return nil, s.retryAt.Sub(now)
	case s.failures > 0 && s.flushing > 0:
		return nil, time.Hour // one try at a time while Pub/Sub is out of reach
	}
	s.due, s.messages, s.bytes = time.Time{}, 0, 0
	var batch []*person
	for p := range s.dirty {
		switch {
		case p.inFlight:
		case !p.waiting():
			delete(s.dirty, p)
			p.forgetIfDone()
		case now.Before(p.retryAt):
			s.later(p.retryAt)
		case len(batch) == maxPersons:
			s.later(now)
		default:
			p.inFlight = true
			batch = append(batch, p)
		}
	}
	if len(batch) == 0 {
		if s.due.IsZero() {
			return nil, time.Hour
		}
		return nil, s.due.Sub(now)
	}
	s.flushing++
	return batch, 0
}

// later moves the next flush up to t. mu is held.
func (s *Settler) later(t time.Time) {
	if s.due.IsZero() || t.Before(s.due) {
		s.due = t
	}
}

// item is one person's part of a flush.
type item struct {
	p          *person
	began, to  inbox.ID // the list is (began, to]
	list       []event  // its message events
	covered    bool     // list is from memory
	messages   []inbox.SettledMessage
	delivered  []delivery.Delivered // of messages, in the same order
	reads      map[string]chat.Micros
	readsAfter inbox.ID

	err  error // settles nothing now: try again
	dead bool
	done inbox.SettleResult
}

// flush takes the four steps of DESIGN §5 for every person of batch.
func (s *Settler) flush(ctx context.Context, batch []*person) {
	s.n.flushes.Add(1)
	items := s.snapshot(batch)
	s.readLists(ctx, items)    // (1) what the acks cover
	s.publish(ctx, items)      // (2) confirmed, or nothing
	s.tellSenders(ctx, items)  // (3) delivered and read events
	s.clearInboxes(ctx, items) // (4) acked, pending, trimming
	s.finish(items)
}

// snapshot takes what memory has.
func (s *Settler) snapshot(batch []*person) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := make([]*item, len(batch))
	for i, p := range batch {
		it := &item{p: p, began: p.settled, to: p.acked, covered: true, dead: p.dead}
		items[i] = it
		if p.dead || !p.acked.After(p.settled) {
			it.to = it.began
		} else if it.covered = p.covers(p.settled, p.acked); it.covered {
			for _, e := range p.events {
				if e.id.After(p.acked) {
					break
				}
				if len(it.list) == s.opts.MaxMessages {
					it.to = it.list[len(it.list)-1].id
					break
				}
				it.list = append(it.list, e)
			}
		}
		it.reads, p.reads = p.reads, map[string]chat.Micros{}
		p.readsOut = it.reads
		p.due = time.Time{}
		it.readsAfter = p.readsAfter
	}
	return items
}

// readLists reads the lists that memory does not cover.
func (s *Settler) readLists(ctx context.Context, items []*item) {
	var from []*item
	for _, it := range items {
		if !it.covered {
			from = append(from, it)
		}
	}
	for len(from) > 0 {
		n := min(streamLists, len(from))
		claims := make([]inbox.Claim, n)
		for i, it := range from[:n] {
			claims[i] = inbox.Claim{UID: it.p.uid, To: it.to}
		}
		s.n.fromStream.Add(int64(n))
		for i, u := range s.inboxes.Unsettled(ctx, claims, streamList) {
			it := from[i]
			switch {
			case u.Err != nil:
				it.err = u.Err
				continue
			case u.Epoch != it.p.epoch:
				it.dead = true
				continue
			}
			it.began, it.to = u.Settled, u.To
			for _, e := range u.Events {
				if e.Type == wire.EventMessage {
					it.list = append(it.list, event{e.ID, e.Data})
				}
			}
		}
		from = from[n:]
	}
	at := chat.MicrosOf(s.opts.Now())
	for _, it := range items {
		for _, e := range it.list {
			m, err := inbox.Event{ID: e.id, Data: e.data}.Message()
			if err != nil {
				s.n.poison.Add(1)
				s.opts.Log.Error("an acknowledged event is no message; it is passed over", "uid", it.p.uid, "err", err)
				continue
			}
			it.messages = append(it.messages, inbox.SettledMessage{ID: e.id, From: m.From, MessageID: m.ID})
			it.delivered = append(it.delivered, delivery.Delivered{Message: m, DeliveredAt: at})
		}
		if it.err != nil || it.overtakes() {
			s.holdReads(it)
		}
	}
}

// holdReads has the read marks of it wait for another flush.
func (s *Settler) holdReads(it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.putBack()
}

// putBack is holdReads with s.mu held.
func (it *item) putBack() {
	p := it.p
	for conversation, at := range it.reads {
		if have, waits := p.reads[conversation]; waits {
			p.s.reads-- // merged with one that came meanwhile
			at = max(at, have)
		}
		p.reads[conversation] = at
	}
	it.reads, p.readsOut = nil, nil
}

// overtakes reports whether the read marks of it came after acks that it does not settle.
func (it *item) overtakes() bool {
	return !it.dead && it.readsAfter.After(it.to) && it.readsAfter.After(it.began)
}

// tellSenders puts one delivered event per sender into the senders' inboxes,
// then the read events into those of both people.
func (s *Settler) tellSenders(ctx context.Context, items []*item) {
	var entries []inbox.Entry
	var of []*item
	receipts := 0
	for _, it := range items {
		if it.err != nil {
			continue
		}
		for _, e := range deliveredEvents(it) {
			entries = append(entries, e)
			of = append(of, it)
			receipts++
		}
	}
	for _, it := range items {
		if it.err != nil {
			continue
		}
		for conversation, at := range it.reads {
			a, b, err := chat.Members(conversation)
			if err != nil {
				continue // Read was given what it must not
			}
			for _, uid := range []string{a, b} {
				entries = append(entries, inbox.Entry{UID: uid, Type: wire.EventRead, Event: wire.ReadEvent{
					Type: wire.EventRead, Conversation: conversation, By: it.p.uid, At: at}})
				of = append(of, it)
			}
		}
	}
	if len(entries) == 0 {
		return
	}
	for i, err := range s.inboxes.Append(ctx, entries) {
		if err != nil {
			of[i].err = err
		}
	}
	s.n.receipts.Add(int64(receipts))
}

// deliveredEvents groups what it settles by sender.
func deliveredEvents(it *item) []inbox.Entry {
	var order []string
	refs := map[string][]wire.MessageRef{}
	for _, d := range it.delivered {
		if refs[d.From] == nil {
			order = append(order, d.From)
		}
		refs[d.From] = append(refs[d.From], wire.MessageRef{ID: d.ID, At: d.At})
	}
	var entries []inbox.Entry
	for _, from := range order {
		for list := refs[from]; len(list) > 0; {
			n := min(wire.MaxDelivered, len(list))
			entries = append(entries, inbox.Entry{UID: from, Type: wire.EventDelivered, Event: wire.DeliveredEvent{
				Type: wire.EventDelivered, Conversation: chat.ConversationID(from, it.p.uid),
				Messages: list[:n], DeliveredAt: it.delivered[0].DeliveredAt}})
			list = list[n:]
		}
	}
	return entries
}

// clearInboxes lets the inboxes forget what is published and told.
func (s *Settler) clearInboxes(ctx context.Context, items []*item) {
	var todo []*item
	for _, it := range items {
		if it.err == nil && !it.dead && it.to.After(it.began) {
			todo = append(todo, it)
		}
	}
	for range 3 {
		if len(todo) == 0 {
			return
		}
		list := make([]inbox.Settlement, len(todo))
		for i, it := range todo {
			list[i] = inbox.Settlement{UID: it.p.uid, Epoch: it.p.epoch, Expected: it.began, To: it.to, Messages: it.messages}
		}
		var again []*item
		for i, r := range s.inboxes.Settle(ctx, list) {
			it := todo[i]
			it.done = r
			if r.Err != nil {
				it.err = r.Err
			}
			if r.Outcome == inbox.SettleMoved && it.rest(r.Settled) {
				s.n.retaken.Add(1)
				again = append(again, it)
			}
		}
		todo = again
	}
}

// rest takes the list anew from acked, to where another instance settled
// meanwhile. What is left of it is published and told already. It reports
// whether acked lies within the list.
func (it *item) rest(settled inbox.ID) bool {
	if !settled.After(it.began) || !it.to.After(settled) {
		return false
	}
	it.began = settled
	n := 0
	for n < len(it.messages) && !it.messages[n].ID.After(settled) {
		n++
	}
	it.messages = it.messages[n:]
	return true
}

// finish takes the results home.
func (s *Settler) finish(items []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushing--
	now := time.Now()
	for _, it := range items {
		p := it.p
		p.inFlight = false
		switch it.done.Outcome {
		case inbox.SettleDone:
			s.n.messages.Add(int64(len(it.messages)))
			p.learn(it.done.Settled)
		case inbox.SettleMoved:
			p.learn(it.done.Settled)
		case inbox.SettleEpoch:
			it.dead = true
		case inbox.SettleFailed:
			if it.err == nil && !it.dead {
				p.learn(it.began) // from the stream: another instance may have settled everything
			}
		}
		if it.dead && !p.dead {
			s.n.otherEpoch.Add(1)
			p.dead = true
			p.drop()
		}
		if it.err != nil {
			s.n.failed.Add(1)
			p.failures++
			p.retryAt = now.Add(s.backoff(p.failures))
			it.putBack()
		} else {
			p.failures, p.retryAt = 0, time.Time{}
			s.n.reads.Add(int64(len(it.reads)))
			s.reads -= len(it.reads)
			p.readsOut = nil
		}
		p.tell()
		if p.waiting() {
			s.dirty[p] = struct{}{}
			// What came meanwhile is gathered; the rest of a list is not.
			s.later(maxTime(now, maxTime(p.retryAt, p.due)))
			continue
		}
		delete(s.dirty, p)
		p.forgetIfDone()
	}
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// backoff returns how long to wait after so many failures in a row.
func (s *Settler) backoff(failures int) time.Duration {
	d := minBackoff << min(failures-1, 10)
	d = min(d, s.opts.MaxBackoff)
	return d/2 + rand.N(d/2+1)
}
