package inbox

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Claim names an acknowledgement.
type Claim struct {
	UID string
	To  ID // what a device acknowledged

	// Epoch and Acks are the acknowledgements that To comes from. Of the messages that were removed meanwhile, those that
	// the devices have are queued again, after To.
	Epoch string
	Acks  []Ack
}

// Ack is an acknowledged cursor, without its epoch.
type Ack struct {
	ID       ID
	Removals Removals
}

// Unsettled is the part of an inbox that an acknowledgement covers and that is not settled.
type Unsettled struct {
	Epoch   string
	Settled ID      // where the list begins
	To      ID      // where the list ends: before Claim.To if it was cut
	Events  []Event // the events in (Settled, To], of all types; poison entries are left out
	Last    ID      // newest event of the inbox
	Err     error

	Removals uint64 // how often messages were removed from the inbox
	Kept     bool   // whether some of these messages are kept, in case that a device has them
}

// Unsettled returns, for each claim, the list of events between the settled and the acknowledged id, cut after limit
// events. It takes one round trip.
func (boxes *Inboxes) Unsettled(ctx context.Context, claims []Claim, limit int) []Unsettled {
	calls := make([]script.Call, len(claims))
	for i, c := range claims {
		args := []any{c.To.String(), limit, c.Epoch}
		for _, a := range c.Acks {
			args = append(append(args, a.ID.String()), a.Removals.args()...)
		}
		calls[i] = boxes.callReader(boxes.scripts.unsettled, c.UID, args...)
	}
	results := boxes.run(ctx, calls...)
	out := make([]Unsettled, len(claims))
	for i, c := range claims {
		if out[i].Err = results[i].Err; out[i].Err != nil {
			continue
		}
		r := newReply(results[i].Value, 7)
		u := Unsettled{Epoch: r.str(0), Settled: r.id(1), Last: r.id(2), To: c.To, Removals: uint64(r.int(5)),
			Kept: r.str(6) == "1"}
		cut := r.str(3) == "1"
		var end ID
		u.Events, end = boxes.entries(c.UID, r.list[4])
		if cut {
			u.To = end
		}
		u.Err = r.failure()
		out[i] = u
	}
	return out
}

// Settlement is a list of messages that are published for saving and reported to their senders, so that the inbox may
// forget them.
type Settlement struct {
	UID      string
	Epoch    string
	Expected ID // the settled id when the list was read: Unsettled.Settled, or SettleResult.Settled of an earlier call
	To       ID
	Messages []SettledMessage
}

// SettledMessage is a message of a Settlement.
type SettledMessage struct {
	ID        ID
	From      string
	MessageID string
}

// Outcome is the outcome of a Settlement.
type Outcome int

// Outcomes. SettleFailed comes with an error.
const (
	SettleFailed Outcome = iota
	SettleDone           // the settled id is at least To
	SettleMoved          // another instance has settled in the meantime: read the list again
	SettleEpoch          // the inbox has another epoch, in which the acknowledgement means nothing
)

// SettleResult is the result of a Settlement.
type SettleResult struct {
	Outcome Outcome
	Settled ID // the current settled id
	Err     error

	Removals uint64 // how often messages were removed from the inbox
}

// Settle raises the settled id of each inbox, clears the messages on its list from the waiting ones, and trims,
// provided that the settled id still is the expected one. Before the call, everything on the list must have been
// published with confirmation and reported to the senders. Settle takes one round trip.
func (boxes *Inboxes) Settle(ctx context.Context, list []Settlement) []SettleResult {
	calls := make([]script.Call, len(list))
	for i, s := range list {
		args := make([]any, 0, 3+2*len(s.Messages))
		args = append(args, s.Epoch, s.Expected.String(), s.To.String())
		for _, m := range s.Messages {
			args = append(args, m.From+"/"+m.MessageID, m.ID.String())
		}
		calls[i] = boxes.callReader(boxes.scripts.settle, s.UID, args...)
	}
	results := boxes.run(ctx, calls...)
	out := make([]SettleResult, len(list))
	for i := range list {
		if out[i].Err = results[i].Err; out[i].Err != nil {
			continue
		}
		r := newReply(results[i].Value, 3)
		switch r.str(0) {
		case "settled":
			out[i].Outcome = SettleDone
		case "moved":
			out[i].Outcome = SettleMoved
		case "epoch":
			out[i].Outcome = SettleEpoch
		}
		out[i].Settled, out[i].Removals = r.id(1), uint64(r.int(2))
		out[i].Err = r.failure()
	}
	return out
}

// Remove deletes the inbox of a deleted user if nothing waits in it and last still is its newest event. It reports
// whether it deleted the inbox.
func (boxes *Inboxes) Remove(ctx context.Context, uid, epoch string, last ID) (bool, error) {
	c := boxes.call(boxes.scripts.remove, uid, epoch, last.String())
	c.Keys = append(c.Keys, reachKey(uid), devicesKey(uid), removedKey(uid))
	v, err := boxes.runScript(ctx, c)
	n, _ := v.(int64)
	return n == 1, err
}
