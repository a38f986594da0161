package storebolt_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// fill saves n messages that nobody has read.
func fill(tb testing.TB, s *storebolt.Store, from, to string, n int) {
	tb.Helper()
	for first := 0; first < n; first += delivery.MaxMessages {
		part := make([]delivery.Delivered, 0, delivery.MaxMessages)
		for i := first; i < min(n, first+delivery.MaxMessages); i++ {
			at := chat.Micros(1e15 + i)
			part = append(part, delivery.Delivered{Message: chat.Message{ID: uuid.Must(uuid.NewV7()).String(),
				Conversation: chat.ConversationID(from, to), From: from, To: to,
				Body: fmt.Sprintf("%0200d", i), At: at, AcceptedAt: at}, DeliveredAt: at})
		}
		if _, err := s.Save(tb.Context(), part, nil); err != nil {
			tb.Fatal(err)
		}
	}
}

// people returns n users whose words begin with p and u.
func people(n int) []store.User {
	list := make([]store.User, n)
	for i := range list {
		uid := fmt.Sprintf("uid%06d", i)
		list[i] = store.User{UID: uid, Username: fmt.Sprintf("user%06d", i), DisplayName: fmt.Sprintf("Person %06d", i),
			Email: uid + "@example.org", CreatedAt: 1}
	}
	return list
}

// The cost of a list of conversations depends on the unread messages that are counted, at most store.MaxUnread of a
// conversation, and not on what was written.
func TestListIsBounded(t *testing.T) {
	var looked atomic.Int64
	s := open(t, filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true, Looked: &looked})
	list := func(uid string, conversations, unread int) {
		t.Helper()
		looked.Store(0)
		page, _, err := s.Conversations(t.Context(), uid, "", 50)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, c := range page {
			got += c.Unread
		}
		if len(page) != conversations || got != unread || looked.Load() > int64(2*conversations+unread) {
			t.Errorf("%s has %d unread in %d conversations, want %d in %d; looked at %d", uid, got, len(page), unread,
				conversations, looked.Load())
		}
	}
	const many = 20_000
	fill(t, s, "ada", "bob", many)
	list("ada", 1, 0)
	list("bob", 1, store.MaxUnread)
	for i := range 3 {
		fill(t, s, fmt.Sprintf("p%d", i), "bob", 2*store.MaxUnread)
	}
	list("bob", 4, 4*store.MaxUnread)
	if _, err := s.Save(t.Context(), nil, []delivery.Read{{Conversation: "ada~bob", By: "bob",
		At: chat.Micros(1e15 + many - 8)}}); err != nil {
		t.Fatal(err)
	}
	list("bob", 4, 3*store.MaxUnread+7)
}

// A page of a search looks at a bounded number of index entries and users, whatever is searched for, and the pages
// together have everybody, in the order of their names.
func TestSearchIsBounded(t *testing.T) {
	var looked atomic.Int64
	s := open(t, filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true, Looked: &looked})
	const n, limit = 5000, 50
	list := people(n)
	for i := range list {
		list[i].Disabled = i >= 1000 && i < 3000
		// One in two has x, the others have y, so that neither has both, and a search for both skips often.
		list[i].DisplayName = fmt.Sprintf("Person %06d %c", i, "xy"[i%2])
	}
	list[n-1].DisplayName += " x"
	var active []string
	for _, u := range list {
		if u.Active() {
			active = append(active, u.UID)
		}
	}
	if err := s.Import(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		query          string
		want           int   // users
		first, perPage int64 // entries and users that the first page looks at, and any page
	}{
		{"", 3000, 51, 250},
		{"p", 3000, 103, 501},
		{"pe", 3000, 103, 501},
		{"p u", 3000, 155, 752},
		{"person 000999", 1, 6, 6},
		{"0009", 100, 103, 103},
		{"x y", 1, storebolt.MaxLook + 2, storebolt.MaxLook + 2},
		{"p u 0 x y z", 0, 6, 6},
		{"zz", 0, 1, 1},
	} {
		ctx, meter := store.WithMeter(t.Context())
		found, pages, cursor := 0, 0, ""
		for {
			looked.Store(0)
			before := meter.Read()
			page, next, err := s.Search(ctx, store.Search{Prefix: tt.query, Cursor: cursor, Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			if reads := meter.Read() - before; reads > store.MaxScan || looked.Load() > tt.perPage ||
				pages == 0 && looked.Load() > tt.first {
				t.Errorf("page %d of %q reads %d users and looks at %d entries", pages, tt.query, reads, looked.Load())
			}
			for _, u := range page {
				if tt.want == len(active) && u.UID != active[found] {
					t.Fatalf("%q finds %s as number %d, want %s", tt.query, u.UID, found, active[found])
				}
				found++
			}
			if cursor = next; next == "" {
				break
			}
			if pages++; pages > 200 {
				t.Fatalf("%q does not end", tt.query)
			}
		}
		if found != tt.want {
			t.Errorf("%q finds %d users, want %d", tt.query, found, tt.want)
		}
	}
}

func BenchmarkConversations(b *testing.B) {
	list := func(s *storebolt.Store, uid string) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Conversations(b.Context(), uid, "", 50); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for _, n := range []int{1000, 100_000, 1_000_000} {
		s := open(b, filepath.Join(b.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
		fill(b, s, "ada", "bob", n)
		b.Run(fmt.Sprintf("wrote_%d", n), list(s, "ada"))
		b.Run(fmt.Sprintf("never_read_%d", n), list(s, "bob"))
	}
	s := open(b, filepath.Join(b.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	for i := range 50 {
		fill(b, s, fmt.Sprintf("p%02d", i), "bob", 2000)
	}
	b.Run("50_chats_2000_unread", list(s, "bob"))
}

func BenchmarkSearch(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		s := open(b, filepath.Join(b.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
		if err := s.Import(b.Context(), people(n)); err != nil {
			b.Fatal(err)
		}
		for _, q := range []string{"", "p", "per", "person 000999", "user0009", "p u", "p x", "0 1 2"} {
			b.Run(fmt.Sprintf("%d_people/%q", n, q), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := s.Search(b.Context(), store.Search{Prefix: q, Limit: 50}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
