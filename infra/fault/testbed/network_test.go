package testbed

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echoServer answers each byte with itself, after its name. It returns its address.
func echoServer(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 1)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if _, err := conn.Write(append([]byte(name), buf...)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func newTestLink(t *testing.T, upstream string) *link {
	t.Helper()
	l, err := newLink(upstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.cut)
	return l
}

func dialLink(t *testing.T, l *link) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// exchange sends a byte on conn and waits up to within for the answer.
func exchange(conn net.Conn, within time.Duration) (string, error) {
	if _, err := conn.Write([]byte("!")); err != nil {
		return "", err
	}
	_ = conn.SetReadDeadline(time.Now().Add(within))
	answer := make([]byte, 2)
	_, err := io.ReadFull(conn, answer)
	return string(answer), err
}

// wantAnswer fails the test unless the server of this name answers on conn.
func wantAnswer(t *testing.T, conn net.Conn, name string) {
	t.Helper()
	if answer, err := exchange(conn, 10*time.Second); err != nil || answer != name+"!" {
		t.Errorf("answer %q, %v; want %q", answer, err, name+"!")
	}
}

// wantEnd fails the test unless conn ends.
func wantEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(make([]byte, 10)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open: read %d bytes, %v", n, err)
	}
}

// wantSilence fails the test if anything happens on conn, data or its end.
func wantSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	if answer, err := exchange(conn, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("answer %q, %v; want silence", answer, err)
	}
}

func TestLinkCut(t *testing.T) {
	l := newTestLink(t, echoServer(t, "a"))
	conn := dialLink(t, l)
	wantAnswer(t, conn, "a")
	l.cut()
	wantEnd(t, conn)
	if conn, err := net.Dial("tcp", l.addr); err == nil {
		conn.Close()
		t.Error("a link that is cut accepts a connection")
	}
	if err := l.heal(); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, dialLink(t, l), "a")
}

func TestLinkDelay(t *testing.T) {
	const latency = 90 * time.Millisecond
	l := newTestLink(t, echoServer(t, "a"))
	conn := dialLink(t, l)
	wantAnswer(t, conn, "a")
	l.delay(latency)
	start := time.Now()
	wantAnswer(t, conn, "a")
	if took := time.Since(start); took < 2*latency*2/3 {
		t.Errorf("there and back took %v with a latency of %v each way", took, latency)
	}
	// Latency does not limit how much is on its way: 20 answers take no longer than one.
	start = time.Now()
	for range 20 {
		if _, err := conn.Write([]byte("!")); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.SetReadDeadline(start.Add(10 * latency))
	if _, err := io.ReadFull(conn, make([]byte, 40)); err != nil {
		t.Errorf("20 answers: %v", err)
	}
	if err := l.heal(); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, conn, "a") // the connection stays
}

// A silent link is half open: connections stay, also new ones, and nothing arrives.
func TestLinkSilence(t *testing.T) {
	l := newTestLink(t, echoServer(t, "a"))
	conn := dialLink(t, l)
	wantAnswer(t, conn, "a")
	l.silence()
	wantSilence(t, conn)
	fresh := dialLink(t, l)
	wantSilence(t, fresh)
	if err := l.heal(); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, conn)
	wantEnd(t, fresh)
	wantAnswer(t, dialLink(t, l), "a")
}

// The end of a connection does not pass through a silent link.
func TestLinkSilenceHidesTheEnd(t *testing.T) {
	ended := make(chan error, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			if _, err = conn.Read(make([]byte, 1)); err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
		}
		ended <- err
	}()
	l := newTestLink(t, listener.Addr().String())
	conn := dialLink(t, l)
	if _, err := conn.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	l.silence()
	conn.Close()
	select {
	case err := <-ended:
		t.Errorf("the server saw the end: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := l.heal(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the server's connection is still open after heal")
	}
}

func TestLinkRedirect(t *testing.T) {
	l := newTestLink(t, echoServer(t, "a"))
	conn := dialLink(t, l)
	wantAnswer(t, conn, "a")
	if err := l.redirect(echoServer(t, "b")); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, conn)
	wantAnswer(t, dialLink(t, l), "b")
	l.cut()
	if err := l.redirect(echoServer(t, "c")); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, dialLink(t, l), "c")
}

// A link whose server is gone ends connections, as a network does that reaches a machine without the server.
func TestLinkWithoutServer(t *testing.T) {
	l := newTestLink(t, echoServer(t, "a"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := listener.Addr().String()
	listener.Close()
	if err := l.redirect(gone); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, dialLink(t, l))
}
