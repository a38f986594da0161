package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/internalapi"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// requestRow is what a list says about a conversation.
type requestRow struct {
	ID       string
	Answered *bool
	Read     map[string]chat.Micros
	Settings store.Settings
}

// requestRow returns the only conversation in a list of who.
func (s *system) requestRow(path, token string) requestRow {
	s.t.Helper()
	var page struct{ Conversations []requestRow }
	s.call("GET", path, token, nil).must(200, &page)
	if len(page.Conversations) != 1 || page.Conversations[0].Answered == nil {
		s.t.Fatalf("%s: %+v", path, page)
	}
	return page.Conversations[0]
}

// A request is not answered until its recipient accepts it, and until then no list of its sender has the mark of what
// was read, not even if the sender is an admin. realtime/ decides whether there is a request, because its messages may
// not be saved yet.
func TestRequests(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	_, root := s.admin("eve")
	saved := s.save("eve", "ada", "hello")[0]
	if _, err := s.store.Save(t.Context(), nil, []delivery.Read{{Conversation: "ada~eve", By: "ada", At: saved.At},
		{Conversation: "ada~eve", By: "eve", At: saved.At}}); err != nil {
		t.Fatal(err)
	}
	exported := func(token string) requestRow {
		var file struct {
			Conversations []struct{ Conversation requestRow }
		}
		s.call("GET", "/me/export", token, nil).must(200, &file)
		return file.Conversations[0].Conversation
	}
	lists := map[string]func() requestRow{
		"list":   func() requestRow { return s.requestRow("/conversations", root) },
		"export": func() requestRow { return exported(root) }}
	check := func(what string, answered bool) {
		t.Helper()
		if row := s.requestRow("/conversations", s.token("ada")); *row.Answered != answered ||
			(row.Settings[chat.SettingAccept].Value == 1) != answered || row.Read["ada"] != saved.At {
			t.Errorf("%s: ada's list has %+v, answered: %v", what, row, *row.Answered)
		}
		for name, row := range lists {
			row := row()
			if !*row.Answered || row.Read["eve"] != saved.At || (row.Read["ada"] != 0) != answered {
				t.Errorf("%s: the %s of eve has %+v, answered: %v", what, name, row, *row.Answered)
			}
		}
	}
	check("a request", false)

	accept := s.setting("ada~eve", chat.SettingAccept, 1)
	s.realtime.failWith(chat.ErrRequestUnknown)
	s.call("PUT", "/me/setting", s.token("ada"), accept).refused(404, "request_unknown")
	s.realtime.failWith(problem.ErrUnavailable)
	s.call("PUT", "/me/setting", s.token("ada"), accept).refused(503, "unavailable")
	s.realtime.failWith(nil)
	delete(lists, "export") // there are few a day
	check("nothing was accepted", false)

	remove := s.setting("ada~eve", chat.SettingRemove, saved.At)
	s.call("PUT", "/me/setting", s.token("ada"), remove).must(200, nil)
	row := s.requestRow("/conversations", s.token("ada"))
	if *row.Answered || row.Settings[chat.SettingRemove] != remove.Choice {
		t.Errorf("a removed request: %+v", row)
	}
	s.realtime.settings = nil
	for range 2 {
		var counts chat.Choice
		s.call("PUT", "/me/setting", s.token("ada"), accept).must(200, &counts)
		if counts != accept.Choice {
			t.Errorf("the choice in effect is %+v", counts)
		}
		check("accepted", true)
	}
	if row := exported(root); row.Read["ada"] != saved.At {
		t.Errorf("the export of eve has %+v", row)
	}
	want := internalapi.Setting{UID: "ada", Setting: accept}
	if sent := s.realtime.settings; len(sent) != 2 || sent[0] != want || sent[1] != want {
		t.Errorf("sent to realtime: %+v", sent)
	}
	// Another device has accepted, too. The later choice counts everywhere.
	later := s.setting("ada~eve", chat.SettingAccept, 1)
	later.At++
	s.call("PUT", "/me/setting", s.token("ada"), later).must(200, nil)
	var counts chat.Choice
	s.call("PUT", "/me/setting", s.token("ada"), accept).must(200, &counts)
	if n := len(s.realtime.settings); counts != later.Choice || s.realtime.settings[n-1].Setting != later {
		t.Errorf("stored: %+v; sent to realtime: %+v", counts, s.realtime.settings[n-1])
	}

	// A request can be accepted before its messages are saved. It is not listed until then.
	s.user("cyd")
	s.user("dan")
	s.call("PUT", "/me/setting", s.token("cyd"), s.setting("cyd~dan", chat.SettingAccept, 1)).must(200, nil)
	var none struct{ Conversations []requestRow }
	s.call("GET", "/conversations", s.token("cyd"), nil).must(200, &none)
	s.save("dan", "cyd", "late")
	if row := s.requestRow("/conversations", s.token("cyd")); len(none.Conversations) != 0 || !*row.Answered {
		t.Errorf("accepted before it was saved: %+v, then %+v", none, row)
	}
}

// Conversations are listed by their ids, without those that nobody has written in, and without those of others.
func TestConversationsByID(t *testing.T) {
	s := newSystem(t)
	for _, name := range []string{"ada", "bob", "eve"} {
		s.user(name)
	}
	s.save("bob", "ada", "hello")
	s.save("eve", "ada", "hello")
	s.save("bob", "eve", "hello")
	row := s.requestRow("/conversations?id=ada~bob&id=ada~nobody", s.token("ada"))
	if row.ID != "ada~bob" || *row.Answered {
		t.Errorf("%+v", row)
	}
	var page struct{ Next string }
	s.call("GET", "/conversations?id=ada~bob&id=ada~eve&limit=1", s.token("ada"), nil).must(200, &page)
	if page.Next != "" {
		t.Errorf("next: %q", page.Next)
	}
	many := strings.Repeat("&id=ada~bob", 21)
	s.call("GET", "/conversations?"+many[1:], s.token("ada"), nil).refused(422, "invalid_fields")
	s.call("GET", "/conversations?id=bob~eve", s.token("ada"), nil).refused(403, "forbidden")
	s.call("GET", "/conversations?id=ada", s.token("ada"), nil).refused(422, "conversation_invalid")
	s.call("GET", "/conversations?id=", s.token("ada"), nil).refused(422, "conversation_invalid")
}

// An acceptance writes twice, and costs two calls.
func TestAcceptancesAreLimited(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	n := 0
	for ; n < 100; n++ {
		if a := s.call("PUT", "/me/setting", s.token("ada"), s.setting("ada~eve", chat.SettingAccept, 1)); a.status != 200 {
			a.refused(429, "rate_limited")
			break
		}
	}
	if n != 15 {
		t.Errorf("%d requests were accepted in a minute, want 15", n)
	}
	s.clock.advance(time.Minute)
	s.call("PUT", "/me/setting", s.token("ada"), s.setting("ada~eve", chat.SettingAccept, 1)).must(200, nil)
}
