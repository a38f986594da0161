package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnacked sets unackedFor on a socket before it connects. See TCP_USER_TIMEOUT in tcp(7).
func limitUnacked(_, _ string, c syscall.RawConn) error {
	var err error
	failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedFor.Milliseconds()))
	})
	if failed != nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("set TCP_USER_TIMEOUT: %w", err)
	}
	return nil
}
