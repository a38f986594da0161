package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// listedConversation is a conversation as one of its members sees it.
type listedConversation struct {
	ID      string                 `json:"id"`
	With    profile                `json:"with"`
	LastAt  chat.Micros            `json:"last_at"`
	Preview store.Preview          `json:"preview"`
	Unread  int                    `json:"unread"`
	Read    map[string]chat.Micros `json:"read"`
	// Answered says whether the member has ever written here, or has accepted the other one's request.
	Answered bool `json:"answered"`
	// Settings are those of the member. Admins do not see them.
	Settings store.Settings `json:"settings,omitempty"`

	writers []string     // see store.Conversation
	ofOther chat.Privacy // of With
}

// maxByID is the number of conversations that a call may name.
const maxByID = store.MaxPinned

// listConversations lists the caller's conversations, newest first, or those that are pinned or named. A device that
// has not loaded the whole list asks for one before it says that its other member is a stranger.
func (a *API) listConversations(ctx context.Context, r *request) (*response, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	ids := r.query["id"]
	if len(ids) > maxByID {
		return nil, fieldProblem("id", "Name at most 20 conversations.")
	}
	viewer := r.user.UID
	if r.seesAll() {
		viewer = ""
	}
	choices, err := a.deps.Store.Choices(ctx, r.user.UID)
	if err != nil {
		return nil, err
	}
	var page []listedConversation
	next := ""
	switch {
	case len(ids) > 0:
		page, err = a.conversationsByID(ctx, viewer, r.user.UID, ids)
	case r.query.Get("pinned") == "true":
		page, err = a.pinnedConversations(ctx, viewer, r.user.UID, choices)
	default:
		page, next, err = a.conversationsFor(ctx, viewer, r.user.UID, r.query.Get("cursor"), limit)
	}
	if err != nil {
		return nil, err
	}
	forMember(page, r.user, choices)
	return ok(map[string]any{"conversations": page, "next": next}), nil
}

// mostConversations returns the documents that listConversations may read: for each entry the conversation, the count
// of its unread messages, its newest message if the preview is an older one, and the other member; and the settings.
func mostConversations(r *request) int {
	limit, err := r.limit()
	if err != nil {
		return 0
	}
	return 4*max(limit, store.MaxPinned) + 2
}

// mostMessages returns the documents that listMessages may read.
func mostMessages(r *request) int {
	limit, err := r.limit()
	if err != nil {
		return 0
	}
	return limit + 1
}

// conversations returns a page of the conversations of uid, with the profile of the other member, as an admin sees
// them.
func (a *API) conversations(ctx context.Context, uid, cursor string, limit int) ([]listedConversation, string, error) {
	return a.conversationsFor(ctx, "", uid, cursor, limit)
}

// conversationsFor returns them as the user viewer sees them; "" is an admin.
func (a *API) conversationsFor(ctx context.Context, viewer, uid, cursor string,
	limit int) ([]listedConversation, string, error) {
	list, next, err := a.deps.Store.Conversations(ctx, uid, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	page, err := a.withMembers(ctx, viewer, uid, list)
	return page, next, err
}

// withMembers returns conversations of uid with the other members, as the user viewer sees them; "" is an admin.
func (a *API) withMembers(ctx context.Context, viewer, uid string,
	list []store.Listed) (_ []listedConversation, err error) {
	others := make([]string, len(list))
	for i, c := range list {
		if others[i], err = chat.Other(c.ID, uid); err != nil {
			return nil, err
		}
	}
	users, err := a.deps.Store.Users(ctx, others)
	if err != nil {
		return nil, err
	}
	page := make([]listedConversation, len(list))
	for i, c := range list {
		with := profile{UID: others[i], Deleted: true}
		if u, here := users[others[i]]; here && u.ErasingAt == 0 {
			with = profileFor(u, viewer)
		}
		if c.Read == nil {
			c.Read = map[string]chat.Micros{}
		}
		page[i] = listedConversation{ID: c.ID, With: with, LastAt: c.LastAt, Preview: c.Preview, Unread: c.Unread,
			Read: c.Read, Answered: slices.Contains(c.Writers, uid), writers: c.Writers, ofOther: users[others[i]].Privacy}
	}
	return page, nil
}

// listMessages returns a page of history, newest last.
func (a *API) listMessages(ctx context.Context, r *request) (*response, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	id := r.query.Get("conversation")
	if _, err := chat.Other(id, r.user.UID); err != nil {
		return nil, err
	}
	if key := r.query.Get("key"); key != "" {
		return a.message(ctx, id, key)
	}
	return a.history(ctx, id, r.query.Get("before"), limit)
}

var errKey = problem.New(problem.Invalid, "key_invalid",
	"This message could not be found. Reload the conversation.")

// historyPage is a page of a conversation, newest last. Next is the position of the page of older messages; "" if there
// are none.
type historyPage struct {
	Messages []delivery.Delivered `json:"messages"`
	Next     string               `json:"next"`
}

// message returns a page that has only the message with this key, or nothing.
func (a *API) message(ctx context.Context, conversation, key string) (*response, error) {
	if _, _, valid := chat.ParseKey(key); !valid {
		return nil, errKey
	}
	page := historyPage{Messages: []delivery.Delivered{}}
	m, saved, err := a.deps.Store.Message(ctx, conversation, key)
	if err != nil {
		return nil, err
	}
	if saved {
		page.Messages = append(page.Messages, m)
	}
	return ok(page), nil
}

// history returns a page of a conversation. The caller has been checked to be allowed to read it.
func (a *API) history(ctx context.Context, conversation, before string, limit int) (*response, error) {
	pos, err := parsePosition(before)
	if err != nil {
		return nil, err
	}
	page, err := a.page(ctx, conversation, pos, limit)
	if err != nil {
		return nil, err
	}
	return ok(page), nil
}

// page reads a page of a conversation.
func (a *API) page(ctx context.Context, conversation string, before store.Position, limit int) (historyPage, error) {
	list, more, err := a.deps.Store.Messages(ctx, conversation, before, limit)
	if err != nil {
		return historyPage{}, err
	}
	page := historyPage{Messages: list}
	if list == nil {
		page.Messages = []delivery.Delivered{}
	}
	if more {
		page.Next = strconv.FormatInt(int64(list[0].At), 10) + "," + list[0].Key()
	}
	return page, nil
}

// parsePosition parses "at,key" or "at". "" is the end of the conversation.
func parsePosition(s string) (store.Position, error) {
	if s == "" {
		return store.Position{}, nil
	}
	at, key, withKey := strings.Cut(s, ",")
	n, err := strconv.ParseInt(at, 10, 64)
	_, _, valid := chat.ParseKey(key)
	if err != nil || n <= 0 || withKey && !valid {
		return store.Position{}, problem.Wrap(err, problem.Invalid, "before_invalid",
			"This position in the history is not valid. Reload the conversation.")
	}
	return store.Position{At: chat.Micros(n), Key: key}, nil
}
