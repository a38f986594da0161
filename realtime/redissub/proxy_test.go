package redissub_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy forwards bytes until it is frozen. Then its connections stay open but silent, and new connections work.
type proxy struct {
	addr string

	mu     sync.Mutex
	frozen chan struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: ln.Addr().String(), frozen: make(chan struct{})}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			frozen := p.frozen
			p.mu.Unlock()
			forward := func(dst, src net.Conn) {
				buf := make([]byte, 4096)
				for {
					n, err := src.Read(buf)
					select {
					case <-frozen: // discard
						if err != nil {
							return
						}
						continue
					default:
					}
					if err != nil {
						_ = dst.Close()
						return
					}
					if _, err := dst.Write(buf[:n]); err == io.ErrClosedPipe {
						return
					}
				}
			}
			wg.Go(func() { forward(out, in) })
			wg.Go(func() { forward(in, out) })
			wg.Go(func() { <-end; _ = in.Close(); _ = out.Close() })
		}
	})
	t.Cleanup(func() { close(end); _ = ln.Close(); wg.Wait() })
	return p
}

// freeze silences the connections that exist now.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.frozen)
	p.frozen = make(chan struct{})
}
