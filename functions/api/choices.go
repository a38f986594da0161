package api

import (
	"context"
	"errors"
	"slices"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

var errSetting = problem.New(problem.Invalid, "setting_invalid", "This setting is not known. Reload the page.")

// putSetting stores a choice of the caller about a conversation or a message, and sends it to the caller's devices. It
// may be repeated: the latest choice counts, and is sent again. An acceptance writes one document more than other
// settings, so it counts twice.
func (a *API) putSetting(ctx context.Context, r *request) (*response, error) {
	var in struct {
		Conversation string           `json:"conversation"`
		Message      string           `json:"message"`
		Kind         chat.SettingKind `json:"kind"`
		Value        chat.Micros      `json:"value"`
		At           chat.Micros      `json:"at"`
		ID           string           `json:"id"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	s := chat.Setting{Conversation: in.Conversation, Message: in.Message, Kind: in.Kind,
		Choice: chat.Choice{Value: in.Value, At: in.At, ID: in.ID}}
	now := a.deps.Now()
	if err := s.Check(r.user.UID, now); errors.Is(err, chat.ErrSettingInvalid) {
		return nil, errSetting.WithCause(err)
	} else if err != nil {
		return nil, err
	}
	if s.Kind == chat.SettingAccept {
		if _, err := a.ledger.take(ctx, choose, r.user.UID, 1, 1); err != nil {
			return nil, err
		}
		// Before it is stored, because the messages of the request may not be saved yet, and only realtime/ knows of them.
		if err := a.deps.Realtime.Set(ctx, internalapi.Setting{UID: r.user.UID, Setting: s}); err != nil {
			return nil, err
		}
	}
	counts, err := a.deps.Store.Choose(ctx, r.user.UID, s, micros(now))
	if err != nil {
		return nil, err
	}
	if s.Kind == chat.SettingAccept && counts == s.Choice {
		return ok(counts), nil
	}
	s.Choice = counts
	if err := a.deps.Realtime.Set(ctx, internalapi.Setting{UID: r.user.UID, Setting: s}); err != nil {
		return nil, err
	}
	return ok(counts), nil
}

// star is a message with a star.
type star struct {
	Conversation string      `json:"conversation"`
	Message      string      `json:"message"` // key
	At           chat.Micros `json:"at"`      // of the choice
	ID           string      `json:"id"`
}

// listSettings lists all settings of the caller: those of conversations, those that are off included, and the messages
// with a star, the newest star first. The messages may not exist any more.
func (a *API) listSettings(ctx context.Context, r *request) (*response, error) {
	c, err := a.deps.Store.Choices(ctx, r.user.UID)
	if err != nil {
		return nil, err
	}
	if c.Conversations == nil {
		c.Conversations = map[string]store.Settings{}
	}
	return ok(map[string]any{"conversations": c.Conversations, "stars": starsOf(c)}), nil
}

func starsOf(c store.Choices) []star {
	stars := []star{}
	for _, s := range c.Starred() {
		stars = append(stars, star{s.Conversation, s.Message, s.At, s.ID})
	}
	return stars
}

// pinnedConversations lists the conversations that uid has pinned, in no particular order, as conversationsFor does.
func (a *API) pinnedConversations(ctx context.Context, viewer, uid string,
	c store.Choices) ([]listedConversation, error) {
	return a.conversationsByID(ctx, viewer, uid, c.Pinned())
}

// conversationsByID lists those of some conversations of uid that have messages, as conversationsFor does.
func (a *API) conversationsByID(ctx context.Context, viewer, uid string, ids []string) ([]listedConversation, error) {
	list, err := a.deps.Store.ListedByID(ctx, uid, ids)
	if err != nil {
		return nil, err
	}
	return a.withMembers(ctx, viewer, uid, list)
}

// forMember adds the member's settings to conversations, and removes the read marks that the member may not see, even
// as an admin: the mark of somebody who has not answered the member, and that of the other user if one of the two wants
// no receipts.
func forMember(list []listedConversation, member store.User, c store.Choices) {
	for i, l := range list {
		list[i].Settings = c.Conversations[l.ID]
		if !slices.Contains(l.writers, l.With.UID) || l.ofOther.NoReceipts || member.Privacy.NoReceipts {
			delete(l.Read, l.With.UID)
		}
	}
}
