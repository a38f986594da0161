package main

import (
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryFiles are the files in which Linux shows the memory limit of the container: control groups of version 2, then
// of version 1.
var memoryFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// limitMemory makes the garbage collector work harder when 90 % of the container's memory are in use, instead of
// letting the heap double until the container is killed. The rest is for memory that the Go runtime does not manage.
// GOMEMLIMIT has precedence.
func limitMemory(log *slog.Logger, getenv func(string) string) {
	if getenv("GOMEMLIMIT") != "" {
		return // the runtime has read it
	}
	if limit, ok := containerMemory(memoryFiles); ok {
		limit = limit / 10 * 9
		debug.SetMemoryLimit(limit)
		log.Info("memory limit set", "bytes", limit)
	}
}

// containerMemory returns the first limit in the files. Without a limit the file says "max" (version 2), or the largest
// multiple of the page size (version 1).
func containerMemory(files []string) (bytes int64, ok bool) {
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && n > 0 && n < 1<<60 {
			return n, true
		}
	}
	return 0, false
}
