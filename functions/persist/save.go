package persist

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/pubsubevent"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/trace"
)

// maxAhead is how far times in the data may lie in the future. The realtime service refuses more than chat.MaxAhead;
// the rest allows for clocks that differ. An entry further ahead would determine last_at and the read marks of its
// conversation for a long time.
const maxAhead = 5 * time.Minute

// batch is what one Pub/Sub message has to save.
type batch struct {
	delivered []delivery.Delivered
	changed   []delivery.Changed
	read      []delivery.Read
	seen      []delivery.Seen
}

func (b *batch) size() int { return len(b.delivered) + len(b.changed) + len(b.read) + len(b.seen) }

// save saves the valid entries of m and makes the others dead letters.
func (f *Function) save(ctx context.Context, m pubsubevent.Message) error {
	raw, err := delivery.Decode(m.Data)
	if err != nil {
		return f.putMessage(ctx, m.ID, err, m.Data)
	}
	now := f.deps.Now()
	latest := chat.MicrosOf(now.Add(maxAhead))
	var (
		b    batch
		dead []store.DeadLetter
	)
	reject := func(list string, i int, reason error, entry json.RawMessage) {
		data, err := json.Marshal(map[string]any{"v": raw.V, list: []json.RawMessage{entry}})
		if err != nil { // cannot happen: it was decoded as raw JSON
			data = entry
		}
		dead = append(dead, store.NewDeadLetter(fmt.Sprintf("%s-%s-%d", m.ID, list, i), chat.MicrosOf(now), reason.Error(),
			data))
	}
	for i, entry := range raw.Delivered {
		d, err := delivery.DecodeDelivered(entry)
		if err == nil && (d.At > latest || d.AcceptedAt > latest || d.DeliveredAt > latest) {
			err = fmt.Errorf("message %s: a time is in the future", d.ID)
		}
		if err != nil {
			reject("delivered", i, err, entry)
			continue
		}
		b.delivered = append(b.delivered, d)
	}
	for i, entry := range raw.Changed {
		c, err := delivery.DecodeChanged(entry)
		if err == nil && (c.At > latest || c.AcceptedAt > latest || c.DeliveredAt > latest) {
			err = fmt.Errorf("change %s: a time is in the future", c.ID)
		}
		if err != nil {
			reject("changed", i, err, entry)
			continue
		}
		b.changed = append(b.changed, c)
	}
	for i, entry := range raw.Read {
		r, err := delivery.DecodeRead(entry)
		if err == nil && r.At > latest {
			err = fmt.Errorf("read mark in %s: at is in the future", r.Conversation)
		}
		if err != nil {
			reject("read", i, err, entry)
			continue
		}
		b.read = append(b.read, r)
	}
	for i, entry := range raw.Seen {
		s, err := delivery.DecodeSeen(entry)
		if err == nil && (s.At > latest || s.SignIn > latest) {
			err = fmt.Errorf("use of a sign-in of %s: a time is in the future", s.UID)
		}
		if err != nil {
			reject("seen", i, err, entry)
			continue
		}
		b.seen = append(b.seen, s)
	}
	if err := f.saveBatch(ctx, m, &b); err != nil {
		return fmt.Errorf("save message %s: %w", m.ID, err)
	}
	return f.put(ctx, dead)
}

// saveBatch saves the entries of m that are valid, except those of deleted users. The changes come after the messages,
// which saves the cost of a stub where both are in one batch.
func (f *Function) saveBatch(ctx context.Context, m pubsubevent.Message, b *batch) error {
	if err := f.dropErased(ctx, b); err != nil || b.size() == 0 {
		return err
	}
	if len(b.delivered)+len(b.read) > 0 {
		kept, err := f.deps.Store.Save(ctx, b.delivered, b.read)
		if err != nil {
			return err
		}
		if err := f.correct(ctx, kept); err != nil {
			return err
		}
	}
	if sums := store.SumChanges(b.changed); len(sums) > 0 {
		if err := f.deps.Store.SaveChanges(ctx, sums, chat.MicrosOf(f.deps.Now())); err != nil {
			return err
		}
	}
	for _, d := range b.delivered {
		if trace.Traced(d.ID, d.From) {
			trace.Log(f.deps.Log, trace.Saved, d.ID, slog.String("pubsub_id", m.ID),
				slog.String("parent", m.Attributes[trace.Attribute]))
		}
	}
	if err := f.recordSignIns(ctx, b.seen); err != nil {
		return err
	}
	f.recordActivity(ctx, b)
	return nil
}

// correct tells devices what is saved under ids that their users have used again with other content. If it fails,
// Pub/Sub delivers the message again, and the store finds them again.
func (f *Function) correct(ctx context.Context, kept []delivery.Delivered) error {
	if len(kept) == 0 {
		return nil
	}
	f.deps.Log.WarnContext(ctx, "ids were used again with other content", "messages", len(kept), "from", kept[0].From,
		"id", kept[0].ID)
	return f.deps.Realtime.Corrected(ctx, kept)
}

// putMessage makes a whole message a dead letter.
func (f *Function) putMessage(ctx context.Context, id string, reason error, data []byte) error {
	return f.put(ctx, []store.DeadLetter{store.NewDeadLetter(id, chat.MicrosOf(f.deps.Now()), reason.Error(), data)})
}

// put logs dead letters and hands them to Deps.DeadLetters.
func (f *Function) put(ctx context.Context, dead []store.DeadLetter) error {
	if len(dead) == 0 {
		return nil
	}
	for _, l := range dead {
		f.deps.Log.ErrorContext(ctx, "malformed data became a dead letter", "dead_letter", l.ID, "reason", l.Reason)
	}
	return f.deps.DeadLetters.Put(ctx, dead)
}
