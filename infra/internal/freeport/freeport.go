// Package freeport finds ports for programs that want to be told theirs.
package freeport

import (
	"fmt"
	"net"
)

// Find returns a TCP port of 127.0.0.1 that was free a moment ago. Another
// program may take it before the one that it is for: who can, tries again.
func Find() (port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String()) // an address that it made
	return port, l.Close()
}
