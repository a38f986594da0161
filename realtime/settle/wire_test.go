package settle_test

import (
	"net"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// dial connects to mini within a synctest bubble. Its connections are pipes
// without a buffer, on which a long pipeline and its replies block each
// other, as they do not over TCP; so writes are queued here.
func dial(mini *miniredis.Miniredis) (net.Conn, error) {
	conn, err := mini.Dial()
	if err != nil {
		return nil, err
	}
	c := &queuedConn{Conn: conn, news: make(chan struct{}, 1), end: make(chan struct{})}
	go c.drain()
	return c, nil
}

type queuedConn struct {
	net.Conn
	news chan struct{}
	end  chan struct{}

	mu     sync.Mutex
	queue  []byte
	closed bool
}

func (c *queuedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.queue = append(c.queue, b...)
	select {
	case c.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (c *queuedConn) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.end)
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

func (c *queuedConn) drain() {
	for {
		select {
		case <-c.end:
			return
		case <-c.news:
		}
		c.mu.Lock()
		b := c.queue
		c.queue = nil
		c.mu.Unlock()
		if _, err := c.Conn.Write(b); err != nil {
			return
		}
	}
}
