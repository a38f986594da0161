package storetest

import (
	"context"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// A privacy is kept by other changes of the user, and ends with the user.
func testPrivacy(t *testing.T, s store.Store) {
	ctx := context.Background()
	u := addUser(t, s, "ada", "Ada", t0)
	equal(t, "the default", u.Privacy, chat.Privacy{})
	_, err := s.SetPrivacy(ctx, "nobody", chat.Privacy{})
	mustBe(t, err, problem.ErrNotFound)
	for _, p := range []chat.Privacy{{LastSeen: chat.Chats}, {NoReceipts: true, ByUsername: true},
		{LastSeen: chat.Nobody, OnlyKnown: true}, {}} {
		u, err = s.SetPrivacy(ctx, "ada", p)
		must(t, err)
		equal(t, "the new privacy", u.Privacy, p)
		u, err = s.SetBlocked(ctx, "ada", "bob", p.OnlyKnown)
		must(t, err)
		equal(t, "the privacy after a block", u.Privacy, p)
		u, err = s.User(ctx, "ada")
		must(t, err)
		equal(t, "the stored privacy", u.Privacy, p)
	}
	_, err = s.SetPrivacy(ctx, "ada", chat.Privacy{NoReceipts: true})
	must(t, err)
	_, err = s.BeginErase(ctx, "ada", t0)
	must(t, err)
	must(t, s.FinishErase(ctx, "ada", t0))
	_, err = s.SetPrivacy(ctx, "ada", chat.Privacy{})
	mustBe(t, err, problem.ErrNotFound)
}
