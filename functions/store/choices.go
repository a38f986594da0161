package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of the choices of one user. With them, the longest ids fit into MaxChoices bytes.
const (
	MaxPinned  = 20      // conversations that are pinned
	MaxChosen  = 500     // conversations with another setting than the default
	MaxStars   = 500     // messages with a star
	MaxChoices = 900_000 // bytes of the JSON form of all choices
)

// Errors of Choose.
var (
	ErrPinsFull = problem.New(problem.Conflict, "pins_full",
		"You can pin at most 20 conversations. Unpin one first.")
	ErrStarsFull = problem.New(problem.Conflict, "stars_full",
		"You can star at most 500 messages. Remove a star first.")
	ErrSettingsFull = problem.New(problem.Conflict, "settings_full",
		"You have changed the settings of too many conversations. Reset some of them first.")
)

// Settings are the choices of one user about one conversation. A kind that is missing was never chosen, or is off.
type Settings map[chat.SettingKind]chat.Choice

// Choices are all settings of one user. The zero value has none. It is not safe for concurrent use.
type Choices struct {
	Conversations map[string]Settings               `json:"conversations,omitempty"`
	Stars         map[string]map[string]chat.Choice `json:"stars,omitempty"` // by conversation and key of the message
}

// UserChoices keeps the settings of users.
type UserChoices interface {
	// Choose stores a setting, which has passed its Check, unless a later one of its kind is stored. now is the time. It
	// returns the choice that counts. A user who is being deleted is problem.ErrNotFound. The other errors are
	// ErrPinsFull, ErrStarsFull and ErrSettingsFull. A paid backend charges for two reads and one write.
	//
	// chat.SettingAccept is also recorded in the conversation, where it stays, so that Archive.Writers has it. So it is
	// never refused because the settings are full, and it may be forgotten among them. The caller must know that the other
	// member has written, because the conversation may not be saved yet. A paid backend charges for another write.
	Choose(ctx context.Context, uid string, s chat.Setting, now chat.Micros) (chat.Choice, error)

	// Choices returns the settings of a user. A paid backend charges for one read.
	Choices(ctx context.Context, uid string) (Choices, error)

	// ListedByID returns those of some conversations of uid that have messages, as Conversations lists them, in the order
	// of the ids. There must be no more than MaxPage.
	ListedByID(ctx context.Context, uid string, ids []string) ([]Listed, error)
}

// Choose applies a setting, and reports whether anything has changed. To make room, it forgets conversations, the
// oldest first: those in which everything is off, and then those in which nothing but a request was accepted or
// removed. A setting from before that could then count again, and a request that was removed be listed again.
func (c *Choices) Choose(s chat.Setting, now chat.Micros) (chat.Choice, bool, error) {
	if s.Kind == chat.SettingStar {
		return c.star(s, now)
	}
	have, known := c.Conversations[s.Conversation][s.Kind]
	if known && !s.Beats(have) {
		return have, false, nil
	}
	if s.Kind == chat.SettingPin && s.Value == 1 && have.Value == 0 && len(c.Pinned()) >= MaxPinned {
		return have, false, ErrPinsFull
	}
	if c.Conversations[s.Conversation] == nil {
		if len(c.Conversations) >= MaxChosen && !c.forgetConversation(now) {
			if s.Kind == chat.SettingAccept { // the conversation has it
				return s.Choice, true, nil
			}
			return have, false, ErrSettingsFull
		}
		if c.Conversations == nil {
			c.Conversations = map[string]Settings{}
		}
		c.Conversations[s.Conversation] = Settings{}
	}
	c.Conversations[s.Conversation][s.Kind] = s.Choice
	return s.Choice, true, nil
}

func (c *Choices) star(s chat.Setting, now chat.Micros) (chat.Choice, bool, error) {
	have, known := c.Stars[s.Conversation][s.Message]
	if known && !s.Beats(have) {
		return have, false, nil
	}
	if !known && c.stars() >= MaxStars && !c.forgetStar(now) {
		return have, false, ErrStarsFull
	}
	if c.Stars == nil {
		c.Stars = map[string]map[string]chat.Choice{}
	}
	if c.Stars[s.Conversation] == nil {
		c.Stars[s.Conversation] = map[string]chat.Choice{}
	}
	c.Stars[s.Conversation][s.Message] = s.Choice
	return s.Choice, true, nil
}

func (c *Choices) stars() (n int) {
	for _, keys := range c.Stars {
		n += len(keys)
	}
	return n
}

// forgetConversation forgets the conversation that is needed least, and reports whether there was one: of those that
// are needed equally, the one that was changed longest ago.
func (c *Choices) forgetConversation(now chat.Micros) bool {
	least, newest, need := "", chat.Choice{}, neededMost
	for id, settings := range c.Conversations {
		n, of := settings.needed(now)
		if n < need || n == need && least != "" && newest.Beats(of) {
			least, newest, need = id, of, n
		}
	}
	delete(c.Conversations, least)
	return least != ""
}

// need says how much a conversation's settings are needed.
type need int

const (
	neededNot  need = iota // all are off
	neededLess             // a request was accepted, which the conversation has as well, or removed
	neededMost
)

// needed returns how much the settings are needed, and the newest of them.
func (s Settings) needed(now chat.Micros) (n need, newest chat.Choice) {
	for kind, choice := range s {
		switch {
		case kind == chat.SettingAccept, kind == chat.SettingRemove && choice.Value != 0:
			n = max(n, neededLess)
		case !choice.Off(now):
			n = neededMost
		}
		if choice.Beats(newest) {
			newest = choice
		}
	}
	return n, newest
}

// forgetStar forgets the star that was removed longest ago, and reports whether there was one.
func (c *Choices) forgetStar(now chat.Micros) bool {
	conversation, key, found := "", "", chat.Choice{}
	for id, keys := range c.Stars {
		for k, choice := range keys {
			if choice.Off(now) && (key == "" || found.Beats(choice)) {
				conversation, key, found = id, k, choice
			}
		}
	}
	delete(c.Stars[conversation], key)
	if len(c.Stars[conversation]) == 0 {
		delete(c.Stars, conversation)
	}
	return key != ""
}

// Pinned returns the conversations that are pinned, sorted by id.
func (c *Choices) Pinned() (ids []string) {
	for id, settings := range c.Conversations {
		if settings[chat.SettingPin].Value != 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Starred returns the stars, the newest first.
func (c *Choices) Starred() (list []chat.Setting) {
	for id, keys := range c.Stars {
		for k, choice := range keys {
			if choice.Value != 0 {
				list = append(list, chat.Setting{Conversation: id, Message: k, Kind: chat.SettingStar, Choice: choice})
			}
		}
	}
	slices.SortFunc(list, func(a, b chat.Setting) int {
		return cmp.Or(cmp.Compare(b.At, a.At), strings.Compare(b.ID, a.ID), strings.Compare(b.Message, a.Message))
	})
	return list
}
