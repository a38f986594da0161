package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func testAudit(t *testing.T, s store.Store) {
	ctx := context.Background()
	var want []store.Audit
	for i := range 5 {
		a := store.Audit{ID: fmt.Sprintf("id-%d", i), At: t0 + chat.Micros(i/2), By: "ada", ByName: "Ada", Action: "disable",
			On: "bob", OnName: "Bob", Reason: "spam, again", Outcome: ""}
		must(t, s.AddAudit(ctx, a))
		want = append([]store.Audit{a}, want...)
	}
	forged := want[0]
	forged.Reason = "none"
	must(t, s.AddAudit(ctx, forged)) // an id that exists is not overwritten
	for _, limit := range []int{1, 2, 5, 9} {
		got := everything(t, func(c string) ([]store.Audit, string, error) { return s.AuditLog(ctx, c, limit) })
		equal(t, fmt.Sprintf("the log in pages of %d", limit), got, want)
	}
}

func testDeadLetters(t *testing.T, s store.Store) {
	ctx := context.Background()
	var want []store.DeadLetter
	for i := range 5 {
		l := store.DeadLetter{ID: fmt.Sprintf("id-%d", i), At: t0 + chat.Micros(i/2), Reason: "no JSON",
			Data: []byte{0, 0xff, byte(i)}}
		want = append(want, l)
	}
	must(t, s.PutDeadLetters(ctx, want[:3]))
	must(t, s.PutDeadLetters(ctx, want[1:]))
	must(t, s.PutDeadLetters(ctx, nil))
	again := want[4]
	again.At += 99
	must(t, s.PutDeadLetters(ctx, []store.DeadLetter{again}))
	for _, limit := range []int{1, 2, 5, 9} {
		got := everything(t, func(c string) ([]store.DeadLetter, string, error) { return s.DeadLetters(ctx, c, limit) })
		equal(t, fmt.Sprintf("the dead letters in pages of %d", limit), got, want)
	}
	l, err := s.DeadLetter(ctx, "id-3")
	must(t, err)
	equal(t, "one dead letter", l, want[3])
	n, err := s.CountDeadLetters(ctx)
	must(t, err)
	equal(t, "their number", n, int64(5))

	// Of two concurrent calls that remove one, one succeeds.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { errs[i] = s.RemoveDeadLetter(ctx, "id-3") })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two concurrent removals: errors %v and %v, want one success", errs[0], errs[1])
	}
	mustBe(t, s.RemoveDeadLetter(ctx, "id-3"), problem.ErrNotFound)
	_, err = s.DeadLetter(ctx, "id-3")
	mustBe(t, err, problem.ErrNotFound)
	n, err = s.CountDeadLetters(ctx)
	must(t, err)
	equal(t, "their number", n, int64(4))
}

func testLimits(t *testing.T, s store.Store) {
	ctx := context.Background()
	hit := func(key string, now chat.Micros) (int64, chat.Micros) {
		t.Helper()
		n, ends, err := s.Hit(ctx, key, time.Minute, now)
		must(t, err)
		return n, ends
	}
	for i := range 3 {
		n, ends := hit("a", t0+chat.Micros(i)*second)
		equal(t, "the count", n, int64(i+1))
		equal(t, "the end of the window", ends, t0+60*second)
	}
	n, _ := hit("b", t0)
	equal(t, "the count of another key", n, int64(1))
	n, ends := hit("a", t0+60*second)
	equal(t, "the count of the next window", n, int64(1))
	equal(t, "the end of the next window", ends, t0+120*second)

	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, _, err := s.Hit(ctx, "c", time.Minute, t0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n, _ = hit("c", t0)
	equal(t, "the count of twelve at once and one more", n, int64(13))
}
