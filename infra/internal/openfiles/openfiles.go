// Package openfiles checks how many files a process may open, before a test opens thousands of sockets.
package openfiles

import (
	"fmt"
	"syscall"
)

// spare is the number of files that a test needs besides its sockets.
const spare = 500

// Check returns an error if this process may not open the given number of sockets and some other files. The Go runtime
// has already raised the soft limit of this process, and of the processes that it starts, to the hard limit.
func Check(sockets int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	return check(sockets, limit.Cur)
}

func check(sockets int, limit uint64) error {
	if need := uint64(sockets) + spare; limit < need {
		return fmt.Errorf("%d sockets need %d open files, but the limit is %d: raise it (ulimit -Hn %d) or use fewer sockets",
			sockets, need, limit, need)
	}
	return nil
}
