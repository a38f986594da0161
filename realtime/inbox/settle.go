package inbox

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Claim asks what an acknowledgement covers.
type Claim struct {
	UID string
	To  ID // what a device acknowledged
}

// Unsettled is what an acknowledgement covers.
type Unsettled struct {
	Epoch   string
	Settled ID      // where the list begins
	To      ID      // where it ends: before Claim.To where the list was cut
	Events  []Event // those in (Acked, To], of all types; poison entries are left out
	Last    ID      // newest event of the inbox
	Err     error
}

// Unsettled takes, for each claim, the list of at most limit events between
// what is settled and what was acknowledged. One round trip.
func (x *Inboxes) Unsettled(ctx context.Context, claims []Claim, limit int) []Unsettled {
	calls := make([]script.Call, len(claims))
	for i, c := range claims {
		calls[i] = x.call(unsettledScript, c.UID, true, c.To.String(), limit)
	}
	values, errs := x.runAll(ctx, calls)
	out := make([]Unsettled, len(claims))
	for i, c := range claims {
		if out[i].Err = errs[i]; errs[i] != nil {
			continue
		}
		r := newReply(values[i], 5)
		u := Unsettled{Epoch: r.str(0), Settled: r.id(1), Last: r.id(2), To: c.To}
		cut := r.str(3) == "1"
		var end ID
		u.Events, end = x.entries(c.UID, r.list[4])
		if cut {
			u.To = end
		}
		u.Err = r.broken()
		out[i] = u
	}
	return out
}

// Settlement is a list whose messages are published for saving and told to
// their senders, so that the inbox may forget them.
type Settlement struct {
	UID      string
	Epoch    string
	Expected ID // Unsettled.Acked, or what an earlier Settle left
	To       ID
	Messages []SettledMessage
}

// Settled is a message of a Settlement.
type SettledMessage struct {
	ID        ID
	From      string
	MessageID string // its message id
}

// Outcome is what became of a Settlement.
type Outcome int

// Outcomes. The zero Outcome comes with an error.
const (
	SettleFailed Outcome = iota
	SettleDone           // acked is at least To
	SettleMoved          // another instance settled meanwhile: take the list anew
	SettleEpoch          // the inbox lives another life: the acknowledgement means nothing in it
)

// SettleResult is the answer to a Settlement.
type SettleResult struct {
	Outcome Outcome
	Settled ID // as it is now
	Err     error
}

// Settle raises acked, clears what waited, and trims, where acked still is
// what each list began at. Everything on the list must have been published
// with confirmation, and be told to the senders, before. One round trip.
func (x *Inboxes) Settle(ctx context.Context, list []Settlement) []SettleResult {
	calls := make([]script.Call, len(list))
	for i, s := range list {
		args := make([]any, 0, 3+2*len(s.Messages))
		args = append(args, s.Epoch, s.Expected.String(), s.To.String())
		for _, m := range s.Messages {
			args = append(args, m.From+"/"+m.MessageID, m.ID.String())
		}
		calls[i] = x.call(settleScript, s.UID, true, args...)
	}
	values, errs := x.runAll(ctx, calls)
	out := make([]SettleResult, len(list))
	for i := range list {
		if out[i].Err = errs[i]; errs[i] != nil {
			continue
		}
		r := newReply(values[i], 2)
		switch r.str(0) {
		case "settled":
			out[i].Outcome = SettleDone
		case "moved":
			out[i].Outcome = SettleMoved
		case "epoch":
			out[i].Outcome = SettleEpoch
		}
		out[i].Settled = r.id(1)
		out[i].Err = r.broken()
	}
	return out
}

// Remove deletes the inbox of a user who is gone, where nothing waits in it
// and its last event still is the one given. It reports whether it did.
func (x *Inboxes) Remove(ctx context.Context, uid, epoch string, last ID) (bool, error) {
	v, err := x.run(ctx, x.call(removeScript, uid, true, epoch, last.String()))
	n, _ := v.(int64)
	return n == 1, err
}
