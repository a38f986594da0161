package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// countingStore counts the calls of a store that a refused call must not make, and those that lease budgets.
type countingStore struct {
	store.Store
	mu                     sync.Mutex
	users, searches, takes int
}

func (c *countingStore) add(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *countingStore) counts() (users, searches, takes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users, c.searches, c.takes
}

func (c *countingStore) User(ctx context.Context, uid string) (store.User, error) {
	c.add(&c.users)
	return c.Store.User(ctx, uid)
}

func (c *countingStore) Search(ctx context.Context, s store.Search) ([]store.User, string, error) {
	c.add(&c.searches)
	return c.Store.Search(ctx, s)
}

func (c *countingStore) Take(ctx context.Context, key string, n, limit int64, window time.Duration,
	now chat.Micros) (int64, chat.Micros, error) {
	c.add(&c.takes)
	return c.Store.Take(ctx, key, n, limit, window, now)
}

// counting wraps the store of the system.
func counting(s *system) *countingStore {
	c := &countingStore{Store: s.store}
	s.deps.Store = c
	s.rebuild()
	return c
}

// flood repeats a call until it is refused, and returns the number of calls that were answered.
func (s *system) flood(method, path, token string, in any, most int) int {
	s.t.Helper()
	for n := range most {
		a := s.call(method, path, token, in)
		if a.status == 429 {
			d := a.refused(429, "rate_limited")
			if d.RetryAfterMS <= 0 || a.header.Get("Retry-After") == "" {
				s.t.Errorf("%s %s: retry after %d ms, header %q", method, path, d.RetryAfterMS, a.header.Get("Retry-After"))
			}
			return n
		}
	}
	s.t.Errorf("%s %s: %d calls were answered", method, path, most)
	return most
}

// Every route with a token has a budget. Beyond it, a call is refused without asking the store, until the window ends.
func TestEveryRouteHasABudget(t *testing.T) {
	for _, row := range rows {
		if strings.Contains(row.endpoint, "/admin") {
			continue // see TestAdminRoutesHaveABudget
		}
		t.Run(strings.ReplaceAll(row.endpoint, " ", ""), func(t *testing.T) {
			s := newSystem(t)
			for _, n := range []string{"ada", "bob", "dis", "root1"} {
				s.user(n)
			}
			c := counting(s)
			token := s.token("bob")
			method, _, _ := strings.Cut(row.endpoint, " ")
			path := row.path
			if row.endpoint == "GET /messages" {
				path = "/messages?conversation=ada~bob&limit=200"
			}
			if row.endpoint == "DELETE /me" { // a deleted user has no other calls
				token = s.token("bob", func(m jwt.MapClaims) { m["auth_time"] = s.clock.Now().Add(-time.Hour).Unix() })
			}
			n := s.flood(method, path, token, row.body, 6000)
			t.Logf("%s: %d calls were answered", row.endpoint, n)
			if n < 3 {
				t.Errorf("%d calls were answered, too few for honest use", n)
			}
			users, searches, takes := c.counts()
			for range 50 {
				s.call(method, path, token, row.body).refused(429, "rate_limited")
			}
			if u, se, ta := c.counts(); u != users || se != searches || ta != takes {
				t.Errorf("50 refused calls read %d users, made %d searches and leased %d times", u-users, se-searches, ta-takes)
			}
			s.clock.advance(25 * time.Hour)
			if a := s.call(method, path, s.token("bob"), row.body); a.status == 429 {
				t.Errorf("after a day: %s", a.body)
			}
		})
	}
}

// A route without a budget would be free.
func TestRoutesNameTheirBudgets(t *testing.T) {
	others := []string{"POST /signup", "POST /signup/recover", "POST /admin/probe"} // have other limits
	for endpoint, name := range api.New(api.Deps{}).RouteBudgets() {
		if name == "" && !slices.Contains(others, endpoint) {
			t.Errorf("%s has no budget", endpoint)
		}
	}
}

// Somebody who is not an admin has no more on admin routes than elsewhere. An admin can work.
func TestAdminRoutesHaveABudget(t *testing.T) {
	s := newSystem(t)
	s.user("bob")
	_, token := s.admin("root1")
	token2 := s.token("bob")
	n := 0
	for ; n < 3000 && s.call("GET", "/admin/users", token2, nil).status == 403; n++ {
	}
	if most := api.DocumentsPerMinute; n >= most {
		t.Errorf("%d calls of a stranger to an admin route reached the store", n)
	}
	s.call("GET", "/admin/users", token2, nil).refused(429, "rate_limited")
	for range 300 {
		s.call("GET", "/admin/users", token, nil).must(200, nil)
	}
}

// Two instances, and two functions, share a budget.
func TestBudgetsAreShared(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	s.user("bob")
	token := s.token("ada")
	other := api.New(s.deps).Handler()
	first := s.handler
	reads := 0
	for i := range 20_000 {
		s.handler = first
		if i%2 == 1 {
			s.handler = other
		}
		if s.call("GET", "/users/bob", token, nil).status == 429 {
			// One instance has nothing left. The other may have a part of its last chunk.
			break
		}
		reads += 2 + api.CallUnits
	}
	if most := api.DocumentsPerMinute + 2*500; reads > most || reads < api.DocumentsPerMinute/2 {
		t.Errorf("%d documents on two instances, want about %d", reads, api.DocumentsPerMinute)
	}
	for _, path := range []string{"/conversations?limit=200", "/messages?conversation=ada~bob&limit=200",
		"/users?limit=200"} {
		s.flood("GET", path, token, nil, 100)
	}
}

// Ordinary use costs no operation of the store beyond those that it had, once the sign-in is recorded.
func TestOrdinaryUseLeasesNothing(t *testing.T) {
	s := newSystem(t)
	for i := range 20 {
		s.user(fmt.Sprintf("user%d", i))
	}
	token := s.knownToken("ada")
	c := counting(s)
	for _, path := range []string{"/me", "/conversations", "/users?q=user1", "/users/user3", "/users/user4",
		"/messages?conversation=ada~user1", "/messages?conversation=ada~user2"} {
		s.call("GET", path, token, nil).must(200, nil)
	}
	s.call("PUT", "/me/blocked/user5", token, nil).must(200, nil)
	s.call("DELETE", "/me/blocked/user5", token, nil).must(200, nil)
	if _, _, takes := c.counts(); takes != 0 {
		t.Errorf("ordinary use leased budgets %d times", takes)
	}
}

// A call is charged what it has read, not what it might have read.
func TestBudgetIsChargedByDocuments(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	s.user("bob")
	token := s.token("ada")
	n := s.flood("GET", "/conversations?limit=200", token, nil, 5000)
	// A call reads the caller's record and settings. It is charged them and the call, not the 800 documents that it may
	// read.
	if least := (api.DocumentsPerMinute - 804) / (2 + api.CallUnits) * 9 / 10; n < least {
		t.Errorf("%d empty lists were answered, want at least %d", n, least)
	}
}

// Leaving and blocking work when everything else is used up.
func TestSafetyDoesNotDependOnReading(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.user("eve")
	token := s.token("ada")
	for _, path := range []string{"/users/eve", "/conversations?limit=200", "/messages?conversation=ada~eve&limit=200",
		"/me", "/admin/users"} {
		for range 6000 {
			if s.call("GET", path, token, nil).status == 429 {
				break
			}
		}
		s.call("GET", path, token, nil).refused(429, "rate_limited")
	}
	s.flood("PATCH", "/me", token, form{"display_name": "Ada"}, 100)
	s.call("PUT", "/me/blocked/eve", token, nil).must(200, nil)
	s.call("DELETE", "/me/blocked/eve", token, nil).must(200, nil)
	s.call("DELETE", "/me", token, nil).must(204, nil)
}

func TestExportsPerDay(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	token := s.token("ada")
	for i := range api.ExportsPerDay {
		if i == 1 {
			s.rebuild()
			// Another instance begins none in the same minute, and does not count it.
			s.call("GET", "/me/export", token, nil).refused(429, "rate_limited")
			s.clock.advance(time.Minute)
		}
		s.call("GET", "/me/export", token, nil).must(200, nil)
	}
	s.clock.advance(-time.Minute)
	d := s.call("GET", "/me/export", token, nil).refused(429, "rate_limited")
	if d.RetryAfterMS != (24 * time.Hour).Milliseconds() {
		t.Errorf("retry after %d ms", d.RetryAfterMS)
	}
	s.rebuild()
	if w := request(s.handler, "HEAD", "/api/me/export", "Authorization", "Bearer "+token); w.Code != 429 {
		t.Errorf("HEAD is answered %d", w.Code)
	}
	s.clock.advance(24 * time.Hour)
	s.call("GET", "/me/export", s.token("ada"), nil).must(200, nil)
}

// A large export is complete, and reads no more than its budget in each minute.
func TestExportIsPaced(t *testing.T) {
	var s *system
	var waits []time.Duration
	s = newSystem(t, func(d *api.Deps) {
		d.Wait = func(_ context.Context, d time.Duration) error {
			waits = append(waits, d)
			s.clock.advance(d)
			return nil
		}
	})
	s.user("ada")
	s.user("bob")
	const n = 2*api.ExportDocumentsPerMinute + 1000
	for range n / 500 {
		s.save("ada", "bob", make([]string, 500)...)
	}
	var out struct {
		Conversations []struct {
			Messages []json.RawMessage `json:"messages"`
		} `json:"conversations"`
	}
	s.call("GET", "/me/export", s.token("ada"), nil).must(200, &out)
	if len(out.Conversations) != 1 || len(out.Conversations[0].Messages) != n {
		t.Errorf("%d of %d messages", len(out.Conversations[0].Messages), n)
	}
	if len(waits) != 2 {
		t.Errorf("the export of %d messages waited %v, want twice", n, waits)
	}
}

func TestPeopleListed(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.PeopleListed = 60 })
	for i := range 150 {
		s.user(fmt.Sprintf("user%03d", i))
	}
	s.user("ada")
	token := s.token("ada")
	seen := map[string]bool{}
	list := func() (complete bool) {
		cursor := ""
		for range 20 {
			a := s.call("GET", "/users?limit=25&cursor="+cursor, token, nil)
			if a.status == 429 {
				a.refused(429, "rate_limited")
				return false
			}
			var page userPage
			a.must(200, &page)
			for _, u := range page.Users {
				seen[u.UID] = true
			}
			if cursor = page.Next; cursor == "" {
				return true
			}
		}
		return true
	}
	// The first page again and again is charged once.
	for range 10 {
		s.call("GET", "/users?limit=25", token, nil).must(200, nil)
	}
	if list() || len(seen) != 60 {
		t.Errorf("%d people are listed, want 60", len(seen))
	}
	// Neither a search, nor a username, nor another instance shows more.
	s.call("GET", "/users?q=user1", token, nil).refused(429, "rate_limited")
	s.call("GET", "/users?username=user149", token, nil).refused(429, "rate_limited")
	s.rebuild()
	more := 0
	for i := range 50 {
		if s.call("GET", fmt.Sprintf("/users?username=user%03d", 100+i), token, nil).status == 200 {
			more++
		}
	}
	if more > 25 { // the free allowance of the instance
		t.Errorf("another instance shows %d more people", more)
	}
	_, admin := s.admin("root1")
	var page userPage
	s.call("GET", "/users?limit=200", admin, nil).must(200, &page)
	if len(page.Users) != 151 {
		t.Errorf("an admin is shown %d people", len(page.Users))
	}
	s.clock.advance(time.Hour)
	token = s.token("ada")
	clear(seen)
	if list() || len(seen) != 60 {
		t.Errorf("%d people are listed in the next hour, want 60", len(seen))
	}
}

// A search for words that nobody has both of reads a bounded number of documents.
func TestSearchIsBounded(t *testing.T) {
	s := newSystem(t)
	s.user("ada")
	n := s.flood("GET", "/users?limit=200&q=an%20zq", s.token("ada"), nil, 3000)
	if n == 0 {
		t.Error("no search is answered")
	}
	if reads := (store.Search{Prefix: "an zq", Limit: 50}).Reads(); reads > store.MaxScan {
		t.Errorf("a search may read %d documents", reads)
	}
}

func TestDisplayNamesPerDay(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	token := s.token("ada")
	for i := range api.DisplayNamesPerDay {
		if i == 4 {
			s.rebuild()
		}
		s.call("PATCH", "/me", token, form{"display_name": fmt.Sprintf("Ada %d", i)}).must(200, nil)
		if i < 3 { // no change
			s.call("PATCH", "/me", token, form{"display_name": fmt.Sprintf("Ada %d", i)}).must(200, nil)
		}
	}
	s.call("PATCH", "/me", token, form{"display_name": "One more"}).refused(429, "rate_limited")
	s.call("PATCH", "/me", token, form{"username": "ADA"}).refused(429, "rate_limited")
	s.clock.advance(24 * time.Hour)
	s.call("PATCH", "/me", s.token("ada"), form{"username": "ADA"}).must(200, nil)
}

func TestRenamesPerMonth(t *testing.T) {
	s := newSystem(t)
	s.account("ada")
	s.user("bob")
	token := s.token("ada")
	s.call("PATCH", "/me", token, form{"username": "bob"}).refused(409, "username_taken") // does not count
	s.call("PATCH", "/me", token, form{"username": "ada1"}).must(200, nil)
	s.call("PATCH", "/me", token, form{"username": "ada2"}).must(200, nil)
	d := s.call("PATCH", "/me", token, form{"username": "ada3"}).refused(429, "too_many_renames")
	if d.Fields["username"] == "" || d.RetryAfterMS != (30*24*time.Hour).Milliseconds() {
		t.Errorf("refusal %+v", d)
	}
	_, admin := s.admin("root1")
	s.call("PATCH", "/admin/users/ada", admin, form{"username": "ada3"}).must(200, nil)
}

// GET /me publishes the limits.
func TestLimitsArePublished(t *testing.T) {
	s := newSystem(t, func(d *api.Deps) { d.PeopleListed = 77 })
	var me struct {
		Limits map[string]int `json:"limits"`
	}
	s.call("GET", "/me", s.token(s.user("ada")), nil).must(200, &me)
	want := map[string]int{"documents_per_minute": api.DocumentsPerMinute, "exports_per_day": 3, "renames": 2,
		"rename_days": 30, "display_names_per_day": 10, "people_listed_per_hour": 77}
	for name, n := range want {
		if me.Limits[name] != n {
			t.Errorf("limit %s is %d, want %d", name, me.Limits[name], n)
		}
	}
	if len(me.Limits) != len(want) {
		t.Errorf("limits %v", me.Limits)
	}
}

// Blocking applies in both directions on every route that shows people.
func TestBlockingOnEveryRoute(t *testing.T) {
	s := newSystem(t)
	for _, n := range []string{"ada", "eve", "bob"} {
		s.account(n)
	}
	s.save("ada", "eve", "hello")
	_, admin := s.admin("root1")
	ada, eve, bob := s.token("ada"), s.token("eve"), s.token("bob")
	find := func(token, query string) []string {
		t.Helper()
		var page userPage
		s.call("GET", "/users"+query, token, nil).must(200, &page)
		names := page.names()
		slices.Sort(names)
		return names
	}
	check := func(what string, got, want []string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	s.call("PUT", "/me/blocked/eve", ada, nil).must(200, nil)
	s.call("PATCH", "/me", ada, form{"username": "countess", "display_name": "Ada Countess"}).must(200, nil)

	check("the blocked person lists", find(eve, ""), []string{"bob", "root1"})
	check("the blocked person searches", find(eve, "?q=ada"), nil)
	check("the blocked person looks for the new name", find(eve, "?username=countess"), nil)
	check("the blocked person looks for the old name", find(eve, "?username=ada"), nil)
	check("the blocker lists", find(ada, ""), []string{"bob", "root1"})
	check("the blocker searches", find(ada, "?q=eve"), nil)
	check("the blocker looks for the username", find(ada, "?username=eve"), []string{"eve"})
	check("somebody else lists", find(bob, ""), []string{"countess", "eve", "root1"})
	check("an admin lists", find(admin, ""), []string{"bob", "countess", "eve"})

	person := func(token, uid string) profile {
		t.Helper()
		var p profile
		s.call("GET", "/users/"+uid, token, nil).must(200, &p)
		return p
	}
	if p := person(eve, "ada"); p.Username != "ada" || p.DisplayName != "Ada" || p.Deleted {
		t.Errorf("the blocked person sees %+v, want the names before the change", p)
	}
	if p := person(ada, "eve"); p.Username != "eve" {
		t.Errorf("the blocker sees %+v", p)
	}
	for who, token := range map[string]string{"bob": bob, "an admin": admin} {
		if p := person(token, "ada"); p.Username != "countess" || p.DisplayName != "Ada Countess" {
			t.Errorf("%s sees %+v", who, p)
		}
	}
	with := func(token string) profile {
		t.Helper()
		var list struct{ Conversations []conversation }
		s.call("GET", "/conversations", token, nil).must(200, &list)
		if len(list.Conversations) != 1 {
			t.Fatalf("conversations %+v", list)
		}
		return list.Conversations[0].With
	}
	if p := with(eve); p.Username != "ada" || p.DisplayName != "Ada" {
		t.Errorf("the blocked person's conversations show %+v", p)
	}
	if p := with(ada); p.Username != "eve" {
		t.Errorf("the blocker's conversations show %+v", p)
	}
	if a := s.call("GET", "/me/export", eve, nil).must(200, nil); strings.Contains(string(a.body), "ountess") {
		t.Errorf("the blocked person's export shows the new names: %s", a.body)
	}
	// Both go on reading their common history.
	for _, token := range []string{ada, eve} {
		var page messagePage
		s.call("GET", "/messages?conversation=ada~eve", token, nil).must(200, &page)
		if len(page.Messages) != 1 {
			t.Errorf("history %+v", page)
		}
	}
	// The blocked person can block as well, and gets the same answer as anybody else.
	s.call("PUT", "/me/blocked/ada", eve, nil).must(200, nil)
	s.call("DELETE", "/me/blocked/ada", eve, nil).must(200, nil)

	s.call("DELETE", "/me/blocked/eve", ada, nil).must(200, nil)
	check("after unblocking, the other searches", find(eve, "?q=ada"), []string{"countess"})
	if p := person(eve, "ada"); p.Username != "countess" {
		t.Errorf("after unblocking, the other sees %+v", p)
	}
}

// Answers say who is an admin, so that clients can show a badge.
func TestAdminsAreMarked(t *testing.T) {
	s := newSystem(t)
	s.admin("root1")
	s.save("root1", "ada", "hello")
	token := s.token(s.user("ada"))
	for path, want := range map[string]bool{"/users": true, "/users/root1": true, "/conversations": true,
		"/users/ada": false} {
		a := s.call("GET", path, token, nil).must(200, nil)
		if got := strings.Contains(string(a.body), `"admin":true`); got != want {
			t.Errorf("%s: an admin is marked: %v: %s", path, got, a.body)
		}
	}
}

// Every answer has the headers, also one to a preflight or with an error.
func TestHeaders(t *testing.T) {
	s := newSystem(t)
	token := s.token(s.user("ada"))
	for name, h := range map[string]map[string][]string{
		"answer":    s.call("GET", "/me", token, nil).header,
		"refusal":   s.call("GET", "/me", "", nil).header,
		"unknown":   s.call("GET", "/nothing", "", nil).header,
		"method":    s.call("PUT", "/me", token, nil).header,
		"preflight": s.call("OPTIONS", "/me", "", nil, "Origin", origin).header,
		"origin":    s.call("OPTIONS", "/me", "", nil, "Origin", "https://evil.example").header,
		"export":    s.call("GET", "/me/export", token, nil).header,
	} {
		for header, want := range map[string]string{"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; " +
				"frame-ancestors 'none'"} {
			if got := h[header]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
	}
}
