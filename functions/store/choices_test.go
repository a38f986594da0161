package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func uid(n int) string { return fmt.Sprintf("%0*d", chat.MaxUID, n) }

// setting returns the nth setting of the user 0, about the conversation with another user.
func setting(n, with int, kind chat.SettingKind, value chat.Micros) chat.Setting {
	return chat.Setting{Conversation: chat.ConversationID(uid(0), uid(with)), Kind: kind,
		Choice: chat.Choice{Value: value, At: chat.MutedAlways - 1_000_000 + chat.Micros(n),
			ID: fmt.Sprintf("019a0000-0000-7000-8000-%012d", n)}}
}

func choose(t *testing.T, c *Choices, s chat.Setting, now chat.Micros, want error) {
	t.Helper()
	if _, _, err := c.Choose(s, now); !errors.Is(err, want) {
		t.Fatalf("%+v: error %v, want %v", s, err, want)
	}
}

// Full choices with the longest ids fit into one document, and what is off makes room, the oldest first.
func TestFullChoices(t *testing.T) {
	var c Choices
	n := 0
	next := func() int { n++; return n }
	for with := 1; with <= MaxChosen; with++ {
		for _, kind := range []chat.SettingKind{chat.SettingArchive, chat.SettingUnread, chat.SettingAccept} {
			choose(t, &c, setting(next(), with, kind, 1), 0, nil)
		}
		choose(t, &c, setting(next(), with, chat.SettingMute, chat.MutedAlways), 0, nil)
		choose(t, &c, setting(next(), with, chat.SettingRemove, chat.MutedAlways), 0, nil)
		choose(t, &c, setting(next(), with, chat.SettingPin, 0), 0, nil)
		star := setting(next(), with, chat.SettingStar, 1)
		star.Message = chat.KeyOf(star.ID, uid(with))
		choose(t, &c, star, 0, nil)
	}
	full, err := json.Marshal(c)
	if err != nil || len(full) > MaxChoices {
		t.Errorf("%d bytes (%v), and the limit is %d", len(full), err, MaxChoices)
	}
	another := setting(next(), MaxChosen+1, chat.SettingArchive, 1)
	choose(t, &c, another, 0, ErrSettingsFull)
	star := setting(next(), 1, chat.SettingStar, 1)
	star.Message = chat.KeyOf(star.ID, uid(0))
	choose(t, &c, star, 0, ErrStarsFull)

	// An acceptance is not refused: the conversation has it.
	choose(t, &c, setting(next(), MaxChosen+1, chat.SettingAccept, 1), 0, nil)
	if _, here := c.Conversations[another.Conversation]; here || len(c.Conversations) != MaxChosen {
		t.Errorf("%d conversations have settings", len(c.Conversations))
	}

	// Two conversations are set to the defaults, and one star is removed. A mute that has ended is a default, too.
	for _, with := range []int{8, 7} {
		for _, kind := range []chat.SettingKind{chat.SettingArchive, chat.SettingUnread} {
			choose(t, &c, setting(next(), with, kind, 0), 0, nil)
		}
		choose(t, &c, setting(next(), with, chat.SettingMute, 2), 1, nil)
	}
	removed := setting(next(), 3, chat.SettingStar, 0)
	for key := range c.Stars[removed.Conversation] {
		removed.Message = key
	}
	choose(t, &c, removed, 1, nil)
	choose(t, &c, another, 1, ErrSettingsFull) // the mutes last until 2
	choose(t, &c, another, 2, nil)
	choose(t, &c, star, 2, nil)
	if _, here := c.Conversations[setting(0, 8, "", 0).Conversation]; here {
		t.Error("the conversation that was set to its defaults first is still there")
	}
	if _, here := c.Conversations[setting(0, 7, "", 0).Conversation]; !here {
		t.Error("a conversation was forgotten without need")
	}
	if len(c.Starred()) != MaxStars || c.Starred()[0].ID != star.ID {
		t.Errorf("%d stars, the newest is %+v", len(c.Starred()), c.Starred()[0])
	}
}

// The later choice counts, in whatever order they come, and the number of pins is limited.
func TestChoose(t *testing.T) {
	first, second := setting(1, 1, chat.SettingMute, 5), setting(2, 1, chat.SettingMute, 0)
	equalAt := second
	equalAt.ID, equalAt.Value = strings.Replace(second.ID, "019a", "019b", 1), chat.MutedAlways
	for name, order := range map[string][]chat.Setting{
		"ascending": {first, second, equalAt}, "descending": {equalAt, second, first}, "repeated": {equalAt, first, equalAt},
	} {
		var c Choices
		for _, s := range order {
			choose(t, &c, s, 0, nil)
		}
		if got := c.Conversations[first.Conversation][chat.SettingMute]; got != equalAt.Choice {
			t.Errorf("%s: %+v counts", name, got)
		}
	}
	var c Choices
	for with := 1; with <= MaxPinned; with++ {
		choose(t, &c, setting(with, with, chat.SettingPin, 1), 0, nil)
	}
	choose(t, &c, setting(100, MaxPinned+1, chat.SettingPin, 1), 0, ErrPinsFull)
	choose(t, &c, setting(101, 1, chat.SettingPin, 1), 0, nil) // again
	choose(t, &c, setting(102, 1, chat.SettingPin, 0), 0, nil)
	choose(t, &c, setting(103, MaxPinned+1, chat.SettingPin, 1), 0, nil)
	if got := len(c.Pinned()); got != MaxPinned {
		t.Errorf("%d conversations are pinned", got)
	}
}

// To make room, conversations are forgotten in which everything is off, and only then those in which a request was
// accepted or removed, the oldest first.
func TestForgotten(t *testing.T) {
	var c Choices
	choose(t, &c, setting(1, 1, chat.SettingRemove, 1), 0, nil)
	choose(t, &c, setting(2, 2, chat.SettingAccept, 1), 0, nil)
	choose(t, &c, setting(3, 3, chat.SettingRemove, 0), 0, nil)
	for with := 4; with <= MaxChosen; with++ {
		choose(t, &c, setting(with, with, chat.SettingArchive, 1), 0, nil)
	}
	for i, forgotten := range []int{3, 1, 2} {
		n := MaxChosen + 1 + i
		choose(t, &c, setting(n, n, chat.SettingArchive, 1), 10, nil)
		for with := 1; with <= n; with++ {
			_, here := c.Conversations[setting(0, with, "", 0).Conversation]
			if gone := with == forgotten || i > 0 && with == 3 || i > 1 && with == 1; here == gone {
				t.Errorf("after %d more: conversation %d is there: %v", i+1, with, here)
			}
		}
	}
	n := MaxChosen + 4
	choose(t, &c, setting(n, n, chat.SettingArchive, 1), 10, ErrSettingsFull)
}
