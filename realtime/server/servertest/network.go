package servertest

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// pipeListener accepts connections that dial makes, without a network.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	open []net.Conn
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial() (net.Conn, error) {
	client, srv := net.Pipe()
	select {
	case l.conns <- srv:
		l.mu.Lock()
		l.open = append(l.open, client, srv)
		l.mu.Unlock()
		return client, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	}
}

// breakAll breaks every connection without a word.
func (l *pipeListener) breakAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		_ = c.Close()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// Cut is the network between instances and Redis, which can break and be slow.
type Cut struct {
	mu    sync.Mutex
	down  bool
	slow  time.Duration
	conns map[*redisConn]struct{}
}

// Down breaks all connections and refuses new ones, until it is called with false.
func (c *Cut) Down(down bool) {
	c.mu.Lock()
	c.down = down
	var broken []*redisConn
	if down {
		for conn := range c.conns {
			broken = append(broken, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range broken {
		_ = conn.Close()
	}
}

// Break breaks all connections; new ones work.
func (c *Cut) Break() {
	c.Down(true)
	c.Down(false)
}

// Slow makes every write to Redis take d longer.
func (c *Cut) Slow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = d
}

func (c *Cut) dial(m *miniredis.Miniredis) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errors.New("connection refused")
	}
	conn, err := m.Dial()
	if err != nil {
		return nil, err
	}
	if c.conns == nil {
		c.conns = map[*redisConn]struct{}{}
	}
	rc := &redisConn{Conn: conn, cut: c}
	c.conns[rc] = struct{}{}
	return rc, nil
}

type redisConn struct {
	net.Conn
	cut *Cut
}

func (c *redisConn) Write(b []byte) (int, error) {
	c.cut.mu.Lock()
	slow := c.cut.slow
	c.cut.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	return c.Conn.Write(b)
}

func (c *redisConn) Close() error {
	c.cut.mu.Lock()
	delete(c.cut.conns, c)
	c.cut.mu.Unlock()
	return c.Conn.Close()
}
