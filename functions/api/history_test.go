package api_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

type conversation struct {
	ID      string  `json:"id"`
	With    profile `json:"with"`
	LastAt  int64   `json:"last_at"`
	Preview struct{ ID, From, Text string }
	Unread  int              `json:"unread"`
	Read    map[string]int64 `json:"read"`
}

type messagePage struct {
	Messages []delivery.Delivered `json:"messages"`
	Next     string               `json:"next"`
}

func TestHistory(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "eve"} {
		s.user(n)
	}
	var bodies []string
	for i := range 7 {
		bodies = append(bodies, fmt.Sprintf("message %d", i))
	}
	saved := s.save("ada", "bob", bodies...)
	for _, uid := range []string{"ada", "bob"} {
		var got []string
		before := ""
		for range 10 {
			var page messagePage
			s.call("GET", "/messages?conversation=ada~bob&limit=3&before="+before, s.token(uid), nil).must(200, &page)
			var part []string
			for _, m := range page.Messages {
				part = append(part, m.Body)
			}
			got = append(part, got...)
			if before = page.Next; before == "" {
				break
			}
		}
		if !slices.Equal(got, bodies) {
			t.Errorf("history of %s: %v", uid, got)
		}
	}
	var page messagePage
	s.call("GET", fmt.Sprintf("/messages?conversation=ada~bob&limit=1&before=%d", saved[3].At+1), s.token("ada"),
		nil).must(200, &page)
	if len(page.Messages) != 1 || !reflect.DeepEqual(page.Messages[0], saved[3]) {
		t.Errorf("messages before a time: %+v", page.Messages)
	}
	for _, m := range saved[:2] {
		s.call("GET", "/messages?conversation=ada~bob&key="+m.Key(), s.token("bob"), nil).must(200, &page)
		if len(page.Messages) != 1 || !reflect.DeepEqual(page.Messages[0], m) || page.Next != "" {
			t.Errorf("the message of a key: %+v", page)
		}
	}
	unknown := chat.KeyOf(saved[0].ID, "bob")
	s.call("GET", "/messages?conversation=ada~bob&key="+unknown, s.token("ada"), nil).must(200, &page)
	if page.Messages == nil || len(page.Messages) != 0 || page.Next != "" {
		t.Errorf("the message of an unknown key: %+v", page)
	}
	s.call("GET", "/messages?conversation=ada~bob&key=x", s.token("ada"), nil).refused(422, "key_invalid")
	s.call("GET", "/messages?conversation=ada~bob&key="+saved[0].Key(), s.token("eve"), nil).refused(403, "forbidden")
	s.call("GET", "/messages?conversation=ada~eve", s.token("ada"), nil).must(200, &page)
	if page.Messages == nil || len(page.Messages) != 0 {
		t.Errorf("empty conversation: %+v", page)
	}
	for _, id := range []string{"", "ada", "bob~ada", "ada~ada", "ada~bob~eve", "ada~../x", "ada%00~bob"} {
		s.call("GET", "/messages?conversation="+id, s.token("ada"), nil).refused(422, "conversation_invalid")
	}
	s.call("GET", "/messages?conversation=ada~bob", s.token("eve"), nil).refused(403, "forbidden")
	for _, before := range []string{"x", "-1", "0", "1,x", ",", "99999999999999999999"} {
		s.call("GET", "/messages?conversation=ada~bob&before="+before, s.token("ada"), nil).refused(422, "before_invalid")
	}
	for _, query := range []string{"before=1;2", "before=%zz", "%"} {
		s.call("GET", "/messages?conversation=ada~bob&"+query, s.token("ada"), nil).refused(400, "bad_query")
	}
}

// Both members have used one id, at one time. The user and an admin see both messages, on one page and on two, in one
// order, and the export has both.
func TestHistoryWithOneIDTwice(t *testing.T) {
	s := newSystem(t)
	_, admin := s.admin("root1")
	s.account("ada")
	s.user("bob")
	want := s.save("ada", "bob", "ada's")
	theirs := want[0]
	theirs.From, theirs.To, theirs.Body = "bob", "ada", "bob's"
	reply := theirs
	reply.ID, reply.At, reply.ReplyTo = uuid.Must(uuid.NewV7()).String(), theirs.At+1, want[0].Key()
	want = append(want, theirs, reply)
	if kept, err := s.store.Save(t.Context(), want, nil); err != nil || len(kept) != 0 {
		t.Fatal(kept, err)
	}
	for _, limit := range []int{1, 2, 3} {
		pages := func(read func(before string) *answer) (all []delivery.Delivered) {
			for before := ""; len(all) < 9; {
				var page messagePage
				read(before).must(200, &page)
				all = append(page.Messages, all...)
				if before = page.Next; before == "" {
					break
				}
			}
			return all
		}
		mine := pages(func(before string) *answer {
			path := fmt.Sprintf("/messages?conversation=ada~bob&limit=%d&before=%s", limit, before)
			return s.call("GET", path, s.token("ada"), nil)
		})
		shown := pages(func(before string) *answer {
			return s.call("POST", "/admin/messages", admin,
				map[string]any{"reason": "x", "conversation": "ada~bob", "limit": limit, "before": before})
		})
		if !reflect.DeepEqual(mine, want) || !reflect.DeepEqual(shown, want) {
			t.Errorf("pages of %d: the user sees\n%+v, the admin\n%+v, want\n%+v", limit, mine, shown, want)
		}
	}
	a := s.call("GET", "/me/export", s.token("ada"), nil)
	a.must(200, nil)
	n := strings.Count(string(a.body), `"id":"`+theirs.ID+`"`)
	if n < 2 || !strings.Contains(string(a.body), want[0].Key()) {
		t.Errorf("the export %s", a.body)
	}
}

func TestConversations(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "cyd"} {
		s.user(n)
	}
	s.save("bob", "ada", "one", "two", strings.Repeat("long ", 100))
	mark := s.save("cyd", "ada", "x")[0]
	if _, err := s.store.Save(t.Context(), nil, []delivery.Read{{Conversation: "ada~cyd", By: "ada",
		At: mark.At}}); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Conversations []conversation `json:"conversations"`
		Next          string         `json:"next"`
	}
	s.call("GET", "/conversations?limit=1", s.token("ada"), nil).must(200, &list)
	c := list.Conversations[0]
	if len(list.Conversations) != 1 || list.Next == "" || c.ID != "ada~bob" || c.With.Username != "bob" || c.Unread != 3 ||
		len(c.Preview.Text) != 200 || c.Read == nil {
		t.Errorf("first page %+v", list)
	}
	s.call("GET", "/conversations?limit=1&cursor="+list.Next, s.token("ada"), nil).must(200, &list)
	c = list.Conversations[0]
	if list.Next != "" || c.ID != "ada~cyd" || c.Unread != 0 || c.Read["ada"] != int64(mark.At) {
		t.Errorf("second page %+v", list)
	}
	s.call("GET", "/conversations?cursor=x", s.token("ada"), nil).refused(422, "cursor_invalid")
	other := s.call("GET", "/conversations?limit=1", s.token("ada"), nil)
	json.Unmarshal(other.body, &list)
	s.call("GET", "/conversations?cursor="+list.Next, s.token("bob"), nil).refused(422, "cursor_invalid")
}

func TestExport(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "cyd", "eve"} {
		s.user(n)
	}
	var bodies []string
	for i := range 450 {
		bodies = append(bodies, fmt.Sprintf("<b> & message %d", i))
	}
	s.save("ada", "bob", bodies...)
	s.save("cyd", "ada", "from cyd")
	s.save("bob", "eve", "not ada's")
	a := s.call("GET", "/me/export", s.token("ada"), nil)
	var out struct {
		ExportedAt    chat.Micros `json:"exported_at"`
		Profile       profile     `json:"profile"`
		Conversations []struct {
			Conversation conversation         `json:"conversation"`
			Messages     []delivery.Delivered `json:"messages"`
		} `json:"conversations"`
	}
	a.must(200, &out)
	if out.Profile.UID != "ada" || len(out.Conversations) != 2 || len(out.Conversations[0].Messages) != 450 ||
		out.Conversations[0].Messages[0].Body != bodies[449] ||
		out.Conversations[1].Messages[0].Body != "from cyd" || strings.Contains(string(a.body), "not ada's") {
		t.Errorf("export %.500s", a.body)
	}
	if a.header.Get("Content-Disposition") != `attachment; filename="phoenix-chat-export.json"` {
		t.Errorf("headers %v", a.header)
	}
}
