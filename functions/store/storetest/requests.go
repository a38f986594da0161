package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// A member who has accepted the other one's request counts as a writer once that one has written, also if the
// acceptance is saved first, and the conversation is listed only then.
func testAccepted(t *testing.T, s store.Store) {
	ctx := context.Background()
	for _, n := range []string{"ada", "bob"} {
		addUser(t, s, n, n, t0)
	}
	check := func(want ...string) {
		t.Helper()
		got, err := s.Writers(ctx, "ada~bob")
		must(t, err)
		equal(t, "the writers", slices.Equal(got, want), true)
		for _, uid := range []string{"ada", "bob"} {
			list, _, err := s.Conversations(ctx, uid, "", 10)
			must(t, err)
			byID, err := s.ListedByID(ctx, uid, []string{"ada~bob"})
			must(t, err)
			equal(t, "the conversation by its id", byID, list)
			if len(want) == 0 {
				equal(t, "the conversations", len(list), 0)
			} else {
				equal(t, "the writers in the list", list[0].Writers, want)
			}
		}
	}
	accept := chosen("ada", "bob", chat.SettingAccept, 1, t0)
	for range 2 {
		counts, err := s.Choose(ctx, "bob", accept, t0)
		must(t, err)
		equal(t, "the choice", counts, accept.Choice)
		check()
	}
	save(t, s, nil, []delivery.Read{{Conversation: "ada~bob", By: "bob", At: t0}})
	check()
	save(t, s, []delivery.Delivered{message("ada", "bob", t0, "hello")}, nil)
	check("ada", "bob")
	later := chosen("ada", "bob", chat.SettingAccept, 1, t0+1) // on another device
	_, err := s.Choose(ctx, "bob", later, t0)
	must(t, err)
	save(t, s, []delivery.Delivered{message("ada", "bob", t0+1, "again")}, nil)
	check("ada", "bob")
	c, err := s.Choices(ctx, "bob")
	must(t, err)
	equal(t, "the setting", c.Conversations["ada~bob"][chat.SettingAccept], later.Choice)
	_, err = s.BeginErase(ctx, "bob", t0)
	must(t, err)
	must(t, s.EraseContent(ctx, "bob"))
	check("ada")
	_, err = s.Choose(ctx, "bob", later, t0)
	mustBe(t, err, problem.ErrNotFound)
	check("ada")
}
