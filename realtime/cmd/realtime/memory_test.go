package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	old := memoryFiles
	t.Cleanup(func() { memoryFiles = old })
	gc := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(gc) })
	const none = int64(math.MaxInt64)
	for name, tc := range map[string]struct {
		v2, v1 string // contents; "": there is no such file
		set    string // GOMEMLIMIT
		want   int64
	}{
		"version 2":               {"1073741824\n", "", "", 1073741824 / 10 * 9},
		"version 1":               {"", "536870912\n", "", 536870912 / 10 * 9},
		"version 2, no limit":     {"max\n", "", "", none},
		"version 1, no limit":     {"", "9223372036854771712\n", "", none},
		"no control groups":       {"", "", "", none},
		"something else":          {"1 GiB", "0", "", none},
		"GOMEMLIMIT is set":       {"1073741824\n", "", "500MiB", none}, // the runtime has applied it at the start
		"version 2 has no number": {"max\n", "536870912\n", "", 536870912 / 10 * 9},
	} {
		dir := t.TempDir()
		memoryFiles = nil
		for i, content := range []string{tc.v2, tc.v1} {
			file := filepath.Join(dir, []string{"v2", "v1"}[i])
			memoryFiles = append(memoryFiles, file)
			if content != "" {
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		debug.SetMemoryLimit(none)
		tuneMemory(logging.New(&bytes.Buffer{}, logging.Options{}), func(name string) string {
			return map[string]string{"GOMEMLIMIT": tc.set}[name]
		})
		if got := debug.SetMemoryLimit(-1); got != tc.want {
			t.Errorf("%s: limit %d, want %d", name, got, tc.want)
		}
		wantGC := 100
		if tc.want != none || tc.set != "" {
			wantGC = gcPercent
		}
		if got := debug.SetGCPercent(100); got != wantGC {
			t.Errorf("%s: GC percent %d, want %d", name, got, wantGC)
		}
	}
}

func TestOperatorSetsGOGC(t *testing.T) {
	gc := debug.SetGCPercent(123)
	t.Cleanup(func() { debug.SetGCPercent(gc) })
	tuneMemory(logging.New(&bytes.Buffer{}, logging.Options{}), func(string) string { return "1000000000" })
	if got := debug.SetGCPercent(gc); got != 123 {
		t.Errorf("GC percent %d, want what the operator set", got)
	}
}

// Memory is returned once after each storm of sockets, when it is over, and not because of single sockets.
func TestReturnMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened, freed atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			returnMemory(ctx, opened.Load, func() { freed.Add(1) })
			close(done)
		}()
		step := func(sockets int64, want int64, what string) {
			t.Helper()
			opened.Add(sockets)
			testwait.Advance(stormTick)
			if got := freed.Load(); got != want {
				t.Errorf("%s: memory was returned %d times, want %d", what, got, want)
			}
		}
		step(150, 0, "a storm begins")
		step(150, 0, "it goes on")
		step(3, 1, "it is over")
		for range 100 {
			step(3, 1, "single sockets")
		}
		step(stormMany, 1, "another storm")
		step(0, 2, "it is over")
		cancel()
		<-done
	})
}
