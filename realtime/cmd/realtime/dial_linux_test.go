package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

// Every connection to Redis, with TLS or without, has the option. That a peer drops packets cannot be arranged on
// loopback without privileges.
func TestConnectionsToRedisLimitUnackedData(t *testing.T) {
	check := func(t *testing.T, conn net.Conn) {
		t.Helper()
		if wrapped, ok := conn.(*tls.Conn); ok {
			conn = wrapped.NetConn()
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var ms int
		if failed := raw.Control(func(fd uintptr) {
			ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		}); failed != nil || err != nil {
			t.Fatal(failed, err)
		}
		if got := time.Duration(ms) * time.Millisecond; got != unackedFor {
			t.Errorf("TCP_USER_TIMEOUT is %v, want %v", got, unackedFor)
		}
	}

	b := miniredis.RunT(t)
	client, err := connectRedis(t.Context(), config{redisAddrs: []string{b.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	conn, err := client.(*redis.Client).Options().Dialer(t.Context(), "tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	check(t, conn)

	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	o := &redis.UniversalOptions{TLSConfig: server.Client().Transport.(*http.Transport).TLSClientConfig}
	secure, err := redisDialer(o)(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	if _, ok := secure.(*tls.Conn); !ok {
		t.Fatalf("the dialer returned a %T, want TLS", secure)
	}
	check(t, secure)
}
