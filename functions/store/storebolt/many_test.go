package storebolt_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
)

// With 100,000 people a page comes as fast from the end of a list as from its beginning.
func TestManyPeople(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: making 100,000 people takes some seconds")
	}
	n := 100_000
	if raceDetector { // ten times as slow, and nothing here runs at once
		n = 10_000
	}
	s := open(t, filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	people := make([]store.User, n)
	for i := range people {
		uid := fmt.Sprintf("uid%06d", i)
		people[i] = store.User{UID: uid, Username: fmt.Sprintf("user%06d", i), DisplayName: fmt.Sprintf("Person %06d", i), Email: uid + "@example.org", CreatedAt: 1}
	}
	if err := s.Import(t.Context(), people); err != nil {
		t.Fatal(err)
	}
	for _, q := range []store.Search{{}, {Prefix: "per"}, {Prefix: "person 0999"}, {Prefix: "099 pers us"}, {Prefix: "person x"}, {Prefix: "user0", All: true}, {Order: store.ByNewest, All: true}, {Order: store.ByActive, All: true}, {Prefix: "uid09@", All: true}, {Prefix: "zzz"}} {
		q.Limit = 50
		first := pageTime(t, s, q)
		q.Cursor = far(t, s, q)
		last := pageTime(t, s, q)
		t.Logf("%-12q %-7s first page %8v, a page far behind %8v", q.Prefix, q.Order, first, last)
		// The machine may be busy; what is guarded against is a list that gets slower by the page.
		if first > 2*time.Second || last > 2*time.Second {
			t.Errorf("a page of %+v takes %v, far behind %v", q, first, last)
		}
	}
	began := time.Now()
	all, _, err := s.CountUsers(t.Context(), 1)
	if err != nil || all != int64(n) {
		t.Errorf("counted are %d, %v", all, err)
	}
	t.Logf("counting takes %v", time.Since(began))
}

func pageTime(t *testing.T, s *storebolt.Store, q store.Search) time.Duration {
	t.Helper()
	began := time.Now()
	if _, _, err := s.Search(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// far returns a cursor 20 large pages on, or the last one before that.
func far(t *testing.T, s *storebolt.Store, q store.Search) string {
	t.Helper()
	q.Limit = store.MaxPage
	cursor := ""
	for range 20 {
		q.Cursor = cursor
		_, next, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if next == "" {
			break
		}
		cursor = next
	}
	return cursor
}
