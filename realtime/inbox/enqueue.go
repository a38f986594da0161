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

// Enqueue puts m into its recipient's inbox, where it stays until a device of the recipient has acknowledged it. Then
// it puts a "sent" event into the sender's own inbox, for the sender's other devices. It takes two round trips. m must
// have passed CheckSend. Enqueue sets m.AcceptedAt and returns it.
//
// As long as a message waits, a repeated send with the same content gets the first answer again, and one with other
// content gets ErrIDReused. Other errors are ErrRecipientUnknown, ErrRecipientDisabled and ErrBlocked (according to the
// recipient's gate, which the same script reads), ErrInboxFull and problem.ErrUnavailable. After an error the message
// may be queued nevertheless. Sending it again, unchanged, is harmless.
func (boxes *Inboxes) Enqueue(ctx context.Context, m chat.Message) (chat.Micros, error) {
	m.AcceptedAt = chat.MicrosOf(boxes.opts.Now())
	event, err := json.Marshal(wire.MessageEvent{Type: wire.EventMessage, Message: m})
	if err != nil {
		return 0, fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	accepted, err := boxes.enqueueForRecipient(ctx, m, event)
	if err != nil {
		return 0, err
	}
	m.AcceptedAt = accepted // the time of the first send
	// A repeated send also appends the event, because the first send may have failed before this point.
	sent := Entry{m.From, wire.EventSent, wire.MessageEvent{Type: wire.EventSent, Message: m}}
	if err := boxes.Append(ctx, []Entry{sent})[0]; err != nil {
		return 0, err
	}
	return accepted, nil
}

// enqueueForRecipient puts the message into the recipient's inbox only. It returns when the message was first accepted.
func (boxes *Inboxes) enqueueForRecipient(ctx context.Context, m chat.Message, event []byte) (chat.Micros, error) {
	checkGate := "0"
	if boxes.opts.Gates != nil {
		checkGate = "1"
	}
	c := boxes.call(enqueueScript, m.To, false, m.From, m.ID, m.Digest(), event, int64(m.AcceptedAt), checkGate,
		boxes.opts.tuning.MaxWaiting, boxes.opts.MaxWaitingPerSender)
	c.Keys = append(c.Keys, gateKey(m.To))
	for attempt := 0; ; attempt++ {
		v, err := boxes.runScript(ctx, c)
		if err != nil {
			return 0, err
		}
		r := newReply(v, 2)
		result := r.str(0)
		switch result {
		case "queued":
			boxes.counters.Enqueued.Add(1)
			return m.AcceptedAt, nil
		case "again":
			boxes.counters.Repeated.Add(1)
			at := chat.Micros(r.int(1))
			return at, r.failure()
		case "no_gate":
			// This happens once a day per user. A gate that is missing twice was evicted in between: try later.
			if attempt > 0 {
				return 0, problem.ErrUnavailable.WithCause(fmt.Errorf("enqueue: redis does not keep the gate of %s", m.To))
			}
			if err := boxes.opts.Gates.Fill(ctx, m.To); err != nil {
				return 0, err
			}
			continue
		}
		boxes.counters.Refused.Add(1)
		switch result {
		case "id_reused":
			return 0, ErrIDReused
		case "unknown":
			return 0, ErrRecipientUnknown
		case "disabled":
			return 0, ErrRecipientDisabled
		case "blocked":
			return 0, ErrBlocked
		case "full":
			boxes.counters.Full.Add(1)
			return 0, ErrInboxFull
		}
		if r.err == nil {
			r.err = fmt.Errorf("enqueue: script returned %q", result)
		}
		return 0, r.failure()
	}
}

// Entry is an event to append to a user's inbox.
type Entry struct {
	UID   string
	Type  string // wire.EventDelivered, …; never wire.EventMessage, which only Enqueue writes
	Event any    // encoded as JSON; has its own "type" field
}

// Append adds events to inboxes in one round trip (one per node of a cluster), in the given order for each uid. The
// result has an error or nil for each entry. A repeated append repeats the event, which clients tolerate. Messages are
// added by Enqueue instead. Append also works while Redis is above its memory limit, because receipts allow it to
// drain.
func (boxes *Inboxes) Append(ctx context.Context, entries []Entry) []error {
	errs := make([]error, len(entries))
	var uids []string
	indexes := map[string][]int{} // of entries, by uid
	args := map[string][]any{}
	for i, e := range entries {
		data, err := json.Marshal(e.Event)
		if err != nil {
			errs[i] = fmt.Errorf("encode %s event: %w", e.Type, err)
			continue
		}
		if indexes[e.UID] == nil {
			uids = append(uids, e.UID)
		}
		indexes[e.UID] = append(indexes[e.UID], i)
		args[e.UID] = append(args[e.UID], e.Type, data)
	}
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		calls[i] = boxes.call(appendScript, uid, true, args[uid]...)
	}
	values, failed := boxes.runScripts(ctx, calls)
	for i, uid := range uids {
		for _, n := range indexes[uid] {
			errs[n] = failed[i]
		}
		if failed[i] != nil {
			continue
		}
		boxes.counters.Appended.Add(int64(len(indexes[uid])))
		if shed, _ := values[i].(int64); shed > 0 {
			boxes.counters.Shed.Add(shed)
			boxes.opts.Log.Warn("inbox too full to store receipts", "uid", uid, "shed", shed)
		}
	}
	return errs
}

// PublishHint sends data, one JSON value, to the feeds of uid. It is not stored.
func (boxes *Inboxes) PublishHint(ctx context.Context, uid string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := boxes.rdb.Publish(ctx, wakeChannel(uid), append([]byte("H "), data...)).Err(); err != nil {
		return boxes.classifyError(err)
	}
	return nil
}
