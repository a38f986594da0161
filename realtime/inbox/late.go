package inbox

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// lateAfter is how long after the begin of a send the account of its message counts as late: the receipt may have come
// before it. Receipts are sent 250 ms after an ack, and account takes some milliseconds while Redis is well.
const lateAfter = 200 * time.Millisecond

// noteLate records that the totals of a user may count a message that does not wait any more, if the send that has just
// been accounted for began long ago. watchLate heals them.
func (boxes *Inboxes) noteLate(uid string, began time.Time) {
	if time.Since(began) >= boxes.opts.tuning.Late {
		boxes.senders.late.put(uid, struct{}{})
	}
}

// watchLate heals the totals of users whose messages were accounted for late. Otherwise such a message would count
// until its sender reaches a limit.
func (boxes *Inboxes) watchLate(ctx context.Context) {
	interval := boxes.opts.tuning.Compare
	for sleep(ctx, interval) {
		uids := boxes.senders.late.take()
		for _, uid := range uids {
			boxes.counters.Late.Add(1)
			if err := boxes.healLate(ctx, uid); err != nil {
				boxes.senders.late.put(uid, struct{}{})
			}
			if !sleep(ctx, interval/2/time.Duration(len(uids))) { // spread, like the comparisons of feeds
				return
			}
		}
	}
}

// healLate heals the totals of a user. Before, it lets the inboxes of all recipients forget what is marked, because
// healTotals counts everything that has a record.
func (boxes *Inboxes) healLate(ctx context.Context, uid string) error {
	list, err := boxes.Outgoing(ctx, uid)
	if err != nil {
		return err
	}
	recipients := map[string]bool{}
	var calls []script.Call
	for _, o := range list {
		if !recipients[o.To] {
			recipients[o.To] = true
			calls = append(calls, boxes.call(boxes.scripts.waiting, o.To))
		}
	}
	for part := range slices.Chunk(calls, compareBatch) {
		for _, r := range boxes.run(ctx, part...) {
			if r.Err != nil {
				return r.Err
			}
		}
	}
	return boxes.healTotals(ctx, boxes.senders.of(uid), uid)
}
