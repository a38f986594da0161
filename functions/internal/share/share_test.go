package share

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Callers with one key share a call; it goes on if the one who began it leaves. Another key has a call of its own.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[int]
		calls := map[string]int{}
		do := func(ctx context.Context, key string) (int, error) {
			return g.Do(ctx, key, time.Minute, func(ctx context.Context) (int, error) {
				calls[key]++
				time.Sleep(time.Second)
				return len(key), ctx.Err()
			})
		}
		var wg sync.WaitGroup
		leaves, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wg.Go(func() {
			if n, err := do(leaves, "ab"); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the caller who leaves: %d, %v", n, err)
			}
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				if n, err := do(t.Context(), "ab"); n != 2 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		if n, err := do(t.Context(), "abc"); n != 3 || err != nil {
			t.Errorf("another key: %d, %v", n, err)
		}
		wg.Wait()
		if calls["ab"] != 1 || calls["abc"] != 1 {
			t.Errorf("calls %v, want one of each", calls)
		}
	})
}

// The call ends at its limit although its callers would wait.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		began := time.Now()
		_, err := g.Do(t.Context(), "", time.Second, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A panic is an error of every caller, and the next call works.
func TestPanic(t *testing.T) {
	var g Group[string]
	_, err := g.Do(t.Context(), "", time.Second, func(context.Context) (string, error) { panic("oh") })
	if err == nil || !strings.Contains(err.Error(), "panic: oh") {
		t.Errorf("error %v, want the panic", err)
	}
	v, err := g.Do(t.Context(), "", time.Second, func(context.Context) (string, error) { return "well", nil })
	if v != "well" || err != nil {
		t.Errorf("afterwards %q, %v", v, err)
	}
}
