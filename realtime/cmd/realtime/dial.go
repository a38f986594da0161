package main

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// unackedFor is how long sent data may stay unacknowledged by the TCP stack of a Redis node. It is longer than three
// retransmissions.
//
// A node that vanishes without closing its connections (a host that loses power or its network) would otherwise block
// each of them until the operation gives up, because the client's timeouts must not be shorter than that (inbox.Tune).
// A node that only answers late does not end a connection: its kernel acknowledges the data, also while Redis is busy.
// The exception is more data than its receive buffer holds, after Redis has not read for this long.
const unackedFor = 3 * time.Second

// redisDialer returns the dialer of o. It is that of go-redis, except for unackedFor.
func redisDialer(o *redis.UniversalOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:         o.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacked,
	}
	if o.TLSConfig == nil {
		return d.DialContext
	}
	return (&tls.Dialer{NetDialer: d, Config: o.TLSConfig}).DialContext
}
