package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Enqueue is EnqueueFrom without a device: all devices of the sender get a sent event.
func (boxes *Inboxes) Enqueue(ctx context.Context, m chat.Message) (chat.Micros, error) {
	return boxes.EnqueueFrom(ctx, m, "")
}

// EnqueueFrom puts m into its recipient's inbox, where it stays until a device of the recipient has acknowledged it.
// Then, if a device of the sender other than the given one has attached lately, it puts a "sent" event into the
// sender's own inbox. It takes one round trip, or one more on a cluster or with the event, and another one for a
// recipient to whom the sender has not written through this instance lately. m must have passed CheckSend. EnqueueFrom
// sets m.AcceptedAt and returns it.
//
// As long as a message waits, a repeated send with the same content gets the first answer again, whatever limits are
// reached (except SendsPerMinute), and one with other content gets ErrIDReused. Other errors are ErrRecipientUnknown
// and ErrRecipientUnavailable (according to the recipient's gate, which the same script reads), the errors of Limits,
// and problem.ErrUnavailable. After the last, the message may be queued nevertheless. Sending it again, unchanged, is
// harmless: if only the second step has failed, this instance repeats only that step, which adds no second event.
//
// With Options.ReplicaWait, EnqueueFrom returns without an error only after a replica has the message too.
func (boxes *Inboxes) EnqueueFrom(ctx context.Context, m chat.Message, device string) (chat.Micros, error) {
	began := time.Now()
	m.AcceptedAt = chat.MicrosOf(boxes.opts.Now())
	event, sent, err := wire.MarshalMessage(m)
	if err != nil {
		return 0, fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	s := boxes.senders.of(m.From)
	if wait := s.waitForRate(boxes.opts.Limits, boxes.opts.Now()); wait > 0 {
		boxes.counters.TooFast.Add(1)
		return 0, ErrRateLimited.WithRetry(wait)
	}
	accepted, queued := boxes.senders.queuedAt(m)
	alone := false
	if !queued {
		held, done, err := boxes.checkSender(ctx, s, m, len(event))
		if err != nil {
			return 0, err
		}
		defer done()
		if accepted, alone, err = boxes.enqueueForRecipient(ctx, m, device, event, held); err != nil {
			return 0, err
		}
	}
	boxes.countSend(s, m.From)
	first := !boxes.senders.hasWritten(m.From, m.To)
	if alone && !first {
		boxes.account(m, len(event), accepted, began)
		return accepted, nil
	}
	if accepted != m.AcceptedAt { // the time of the first send
		m.AcceptedAt = accepted
		if _, sent, err = wire.MarshalMessage(m); err != nil {
			return 0, fmt.Errorf("encode message %s: %w", m.ID, err)
		}
	}
	// A repeated send comes here as well, because the first send may have failed before this point. The script knows
	// whether it has appended the event.
	note := fmt.Sprintf("%s/%s %s %d %d", m.To, m.ID, flag(first), len(event), int64(accepted))
	err = boxes.append(ctx, []encoded{{m.From, wire.EventSent, sent, note}})[0]
	boxes.noteLate(m.From, began)
	if err != nil {
		boxes.senders.rememberQueued(m, accepted)
		return 0, err
	}
	if queued {
		boxes.senders.forgetQueued(m)
	}
	boxes.senders.learn(m.From, m.To)
	return accepted, nil
}

// enqueueForRecipient puts the message into the recipient's inbox only. It returns when the message was first
// accepted, and whether the sender has no other device that needs a sent event. If held is not nil, it accepts only a
// message that waits already, and refuses any other with held.
func (boxes *Inboxes) enqueueForRecipient(ctx context.Context, m chat.Message, device string, event []byte,
	held error) (accepted chat.Micros, alone bool, err error) {
	c := boxes.call(boxes.scripts.enqueue, m.To, m.From, m.ID, m.Digest(), event, int64(m.At), int64(m.AcceptedAt),
		flag(held != nil), flag(!boxes.senders.hasWritten(m.From, m.To)))
	c.Keys = append(c.Keys, gateKey(m.To))
	c.Replicate = boxes.opts.ReplicaWait > 0
	filled, answered := false, false
	for {
		results := boxes.runWithDevices(ctx, c, m.From, device)
		v, err := results[0].Value, results[0].Err
		if err != nil {
			return 0, false, err
		}
		r := newReply(v, 2)
		result := r.str(0)
		if c.Replicate && results[0].Replicas == 0 && (result == "queued" || result == "again") {
			// It stays in the inbox, and the sender does not see it as sent. The repeated send waits again.
			boxes.counters.Unreplicated.Add(1)
			return 0, false, problem.ErrUnavailable.WithCause(
				fmt.Errorf("enqueue: no replica had the message after %v", boxes.opts.ReplicaWait))
		}
		switch result {
		case "queued":
			boxes.counters.Enqueued.Add(1)
			return m.AcceptedAt, boxes.alone(ctx, results, m.From, device), nil
		case "again":
			boxes.counters.Repeated.Add(1)
			accepted = chat.Micros(r.int(1))
			return accepted, boxes.alone(ctx, results, m.From, device), r.failure()
		case "no_gate":
			// This happens once a day per user. A gate that is missing twice was evicted in between: try later.
			if filled {
				return 0, false, problem.ErrUnavailable.WithCause(fmt.Errorf("enqueue: redis does not keep the gate of %s", m.To))
			}
			if err := boxes.opts.Gates.Fill(ctx, m.To); err != nil {
				return 0, false, err
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
			return 0, false, ErrAnswerAwaited.WithCause(err)
		}
		boxes.counters.Refused.Add(1)
		switch result {
		case "id_reused":
			return 0, false, ErrIDReused
		case "unknown":
			return 0, false, ErrRecipientUnknown
		case "unavailable":
			return 0, false, ErrRecipientUnavailable
		case "held":
			return 0, false, held
		case "full":
			boxes.counters.Full.Add(1)
			return 0, false, ErrInboxFull
		}
		if r.err == nil {
			r.err = fmt.Errorf("enqueue: script returned %q", result)
		}
		return 0, false, r.failure()
	}
}

// flag returns the argument of a script that stands for set.
func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
