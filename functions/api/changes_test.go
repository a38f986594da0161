package api_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

type changedPage struct {
	Messages []delivery.Delivered `json:"messages"`
	Next     string               `json:"next"`
	Now      chat.Micros          `json:"now"`
	Reload   bool                 `json:"reload"`
}

// change saves a change of a message at a time, and returns the message as it is then.
func (s *system) change(m delivery.Delivered, at chat.Micros, kind chat.ChangeKind,
	from, content string) delivery.Delivered {
	s.t.Helper()
	c := chat.Change{ID: uuid.Must(uuid.NewV7()).String(), Conversation: m.Conversation, From: from, At: m.At + 1,
		Of: chat.Target{ID: m.ID, From: m.From, At: m.At}, Kind: kind}
	if kind == chat.KindEdit {
		c.Body = content
	} else {
		c.Emoji = content
	}
	if err := s.store.SaveChanges(s.t.Context(), store.SumChanges([]delivery.Changed{{Change: c}}), at); err != nil {
		s.t.Fatal(err)
	}
	return store.WithChanges(m, m.Changes.Merge(c.Changes()))
}

// Changes are in history and in the list of changes, and deleted text is nowhere.
func TestChangedMessages(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "cyd"} {
		s.user(n)
	}
	_, root := s.admin("root")
	saved := append(s.save("ada", "bob", "edited", "a secret"), s.save("ada", "cyd", "third")...)
	saved[0] = s.change(saved[0], 1000, chat.KindEdit, "ada", "better")
	saved[0] = s.change(saved[0], 1001, chat.KindReact, "bob", "👍")
	saved[1] = s.change(saved[1], 1002, chat.KindDelete, "ada", "")
	saved[2] = s.change(saved[2], 1003, chat.KindReact, "cyd", "🎉")

	var page messagePage
	s.call("GET", "/messages?conversation=ada~bob", s.token("bob"), nil).must(200, &page)
	if !reflect.DeepEqual(page.Messages, saved[:2]) || page.Messages[0].Body != "better" || page.Messages[1].Body != "" {
		t.Errorf("history %+v, want %+v", page.Messages, saved[:2])
	}
	for uid, want := range map[string][]delivery.Delivered{"ada": saved, "bob": saved[:2], "cyd": saved[2:]} {
		var got []delivery.Delivered
		for cursor := ""; ; {
			var list changedPage
			s.call("GET", "/messages/changes?since=1000&limit=2&cursor="+cursor, s.token(uid), nil).must(200, &list)
			got = append(got, list.Messages...)
			if list.Now != chat.MicrosOf(s.clock.Now()) || list.Reload {
				t.Errorf("now %d, reload %v", list.Now, list.Reload)
			}
			if cursor = list.Next; cursor == "" {
				break
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the changes of %s are %+v, want %+v", uid, got, want)
		}
	}
	var list changedPage
	s.call("GET", "/messages/changes?since=1003", s.token("bob"), nil).must(200, &list)
	if list.Messages == nil || len(list.Messages) != 0 {
		t.Errorf("changes since later: %+v", list)
	}
	for _, query := range []string{"", "?since=x", "?since=-1", "?since=1.5", "?since=0&limit=0"} {
		s.call("GET", "/messages/changes"+query, s.token("ada"), nil).refused(422, "invalid_fields")
	}
	s.call("GET", "/messages/changes?since=0&cursor=x", s.token("ada"), nil).refused(422, "cursor_invalid")

	for what, a := range map[string]*answer{
		"list":       s.call("GET", "/conversations", s.token("ada"), nil),
		"export":     s.call("GET", "/me/export", s.token("ada"), nil),
		"transcript": s.call("POST", "/admin/messages", root, form{"reason": "x", "conversation": "ada~bob"}),
	} {
		a.must(200, nil)
		if strings.Contains(string(a.body), "a secret") {
			t.Errorf("the %s has deleted text: %s", what, a.body)
		}
		if what != "list" && !strings.Contains(string(a.body), "👍") {
			t.Errorf("the %s does not have the reaction: %s", what, a.body)
		}
	}
}

// Beyond a number of changes, a device reloads what it has.
func TestTooManyChanges(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	s.user("bob")
	var bodies []string
	for i := range store.MaxChanged {
		bodies = append(bodies, fmt.Sprint(i))
	}
	var sums []store.MessageChanges
	saved := s.save("ada", "bob", bodies...)
	for _, m := range saved {
		c := chat.Change{ID: m.ID, Conversation: m.Conversation, From: "bob", At: m.At + 1,
			Of: chat.Target{ID: m.ID, From: "ada"}, Kind: chat.KindReact, Emoji: "👍"}
		sums = append(sums, store.SumChanges([]delivery.Changed{{Change: c}})...)
	}
	for i, want := range []bool{false, true} {
		part := sums[:len(sums)-1]
		if i == 1 {
			part = sums[len(sums)-1:]
		}
		if err := s.store.SaveChanges(t.Context(), part, 1000); err != nil {
			t.Fatal(err)
		}
		var list changedPage
		s.call("GET", "/messages/changes?since=0&limit=1", s.token("bob"), nil).must(200, &list)
		if list.Reload != want || (len(list.Messages) == 0) != want {
			t.Errorf("%d changes: reload %v, %d messages", len(saved)-1+i, list.Reload, len(list.Messages))
		}
	}
}
