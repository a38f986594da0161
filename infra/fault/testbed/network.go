package testbed

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// link is a TCP proxy on loopback that can be cut, delayed, silenced and redirected. It stands for the network between
// two parts of the testbed. One goroutine at a time calls its methods.
type link struct {
	addr string // where the link listens; stays the same after cut and heal

	mu       sync.Mutex
	upstream string                 // guarded by mu
	listener net.Listener           // nil while the link is cut; guarded by mu
	pairs    map[*connPair]struct{} // open connections; guarded by mu
	latency  time.Duration          // of each chunk of bytes, give or take a third; guarded by mu
	silent   bool                   // bytes and ends of connections are swallowed; guarded by mu

	wg sync.WaitGroup // the accept loop and the goroutines of pairs
}

// newLink returns a link to upstream (host:port).
func newLink(upstream string) (*link, error) {
	l := &link{addr: "127.0.0.1:0", upstream: upstream, pairs: map[*connPair]struct{}{}}
	if err := l.listen(); err != nil {
		return nil, err
	}
	l.addr = l.listener.Addr().String()
	return l, nil
}

func (l *link) listen() error {
	listener, err := net.Listen("tcp", l.addr)
	if err != nil {
		return fmt.Errorf("link to %s: %w", l.upstream, err)
	}
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	l.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil { // the link was cut
				return
			}
			l.wg.Go(func() { l.serve(listener, client) })
		}
	})
	return nil
}

// serve connects client to upstream, and copies in both directions until one of them ends.
func (l *link) serve(listener net.Listener, client net.Conn) {
	l.mu.Lock()
	upstream := l.upstream
	l.mu.Unlock()
	server, err := net.DialTimeout("tcp", upstream, 10*time.Second)
	if err != nil {
		client.Close()
		return
	}
	p := &connPair{client: client, server: server, closed: make(chan struct{})}
	l.mu.Lock()
	cut := l.listener != listener
	if !cut {
		l.pairs[p] = struct{}{}
	}
	l.mu.Unlock()
	if cut { // meanwhile
		p.close()
		return
	}
	l.wg.Go(func() { l.copy(p, server, client) })
	l.copy(p, client, server)
}

// connPair is the two connections that make one proxied connection.
type connPair struct {
	client, server net.Conn
	once           sync.Once
	closed         chan struct{}
}

func (p *connPair) close() {
	p.once.Do(func() {
		close(p.closed)
		p.client.Close()
		p.server.Close()
	})
}

// chunk is some bytes on their way, and when they arrive.
type chunk struct {
	data []byte
	due  time.Time
}

// maxChunks bounds the chunks on their way in one direction; beyond it the reader waits.
const maxChunks = 256

// copy passes what src says on to dst. Reading and writing are apart, so that latency delays bytes and does not limit
// how many of them are on their way.
func (l *link) copy(p *connPair, dst, src net.Conn) {
	chunks := make(chan chunk, maxChunks)
	defer close(chunks)
	l.wg.Go(func() {
		for c := range chunks {
			if wait := time.Until(c.due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-p.closed:
					return
				}
			}
			if _, err := dst.Write(c.data); err != nil {
				l.end(p)
				return
			}
		}
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		latency, silent := l.state()
		switch {
		case silent && err != nil:
			return // the other end does not hear of it; heal or cut closes the pair
		case err != nil:
			l.end(p)
			return
		case silent:
			continue
		}
		select {
		case chunks <- chunk{bytes.Clone(buf[:n]), time.Now().Add(latency)}:
		case <-p.closed:
			return
		}
	}
}

// state returns the delay of a chunk that is read now, and whether it is swallowed.
func (l *link) state() (latency time.Duration, silent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latency > 0 {
		jitter := l.latency / 3
		latency = l.latency - jitter + rand.N(2*jitter+1)
	}
	return latency, l.silent
}

func (l *link) end(p *connPair) {
	l.mu.Lock()
	delete(l.pairs, p)
	l.mu.Unlock()
	p.close()
}

// endAll closes all connections.
func (l *link) endAll() {
	l.mu.Lock()
	pairs := l.pairs
	l.pairs = map[*connPair]struct{}{}
	l.mu.Unlock()
	for p := range pairs {
		p.close()
	}
}

// cut closes all connections and refuses new ones until heal. It returns when no goroutine of the link is left.
func (l *link) cut() {
	l.mu.Lock()
	listener := l.listener
	l.listener = nil
	l.mu.Unlock()
	if listener != nil {
		listener.Close()
	}
	l.endAll()
	l.wg.Wait()
}

// delay delays everything by d, give or take a third, each way, until heal.
func (l *link) delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency = d
}

// silence keeps connections open and lets nothing through, as a network does that drops packets: neither bytes nor the
// end of a connection arrive.
func (l *link) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
}

// heal undoes cut, delay and silence. Connections that were silent end, since what was sent on them is lost.
func (l *link) heal() error {
	l.mu.Lock()
	silent, cut := l.silent, l.listener == nil
	l.silent, l.latency = false, 0
	l.mu.Unlock()
	if silent {
		l.endAll()
	}
	if cut {
		return l.listen()
	}
	return nil
}

// redirect leads the link to another server; its connections end.
func (l *link) redirect(upstream string) error {
	l.cut()
	l.mu.Lock()
	l.upstream = upstream
	l.mu.Unlock()
	return l.listen()
}
