package inbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Enqueue puts m into its recipient's inbox, where it stays until a device of the recipient has acknowledged it. Then
// it puts a "sent" event into the sender's own inbox, for the sender's other devices. It takes two round trips, and one
// more for a recipient to whom the sender has not written through this instance lately. m must have passed CheckSend.
// Enqueue sets m.AcceptedAt and returns it.
//
// As long as a message waits, a repeated send with the same content gets the first answer again, whatever limits are
// reached (except SendsPerMinute), and one with other content gets ErrIDReused. Other errors are ErrRecipientUnknown
// and ErrRecipientUnavailable (according to the recipient's gate, which the same script reads), the errors of Limits,
// and problem.ErrUnavailable. After the last, the message may be queued nevertheless. Sending it again, unchanged, is
// harmless: if only the second step has failed, this instance repeats only that step, which adds no second event.
//
// With Options.ReplicaWait, Enqueue returns without an error only after a replica has the message too.
func (boxes *Inboxes) Enqueue(ctx context.Context, m chat.Message) (chat.Micros, error) {
	m.AcceptedAt = chat.MicrosOf(boxes.opts.Now())
	event, sent, err := wire.MarshalMessage(m)
	if err != nil {
		return 0, fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	s := boxes.senders.of(m.From)
	if wait := s.waitForRate(boxes.opts.Limits); wait > 0 {
		boxes.counters.TooFast.Add(1)
		return 0, ErrRateLimited.WithRetry(wait)
	}
	accepted, queued := boxes.senders.queuedAt(m)
	if !queued {
		held, done, err := boxes.checkSender(ctx, s, m, len(event))
		if err != nil {
			return 0, err
		}
		defer done()
		if accepted, err = boxes.enqueueForRecipient(ctx, m, event, held); err != nil {
			return 0, err
		}
	}
	if accepted != m.AcceptedAt { // the time of the first send
		m.AcceptedAt = accepted
		if _, sent, err = wire.MarshalMessage(m); err != nil {
			return 0, fmt.Errorf("encode message %s: %w", m.ID, err)
		}
	}
	// A repeated send comes here as well, because the first send may have failed before this point. The script knows
	// whether it has appended the event.
	first := flag(!boxes.senders.hasWritten(m.From, m.To))
	note := fmt.Sprintf("%s/%s %s %d %d", m.To, m.ID, first, len(event), int64(accepted))
	if err := boxes.append(ctx, []encoded{{m.From, wire.EventSent, sent, note}})[0]; err != nil {
		boxes.senders.rememberQueued(m, accepted)
		return 0, err
	}
	if queued {
		boxes.senders.forgetQueued(m)
	}
	boxes.senders.learn(m.From, m.To)
	return accepted, nil
}

// enqueueForRecipient puts the message into the recipient's inbox only. It returns when the message was first accepted.
// If held is not nil, it accepts only a message that waits already, and refuses any other with held.
func (boxes *Inboxes) enqueueForRecipient(ctx context.Context, m chat.Message, event []byte,
	held error) (chat.Micros, error) {
	c := boxes.call(boxes.scripts.enqueue, m.To, m.From, m.ID, m.Digest(), event, int64(m.At), int64(m.AcceptedAt),
		flag(held != nil), flag(!boxes.senders.hasWritten(m.From, m.To)))
	c.Keys = append(c.Keys, gateKey(m.To))
	filled, answered := false, false
	for {
		v, replicated, err := boxes.runReplicated(ctx, c)
		if err != nil {
			return 0, err
		}
		r := newReply(v, 2)
		result := r.str(0)
		if !replicated && (result == "queued" || result == "again") {
			// It stays in the inbox, and the sender does not see it as sent. The repeated send waits again.
			boxes.counters.Unreplicated.Add(1)
			return 0, problem.ErrUnavailable.WithCause(
				fmt.Errorf("enqueue: no replica had the message after %v", boxes.opts.ReplicaWait))
		}
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
			if filled {
				return 0, problem.ErrUnavailable.WithCause(fmt.Errorf("enqueue: redis does not keep the gate of %s", m.To))
			}
			if err := boxes.opts.Gates.Fill(ctx, m.To); err != nil {
				return 0, err
			}
			filled = true
			continue
		case "stranger":
			// The recipient may have answered before Redis was wiped, or a moment ago.
			if !answered {
				if answered, err = boxes.hasAnswered(ctx, m); answered {
					continue
				}
			}
			boxes.counters.Refused.Add(1)
			boxes.counters.Strangers.Add(1)
			return 0, ErrAnswerAwaited.WithCause(err)
		}
		boxes.counters.Refused.Add(1)
		switch result {
		case "id_reused":
			return 0, ErrIDReused
		case "unknown":
			return 0, ErrRecipientUnknown
		case "unavailable":
			return 0, ErrRecipientUnavailable
		case "held":
			return 0, held
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

// flag returns the argument of a script that stands for set.
func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// Entry is an event to append to a user's inbox.
type Entry struct {
	UID   string
	Type  string // wire.EventDelivered, …; never wire.EventMessage, which only Enqueue writes
	Event any    // encoded as JSON; has its own "type" field

	// Again says that an earlier append of exactly this entry may have succeeded although it returned an error. It is
	// needed for events without messages. Of all others, the account of the sender tells it.
	Again bool
}

// encoded is an Entry as the script takes it.
type encoded struct {
	uid, kind string
	event     []byte
	note      string // what the event changes in the totals of uid; see lua/append.lua
}

// noteAgain is the note of an event without messages that may have been appended before.
const noteAgain = "again"

// note returns what the event changes in the totals of the user who gets it.
func (e Entry) note() string {
	var conversation string
	var refs []wire.MessageRef
	switch event := e.Event.(type) {
	case wire.DeliveredEvent:
		conversation, refs = event.Conversation, event.Messages
	case wire.RefusedEvent:
		conversation, refs = event.Conversation, event.Messages
	}
	to, err := chat.Other(conversation, e.UID)
	if err != nil || len(refs) == 0 {
		if e.Again {
			return noteAgain
		}
		return ""
	}
	var b strings.Builder
	b.WriteString(to)
	for _, r := range refs {
		b.WriteString(" " + r.ID)
	}
	return b.String()
}

// Append adds events to inboxes in one round trip (one per node of a cluster), in the given order for each uid. The
// result has an error or nil for each entry. A repeated append with an equal event adds nothing if the event still is
// among the newest of the inbox; see Entry.Again. Messages and their sent events are added by Enqueue instead.
// Delivered and refused events also take their messages out of the totals of the sender. Append also works while
// Redis is above its memory limit, because receipts allow it to drain.
func (boxes *Inboxes) Append(ctx context.Context, entries []Entry) []error {
	errs := make([]error, len(entries))
	list := make([]encoded, 0, len(entries))
	indexes := make([]int, 0, len(entries)) // of entries, by index in list
	for i, e := range entries {
		data, err := chat.Marshal(e.Event)
		if err != nil {
			errs[i] = fmt.Errorf("encode %s event: %w", e.Type, err)
			continue
		}
		list, indexes = append(list, encoded{e.UID, e.Type, data, e.note()}), append(indexes, i)
	}
	for n, err := range boxes.append(ctx, list) {
		errs[indexes[n]] = err
	}
	return errs
}

func (boxes *Inboxes) append(ctx context.Context, entries []encoded) []error {
	errs := make([]error, len(entries))
	var uids []string
	indexes := map[string][]int{} // of entries, by uid
	for i, e := range entries {
		if indexes[e.uid] == nil {
			uids = append(uids, e.uid)
		}
		indexes[e.uid] = append(indexes[e.uid], i)
	}
	calls := make([]script.Call, len(uids))
	for i, uid := range uids {
		args := make([]any, 0, 3*len(indexes[uid]))
		for _, n := range indexes[uid] {
			args = append(args, entries[n].kind, entries[n].event, entries[n].note)
		}
		calls[i] = boxes.call(boxes.scripts.append, uid, args...)
		calls[i].Keys = append(calls[i].Keys, outKey(uid), reachKey(uid))
	}
	values, failed := boxes.runScripts(ctx, calls)
	for i, uid := range uids {
		r := newReply(values[i], 6)
		if failed[i] == nil && r.err != nil {
			failed[i] = r.failure()
		}
		for _, n := range indexes[uid] {
			errs[n] = failed[i]
		}
		if failed[i] != nil {
			continue
		}
		known := r.int(5)
		boxes.counters.Appended.Add(int64(len(indexes[uid])) - known)
		boxes.counters.AppendedAgain.Add(known)
		if shed := r.int(0); shed > 0 {
			boxes.counters.Shed.Add(shed)
			if boxes.shedLog.Allow() { // one account could fill the log
				boxes.opts.Log.Warn("inbox too full to store receipts", "uid", uid, "shed", shed)
			}
		}
		boxes.senders.update(uid, r.int(1), r.int(2), r.int(3), r.int(4))
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
