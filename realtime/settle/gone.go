package settle

import (
	"context"
	"fmt"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// maxRounds bounds how often Gone looks again: an inbox holds at most 20,000
// entries or so, and nothing is queued for somebody who does not exist.
const maxRounds = 200

// Gone settles the inbox of a deleted user: the senders of what waits in it
// are sent refused events, and then it is removed. The gate must say that the
// user does not exist before it is called, so that nothing is queued
// meanwhile. May be repeated. The error is problem.ErrUnavailable.
func (s *Settler) Gone(ctx context.Context, uid string) error {
	for range maxRounds {
		u := s.inboxes.Unsettled(ctx, []inbox.Claim{{UID: uid, To: inbox.ID{Ms: 1 << 52}}}, wire.MaxDelivered)[0]
		if u.Err != nil {
			return u.Err
		}
		if u.To.After(u.Last) {
			u.To = u.Last // not cut: everything there is
		}
		if !u.To.After(u.Settled) {
			removed, err := s.inboxes.Remove(ctx, uid, u.Epoch, u.Last)
			if removed || err != nil {
				return err
			}
			continue
		}
		if err := s.refuse(ctx, uid, u); err != nil {
			return err
		}
	}
	return problem.ErrUnavailable.WithCause(fmt.Errorf("the inbox of %s does not come to rest", uid))
}

// refuse tells the senders of u's messages, and only then lets the inbox forget them.
func (s *Settler) refuse(ctx context.Context, uid string, u inbox.Unsettled) error {
	var order []string
	refs := map[string][]wire.MessageRef{}
	settlement := inbox.Settlement{UID: uid, Epoch: u.Epoch, Expected: u.Settled, To: u.To}
	for _, e := range u.Events {
		if e.Type != wire.EventMessage {
			continue
		}
		m, err := e.Message()
		if err != nil {
			s.n.poison.Add(1)
			s.opts.Log.Error("a waiting event is no message; it is passed over", "uid", uid, "err", err)
			continue
		}
		if refs[m.From] == nil {
			order = append(order, m.From)
		}
		refs[m.From] = append(refs[m.From], wire.MessageRef{ID: m.ID, At: m.At})
		settlement.Messages = append(settlement.Messages, inbox.SettledMessage{ID: e.ID, From: m.From, MessageID: m.ID})
	}
	why := inbox.ErrRecipientUnknown
	var entries []inbox.Entry
	for _, from := range order {
		entries = append(entries, inbox.Entry{UID: from, Type: wire.EventRefused, Event: wire.RefusedEvent{
			Type: wire.EventRefused, Conversation: chat.ConversationID(from, uid), Messages: refs[from],
			Code: why.Code, Message: why.Message}})
	}
	for _, err := range s.inboxes.Append(ctx, entries) {
		if err != nil {
			return err
		}
	}
	r := s.inboxes.Settle(ctx, []inbox.Settlement{settlement})[0]
	if r.Err == nil && r.Outcome == inbox.SettleDone {
		s.n.refused.Add(int64(len(settlement.Messages)))
	}
	return r.Err // moved, or another epoch: look again
}
