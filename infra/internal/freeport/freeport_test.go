package freeport

import (
	"net"
	"testing"
)

func TestFindReturnsAFreePort(t *testing.T) {
	port, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
