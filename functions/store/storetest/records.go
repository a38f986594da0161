package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
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
	take := func(key string, n, limit int64, now chat.Micros) (int64, chat.Micros) {
		t.Helper()
		taken, ends, err := s.Take(ctx, key, n, limit, time.Minute, now)
		must(t, err)
		return taken, ends
	}
	for i := range 3 {
		n, ends := take("a", 2, 7, t0+chat.Micros(i)*second)
		equal(t, "the number taken", n, int64(2))
		equal(t, "the end of the window", ends, t0+60*second)
	}
	n, _ := take("a", 2, 7, t0+3*second)
	equal(t, "the number taken, with one left", n, int64(1))
	n, ends := take("a", 2, 7, t0+4*second)
	equal(t, "the number taken, with none left", n, int64(0))
	equal(t, "the end of the window", ends, t0+60*second)
	n, _ = take("a", 9, 5, t0+4*second) // the limit is lower now
	equal(t, "the number taken beyond the limit", n, int64(0))
	n, _ = take("b", 1, 1, t0)
	equal(t, "the number taken of another key", n, int64(1))
	n, ends = take("a", 2, 7, t0+60*second)
	equal(t, "the number taken of the next window", n, int64(2))
	equal(t, "the end of the next window", ends, t0+120*second)
	n, _ = take("none", 1, 0, t0)
	equal(t, "the number taken of nothing", n, int64(0))

	var wg sync.WaitGroup
	var all atomic.Int64
	for range 12 {
		wg.Go(func() {
			n, _, err := s.Take(ctx, "c", 3, 25, time.Minute, t0)
			if err != nil {
				t.Error(err)
			}
			all.Add(n)
		})
	}
	wg.Wait()
	equal(t, "the number that twelve at once took", all.Load(), int64(25))
}
