// Package freeport finds free ports for programs that must be given one.
package freeport

import (
	"fmt"
	"net"
)

// Find returns a free TCP port of 127.0.0.1. Another program may take it before the caller's program does, so callers
// should be prepared to try again.
func Find() (port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String()) // cannot fail for the address of a listener
	return port, l.Close()
}
