//go:build !linux

package main

import "syscall"

// limitUnacked does nothing where TCP_USER_TIMEOUT does not exist. The service runs on Linux.
func limitUnacked(_, _ string, _ syscall.RawConn) error { return nil }
