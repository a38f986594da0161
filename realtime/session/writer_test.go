package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// testSession returns a session that writes to c and has no reader.
func testSession(c net.Conn) *session {
	return newSession(New(Deps{}), nil, &inbound{Conn: c}, netip.Addr{})
}

// discardConn is a connection to a client that accepts everything.
type discardConn struct{ net.Conn }

func (discardConn) Write(b []byte) (int, error)      { return len(b), nil }
func (discardConn) SetReadDeadline(time.Time) error  { return nil }
func (discardConn) SetWriteDeadline(time.Time) error { return nil }

// recordConn records what is written and how often a deadline is set. Each write waits for proceed, if that is not nil.
type recordConn struct {
	discardConn
	proceed   chan struct{}
	writes    [][]byte
	deadlines int
}

func (c *recordConn) Write(b []byte) (int, error) {
	if c.proceed != nil {
		<-c.proceed
	}
	c.writes = append(c.writes, bytes.Clone(b))
	return len(b), nil
}

func (c *recordConn) SetWriteDeadline(time.Time) error {
	c.deadlines++
	return nil
}

// splitFrames returns the frames in b, each as its opcode and its payload.
func splitFrames(t *testing.T, b []byte) (frames []string) {
	t.Helper()
	for len(b) > 0 {
		op, length, header := b[0], int(b[1]), 2
		switch length {
		case 126:
			length, header = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			length, header = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		if op&0x80 == 0 || len(b) < header+length {
			t.Fatalf("not a whole frame: %.20x", b)
		}
		frames = append(frames, fmt.Sprintf("%x %s", op&0x0f, b[header:header+length]))
		b = b[header+length:]
	}
	return frames
}

// Frames that are queued while the connection is busy are written together, in their order.
func TestFramesShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recordConn{proceed: make(chan struct{})}
		s := testSession(conn)
		s.push(wire.Welcome{})
		synctest.Wait()
		want := []string{}
		for i := range 20 {
			id := fmt.Sprint(i)
			s.push(wire.Sent{ID: id, AcceptedAt: 1})
			want = append(want, `1 {"type":"sent","id":"`+id+`","accepted_at":1}`)
		}
		s.pushControl(opPong, []byte("x"))
		want = append(want, "a x")
		conn.proceed <- struct{}{}
		conn.proceed <- struct{}{}
		synctest.Wait()
		if len(conn.writes) != 2 {
			t.Fatalf("%d writes, want 2", len(conn.writes))
		}
		if got := splitFrames(t, conn.writes[1]); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		close(conn.proceed)
		s.end(errLost)
		s.tasks.wg.Wait()
	})
}

// The feeder and the worker write what they have queued without another goroutine.
func TestFlushWritesAtOnce(t *testing.T) {
	conn := &recordConn{}
	s := testSession(conn)
	for range 3 {
		s.queueFrame(wire.Pong{})
	}
	s.flush()
	if len(conn.writes) != 1 || len(splitFrames(t, conn.writes[0])) != 3 {
		t.Errorf("%d writes of 3 frames, want 1", len(conn.writes))
	}
	if s.out.queue != nil {
		t.Error("an empty queue takes memory")
	}
}

// Each write has at least its time, although the deadline is set every few seconds only.
func TestWriteDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recordConn{}
		s := testSession(conn)
		const seconds, perSecond = 60, 20
		for range seconds * perSecond {
			s.queueFrame(wire.Pong{})
			s.flush()
			if left := time.Until(s.out.deadline); left < writeWithin || left > writeWithin+deadlineSlack {
				t.Fatalf("a frame had %v to be written", left)
			}
			time.Sleep(time.Second / perSecond)
		}
		if want := int(seconds * time.Second / deadlineSlack); conn.deadlines < want-1 || conn.deadlines > want+1 {
			t.Errorf("the deadline was set %d times in %d s, want about %d", conn.deadlines, seconds, want)
		}
	})
}

func TestFrameHeaders(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16, 100_000} {
		b := append(make([]byte, maxHeader), strings.Repeat("x", size)...)
		frames := splitFrames(t, textFrame(b))
		if len(frames) != 1 || frames[0] != "1 "+strings.Repeat("x", size) {
			t.Errorf("a payload of %d bytes came as %.40q…", size, frames)
		}
	}
}

// A goaway overtakes what is queued, but not the first frame, which is the welcome.
func TestGoawayOvertakesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recordConn{}
		s := testSession(conn)
		s.goaway(wire.GoawayDrain, time.Minute)
		synctest.Wait()
		if len(conn.writes) != 0 {
			t.Fatal("a goaway came before the welcome")
		}
		s.push(wire.Welcome{UID: "a"})
		synctest.Wait()
		if got := splitFrames(t, bytes.Join(conn.writes, nil)); len(got) != 2 || !strings.Contains(got[1], "goaway") {
			t.Errorf("got %q", got)
		}

		conn.writes = nil
		s = testSession(conn)
		s.out.begun = true
		s.queueFrame(wire.Pong{})
		s.goaway(wire.GoawayDrain, time.Minute)
		synctest.Wait()
		if got := splitFrames(t, bytes.Join(conn.writes, nil)); len(got) != 2 || !strings.Contains(got[0], "goaway") {
			t.Errorf("got %q", got)
		}
	})
}

// One write has the frames that are queued at the end, the reason, and the close frame.
func TestFarewell(t *testing.T) {
	conn := &recordConn{}
	s := testSession(conn)
	s.queueFrame(wire.Pong{})
	s.end(problem.ErrTokenEnded)
	s.tasks.wg.Wait()
	if len(conn.writes) != 1 {
		t.Fatalf("%d writes, want 1", len(conn.writes))
	}
	got := splitFrames(t, conn.writes[0])
	if len(got) != 3 || !strings.Contains(got[1], "token_ended") || !strings.HasPrefix(got[2], "8 \x11\x31token_ended") {
		t.Errorf("got %q", got)
	}
	if s.push(wire.Pong{}) || len(conn.writes) != 1 {
		t.Error("a frame was queued after the end")
	}
}
