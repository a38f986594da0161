package storetest

import (
	"context"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// chosen returns a setting about the conversation of two users.
func chosen(a, b string, kind chat.SettingKind, value, at chat.Micros) chat.Setting {
	id := message(a, b, at, "").ID
	return chat.Setting{Conversation: chat.ConversationID(a, b), Kind: kind,
		Choice: chat.Choice{Value: value, At: at, ID: id}}
}

func testChoices(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, n := range []string{"ada", "bob", "cyd"} {
		addUser(t, s, n, n, t0)
	}
	choose := func(uid string, setting, counts chat.Setting) {
		t.Helper()
		got, err := s.Choose(ctx, uid, setting, t0)
		must(t, err)
		equal(t, "the choice that counts", got, counts.Choice)
	}
	early := chosen("ada", "bob", chat.SettingMute, 0, t0)
	late := chosen("ada", "bob", chat.SettingMute, chat.MutedAlways, t0+1)
	choose("ada", late, late)
	choose("ada", early, late)
	choose("ada", late, late)
	pin := chosen("ada", "cyd", chat.SettingPin, 1, t0)
	choose("ada", pin, pin)
	star := chosen("ada", "bob", chat.SettingStar, 1, t0)
	star.Message = chat.KeyOf(star.ID, "bob")
	choose("ada", star, star)
	got, err := s.Choices(ctx, "ada")
	must(t, err)
	equal(t, "the choices of ada", got, store.Choices{
		Conversations: map[string]store.Settings{
			"ada~bob": {chat.SettingMute: late.Choice}, "ada~cyd": {chat.SettingPin: pin.Choice}},
		Stars: map[string]map[string]chat.Choice{"ada~bob": {star.Message: star.Choice}}})
	got, err = s.Choices(ctx, "bob")
	must(t, err)
	equal(t, "the choices of bob", got, store.Choices{})

	_, err = s.Choose(ctx, "nobody", pin, t0)
	mustBe(t, err, problem.ErrNotFound)
	for i := range store.MaxPinned {
		_, err = s.Choose(ctx, "bob", chosen("bob", string(rune('c'+i))+"other", chat.SettingPin, 1, t0), t0)
		must(t, err)
	}
	_, err = s.Choose(ctx, "bob", chosen("bob", "zoe", chat.SettingPin, 1, t0), t0)
	mustBe(t, err, store.ErrPinsFull)
}

func testListedByID(t *testing.T, s store.Store) {
	ctx := context.Background()
	one, two := message("bob", "ada", t0, "one"), message("ada", "cyd", t0+1, "two")
	save(t, s, []delivery.Delivered{one, two}, []delivery.Read{
		{Conversation: "ada~cyd", By: "cyd", At: t0 + 1}, {Conversation: "ada~dan", By: "dan", At: t0}})
	list, err := s.ListedByID(ctx, "ada", []string{"ada~cyd", "ada~dan", "ada~eve", "ada~bob"})
	must(t, err)
	all, _, err := s.Conversations(ctx, "ada", "", 10)
	must(t, err)
	equal(t, "the conversations", list, all)
	equal(t, "the unread messages of ada~bob", list[1].Unread, 1)
	list, err = s.ListedByID(ctx, "ada", nil)
	must(t, err)
	equal(t, "no conversation", len(list), 0)
	_, err = s.ListedByID(ctx, "ada", []string{"bob~cyd"})
	mustBe(t, err, problem.ErrForbidden)
}

func testChoicesErased(t *testing.T, s store.Store) {
	ctx := context.Background()
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)
	for _, uid := range []string{"ada", "bob"} {
		_, err := s.Choose(ctx, uid, chosen("ada", "bob", chat.SettingArchive, 1, t0), t0)
		must(t, err)
	}
	_, err := s.BeginErase(ctx, "ada", t0)
	must(t, err)
	_, err = s.Choose(ctx, "ada", chosen("ada", "bob", chat.SettingPin, 1, t0), t0)
	mustBe(t, err, problem.ErrNotFound)
	must(t, s.EraseContent(ctx, "ada"))
	for uid, want := range map[string]int{"ada": 0, "bob": 1} {
		c, err := s.Choices(ctx, uid)
		must(t, err)
		equal(t, "conversations with settings of "+uid, len(c.Conversations), want)
	}
}
