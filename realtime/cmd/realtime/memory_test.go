package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	old := memoryFiles
	t.Cleanup(func() { memoryFiles = old })
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
		limitMemory(logging.New(&bytes.Buffer{}, logging.Options{}), func(string) string { return tc.set })
		if got := debug.SetMemoryLimit(-1); got != tc.want {
			t.Errorf("%s: limit %d, want %d", name, got, tc.want)
		}
	}
}
