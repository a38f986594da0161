package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Leaving has a user use everything and leave. It fails if the store still has something that they wrote, were called
// or used. It returns the collections that still have their uid; DESIGN §7, "How long data is kept", says which may.
// contents returns everything that the store has, as text, by collection.
func Leaving(t *testing.T, s store.Store, contents func() map[string]string) (left []string) {
	ctx := context.Background()
	const uid = "leaver"
	addUser(t, s, uid, "Leaver Smith", t0)
	addUser(t, s, "ada", "Ada", t0)
	addUser(t, s, "bob", "Bob", t0)

	mine := message(uid, "ada", t0, "secret words to ada")
	theirs := message("ada", uid, t0+1, "an answer")
	only := message(uid, "bob", t0, "secret words to bob")
	save(t, s, []delivery.Delivered{mine, theirs, only},
		[]delivery.Read{{Conversation: mine.Conversation, By: uid, At: t0 + 1}})
	saveChanges(t, s, t0+2, changeOf(theirs, uid, t0+2, chat.KindReact, "👍"),
		changeOf(message(uid, "ada", t0+3, "not saved yet"), uid, t0+3, chat.KindEdit, "secret words of a change"))

	picture := pictured(t, s, uid, "secret picture")
	register(t, s, uid, subscription("secret device", "secret-endpoint", t0))
	renamed := "leaver2"
	for _, do := range []func() error{
		func() error { _, err := s.SetBlocked(ctx, uid, "bob", true); return err },
		func() error { _, err := s.SetBlocked(ctx, "bob", uid, true); return err },
		func() error { _, err := s.Rename(ctx, uid, &renamed, nil, t0, false); return err },
		func() error { _, err := s.Choose(ctx, uid, chosen(uid, "ada", chat.SettingPin, 1, t0), t0); return err },
		func() error {
			_, err := s.Choose(ctx, "ada", chosen(uid, "ada", chat.SettingPin, 1, t0), t0)
			return err
		},
		func() error { _, err := s.SetPrivacy(ctx, uid, chat.Privacy{LastSeen: chat.Nobody}); return err },
		func() error { _, err := s.LimitContacts(ctx, uid, t0+day); return err },
		func() error { _, err := s.Warn(ctx, uid, store.Warning{At: t0, Reason: "spam"}); return err },
		func() error {
			_, _, err := s.RecordSignIn(ctx, uid, store.Seen{SignIn: t0, At: t0, Called: true})
			return err
		},
		func() error { _, _, err := s.Take(ctx, "reports:"+uid, 1, 2, time.Hour, t0); return err },
		func() error {
			return s.AddAudit(ctx, store.Audit{ID: "a1", At: t0, By: "root", ByName: "root", Action: "warn", On: uid,
				OnName: "leaver"})
		},
	} {
		must(t, do())
	}
	addReport(t, s, report("r1", uid, "ada", t0))
	addReport(t, s, report("r2", "ada", uid, t0))

	where := func(text string) map[string]bool {
		found := map[string]bool{}
		for collection, content := range contents() {
			if strings.Contains(strings.ToLower(content), text) {
				found[collection] = true
			}
		}
		return found
	}
	for _, private := range []string{"secret words to ada", "secret words to bob", "secret words of a change",
		"secret-endpoint", "leaver smith", "by leaver", picture.Version} {
		if len(where(private)) == 0 {
			t.Errorf("%q is stored nowhere before the user leaves, so the test shows nothing", private)
		}
	}

	_, err := s.BeginErase(ctx, uid, t0+day)
	must(t, err)
	must(t, s.EraseContent(ctx, uid))
	must(t, s.FinishErase(ctx, uid, t0+day))

	for _, private := range []string{"secret words", "secret-endpoint", "secret device", "leaver smith", "by leaver",
		"leaver@example.org", picture.Version, "👍"} {
		for collection := range where(private) {
			t.Errorf("%s still has %q", collection, private)
		}
	}
	equal(t, "what is left of the other one", bodies(page(t, s, mine.Conversation)), []string{"an answer"})
	return slices.Sorted(maps.Keys(where(uid)))
}

// page returns the newest messages of a conversation.
func page(t *testing.T, s store.Store, conversation string) []delivery.Delivered {
	t.Helper()
	list, _, err := s.Messages(context.Background(), conversation, store.Position{}, 10)
	must(t, err)
	return list
}
