package inbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Limits of what is kept of removed messages; see DESIGN §5, "Withdraw".
const (
	keepRemoved     = 10 * time.Minute // time in which a device that has a removed message brings it back
	maxRemoved      = 256              // removed messages that are kept per inbox, like the window of a socket
	maxRemovedBytes = 256 << 10        // … and their bytes
	presenceLag     = 2 * time.Minute  // more than the lease of presence

	withdrawBatch = 250 // messages that one script removes, and one refused event names
)

// Withdrawal selects messages that wait in one inbox.
type Withdrawal struct {
	UID      string         // owner of the inbox
	From     string         // sender; "": any
	AtBefore chat.Micros    // only messages whose at is before this time; 0: all
	Accepted chat.Micros    // only messages that were accepted up to this time; 0: all
	Reason   *problem.Error // Code and Message of the refused events
}

// Withdrawn sums up messages that were removed.
type Withdrawn struct {
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"` // of their events
}

func (w *Withdrawn) add(o Withdrawn) {
	w.Messages += o.Messages
	w.Bytes += o.Bytes
}

// record is the record of a waiting message; see pending in lua/inbox.lua.
type record struct {
	from, messageID string
	id              ID
	accepted, at    chat.Micros
	bytes           int64
	restored        bool
	change          bool // not a message
}

func parseRecord(field, value string) (record, error) {
	from, messageID, ok := strings.Cut(field, "/")
	part := strings.Fields(value)
	if !ok || len(part) < 5 {
		return record{}, fmt.Errorf("parse the record of a waiting message: field %.200q, value %.200q", field, value)
	}
	id, err := ParseID(part[0])
	r := reply{list: []any{part[2], part[3], part[4]}}
	rec := record{from: from, messageID: messageID, id: id, accepted: chat.Micros(r.int(0)), bytes: r.int(1),
		at: chat.Micros(r.int(2)), restored: len(part) > 5, change: chat.IsChangeDigest(part[1])}
	return rec, errors.Join(err, r.err)
}

// Withdraw refuses messages that wait to their senders, and then removes them from the inbox, wherever they are in it.
// A sender who was deleted gets no refused event. A message that a device has already comes back, at the latest with
// the device's next hello within 10 minutes, and is delivered to all devices; so "delivered" follows "refused" at the
// sender. Such a message is not withdrawn again for 10 minutes.
//
// Withdraw reads the records of the inbox in pages and takes a few round trips per 250 messages. It can be repeated,
// and continues after an error. The error is problem.ErrUnavailable.
func (boxes *Inboxes) Withdraw(ctx context.Context, w Withdrawal) (Withdrawn, error) {
	var sum Withdrawn
	if waits, err := boxes.inWhichMessagesWait(ctx, []string{w.UID}); err != nil || len(waits) == 0 {
		return sum, err
	}
	match := "*"
	if w.From != "" {
		match = w.From + "/*"
	}
	for cursor := uint64(0); ; {
		page, next, err := boxes.scanHash(ctx, pendingKey(w.UID), cursor, match)
		if err != nil {
			return sum, err
		}
		bySender := map[string][]record{}
		for i := 0; i+1 < len(page); i += 2 {
			rec, err := parseRecord(page[i], page[i+1])
			if err != nil {
				boxes.opts.Log.Error("skipped an unreadable record of a waiting message", "uid", w.UID, "error", err)
				continue
			}
			if w.selects(rec, boxes.opts.Now()) {
				bySender[rec.from] = append(bySender[rec.from], rec)
			}
		}
		for _, from := range slices.Sorted(maps.Keys(bySender)) {
			list := bySender[from]
			for len(list) > 0 {
				n := min(withdrawBatch, len(list))
				removed, err := boxes.withdrawBatch(ctx, w, from, list[:n])
				if err != nil {
					return sum, err
				}
				sum.add(removed)
				list = list[n:]
			}
		}
		if cursor = next; cursor == 0 {
			return sum, nil
		}
	}
}

// inWhichMessagesWait returns those of the given users whose inboxes have messages that wait, in one round trip.
// Messages that are marked as delivered must not be refused: the script forgets them, and they have no record then.
func (boxes *Inboxes) inWhichMessagesWait(ctx context.Context, uids []string) ([]string, error) {
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		calls[i] = boxes.call(boxes.scripts.waiting, uid)
	}
	var waits []string
	for i, result := range boxes.run(ctx, calls...) {
		if result.Err != nil {
			return nil, result.Err
		}
		r := newReply(result.Value, 2)
		count := r.int(0)
		if err := r.failure(); err != nil {
			return nil, err
		}
		if count > 0 {
			waits = append(waits, uids[i])
		}
	}
	return waits, nil
}

// selects reports whether a message is to be withdrawn. The script skips restored messages, too.
func (w Withdrawal) selects(rec record, now time.Time) bool {
	return (w.From == "" || rec.from == w.From) &&
		(w.AtBefore == 0 || rec.at < w.AtBefore) &&
		(w.Accepted == 0 || rec.accepted <= w.Accepted) &&
		!(rec.restored && now.Sub(time.UnixMilli(int64(rec.id.Ms))) < keepRemoved)
}

func (boxes *Inboxes) scanHash(ctx context.Context, key string, cursor uint64, match string) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	page, next, err := boxes.rdb.HScan(ctx, key, cursor, match, 1000).Result()
	if err != nil {
		return nil, 0, boxes.classifyError(err)
	}
	return page, next, nil
}

// withdrawBatch withdraws messages of one sender. The refused event comes first: after a crash in between, the sender
// may see a message as refused that is delivered later, but no message vanishes.
func (boxes *Inboxes) withdrawBatch(ctx context.Context, w Withdrawal, from string, list []record) (Withdrawn, error) {
	args := make([]any, 0, 2*len(list))
	var refs wire.Refs
	for _, rec := range list {
		event := wire.EventMessage
		if rec.change {
			event = wire.EventChange
		}
		refs.Add(event, wire.MessageRef{ID: rec.messageID, At: rec.at})
		args = append(args, rec.from+"/"+rec.messageID, rec.id.String())
	}
	state, err := boxes.senderState(ctx, from)
	if err != nil {
		return Withdrawn{}, err
	}
	if state != senderGone {
		refused := Entry{UID: from, Type: wire.EventRefused, Event: wire.RefusedEvent{Type: wire.EventRefused,
			Conversation: chat.ConversationID(from, w.UID), Messages: refs.Messages, Changes: refs.Changes,
			Code: w.Reason.Code, Message: w.Reason.Message}}
		if err := boxes.Append(ctx, []Entry{refused})[0]; err != nil {
			return Withdrawn{}, err
		}
	}
	c := boxes.call(boxes.scripts.withdraw, w.UID, args...)
	c.Keys = append(c.Keys, presenceKey(w.UID), "lastseen:{"+w.UID+"}", removedKey(w.UID))
	v, err := boxes.runScript(ctx, c)
	if err != nil {
		return Withdrawn{}, err
	}
	r := newReply(v, 2)
	removed := Withdrawn{r.int(0), r.int(1)}
	boxes.counters.Withdrawn.Add(removed.Messages)
	return removed, r.failure()
}

// senderState is what a gate says about a sender.
type senderState int

const (
	senderActive senderState = iota
	senderDisabled
	senderGone // deleted, or never existed
)

// senderState reads a user's gate. It fills the gate if it is missing.
func (boxes *Inboxes) senderState(ctx context.Context, uid string) (senderState, error) {
	if boxes.opts.Gates == nil {
		return senderActive, nil
	}
	for filled := false; ; filled = true {
		values, err := boxes.readGate(ctx, uid)
		if err != nil {
			return 0, err
		}
		switch {
		case values[0] == "0":
			return senderGone, nil
		case values[0] != nil && values[1] == "1":
			return senderDisabled, nil
		case values[0] != nil:
			return senderActive, nil
		case filled:
			return 0, problem.ErrUnavailable.WithCause(fmt.Errorf("withdraw: redis does not keep the gate of %s", uid))
		}
		if err := boxes.opts.Gates.Fill(ctx, uid); err != nil {
			return 0, err
		}
	}
}

func (boxes *Inboxes) readGate(ctx context.Context, uid string) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	values, err := boxes.rdb.HMGet(ctx, gateKey(uid), "exists", "disabled").Result()
	if err != nil {
		return nil, boxes.classifyError(err)
	}
	return values, nil
}

// eachInbox calls visit with the users in whose inboxes messages wait, in pages. It scans all primaries. A user who
// starts or ceases to have waiting messages meanwhile may be left out, and one may be visited twice.
func (boxes *Inboxes) eachInbox(ctx context.Context, visit func(uids []string) error) error {
	scan := func(ctx context.Context, c redis.Cmdable) error {
		for cursor := uint64(0); ; {
			keys, next, err := scanKeys(ctx, c, cursor)
			if err != nil {
				return boxes.classifyError(fmt.Errorf("scan inboxes: %w", err))
			}
			uids := make([]string, len(keys))
			for i, key := range keys {
				uids[i] = strings.TrimSuffix(strings.TrimPrefix(key, "pending:{"), "}")
			}
			if len(uids) > 0 {
				if err := visit(uids); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	cluster, ok := boxes.rdb.(*redis.ClusterClient)
	if !ok {
		return scan(ctx, boxes.rdb)
	}
	var primaries []*redis.Client // one after the other, so that visit need not be safe for concurrent use
	found := make(chan *redis.Client, 1024)
	err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		found <- c
		return nil
	})
	if err != nil {
		return boxes.classifyError(fmt.Errorf("scan inboxes: %w", err))
	}
	for len(found) > 0 {
		primaries = append(primaries, <-found)
	}
	for _, c := range primaries {
		if err := scan(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func scanKeys(ctx context.Context, c redis.Cmdable, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.Scan(ctx, cursor, pendingKey("*"), 1000).Result()
}
