package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// memoryFiles are the files in which Linux shows the memory limit of the container: control groups of version 2, then
// of version 1.
var memoryFiles = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// tuneMemory sets the memory limit and the pace of the garbage collector. GOMEMLIMIT and GOGC have precedence.
//
// The limit makes the garbage collector work harder when 90 % of the container's memory are in use, instead of letting
// the heap grow until the container is killed. The rest is for memory that the Go runtime does not manage.
//
// Below the limit, the collector runs when the heap has grown to gcPercent/100 + 1 times of what is in use. The sockets
// of an instance use some 20 MiB, so the collector would otherwise run many times a second under load, to keep small
// what is small anyway. Without a limit the default of the runtime stays, because nothing is known about the machine.
func tuneMemory(log *slog.Logger, getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" { // else the runtime has read it
		limit, ok := containerMemory(memoryFiles)
		if !ok {
			return
		}
		limit = limit / 10 * 9
		debug.SetMemoryLimit(limit)
		log.Info("memory limit set", "bytes", limit)
	}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

const gcPercent = 400

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

// storm detects the end of a storm: many sockets opened, for example after a deploy, and now few do.
type storm struct {
	last int64 // sockets opened so far, at the last call
	many int64 // sockets of the present storm
}

// Sizes of a storm.
const (
	stormTick  = time.Second
	stormMany  = 200 // sockets that make a storm
	stormQuiet = 5   // sockets that open in stormTick without a storm, because old sockets move
)

// isOver is called every stormTick with the number of sockets that have opened so far. It reports the end of a storm
// once.
func (s *storm) isOver(opened int64) bool {
	since := opened - s.last
	s.last = opened
	if since > stormQuiet {
		s.many += since
		return false
	}
	over := s.many >= stormMany
	s.many = 0
	return over
}

// freeMemory returns memory to the operating system. A second collection frees what the first one has found to need a
// finalizer, and the other half of stacks that shrink by half at a time.
func freeMemory() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}

// returnMemory returns memory to the operating system after each storm of sockets, until ctx ends. A handshake and a
// hello need several times the memory of the socket that they leave behind, and the runtime itself would keep it for
// minutes.
func returnMemory(ctx context.Context, opened func() int64, free func()) {
	tick := time.NewTicker(stormTick)
	defer tick.Stop()
	var s storm
	for {
		select {
		case <-tick.C:
			if s.isOver(opened()) {
				free()
			}
		case <-ctx.Done():
			return
		}
	}
}
