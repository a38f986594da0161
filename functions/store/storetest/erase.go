package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// eraseScene saves messages in three conversations: eve wrote to ada, who answered before eve's last message; eve
// wrote to bob, who did not answer; and cyd wrote to eve.
func eraseScene(t *testing.T, s store.Store) {
	for _, n := range []string{"ada", "bob", "cyd", "eve"} {
		addUser(t, s, n, n, t0)
	}
	save(t, s, []delivery.Delivered{
		message("eve", "ada", t0, "e1"), message("ada", "eve", t0+1, "a1"), message("eve", "ada", t0+2, "e2"),
		message("eve", "bob", t0, "e3"),
		message("cyd", "eve", t0+9, "c1"),
		message("ada", "bob", t0, "a2"),
	}, []delivery.Read{{Conversation: "ada~eve", By: "eve", At: t0 + 1}, {Conversation: "ada~eve", By: "ada", At: t0}})
}

func checkErased(t *testing.T, s store.Store) {
	t.Helper()
	ctx := context.Background()
	for id, want := range map[string][]string{"ada~eve": {"a1"}, "bob~eve": nil, "cyd~eve": {"c1"}, "ada~bob": {"a2"}} {
		page, _, err := s.Messages(ctx, id, store.Position{}, 10)
		must(t, err)
		equal(t, id, bodies(page), want)
	}
	list, _, err := s.Conversations(ctx, "ada", "", 10)
	must(t, err)
	equal(t, "ada's conversations", len(list), 2)
	equal(t, "the newest of them", list[0].ID, "ada~eve")
	equal(t, "its preview", list[0].Preview.Text, "a1")
	equal(t, "its last_at", list[0].LastAt, t0+1)
	equal(t, "its marks", list[0].Read, map[string]chat.Micros{"ada": t0})
	list, _, err = s.Conversations(ctx, "bob", "", 10)
	must(t, err)
	equal(t, "bob's conversations", len(list), 1)
	n, err := s.MessagesOn(ctx, "2026-03-01")
	must(t, err)
	equal(t, "messages on the day", n, int64(3))
}

func testErase(t *testing.T, s store.Store) {
	ctx := context.Background()
	eraseScene(t, s)
	mustBe(t, s.FinishErase(ctx, "eve", t0), problem.ErrNotFound) // not begun
	u, err := s.BeginErase(ctx, "eve", t0+5)
	must(t, err)
	equal(t, "may do anything", u.Active(), false)
	u, err = s.BeginErase(ctx, "eve", t0+8) // the first time is kept
	must(t, err)
	equal(t, "since when", u.ErasingAt, t0+5)
	u, err = s.SetDisabled(ctx, "eve", false)
	must(t, err)
	equal(t, "may be enabled", u.Disabled, true)
	page, _, err := s.Search(ctx, store.Search{Prefix: "eve", Limit: 5})
	must(t, err)
	equal(t, "found by others", len(page), 0)
	marks, err := s.ErasedSince(ctx, t0+5)
	must(t, err)
	equal(t, "the marks", marks, []store.Erased{{UID: "eve", At: t0 + 5}})
	marks, err = s.ErasedSince(ctx, t0+6)
	must(t, err)
	equal(t, "later marks", len(marks), 0)

	for range 2 {
		must(t, s.EraseContent(ctx, "eve"))
		checkErased(t, s)
	}
	for range 2 {
		must(t, s.FinishErase(ctx, "eve", t0+day))
	}
	_, err = s.User(ctx, "eve")
	mustBe(t, err, problem.ErrNotFound)
	_, err = s.UserByEmail(ctx, "eve@example.org")
	mustBe(t, err, problem.ErrNotFound)
	all, _, err := s.Search(ctx, store.Search{All: true, Limit: 10})
	must(t, err)
	equal(t, "who is left", uids(all), []string{"ada", "bob", "cyd"})

	name := "Eve"
	_, err = s.Rename(ctx, "bob", &name, nil, t0+30*day, false)
	mustBe(t, err, store.ErrUsernameTaken)
	_, err = s.Rename(ctx, "bob", &name, nil, t0+31*day, false)
	must(t, err)
}

func testEraseInterrupted(t *testing.T, s store.Store) {
	ctx := context.Background()
	eraseScene(t, s)
	_, err := s.BeginErase(ctx, "eve", t0+5)
	must(t, err)
	_, err = s.BeginErase(ctx, "cyd", t0+6)
	must(t, err)
	stuck, err := s.Erasing(ctx, t0+6, 10)
	must(t, err)
	equal(t, "those begun before", uids(stuck), []string{"eve"})
	stuck, err = s.Erasing(ctx, t0+7, 1)
	must(t, err)
	equal(t, "the oldest", uids(stuck), []string{"eve"})

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.EraseContent(ended, "eve"); err == nil {
		t.Error("erasing succeeds with an ended context")
	}
	_, err = s.BeginErase(ctx, "eve", t0+7)
	must(t, err)
	must(t, s.EraseContent(ctx, "eve"))
	checkErased(t, s)
	must(t, s.FinishErase(ctx, "eve", t0+day))
	must(t, s.EraseContent(ctx, "eve"))
	stuck, err = s.Erasing(ctx, t0+day, 10)
	must(t, err)
	equal(t, "those left", uids(stuck), []string{"cyd"})
	// After the other member is deleted as well, nothing is left.
	must(t, s.EraseContent(ctx, "cyd"))
	page, _, err := s.Messages(ctx, "cyd~eve", store.Position{}, 10)
	must(t, err)
	equal(t, "what is left of two who are gone", len(page), 0)
}

// Accounts without a verified address that nobody uses are found, and erased unless that has changed.
func testAbandoned(t *testing.T, s store.Store) {
	ctx := context.Background()
	add := func(uid string, verified bool, createdAt, activeAt chat.Micros) {
		t.Helper()
		u := store.User{UID: uid, Username: uid, DisplayName: uid, Email: uid + "@example.org", EmailVerified: verified,
			EmailAt: createdAt, CreatedAt: createdAt, LastActiveAt: createdAt}
		lease, err := s.Reserve(ctx, u.Email, uid, uid, "attempt", createdAt, time.Minute)
		must(t, err)
		must(t, s.Commit(ctx, lease, u))
		if activeAt > createdAt {
			must(t, s.Touch(ctx, []string{uid}, activeAt))
		}
	}
	since := t0 + 10*day
	add("verified", true, t0, t0)
	add("admin", false, t0, t0)
	add("disabled", false, t0, t0)
	add("active", false, t0, since)
	add("new", false, since, since)
	add("second", false, t0+2, since-1)
	add("third", false, since-1, since-1)
	add("first", false, t0+1, t0+day)
	add("going", false, t0, t0)
	_, err := s.SetAdmin(ctx, "admin", true, false)
	must(t, err)
	_, err = s.SetDisabled(ctx, "disabled", true)
	must(t, err)
	_, err = s.BeginErase(ctx, "going", t0)
	must(t, err)
	found := func(limit int) []string {
		t.Helper()
		list, err := s.Abandoned(ctx, since, limit)
		must(t, err)
		return uids(list)
	}
	equal(t, "the abandoned", found(10), []string{"first", "second", "third"})
	equal(t, "one of them", found(1), []string{"first"})

	for _, uid := range []string{"verified", "admin", "disabled", "active", "new", "going", "nobody"} {
		_, err := s.BeginEraseAbandoned(ctx, uid, since, since+day)
		mustBe(t, err, problem.ErrNotFound)
	}
	must(t, s.Touch(ctx, []string{"first"}, since)) // somebody uses it again
	verify(t, s, true, since, "second")
	for _, uid := range []string{"first", "second"} {
		_, err := s.BeginEraseAbandoned(ctx, uid, since, since+day)
		mustBe(t, err, problem.ErrNotFound)
		u, err := s.User(ctx, uid)
		must(t, err)
		equal(t, uid+" is active", u.Active(), true)
	}
	equal(t, "those left", found(10), []string{"third"})
	u, err := s.BeginEraseAbandoned(ctx, "third", since, since+day)
	must(t, err)
	equal(t, "being erased since", u.ErasingAt, since+day)
	equal(t, "those left afterwards", len(found(10)), 0)
	marks, err := s.ErasedSince(ctx, since)
	must(t, err)
	equal(t, "the marks", marks, []store.Erased{{UID: "third", At: since + day}})
	verify(t, s, false, since+1, "second") // with another address, for example
	equal(t, "not verified anymore", found(10), []string{"second"})
}

// Erasures, messages to the same people, a change of an admin and sign-ups at the same time do not lock each other out.
func testErasuresAtOnce(t *testing.T, s store.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	const n = 6
	var saved []delivery.Delivered
	addUser(t, s, "root", "Root", t0)
	_, err := s.SetAdmin(ctx, "root", true, false)
	must(t, err)
	for i := range n {
		uid := fmt.Sprintf("ada%d", i)
		addUser(t, s, uid, "Ada", t0)
		_, err := s.SetAdmin(ctx, uid, true, false)
		must(t, err)
		saved = append(saved, message("bob", uid, t0+chat.Micros(i), "kept"), message(uid, "bob", t0+second, "erased"))
	}
	save(t, s, saved, nil)

	errs := make([][4]error, n)
	newest := make([]delivery.Delivered, n)
	var wg sync.WaitGroup
	for i := range n {
		uid, name := fmt.Sprintf("ada%d", i), fmt.Sprintf("new%d", i)
		newest[i] = message("bob", uid, t0+2*second+chat.Micros(i), "newest")
		if i == 0 { // changes of several admins conflict with each other
			wg.Go(func() { _, errs[i][0] = s.SetAdmin(ctx, uid, false, true) })
		}
		wg.Go(func() { errs[i][1] = s.EraseContent(ctx, uid) })
		wg.Go(func() { _, errs[i][2] = s.Save(ctx, newest[i:i+1], nil) })
		wg.Go(func() {
			lease, err := s.Reserve(ctx, name+"@example.org", name, "uid-"+name, "a", t0, time.Minute)
			if err == nil {
				err = s.Commit(ctx, lease, store.User{UID: "uid-" + name, Username: name, Email: name + "@example.org",
					CreatedAt: t0})
			}
			errs[i][3] = err
		})
	}
	wg.Wait()
	for i := range n {
		for _, err := range errs[i] {
			must(t, err)
		}
		page, _, err := s.Messages(ctx, newest[i].Conversation, store.Position{}, 10)
		must(t, err)
		equal(t, "the history", page, []delivery.Delivered{saved[2*i], newest[i]})
	}
	list, _, err := s.Conversations(ctx, "bob", "", 50)
	must(t, err)
	equal(t, "the number of conversations", len(list), n)
	for _, c := range list {
		equal(t, "the preview", c.Preview.Text, "newest")
	}
	u, err := s.User(ctx, "root")
	must(t, err)
	equal(t, "the last admin", u.Admin, true)
}
