package api

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store/storebolt"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func newLedgers(t *testing.T, n int) ([]*ledger, *time.Time) {
	t.Helper()
	db, err := storebolt.Open(filepath.Join(t.TempDir(), "chat.db"), storebolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := time.Unix(1_800_000_000, 0)
	var list []*ledger
	for range n {
		list = append(list, &ledger{store: db, now: func() time.Time { return now }})
	}
	return list, &now
}

var small = Budget{Name: "small", Window: time.Minute, Shared: 100, Free: 7, Chunk: 20, refused: errRateLimited}

// Concurrent calls on several instances together get no more than the budget and the free allowances.
func TestLedgerConcurrently(t *testing.T) {
	ledgers, now := newLedgers(t, 3)
	for range 2 {
		var granted atomic.Int64
		var wg sync.WaitGroup
		for _, l := range ledgers {
			for range 60 {
				wg.Go(func() {
					switch n, err := l.take(context.Background(), small, "ada", 3, 1); {
					case err == nil:
						granted.Add(n)
					case !errors.Is(err, errRateLimited):
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if want := small.Shared + 3*small.Free; granted.Load() != want {
			t.Errorf("%d units were granted, want %d", granted.Load(), want)
		}
		*now = now.Add(time.Minute)
	}
}

func TestLedgerGivesBack(t *testing.T) {
	ledgers, now := newLedgers(t, 1)
	l, ctx := ledgers[0], context.Background()
	take := func(n, least, want int64) {
		t.Helper()
		got, err := l.take(ctx, small, "ada", n, least)
		if got != want || (err == nil) != (want > 0) {
			t.Fatalf("%d units of at least %d: %d, %v, want %d", n, least, got, err, want)
		}
	}
	take(100, 100, 100)
	l.giveBack(small, "ada", 99)
	take(106, 106, 106)
	take(1, 1, 0)
	l.giveBack(small, "ada", 5)
	take(9, 6, 0)
	take(9, 1, 5)
	// Documents that were read beyond a reservation are charged later.
	*now = now.Add(time.Minute)
	take(7, 7, 7)
	l.giveBack(small, "ada", -80)
	take(90, 1, 20)
	// Units of an earlier window do not add to the next one.
	*now = now.Add(time.Minute)
	l.giveBack(small, "ada", 1000)
	take(1000, 1, 107)
	if err := l.exhausted(ctx, small, "ada"); problem.Of(err).RetryAfter != time.Minute {
		t.Errorf("exhausted: %v", err)
	}
	if err := l.exhausted(ctx, small, "bob"); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// An instance remembers a bounded number of users, and forgets those first whose windows have ended.
func TestLedgerForgets(t *testing.T) {
	ledgers, now := newLedgers(t, 1)
	l, ctx := ledgers[0], context.Background()
	for i := range maxBalances {
		if _, err := l.take(ctx, small, fmt.Sprint(i), 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(2 * time.Minute)
	for i := range 500 {
		if _, err := l.take(ctx, small, fmt.Sprint("new", i), 5, 5); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.balances); n > maxBalances {
		t.Errorf("%d balances are kept", n)
	}
	for i := range 500 {
		if l.balances["small//"+fmt.Sprint("new", i)] == nil {
			t.Fatalf("the balance of new%d is forgotten, and older ones are not", i)
		}
	}
	for i := range maxBalances + 100 { // all are in use now
		if _, err := l.take(ctx, small, fmt.Sprint("more", i), 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.balances); n > maxBalances {
		t.Errorf("%d balances are kept", n)
	}
}
