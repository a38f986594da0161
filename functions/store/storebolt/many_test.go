package storebolt_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
)

// With 20,000 users, a late page of a list is as fast as the first page. (TestSearchIsBounded counts what a page looks
// at, and BenchmarkSearch has 100,000 users.)
func TestManyUsers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: creating 20,000 users takes some seconds")
	}
	n := 20_000
	if raceDetector { // ten times as slow, and the test is not concurrent
		n = 2_000
	}
	s := open(t, filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err := s.Import(t.Context(), people(n)); err != nil {
		t.Fatal(err)
	}
	for _, q := range []store.Search{{}, {Prefix: "p"}, {Prefix: "p u"}, {Prefix: "per"}, {Prefix: "person 0199"},
		{Prefix: "019 pers us"}, {Prefix: "person x"}, {Prefix: "user0", All: true},
		{Order: store.ByNewest, All: true}, {Order: store.ByActive, All: true}, {Prefix: "uid01@", All: true},
		{Prefix: "zzz"}} {
		q.Limit = 50
		first := pageTime(t, s, q)
		q.Cursor = far(t, s, q)
		last := pageTime(t, s, q)
		t.Logf("%-12q %-7s first page %8v, a late page %8v", q.Prefix, q.Order, first, last)
		// The machine may be busy. The bound only detects a list that gets slower from page to page.
		if first > 2*time.Second || last > 2*time.Second {
			t.Errorf("%+v: first page %v, late page %v", q, first, last)
		}
	}
	began := time.Now()
	all, _, err := s.CountUsers(t.Context(), 1)
	if err != nil || all != int64(n) {
		t.Errorf("%d users counted, %v", all, err)
	}
	t.Logf("counting: %v", time.Since(began))
}

func pageTime(t *testing.T, s *storebolt.Store, q store.Search) time.Duration {
	t.Helper()
	began := time.Now()
	if _, _, err := s.Search(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// far returns the cursor after 20 large pages, or the last one if there are fewer.
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
