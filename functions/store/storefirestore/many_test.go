package storefirestore

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// A page of the directory costs one read more than it shows users, whatever the number of users and the position of
// the page. Firestore's time depends on the documents read. The emulator's time, which grows with the size of the
// database, is only logged. PHOENIX_TEST_PEOPLE sets the number of users; with 100000, the test takes minutes.
func TestCostOfDirectory(t *testing.T) {
	n := 3000
	if v := os.Getenv("PHOENIX_TEST_PEOPLE"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	s, m := metered(t)
	w := s.client.BulkWriter(t.Context())
	for i := range n {
		uid := fmt.Sprintf("uid%06d", i)
		u := store.User{UID: uid, Username: fmt.Sprintf("user%06d", i), DisplayName: fmt.Sprintf("Person %06d", i),
			Email:     uid + "@example.org",
			CreatedAt: chat.Micros(i + 1), LastActiveAt: chat.Micros(n - i)}
		if _, err := w.Create(s.doc(colUsers, uid), docOf(u)); err != nil {
			t.Fatal(err)
		}
	}
	w.End()
	page := func(q store.Search) (found []store.User, next string, reads int, took time.Duration) {
		t.Helper()
		m.mu.Lock()
		m.reads = 0
		m.mu.Unlock()
		began := time.Now()
		found, next, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return found, next, m.reads, time.Since(began)
	}
	for _, q := range []store.Search{{}, {All: true}, {Order: store.ByNewest, All: true},
		{Order: store.ByActive, All: true},
		{Prefix: "person", All: true}, {Prefix: "uid0@", All: true}, {Prefix: "uid00", All: true},
		{Prefix: "nobody", All: true}} {
		q.Limit = 50
		_, _, first, took := page(q)
		far := q
		far.Limit = store.MaxPage
		for range 10 {
			found, next, _, _ := page(far)
			if len(found) == 0 || next == "" {
				break
			}
			far.Cursor = next
		}
		far.Limit = q.Limit
		found, _, last, tookFar := page(far)
		t.Logf("of %d users, %-8q %-6s: first page %d reads, %v; a late page %d reads, %v", n, q.Prefix, q.Order, first,
			took.Round(time.Millisecond), last, tookFar.Round(time.Millisecond))
		if first > 51 || last > 51 {
			t.Errorf("%+v: first page %d reads, late page %d (it shows %d users)", q, first, last, len(found))
		}
	}
}

// A page of a search for two words reads a bounded number of documents, although most users have one of the words. The
// meter counts all of them.
func TestCostOfSearch(t *testing.T) {
	s, m := metered(t)
	w := s.client.BulkWriter(t.Context())
	for i := range 600 {
		uid := fmt.Sprintf("uid%06d", i)
		u := store.User{UID: uid, Username: uid, DisplayName: fmt.Sprintf("Common %06d", i), Email: uid + "@example.org",
			CreatedAt: chat.Micros(i + 1)}
		if i == 599 {
			u.DisplayName = "Common rare"
		}
		if _, err := w.Create(s.doc(colUsers, uid), docOf(u)); err != nil {
			t.Fatal(err)
		}
	}
	w.End()
	var found []store.User
	cursor, pages := "", 0
	for {
		m.mu.Lock()
		m.reads = 0
		m.mu.Unlock()
		ctx, meter := store.WithMeter(t.Context())
		page, next, err := s.Search(ctx, store.Search{Prefix: "common rar", Cursor: cursor, Limit: 20})
		if err != nil {
			t.Fatal(err)
		}
		if m.reads > store.MaxScan || meter.Read() != int64(m.reads) {
			t.Errorf("a page costs %d reads, of which %d are counted, want at most %d", m.reads, meter.Read(), store.MaxScan)
		}
		found = append(found, page...)
		if pages++; next == "" || pages == 10 {
			break
		}
		cursor = next
	}
	if len(found) != 1 || found[0].UID != "uid000599" {
		t.Errorf("%d pages found %d users", pages, len(found))
	}
}
