package settle

import (
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// progress is how far the messages of a list have come in a flush of which a later step failed. The next flush of the
// state continues there, so that a slow Redis does not multiply what is published and reported. It is lost with the
// instance; then another one repeats the work.
type progress struct {
	published map[inbox.ID]chat.Micros // messages that Pub/Sub has confirmed, and their delivered_at
	reported  map[inbox.ID]struct{}    // messages whose delivered event is appended
	receipts  []receipt                // appends that were not confirmed; they are repeated with the same bytes
}

// receipt is a delivered event to append, and the messages that it reports, in order.
type receipt struct {
	entry    inbox.Entry
	messages []inbox.ID
}

// publishedAt returns the delivered_at of a message that Pub/Sub has confirmed in an earlier flush.
func (p *progress) publishedAt(id inbox.ID) (at chat.Micros, ok bool) {
	if p == nil {
		return 0, false
	}
	at, ok = p.published[id]
	return at, ok
}

// takeReceipts removes and returns the receipts to repeat. handled has their messages, and those that are reported.
func (p *progress) takeReceipts() (receipts []receipt, handled map[inbox.ID]struct{}) {
	if p == nil {
		return nil, nil
	}
	handled = map[inbox.ID]struct{}{}
	for id := range p.reported {
		handled[id] = struct{}{}
	}
	for _, r := range p.receipts {
		for _, id := range r.messages {
			handled[id] = struct{}{}
		}
	}
	receipts, p.receipts = p.receipts, nil
	return receipts, handled
}

// setReported records that the delivered event of these messages is appended.
func (p *progress) setReported(ids ...inbox.ID) {
	for _, id := range ids {
		p.reported[id] = struct{}{}
	}
}

// trim forgets what is settled. It returns nil if nothing is left.
func (p *progress) trim(settled inbox.ID) *progress {
	if p == nil {
		return nil
	}
	for id := range p.published {
		if !id.After(settled) {
			delete(p.published, id)
		}
	}
	for id := range p.reported {
		if !id.After(settled) {
			delete(p.reported, id)
		}
	}
	var receipts []receipt
	for _, r := range p.receipts {
		if r.messages[len(r.messages)-1].After(settled) {
			receipts = append(receipts, r)
		}
	}
	p.receipts = receipts
	if len(p.published)+len(p.receipts) == 0 {
		return nil
	}
	return p
}

// keepProgress returns the progress of the item, which is empty before the first failure.
func (it *item) keepProgress() *progress {
	if it.progress == nil {
		it.progress = &progress{published: map[inbox.ID]chat.Micros{}, reported: map[inbox.ID]struct{}{}}
	}
	return it.progress
}

// keepPublished records that Pub/Sub has confirmed all messages of the list.
func (it *item) keepPublished() *progress {
	p := it.keepProgress()
	for i, m := range it.messages {
		p.published[m.ID] = it.delivered[i].at
	}
	return p
}
