package servertest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// pipeListener is a net.Listener that accepts the connections of dial, without a network.
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
	client, end := net.Pipe()
	srv := newBufferedConn(end)
	select {
	case l.conns <- srv:
		l.mu.Lock()
		l.open = append(l.open, client, end)
		l.mu.Unlock()
		return client, nil
	case <-l.closed:
		_ = srv.Close()
		return nil, errors.New("connection refused")
	}
}

// breakAll closes every connection without a close frame.
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

// Network connects an instance to Redis. It can break and be slow.
type Network struct {
	mu    sync.Mutex
	down  bool
	slow  func() time.Duration // delay of the next response; nil: none
	conns map[*redisConn]struct{}
}

// Down breaks all connections and refuses new ones, until it is called with false.
func (c *Network) Down(down bool) {
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

// Break breaks all connections. New ones work.
func (c *Network) Break() {
	c.Down(true)
	c.Down(false)
}

// Slow delays every response of Redis by d.
func (c *Network) Slow(d time.Duration) { c.delay(func() time.Duration { return d }) }

// SlowBetween delays every response of Redis by a random time from a to b. The times depend on the seed.
func (c *Network) SlowBetween(a, b time.Duration, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1)) // guarded by c.mu
	c.delay(func() time.Duration { return a + time.Duration(rnd.Int64N(int64(b-a)+1)) })
}

func (c *Network) delay(next func() time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = next
}

func (c *Network) dial(m *miniredis.Miniredis) (net.Conn, error) {
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	// Without c.mu: miniredis holds its own lock while it writes to a connection, which may wait for c.mu.
	conn, err := m.Dial()
	if err != nil {
		return nil, err
	}
	rc := newRedisConn(conn, c)
	c.mu.Lock()
	if down = c.down; !down {
		if c.conns == nil {
			c.conns = map[*redisConn]struct{}{}
		}
		c.conns[rc] = struct{}{}
	}
	c.mu.Unlock()
	if down {
		_ = rc.Close()
		return nil, errors.New("connection refused")
	}
	return rc, nil
}

// redisConn is one connection to Redis. It delays reads, not writes: go-redis writes while it holds a mutex, and a
// goroutine that waits for a mutex is not durably blocked, so the clock of the synctest bubble would stop. For the same
// reason it always accepts the data that Redis sends, like the receive buffer of a socket: miniredis publishes while it
// holds its lock.
type redisConn struct {
	net.Conn          // writes, through a buffer
	raw      net.Conn // below the buffers
	net      *Network
	arrived  chan struct{} // buf has new data, or err was set

	mu       sync.Mutex
	deadline time.Time // for reading
	buf      []byte    // data that was not read yet
	err      error     // of reading raw; returned after the data in buf
}

func newRedisConn(raw net.Conn, n *Network) *redisConn {
	// Buffered in both directions. With a bare pipe both ends could be writing at the same time, each waiting for the
	// other to read.
	c := &redisConn{Conn: newBufferedConn(raw), raw: raw, net: n, arrived: make(chan struct{}, 1)}
	go c.receive()
	return c
}

// receive fills buf until raw is closed.
func (c *redisConn) receive() {
	b := make([]byte, 4<<10)
	for {
		n, err := c.raw.Read(b)
		c.mu.Lock()
		c.buf = append(c.buf, b[:n]...)
		c.err = err
		c.mu.Unlock()
		select {
		case c.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (c *redisConn) Read(b []byte) (int, error) {
	n, err := c.readBuffered(b)
	c.net.mu.Lock()
	var slow time.Duration
	if c.net.slow != nil {
		slow = c.net.slow()
	}
	c.net.mu.Unlock()
	if slow == 0 || err != nil {
		return n, err
	}
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	if left := time.Until(deadline); !deadline.IsZero() && left < slow {
		time.Sleep(left)
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(slow)
	return n, nil
}

// readBuffered waits until there is data in buf, and returns it.
func (c *redisConn) readBuffered(b []byte) (int, error) {
	for {
		c.mu.Lock()
		n, err, deadline := copy(b, c.buf), c.err, c.deadline
		c.buf = c.buf[n:]
		c.mu.Unlock()
		if n > 0 || err != nil {
			if n > 0 {
				err = nil
			} else {
				select { // wakes the next reader
				case c.arrived <- struct{}{}:
				default:
				}
			}
			return n, err
		}
		if deadline.IsZero() {
			<-c.arrived
			continue
		}
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-c.arrived:
			timer.Stop()
		case <-timer.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (c *redisConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	select { // wakes the reader, which then uses the new deadline
	case c.arrived <- struct{}{}:
	default:
	}
	return nil
}

func (c *redisConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *redisConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	err := c.raw.Close() // immediately: data in the buffer is lost
	_ = c.Conn.Close()
	return err
}

// Buffered returns c with a send buffer like that of a socket. Without it, every write to a pipe waits for the reader.
// A writer that holds a mutex meanwhile stops the clock of a synctest bubble if another goroutine waits for that mutex.
func Buffered(c net.Conn) net.Conn { return newBufferedConn(c) }

// bufferedConn is an end of a pipe with a send buffer.
type bufferedConn struct {
	net.Conn
	queue  chan []byte
	closed chan struct{}
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
}

// bufferedWrites is the number of writes that fit into the buffer. A frame is one write.
const bufferedWrites = 100

func newBufferedConn(c net.Conn) *bufferedConn {
	b := &bufferedConn{Conn: c, queue: make(chan []byte, bufferedWrites), closed: make(chan struct{})}
	go b.pump()
	return b
}

// pump writes the queued data. After Close it writes the data that was queued before.
func (b *bufferedConn) pump() {
	defer b.Conn.Close()
	defer b.once.Do(func() { close(b.closed) }) // after a failed write, further writes fail, too
	for {
		select {
		case data := <-b.queue:
			if _, err := b.Conn.Write(data); err != nil {
				return
			}
			continue
		default:
		}
		select {
		case data := <-b.queue:
			if _, err := b.Conn.Write(data); err != nil {
				return
			}
		case <-b.closed:
			if len(b.queue) == 0 {
				return
			}
		}
	}
}

func (b *bufferedConn) Write(data []byte) (int, error) {
	b.mu.Lock()
	deadline := b.deadline
	b.mu.Unlock()
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	default:
	}
	select {
	case b.queue <- bytes.Clone(data):
		return len(data), nil
	case <-b.closed:
		return 0, net.ErrClosed
	case <-late:
		return 0, os.ErrDeadlineExceeded
	}
}

func (b *bufferedConn) SetWriteDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadline = t
	return nil
}

func (b *bufferedConn) SetDeadline(t time.Time) error {
	_ = b.SetWriteDeadline(t)
	return b.Conn.SetReadDeadline(t)
}

// Close sends the data that was written before, if the other end reads it within 5 s.
func (b *bufferedConn) Close() error {
	b.once.Do(func() {
		_ = b.Conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_ = b.Conn.SetReadDeadline(time.Now())
		close(b.closed)
	})
	return nil
}
