// Package storetest is the conformance suite of package store. It tests the contract in the comments of that package,
// and every implementation runs it.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Run runs the suite. open returns an empty store. It is called once per test, and the suite does not close the
// store.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		f    func(*testing.T, store.Store)
	}{
		{"signup", testSignup},
		{"signups at once", testSignupsAtOnce},
		{"signup interrupted", testSignupInterrupted},
		{"signup lost lease", testSignupLostLease},
		{"concurrent signups", testConcurrentSignups},
		{"stale signups", testStaleSignups},
		{"users", testUsers},
		{"rename", testRename},
		{"limit of renames", testRenames},
		{"frozen names", testFrozenNames},
		{"pictures", testPictures},
		{"pictures of the blocked", testFrozenPictures},
		{"pictures erased", testPicturesErased},
		{"privacy", testPrivacy},
		{"search without the hidden", testSearchHidden},
		{"meter", testMeter},
		{"blocked", testBlocked},
		{"search by name", testSearchName},
		{"search by word", testSearchWord},
		{"search as the model", testSearchModel},
		{"search orders", testSearchOrders},
		{"search ranks", testSearchRanks},
		{"search while ranks change", testSearchWhileRanksChange},
		{"search by email", testSearchEmail},
		{"last admin", testLastAdmin},
		{"concurrent last admins", testConcurrentLastAdmins},
		{"sessions and activity", testSessions},
		{"sign-ins", testSignIns}, {"devices", testDevices},
		{"addresses", testAddresses},
		{"save", testSave},
		{"ids of others", testIDsOfOthers},
		{"ids of others, erased", testIDsOfOthersErased},
		{"other content", testOtherContent},
		{"save in any order", testSaveAnyOrder},
		{"concurrent saves", testConcurrentSaves},
		{"save much", testSaveMuch},
		{"writers", testWriters},
		{"members who have accepted", testAccepted},
		{"history pages", testHistory},
		{"conversations", testConversations},
		{"unread", testUnread},
		{"unread at the limit", testUnreadLimit},
		{"unread as the model", testUnreadModel},
		{"changes as in the golden cases", testChangesGolden},
		{"changes before their message", testStubs},
		{"changes and previews", testChangedPreviews},
		{"changes and unread messages", testChangedUnread},
		{"changes and repeated saves", testChangedAndSaved},
		{"changes since a time", testChanged},
		{"changes at once", testChangesAtOnce},
		{"changes of erased people", testChangesErased},
		{"choices", testChoices},
		{"conversations by id", testListedByID},
		{"choices of erased people", testChoicesErased},
		{"subscriptions", testSubscriptions},
		{"subscriptions that move", testSubscriptionsMove},
		{"records of subscriptions", testPush},
		{"subscriptions at once", testSubscriptionsAtOnce},
		{"subscriptions of erased people", testSubscriptionsErased},
		{"reports", testReports},
		{"reports at once", testReportsAtOnce},
		{"reports of erased people", testReportsErased},
		{"sanctions", testSanctions},
		{"second factors", testSecondFactors},
		{"erase", testErase},
		{"erase interrupted", testEraseInterrupted},
		{"erasures at once", testErasuresAtOnce},
		{"abandoned", testAbandoned},
		{"audit", testAudit},
		{"dead letters", testDeadLetters},
		{"limits", testLimits},
		{"forged cursors", testCursors},
		{"ended context", testContext},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) { tt.f(t, open(t)) })
	}
}

// t0 is the time at which tests begin.
var t0 = chat.MicrosOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

const (
	second = chat.Micros(1e6)
	day    = 24 * 3600 * second
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n%+v, want\n%+v", what, got, want)
	}
}

// addUser signs up a user whose uid is the username.
func addUser(t *testing.T, s store.Store, username, display string, at chat.Micros) store.User {
	t.Helper()
	u := store.User{UID: username, Username: username, DisplayName: display, Email: username + "@example.org",
		CreatedAt: at}
	lease, err := s.Reserve(context.Background(), u.Email, username, u.UID, "attempt", at, time.Minute)
	must(t, err)
	must(t, s.Commit(context.Background(), lease, u))
	return u
}

// message returns a delivered message. Ids sort in the order of the calls.
func message(from, to string, at chat.Micros, body string) delivery.Delivered {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return delivery.Delivered{Message: chat.Message{ID: id.String(), Conversation: chat.ConversationID(from, to),
		From: from, To: to, Body: body, At: at, AcceptedAt: at + second}, DeliveredAt: at + 2*second}
}

// save saves, and returns what Save returns.
func save(t *testing.T, s store.Store, delivered []delivery.Delivered, read []delivery.Read) []delivery.Delivered {
	t.Helper()
	kept, err := s.Save(context.Background(), delivered, read)
	must(t, err)
	return kept
}

// withID returns a delivered message with an id that another one has.
func withID(id, from, to string, at chat.Micros, body string) delivery.Delivered {
	d := message(from, to, at, body)
	d.ID = id
	return d
}

func bodies(list []delivery.Delivered) (b []string) {
	for _, d := range list {
		b = append(b, d.Body)
	}
	return b
}

func uids(list []store.User) (ids []string) {
	for _, u := range list {
		ids = append(ids, u.UID)
	}
	return ids
}

// everything reads all pages of a list. It fails if the list does not end.
func everything[T any](t *testing.T, next func(cursor string) ([]T, string, error)) []T {
	t.Helper()
	var list []T
	cursor := ""
	for range 1000 {
		page, c, err := next(cursor)
		must(t, err)
		list = append(list, page...)
		if c == "" {
			return list
		}
		cursor = c
	}
	t.Fatal("the list does not end after 1000 pages")
	return nil
}

func testContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.User(ctx, "ada"); err == nil {
		t.Error("a read with an ended context succeeds")
	}
	if _, err := s.Save(ctx, []delivery.Delivered{message("ada", "bob", t0, "hi")}, nil); err == nil {
		t.Error("a write with an ended context succeeds")
	}
	page, _, err := s.Messages(context.Background(), "ada~bob", store.Position{}, 10)
	must(t, err)
	equal(t, "history", len(page), 0)
}

func testCursors(t *testing.T, s store.Store) {
	ctx := context.Background()
	for i := range 3 {
		addUser(t, s, fmt.Sprintf("u%d", i), "Same Name", t0+chat.Micros(i))
	}
	_, next, err := s.Search(ctx, store.Search{Order: store.ByNewest, Limit: 1})
	must(t, err)
	for _, cursor := range []string{"x", "%%%", "bm90IGpzb24", next, strings.Repeat("A", 5000)} {
		_, _, err := s.Search(ctx, store.Search{Cursor: cursor, Limit: 1})
		mustBe(t, err, store.ErrCursor)
		_, _, err = s.Conversations(ctx, "u1", cursor, 1)
		mustBe(t, err, store.ErrCursor)
		_, _, err = s.AuditLog(ctx, cursor, 1)
		mustBe(t, err, store.ErrCursor)
		_, _, err = s.Changed(ctx, "u1", 0, cursor, 1)
		mustBe(t, err, store.ErrCursor)
		_, _, err = s.DeadLetters(ctx, cursor, 1)
		mustBe(t, err, store.ErrCursor)
		_, _, err = s.Reports(ctx, store.ReportFilter{About: "u1"}, cursor, 1)
		mustBe(t, err, store.ErrCursor)
	}
	// The cursor of one user's conversations is not valid for another's.
	save(t, s, []delivery.Delivered{message("u0", "u1", t0, "a"), message("u0", "u2", t0+1, "b")}, nil)
	_, next, err = s.Conversations(ctx, "u0", "", 1)
	must(t, err)
	_, _, err = s.Conversations(ctx, "u1", next, 1)
	mustBe(t, err, store.ErrCursor)
}
