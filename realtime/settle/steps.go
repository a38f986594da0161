package settle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

const (
	listsPerRead  = 50  // lists read in one round trip
	eventsPerList = 200 // events read of one list
	settleRounds  = 3   // attempts to settle a list while other instances settle parts of it
)

// item is the part of a flush that belongs to one state.
type item struct {
	state     *inboxState
	began, to inbox.ID               // the list is (began, to]
	list      []event                // events of the list that wait
	acks      []inbox.Ack            // of the state, when the flush began
	covered   bool                   // list is complete, from memory
	short     bool                   // the flush does not cover all acks
	messages  []inbox.SettledMessage // messages and changes of the list
	events    [][]byte               // of messages, in the same order
	bytes     int                    // of events
	delivered []delivered            // of messages, in the same order
	pubs      []*pubMessage          // the Pub/Sub message of each element of delivered; nil: confirmed before
	progress  *progress              // of earlier flushes that failed; nil: none

	removals uint64 // as last heard from Redis
	gone     uint64 // of these removals no message is kept

	closed bool // the user had no window when the flush began
	forget bool // let the inbox forget the list, and what is marked, instead of marking the list

	err    error // the state must be flushed again
	stale  bool  // the inbox has another epoch
	result inbox.SettleResult
}

// order returns the place of an item in a flush. Those come first for which closed sockets wait.
func (it *item) order() int {
	if it.closed {
		return 0
	}
	return 1
}

// flush takes the steps of DESIGN §5 for every state of a batch. It publishes all messages together, and takes the
// other steps for a part of the states at a time, with pauses. Otherwise hundreds of receipts at once would delay the
// messages that arrive meanwhile. When draining is closed, there are no more pauses.
func (s *Settler) flush(ctx context.Context, draining <-chan struct{}, batch []*inboxState) {
	s.counters.Flushes.Add(1)
	items := s.collect(batch)
	s.readLists(ctx, items)
	s.publish(ctx, items)
	slices.SortStableFunc(items, func(a, b *item) int { return cmp.Compare(a.order(), b.order()) })
	between := min(longestPause, allPauses/time.Duration(len(items)/partOfFlush+1))
	for len(items) > 0 {
		n, pauses := s.partSize()
		part := items[:min(n, len(items))]
		s.appendReceipts(ctx, part)
		s.settleInboxes(ctx, part)
		s.recordResults(part)
		s.appendReadMarks(ctx, part)
		s.release(part)
		items = items[len(part):]
		if pauses && len(items) > 0 && !items[0].closed {
			pause(between, draining)
		}
	}
	s.endFlush()
}

// A flush is taken in parts.
const (
	partOfFlush      = 16  // states
	largePartOfFlush = 128 // states, if flushes do not keep up
	longestPause     = 5 * time.Millisecond
	allPauses        = 60 * time.Millisecond // of one flush
)

// partSize returns how many states the next part of a flush has, and whether a pause may follow.
func (s *Settler) partSize() (states int, pauses bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flushes > 1 { // the next flush has begun before this one ends
		return largePartOfFlush, false
	}
	return partOfFlush, true
}

// pause waits between two parts of a flush, or until draining is closed.
func pause(d time.Duration, draining <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-draining:
	}
}

// collect builds the items and copies the lists that are in memory.
func (s *Settler) collect(batch []*inboxState) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := make([]*item, len(batch))
	for i, st := range batch {
		it := &item{state: st, began: st.settled, to: st.acked, covered: true, stale: st.stale, progress: st.progress,
			removals: st.removals, closed: st.windows == 0, forget: st.windows == 0}
		items[i] = it
		st.due = time.Time{}
		it.acks = make([]inbox.Ack, 0, len(st.acks))
		for r, id := range st.acks {
			it.acks = append(it.acks, inbox.Ack{ID: id, Removals: r})
		}
		it.forget = it.forget || st.mustForget()
		if st.stale {
			it.to = it.began
			continue
		}
		if st.mayRestore() {
			it.to, it.covered = maxID(st.acked, st.settled), false
			continue
		}
		if !st.acked.After(st.settled) {
			it.to = it.began
			continue
		}
		if it.covered = st.covers(st.settled, st.acked); !it.covered {
			continue
		}
		for _, e := range st.events {
			if e.id.After(st.acked) {
				break
			}
			if len(it.list) == s.opts.maxMessages {
				it.to, it.short = it.list[len(it.list)-1].id, true
				break
			}
			it.list = append(it.list, e)
		}
	}
	return items
}

// readLists reads the lists that memory does not cover, and decodes the messages of all lists.
func (s *Settler) readLists(ctx context.Context, items []*item) {
	var unread []*item
	for _, it := range items {
		if !it.covered {
			unread = append(unread, it)
		}
	}
	for len(unread) > 0 {
		n := min(listsPerRead, len(unread))
		claims := make([]inbox.Claim, n)
		for i, it := range unread[:n] {
			claims[i] = inbox.Claim{UID: it.state.uid, To: it.to, Epoch: it.state.epoch, Acks: it.acks}
		}
		s.counters.FromStream.Add(int64(n))
		for i, u := range s.inboxes.Unsettled(ctx, claims, eventsPerList) {
			it := unread[i]
			switch {
			case u.Err != nil:
				it.err = fmt.Errorf("settle: read list: %w", u.Err)
				continue
			case u.Epoch != it.state.epoch:
				it.stale = true
				continue
			}
			it.short = it.to.After(u.To)
			it.began, it.to, it.removals = u.Settled, u.To, u.Removals
			if !u.Kept {
				it.gone = u.Removals
			}
			for _, e := range u.Events {
				if wire.Waits(e.Type) {
					it.list = append(it.list, event{e.ID, e.Type, e.Data})
				}
			}
		}
		unread = unread[n:]
	}
	at := chat.MicrosOf(s.opts.Now())
	for _, it := range items {
		for _, e := range it.list {
			m, err := inbox.Event{ID: e.id, Type: e.kind, Data: e.data}.Item()
			if err != nil {
				s.counters.Poison.Add(1)
				s.opts.Log.Error("skipped an acknowledged event that is not what its type says",
					"uid", it.state.uid, "error", err)
				continue
			}
			it.messages = append(it.messages, inbox.SettledMessage{ID: e.id, From: m.From(), MessageID: m.ID()})
			it.events = append(it.events, e.data)
			it.bytes += len(e.data)
			d := delivered{item: m, at: at}
			if published, ok := it.progress.publishedAt(e.id); ok {
				d.at = published
			}
			it.delivered = append(it.delivered, d)
		}
	}
}

// delivered is a message or a change that a device of its recipient has acknowledged.
type delivered struct {
	item inbox.Item
	at   chat.Micros // when that was
}

// appendReceipts reports the published messages to their senders: one delivered event per sender, or more if the
// sender has more than wire.MaxDelivered messages. What an earlier flush has reported is left out, and an event whose
// append was not confirmed is repeated unchanged, so that the inbox recognizes it.
func (s *Settler) appendReceipts(ctx context.Context, items []*item) {
	var receipts []receipt
	var entries []inbox.Entry // of receipts
	var of []*item            // the item of each receipt
	for _, it := range items {
		if it.err != nil {
			continue
		}
		for _, r := range it.receipts() {
			receipts = append(receipts, r)
			entries = append(entries, r.entry)
			of = append(of, it)
		}
	}
	if len(entries) == 0 {
		return
	}
	errs := s.inboxes.Append(ctx, entries)
	for i, err := range errs {
		if err != nil {
			of[i].err = fmt.Errorf("settle: append receipt: %w", err)
			continue
		}
		s.counters.Receipts.Add(1)
	}
	for i, it := range of {
		switch {
		case it.err == nil:
		case errs[i] == nil:
			it.keepPublished().setReported(receipts[i].messages...)
		default:
			p := it.keepPublished()
			p.receipts = append(p.receipts, receipts[i])
		}
	}
}

// receipts returns the delivered events to append for an item, first those of an earlier flush.
func (it *item) receipts() []receipt {
	receipts, handled := it.progress.takeReceipts()
	var senders bySender
	for i, d := range it.delivered {
		if _, ok := handled[it.messages[i].ID]; !ok {
			senders.add(it.messages[i].ID, d.item)
		}
	}
	for _, from := range senders.order {
		for part := range slices.Chunk(senders.items[from], wire.MaxDelivered) {
			refs, ids := refsOf(part)
			e := inbox.Entry{UID: from, Type: wire.EventDelivered, Event: wire.DeliveredEvent{
				Type: wire.EventDelivered, Conversation: chat.ConversationID(from, it.state.uid),
				Messages: refs.Messages, Changes: refs.Changes, DeliveredAt: it.delivered[0].at}}
			receipts = append(receipts, receipt{e, ids})
		}
	}
	return receipts
}

// bySender groups messages and changes by sender.
type bySender struct {
	order []string // senders, by their first item
	items map[string][]streamItem
}

// streamItem is an item with its stream id.
type streamItem struct {
	id   inbox.ID
	item inbox.Item
}

func (b *bySender) add(id inbox.ID, i inbox.Item) {
	if b.items == nil {
		b.items = map[string][]streamItem{}
	}
	from := i.From()
	if b.items[from] == nil {
		b.order = append(b.order, from)
	}
	b.items[from] = append(b.items[from], streamItem{id, i})
}

// refsOf returns the references to some items, and their stream ids.
func refsOf(list []streamItem) (refs wire.Refs, ids []inbox.ID) {
	for _, r := range list {
		refs.Add(r.item.Event(), r.item.Ref())
		ids = append(ids, r.id)
	}
	return refs, ids
}

// settleInboxes records in the inboxes what is published and reported. A mark does that at little cost, and sooner or
// later a script lets the inbox forget it. A list without messages needs neither.
func (s *Settler) settleInboxes(ctx context.Context, items []*item) {
	var mark, settle []*item
	for _, it := range items {
		switch {
		case it.err != nil || it.stale:
		case len(it.messages) == 0 && !it.forget:
			if it.to.After(it.began) {
				it.result = inbox.SettleResult{Outcome: inbox.SettleDone, Settled: it.to}
			}
		case it.forget || !inbox.CanMark(it.to):
			settle = append(settle, it)
		default:
			mark = append(mark, it)
		}
	}
	if len(mark) > 0 {
		for i, r := range s.inboxes.Mark(ctx, settlements(mark)) {
			if mark[i].accept(r) {
				settle = append(settle, mark[i]) // for the messages that were removed meanwhile
			}
		}
	}
	for range settleRounds {
		if len(settle) == 0 {
			return
		}
		var again []*item
		for i, r := range s.inboxes.Settle(ctx, settlements(settle)) {
			it := settle[i]
			it.accept(r)
			it.forget = r.Err == nil
			if r.Outcome == inbox.SettleMoved && it.skipTo(r.Settled) {
				s.counters.Retaken.Add(1)
				again = append(again, it)
			}
		}
		settle = again
	}
}

func settlements(items []*item) []inbox.Settlement {
	list := make([]inbox.Settlement, len(items))
	for i, it := range items {
		list[i] = inbox.Settlement{UID: it.state.uid, Epoch: it.state.epoch, Expected: it.began, To: it.to,
			Messages: it.messages}
	}
	return list
}

// accept records the result of a mark or a settlement. It reports whether messages were removed since the list was
// read.
func (it *item) accept(r inbox.SettleResult) (removed bool) {
	it.result = r
	removed = r.Removals > it.removals
	it.removals = max(it.removals, r.Removals)
	if r.Err != nil {
		it.err = fmt.Errorf("settle: settle inbox: %w", r.Err)
		p := it.keepPublished()
		for _, m := range it.messages {
			p.setReported(m.ID)
		}
	}
	return removed
}

// skipTo removes from the list what another instance has settled meanwhile. The rest is already published and
// reported. skipTo reports whether settled lies within the list.
func (it *item) skipTo(settled inbox.ID) bool {
	if !settled.After(it.began) || !it.to.After(settled) {
		return false
	}
	it.began = settled
	n := 0
	for n < len(it.messages) && !it.messages[n].ID.After(settled) {
		n++
	}
	it.messages, it.events, it.delivered = it.messages[n:], it.events[n:], it.delivered[n:]
	return true
}

// forgetAcks forgets the acks that a flush has settled. What they bring back is queued again.
func (st *inboxState) forgetAcks(it *item) {
	if it.err != nil || it.short {
		return
	}
	for _, a := range it.acks {
		if st.acks[a.Removals] == a.ID {
			delete(st.acks, a.Removals)
		}
	}
}

// recordResults records in the states what was settled.
func (s *Settler) recordResults(items []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		st := it.state
		st.gone = max(st.gone, it.gone)
		st.forgetAcks(it)
		st.hearOfRemovals(it.removals)
		switch it.result.Outcome {
		case inbox.SettleDone:
			s.counters.Messages.Add(int64(len(it.messages)))
			st.raiseSettled(it.result.Settled)
			if it.forget {
				st.forgot()
			} else {
				st.unforgotten += len(it.messages)
				st.unforgottenBytes += it.bytes
			}
		case inbox.SettleMoved:
			st.raiseSettled(it.result.Settled)
		case inbox.SettleEpoch:
			it.stale = true
		case inbox.SettleFailed:
			if it.err == nil && !it.stale {
				st.raiseSettled(it.began) // read from Redis: another instance may have settled everything
			}
		}
		if it.stale && !st.stale {
			s.counters.OtherEpoch.Add(1)
			st.stale = true
			st.freeEvents()
		}
		st.progress = it.progress.trim(st.settled)
		if st.stale {
			st.progress = nil
		}
	}
}
