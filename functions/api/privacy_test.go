package api_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func TestPrivacy(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	me := func() (p chat.Privacy) {
		t.Helper()
		var answer struct{ Privacy json.RawMessage }
		s.call("GET", "/me", s.token("ada"), nil).must(200, &answer)
		if err := json.Unmarshal(answer.Privacy, &p); err != nil {
			t.Fatalf("%s: %v", answer.Privacy, err)
		}
		return p
	}
	if me() != (chat.Privacy{}) {
		t.Errorf("the default is %+v", me())
	}
	all := chat.Privacy{LastSeen: chat.Nobody, NoReceipts: true, OnlyKnown: true, ByUsername: true}
	for range 2 {
		var got chat.Privacy
		s.call("PUT", "/me/privacy", s.token("ada"), all).must(200, &got)
		if got != all || me() != all || s.realtime.last().Privacy != all || s.realtime.last().UID != "ada" {
			t.Errorf("answered %+v, then %+v, and the gate is %+v", got, me(), s.realtime.last())
		}
	}
	if !slices.Equal(s.realtime.ownProfiles, []string{"ada", "ada"}) {
		t.Errorf("announced to %v, want to ada twice", s.realtime.ownProfiles)
	}
	var export struct {
		Profile struct{ Privacy chat.Privacy }
	}
	s.call("GET", "/me/export", s.token("ada"), nil).must(200, &export)
	if export.Profile.Privacy != all {
		t.Errorf("the export has %+v", export.Profile.Privacy)
	}
	for name, bad := range map[string]any{
		"nothing":             form{},
		"a part":              form{"last_seen": "nobody"},
		"no receipts":         form{"last_seen": "nobody", "writers": "known", "findable": "username"},
		"an unknown audience": chat.PrivacyForm{LastSeen: "friends", Writers: "known", Findable: "username"},
		"unknown writers":     chat.PrivacyForm{LastSeen: "nobody", Writers: "nobody", Findable: "username"},
		"unknown findable":    chat.PrivacyForm{LastSeen: "nobody", Writers: "known", Findable: ""},
	} {
		s.t = t
		t.Log(name)
		s.call("PUT", "/me/privacy", s.token("ada"), bad).refused(422, "privacy_invalid")
	}
	s.call("PUT", "/me/privacy", s.token("ada"), `{"last_seen":1}`).refused(422, "invalid_fields")
	if me() != all {
		t.Errorf("after bad calls: %+v", me())
	}
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("PUT", "/me/privacy", s.token("ada"), chat.Privacy{}).refused(503, "unavailable")
	s.realtime.failWith(nil)
	s.call("PUT", "/me/privacy", s.token("ada"), chat.Privacy{}).must(200, nil)
	if me() != (chat.Privacy{}) || s.realtime.last().Privacy != (chat.Privacy{}) {
		t.Errorf("in the end: %+v", me())
	}
}

// Somebody who wants to be found by the username is in no list, and is the result of a search for exactly this name.
func TestFoundByUsername(t *testing.T) {
	s := newSystem(t)
	for _, name := range []string{"ada", "anna", "annabel", "ann_b"} {
		s.user(name)
	}
	_, root := s.admin("root")
	for _, name := range []string{"anna", "ann_b"} {
		s.call("PUT", "/me/privacy", s.token(name), chat.Privacy{ByUsername: true}).must(200, nil)
	}
	found := func(query, token string) (names []string) {
		t.Helper()
		var page struct{ Users []struct{ Username string } }
		s.call("GET", "/users"+query, token, nil).must(200, &page)
		for _, u := range page.Users {
			names = append(names, u.Username)
		}
		slices.Sort(names)
		return names
	}
	for query, want := range map[string][]string{
		"":                  {"annabel", "root"},
		"?q=a":              {"annabel"},
		"?q=ann":            {"annabel"},
		"?q=Anna":           {"anna", "annabel"},
		"?q=%40anna":        {"anna", "annabel"},
		"?q=%20anna%20":     {"anna", "annabel"},
		"?q=anna%20b":       nil,
		"?q=ann_b":          {"ann_b"},
		"?q=ann%20b":        nil,
		"?username=ANNA":    {"anna"},
		"?username=ann":     nil,
		"?username=ann_b":   {"ann_b"},
		"?username=annabel": {"annabel"},
	} {
		if got := found(query, s.token("ada")); !slices.Equal(got, want) {
			t.Errorf("%q finds %v, want %v", query, got, want)
		}
	}
	if got := found("?q=ann", root); !slices.Equal(got, []string{"ann_b", "anna", "annabel"}) {
		t.Errorf("an admin finds %v", got)
	}
	s.call("PUT", "/me/blocked/ada", s.token("anna"), nil).must(200, nil)
	for _, query := range []string{"?q=anna", "?username=anna"} {
		if got := found(query, s.token("ada")); slices.Contains(got, "anna") {
			t.Errorf("blocked: %q finds %v", query, got)
		}
	}
	s.call("GET", "/users/ann_b", s.token("ada"), nil).must(200, nil) // old conversations show them
}

// If one of two people wants no receipts, neither sees in a list or an export what the other one has read, also if they
// are an admin. Their own marks, and the counts of unread messages, stay.
func TestReceiptsInLists(t *testing.T) {
	for name, c := range map[string]struct{ ada, eve, shared bool }{
		"both want them": {true, true, true}, "ada wants none": {false, true, false}, "eve wants none": {true, false, false},
		"both want none": {false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			s.user("ada")
			_, root := s.admin("eve")
			at := s.save("eve", "ada", "hello")[0].At
			s.save("ada", "eve", "hello")
			if _, err := s.store.Save(t.Context(), nil, []delivery.Read{{Conversation: "ada~eve", By: "ada", At: at},
				{Conversation: "ada~eve", By: "eve", At: at}}); err != nil {
				t.Fatal(err)
			}
			tokens := map[string]string{"ada": s.token("ada"), "eve": root}
			for uid, wants := range map[string]bool{"ada": c.ada, "eve": c.eve} {
				s.call("PUT", "/me/privacy", tokens[uid], chat.Privacy{NoReceipts: !wants}).must(200, nil)
			}
			for uid, other := range map[string]string{"ada": "eve", "eve": "ada"} {
				var file struct {
					Conversations []struct{ Conversation requestRow }
				}
				s.call("GET", "/me/export", tokens[uid], nil).must(200, &file)
				for where, row := range map[string]requestRow{
					"list":   s.requestRow("/conversations", tokens[uid]),
					"row":    s.requestRow("/conversations?id=ada~eve", tokens[uid]),
					"export": file.Conversations[0].Conversation,
				} {
					if row.Read[uid] != at || (row.Read[other] != 0) != c.shared {
						t.Errorf("the %s of %s has %+v", where, uid, row.Read)
					}
				}
			}
		})
	}
}
