package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Enqueue is EnqueueFrom without a device: all devices of the sender get a sent event.
func (boxes *Inboxes) Enqueue(ctx context.Context, m chat.Message) (chat.Micros, error) {
	return boxes.EnqueueFrom(ctx, m, "")
}

// EnqueueFrom is EnqueueItem for a message.
func (boxes *Inboxes) EnqueueFrom(ctx context.Context, m chat.Message, device string) (chat.Micros, error) {
	return boxes.EnqueueItem(ctx, OfMessage(m), device)
}

// Standing says to how many new people a sender may write.
type Standing int

// Standings.
const (
	Verified   Standing = iota // Limits.NewPeople a day
	Unverified                 // Limits.NewPeopleUnverified a day: the sender's address is not confirmed
	Confined                   // none: an admin has forbidden new contacts
)

// newPeople returns the number of new people a day to whom a sender may write.
func (l Limits) newPeople(s Standing) int {
	switch s {
	case Confined:
		return 0
	case Unverified:
		return l.NewPeopleUnverified
	}
	return l.NewPeople
}

// EnqueueAs is EnqueueItem for a sender of any standing. If the sender is Confined, and the sender and the recipient
// have not written to each other, the error is ErrContactsForbidden. It takes as many round trips as EnqueueItem.
func (boxes *Inboxes) EnqueueAs(ctx context.Context, s Standing, i Item, device string) (chat.Micros, error) {
	return boxes.enqueueItem(ctx, i, device, s)
}

// EnqueueItem, for a sender who is Verified, puts a message or a change into its recipient's inbox, where it stays
// until a device of the recipient has acknowledged it. Then, if a device of the sender other than the given one has
// attached lately, it puts a "sent" or "changed" event into the sender's own inbox. It takes one round trip, or one
// more on a cluster or with the event, and another one for a recipient to whom the sender has not written through this
// instance lately. The item must have passed CheckSend. EnqueueItem sets its AcceptedAt and returns it.
//
// As long as an item waits, a repeated send with the same content gets the first answer again, whatever limits are
// reached (except SendsPerMinute), and one with other content gets ErrIDReused. Other errors are ErrRecipientUnknown,
// ErrRecipientUnavailable and ErrWritersLimited (according to the recipient's gate, which the same script reads), the
// errors of Limits, and problem.ErrUnavailable. After the last, the message may be queued nevertheless. Sending it
// again, unchanged, is harmless: if only the second step has failed, this instance repeats only that step, which adds
// no second event.
//
// If a message is queued and nobody looks at a device of its recipient, Options.Away is called. Options.Away checks
// whether the recipient has written to the sender.
//
// With Options.ReplicaWait, EnqueueItem returns without an error only after a replica has the item too.
func (boxes *Inboxes) EnqueueItem(ctx context.Context, i Item, device string) (chat.Micros, error) {
	return boxes.enqueueItem(ctx, i, device, Verified)
}

func (boxes *Inboxes) enqueueItem(ctx context.Context, i Item, device string, as Standing) (chat.Micros, error) {
	began := time.Now()
	i = i.accepted(chat.MicrosOf(boxes.opts.Now()))
	event, echo, err := i.marshal()
	if err != nil {
		return 0, err
	}
	s := boxes.senders.of(i.From())
	if wait := s.waitForRate(boxes.opts.Limits, boxes.opts.Now()); wait > 0 {
		boxes.counters.TooFast.Add(1)
		return 0, ErrRateLimited.WithRetry(wait)
	}
	accepted, queued := boxes.senders.queuedAt(i)
	alone := false
	if !queued {
		held, done, err := boxes.checkSender(ctx, s, i, len(event), as)
		if err != nil {
			return 0, err
		}
		defer done()
		if accepted, alone, err = boxes.enqueueForRecipient(ctx, i, device, event, held); err != nil {
			return 0, err
		}
	}
	boxes.countSend(s, i.From())
	first := !boxes.senders.hasWritten(i.From(), i.To())
	if alone && !first {
		boxes.account(i, len(event), accepted, began)
		return accepted, nil
	}
	if accepted != i.acceptedAt() { // the time of the first send
		if _, echo, err = i.accepted(accepted).marshal(); err != nil {
			return 0, err
		}
	}
	// A repeated send comes here as well, because the first send may have failed before this point. The script knows
	// whether it has appended the event.
	note := fmt.Sprintf("%s/%s %s %d %d", i.To(), i.ID(), flag(first), len(event), int64(accepted))
	err = boxes.append(ctx, []encoded{{i.From(), i.Echo(), echo, note}})[0]
	boxes.noteLate(i.From(), began)
	if err != nil {
		boxes.senders.rememberQueued(i, accepted)
		return 0, err
	}
	if queued {
		boxes.senders.forgetQueued(i)
	}
	boxes.senders.learn(i.From(), i.To())
	return accepted, nil
}

// enqueueForRecipient puts the item into the recipient's inbox only. It returns when the message was first
// accepted, and whether the sender has no other device that needs a sent event. If held is not nil, it accepts only a
// message that waits already, and refuses any other with held.
func (boxes *Inboxes) enqueueForRecipient(ctx context.Context, i Item, device string, event []byte,
	held error) (accepted chat.Micros, alone bool, err error) {
	from, to := i.From(), i.To()
	c := boxes.call(boxes.scripts.enqueue, to, from, i.ID(), i.digest(), event, int64(i.Ref().At), int64(i.acceptedAt()),
		flag(held != nil), flag(!boxes.senders.hasWritten(from, to)))
	c.Keys = append(c.Keys, gateKey(to), presenceKey(to))
	c.Replicate = boxes.opts.ReplicaWait > 0
	filled, answered := false, false // answered: Redis has learned from the archive that the recipient has answered
	for {
		results := boxes.runWithDevices(ctx, c, from, device)
		v, err := results[0].Value, results[0].Err
		if err != nil {
			return 0, false, err
		}
		r := newReply(v, 2)
		result := r.str(0)
		if result == "queued" && len(r.list) > 2 && boxes.opts.Away != nil {
			switch r.list[2] {
			case "away":
				boxes.senders.learn(to, from) // so that nobody asks Redis
				boxes.opts.Away(*i.Message)
			case "asked":
				boxes.opts.Away(*i.Message)
			}
		}
		if c.Replicate && results[0].Replicas == 0 && (result == "queued" || result == "again") {
			// It stays in the inbox, and the sender does not see it as sent. The repeated send waits again.
			boxes.counters.Unreplicated.Add(1)
			return 0, false, problem.ErrUnavailable.WithCause(
				fmt.Errorf("enqueue: no replica had the message after %v", boxes.opts.ReplicaWait))
		}
		switch result {
		case "queued":
			boxes.counters.Enqueued.Add(1)
			return i.acceptedAt(), boxes.alone(ctx, results, from, device), nil
		case "again":
			boxes.counters.Repeated.Add(1)
			accepted = chat.Micros(r.int(1))
			return accepted, boxes.alone(ctx, results, from, device), r.failure()
		case "no_gate":
			// This happens once a day per user. A gate that is missing twice was evicted in between: try later.
			if filled {
				return 0, false, problem.ErrUnavailable.WithCause(fmt.Errorf("enqueue: redis does not keep the gate of %s", to))
			}
			if err := boxes.opts.Gates.Fill(ctx, to); err != nil {
				return 0, false, err
			}
			filled = true
			continue
		case "known":
			// As for a stranger. The refusal would be final, so it must not stand for want of an answer.
			if !answered {
				if answered, err = boxes.hasAnswered(ctx, from, to); err != nil {
					return 0, false, err
				}
				if answered {
					continue
				}
			}
			boxes.counters.Refused.Add(1)
			boxes.counters.Unknown.Add(1)
			return 0, false, ErrWritersLimited
		case "stranger":
			// The recipient may have answered before Redis was wiped, or a moment ago.
			if !answered {
				if answered, err = boxes.hasAnswered(ctx, from, to); answered {
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
