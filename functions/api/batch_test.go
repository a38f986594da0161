package api_test

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// A batch answers each user as GET /users/{uid} does, in the order of the query.
func TestUsersBatch(t *testing.T) {
	s := newSystem(t)
	_, admin := s.admin("root1")
	for _, n := range []string{"ada", "bob", "cyd"} {
		s.account(n)
	}
	if _, err := s.store.SetDisabled(t.Context(), "cyd", true); err != nil {
		t.Fatal(err)
	}
	// Ada goes on seeing the names that Bob had when he blocked her.
	s.call("PUT", "/me/blocked/ada", s.token("bob"), nil).must(200, nil)
	s.call("PATCH", "/me", s.token("bob"), form{"display_name": "Robert"}).must(200, nil)
	type users struct {
		Users []profile `json:"users"`
	}
	for _, token := range []string{s.token("ada"), admin} {
		var got users
		s.call("GET", "/users/batch?uid=bob&uid=gone&uid=cyd&uid=bob", token, nil).must(200, &got)
		var want users
		for _, uid := range []string{"bob", "", "cyd", "bob"} {
			if uid == "" {
				want.Users = append(want.Users, profile{UID: "gone", Deleted: true})
				continue
			}
			var p profile
			s.call("GET", "/users/"+uid, token, nil).must(200, &p)
			want.Users = append(want.Users, p)
		}
		if !slices.Equal(got.Users, want.Users) {
			t.Errorf("got  %+v\nwant %+v", got.Users, want.Users)
		}
	}
	for _, query := range []string{"", "?uid=", "?uid=bob&uid=a%2Fb", "?uid=bob" + strings.Repeat("&uid=bob", 50)} {
		s.call("GET", "/users/batch"+query, s.token("ada"), nil).refused(422, "invalid_fields")
	}
}

type batch struct {
	Pages []messagePage        `json:"pages"`
	Saved []delivery.Delivered `json:"saved"`
}

// A batch answers what single calls of GET /messages would.
func TestMessagesBatch(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "bob", "cyd", "dan", "eve"} {
		s.user(n)
	}
	saved := map[string][]delivery.Delivered{}
	for i, other := range []string{"bob", "cyd"} {
		var bodies []string
		for n := range 5 * (i + 1) {
			bodies = append(bodies, fmt.Sprintf("%s %d", other, n))
		}
		saved[other] = s.save("ada", other, bodies...)
	}
	unknown := chat.KeyOf(uuid.Must(uuid.NewV7()).String(), "bob")
	pages := []string{"ada~bob", "ada~cyd", "ada~dan",
		fmt.Sprintf("ada~cyd,%d,%s", saved["cyd"][4].At, saved["cyd"][4].Key()),
		fmt.Sprintf("ada~bob,%d", saved["bob"][1].At+1)}
	q := url.Values{"limit": {"3"}, "page": pages, "saved": {
		"ada~cyd," + saved["cyd"][7].Key() + "," + saved["cyd"][0].Key(), "ada~bob," + unknown}}
	var got batch
	s.call("GET", "/messages/batch?"+q.Encode(), s.token("ada"), nil).must(200, &got)
	for i, p := range pages {
		id, before, _ := strings.Cut(p, ",")
		var want messagePage
		s.call("GET", "/messages?limit=3&conversation="+id+"&before="+before, s.token("ada"), nil).must(200, &want)
		if !reflect.DeepEqual(got.Pages[i].Messages, want.Messages) || got.Pages[i].Next != want.Next {
			t.Errorf("page %d is %+v, want %+v", i, got.Pages[i], want)
		}
	}
	if want := []delivery.Delivered{saved["cyd"][7], saved["cyd"][0]}; !reflect.DeepEqual(got.Saved, want) {
		t.Errorf("saved: %+v, want %+v", got.Saved, want)
	}
	s.call("GET", "/messages/batch?page=ada~dan", s.token("ada"), nil).must(200, &got)
	if len(got.Pages) != 1 || got.Pages[0].Messages == nil || got.Saved == nil {
		t.Errorf("an empty conversation: %+v", got)
	}

	key := saved["bob"][0].Key()
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"":                              {422, "invalid_fields"},
		"?limit=0&page=ada~bob":         {422, "invalid_fields"},
		"?page=ada~bob&page=bob~cyd":    {403, "forbidden"},
		"?page=ada~bob&saved=bob~cyd,x": {403, "forbidden"},
		"?page=bob~ada":                 {422, "conversation_invalid"},
		"?saved=," + key:                {422, "conversation_invalid"},
		"?page=ada~bob,x":               {422, "before_invalid"},
		"?saved=ada~bob":                {422, "key_invalid"},
		"?saved=ada~bob," + key + ",":   {422, "key_invalid"},
		"?limit=100&page=ada~bob&page=ada~bob&saved=ada~bob," + key:                      {422, "invalid_fields"},
		"?page=ada~bob&limit=200&saved=ada~bob," + key:                                   {422, "invalid_fields"},
		"?limit=1&saved=ada~bob," + key + strings.Repeat(","+key, 199) + "&page=ada~bob": {422, "invalid_fields"},
	} {
		s.call("GET", "/messages/batch"+query, s.token("ada"), nil).refused(want.status, want.code)
	}
	s.call("GET", "/messages/batch?page=ada~bob&limit=199&saved=ada~bob,"+key, s.token("ada"), nil).must(200, nil)
}

// A batch is charged one call and the documents that it has read, which is less than the calls that it replaces.
func TestBatchIsChargedByDocuments(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	const others = 15
	path := "/messages/batch?limit=13"
	for i := range others {
		other := s.user(fmt.Sprintf("other%d", i))
		s.save("ada", other, "one", "two")
		path += "&page=" + chat.ConversationID("ada", other)
	}
	answered := s.flood("GET", path, s.token("ada"), nil, 5000)
	most := api.DocumentsPerMinute + 110
	if each := api.CallUnits + 1 + 2*others; answered < (most-250)/each || answered > most/each {
		t.Errorf("%d batches that read %d documents were answered", answered, 2*others)
	}
	// The names of a new device cost no lease, and its messages one, as the single calls did.
	c := counting(s)
	token := s.knownToken("new")
	_, _, before := c.counts()
	s.call("GET", "/users/batch?uid=other0"+strings.Repeat("&uid=other1", others), token, nil).must(200, nil)
	if _, _, takes := c.counts(); takes != before {
		t.Errorf("the names of %d people leased budgets %d times", others, takes-before)
	}
	s.call("GET", strings.ReplaceAll(path, "ada~", "new~"), token, nil).must(200, nil)
	if _, _, takes := c.counts(); takes > before+1 {
		t.Errorf("the messages of %d conversations leased budgets %d times", others, takes-before)
	}
}
