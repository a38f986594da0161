package settle

import (
	"context"
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// maxRounds limits the rounds of Gone. An inbox holds about 20,000 entries at most, and nothing is queued for a user
// who does not exist.
const maxRounds = 200

// Gone settles the inbox of a deleted user: it sends refused events to the senders of the messages that wait, and then
// removes the inbox. Before the call, the gate must say that the user does not exist, so that nothing is queued
// meanwhile. Gone can be repeated. It returns problem.ErrUnavailable if it could not finish.
func (s *Settler) Gone(ctx context.Context, uid string) error {
	for range maxRounds {
		u := s.inboxes.Unsettled(ctx, []inbox.Claim{{UID: uid, To: inbox.ID{Ms: 1 << 52}}}, wire.MaxDelivered)[0]
		if u.Err != nil {
			return u.Err
		}
		if u.To.After(u.Last) {
			u.To = u.Last // the list is complete
		}
		if !u.To.After(u.Settled) {
			removed, err := s.inboxes.Remove(ctx, uid, u.Epoch, u.Last)
			if removed || err != nil {
				return err
			}
			continue
		}
		if err := s.refuseMessages(ctx, uid, u); err != nil {
			return err
		}
	}
	return problem.ErrUnavailable.WithCause(
		fmt.Errorf("settle: the inbox of %s still receives events after %d rounds", uid, maxRounds))
}

// refuseMessages reports the messages and changes of u to their senders as refused, and only then lets the inbox drop
// them.
func (s *Settler) refuseMessages(ctx context.Context, uid string, u inbox.Unsettled) error {
	var senders bySender
	settlement := inbox.Settlement{UID: uid, Epoch: u.Epoch, Expected: u.Settled, To: u.To}
	for _, e := range u.Events {
		if !wire.Waits(e.Type) {
			continue
		}
		m, err := e.Item()
		if err != nil {
			s.counters.Poison.Add(1)
			s.opts.Log.Error("skipped a waiting event that is not what its type says", "uid", uid, "error", err)
			continue
		}
		senders.add(e.ID, m)
		settlement.Messages = append(settlement.Messages, inbox.SettledMessage{ID: e.ID, From: m.From(), MessageID: m.ID()})
	}
	reason := inbox.ErrRecipientUnknown
	var entries []inbox.Entry
	for _, from := range senders.order {
		refs, _ := refsOf(senders.items[from])
		entries = append(entries, inbox.Entry{UID: from, Type: wire.EventRefused, Event: wire.RefusedEvent{
			Type: wire.EventRefused, Conversation: chat.ConversationID(from, uid), Messages: refs.Messages,
			Changes: refs.Changes, Code: reason.Code, Message: reason.Message}})
	}
	for _, err := range s.inboxes.Append(ctx, entries) {
		if err != nil {
			return err
		}
	}
	r := s.inboxes.Settle(ctx, []inbox.Settlement{settlement})[0]
	if r.Err == nil && r.Outcome == inbox.SettleDone {
		s.counters.Refused.Add(int64(len(settlement.Messages)))
	}
	return r.Err // after "moved" or "epoch", the next round reads the list again
}
