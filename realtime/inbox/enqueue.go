package inbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Enqueue puts m into its recipient's inbox, where it stays until a device of
// the recipient has acknowledged it, then a "sent" event into the sender's
// own inbox for the sender's other devices. m must have passed CheckSend;
// m.AcceptedAt is set here, and returned. A repeated send of the same content
// is answered like the first for as long as that waits; of other content it is
// ErrIDReused. Other errors: ErrRecipientUnknown, ErrRecipientDisabled, ErrBlocked (by the
// recipient's gate, read in the same script), ErrInboxFull,
// problem.ErrUnavailable. After an error the message may nevertheless be
// queued; sending it again, unchanged, is harmless. Two round trips.
func (x *Inboxes) Enqueue(ctx context.Context, m chat.Message) (chat.Micros, error) {
	m.AcceptedAt = chat.MicrosOf(x.opts.Now())
	event, err := json.Marshal(wire.MessageEvent{Type: wire.EventMessage, Message: m})
	if err != nil {
		return 0, fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	accepted, err := x.enqueue(ctx, m, event)
	if err != nil {
		return 0, err
	}
	m.AcceptedAt = accepted // of the first time
	// Also for a repeated send: nobody knows whether the first one came this far.
	if err := x.Append(ctx, []Entry{{m.From, wire.EventSent, wire.MessageEvent{Type: wire.EventSent, Message: m}}})[0]; err != nil {
		return 0, err
	}
	return accepted, nil
}

func (x *Inboxes) enqueue(ctx context.Context, m chat.Message, event []byte) (chat.Micros, error) {
	askGate := "0"
	if x.opts.Gates != nil {
		askGate = "1"
	}
	c := x.call(enqueueScript, m.To, false,
		m.From, m.ID, m.Digest(), event, int64(m.AcceptedAt), askGate, x.opts.MaxWaiting, x.opts.MaxWaitingPerSender)
	c.Keys = append(c.Keys, gateKey(m.To))
	for attempt := 0; ; attempt++ {
		v, err := x.run(ctx, c)
		if err != nil {
			return 0, err
		}
		r := newReply(v, 2)
		word := r.str(0)
		switch word {
		case "queued":
			x.n.enqueued.Add(1)
			return m.AcceptedAt, nil
		case "again":
			x.n.repeated.Add(1)
			at := chat.Micros(r.int(1))
			return at, r.broken()
		case "no_gate":
			// Once a day and user. Twice means that the gate was evicted between: try later.
			if attempt > 0 {
				return 0, problem.ErrUnavailable.WithCause(fmt.Errorf("the gate of %s does not stay in redis", m.To))
			}
			if err := x.opts.Gates.Fill(ctx, m.To); err != nil {
				return 0, err
			}
			continue
		}
		x.n.refused.Add(1)
		switch word {
		case "id_reused":
			return 0, ErrIDReused
		case "unknown":
			return 0, ErrRecipientUnknown
		case "disabled":
			return 0, ErrRecipientDisabled
		case "blocked":
			return 0, ErrBlocked
		case "full":
			x.n.full.Add(1)
			return 0, ErrInboxFull
		}
		if r.err == nil {
			r.err = fmt.Errorf("enqueue answered %q", word)
		}
		return 0, r.broken()
	}
}

// Entry is an event to append to someone's inbox.
type Entry struct {
	UID   string
	Type  string // wire.EventDelivered, …; never wire.EventMessage, which Enqueue writes
	Event any    // marshalled as JSON; carries its own "type"
}

// Append puts events into inboxes, in one round trip (one per node of a
// cluster), in the order given for each uid. The result has an error or nil
// per entry. A repeated append gives a repeated event, which clients do not
// mind. Not meant for messages. Appends go on when Redis is above its memory
// limit, since receipts are what lets it drain.
func (x *Inboxes) Append(ctx context.Context, entries []Entry) []error {
	errs := make([]error, len(entries))
	var uids []string
	of := map[string][]int{} // indexes by uid
	args := map[string][]any{}
	for i, e := range entries {
		data, err := json.Marshal(e.Event)
		if err != nil {
			errs[i] = fmt.Errorf("encode %s event: %w", e.Type, err)
			continue
		}
		if of[e.UID] == nil {
			uids = append(uids, e.UID)
		}
		of[e.UID] = append(of[e.UID], i)
		args[e.UID] = append(args[e.UID], e.Type, data)
	}
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		calls[i] = x.call(appendScript, uid, true, args[uid]...)
	}
	values, failed := x.runAll(ctx, calls)
	for i, uid := range uids {
		for _, n := range of[uid] {
			errs[n] = failed[i]
		}
		if failed[i] != nil {
			continue
		}
		x.n.appended.Add(int64(len(of[uid])))
		if shed, _ := values[i].(int64); shed > 0 {
			x.n.shed.Add(shed)
			x.opts.Log.Warn("an inbox is too full to keep receipts", "uid", uid, "shed", shed)
		}
	}
	return errs
}

// Hint publishes data (one JSON value) to the feeds of uid, and forgets it.
func (x *Inboxes) PublishHint(ctx context.Context, uid string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, x.opts.Timeout)
	defer cancel()
	if err := x.rdb.Publish(ctx, wakeChannel(uid), append([]byte("H "), data...)).Err(); err != nil {
		return x.unavailable(err)
	}
	return nil
}
