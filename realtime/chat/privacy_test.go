package chat_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Every privacy has a form of its own, and only these forms are valid.
func TestPrivacyForm(t *testing.T) {
	if f := (chat.Privacy{}).Form(); f != (chat.PrivacyForm{LastSeen: "everyone", ReadReceipts: true, Writers: "everyone",
		Findable: "everyone"}) {
		t.Errorf("the default is %+v", f)
	}
	seen := map[chat.PrivacyForm]bool{}
	for _, a := range []chat.Audience{chat.Everyone, chat.Chats, chat.Nobody} {
		for n := range 8 {
			p := chat.Privacy{LastSeen: a, NoReceipts: n&1 > 0, OnlyKnown: n&2 > 0, ByUsername: n&4 > 0}
			seen[p.Form()] = true
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var got chat.Privacy
			if err := json.Unmarshal(data, &got); err != nil || got != p {
				t.Errorf("%+v became %s and %+v, %v", p, data, got, err)
			}
		}
	}
	if len(seen) != 24 {
		t.Errorf("%d different forms, want 24", len(seen))
	}
	good := chat.Privacy{}.Form()
	for name, c := range map[string]struct {
		change func(f *chat.PrivacyForm)
		known  chat.Privacy // if a later version has stored it
	}{
		"no audience":         {func(f *chat.PrivacyForm) { f.LastSeen = "" }, chat.Privacy{LastSeen: chat.Nobody}},
		"an unknown audience": {func(f *chat.PrivacyForm) { f.LastSeen = "friends" }, chat.Privacy{LastSeen: chat.Nobody}},
		"unknown writers":     {func(f *chat.PrivacyForm) { f.Writers = "nobody" }, chat.Privacy{OnlyKnown: true}},
		"no writers":          {func(f *chat.PrivacyForm) { f.Writers = "" }, chat.Privacy{OnlyKnown: true}},
		"not findable":        {func(f *chat.PrivacyForm) { f.Findable = "nobody" }, chat.Privacy{ByUsername: true}},
		"another case":        {func(f *chat.PrivacyForm) { f.Findable = "Everyone" }, chat.Privacy{ByUsername: true}},
	} {
		f := good
		c.change(&f)
		if p, err := f.Privacy(); !errors.Is(err, chat.ErrPrivacyInvalid) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if p := f.Known(); p != c.known {
			t.Errorf("%s: a later version has stored it, and it counts as %+v, want %+v", name, p, c.known)
		}
	}
	later := chat.PrivacyForm{LastSeen: "friends", ReadReceipts: true, Writers: "everyone", Findable: "username"}
	if p := later.Known(); p != (chat.Privacy{LastSeen: chat.Nobody, ByUsername: true}) {
		t.Errorf("an unknown value beside known ones: %+v", p)
	}
}
