package session

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// A client that does not read cannot make the server hold more than a fixed number of bytes for it. An event that is
// larger than the queue passes when the queue is empty.
func TestQueueOfFramesIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		event := func(size int) wire.EventFrame {
			return wire.EventFrame{Cursor: inbox.Cursor{}.String(), Event: bytes.Repeat([]byte("1"), size)}
		}
		conn := &recordConn{proceed: make(chan struct{})}
		s := testSession(conn)
		done := make(chan struct{})
		go func() {
			for s.push(event(33 << 10)) {
			}
			close(done)
		}()
		synctest.Wait()
		s.out.mu.Lock()
		size := s.out.size()
		s.out.mu.Unlock()
		if size > queueFrameBytes || size == 0 {
			t.Errorf("%d bytes are queued or being written", size)
		}
		s.queueHint(event(33 << 10))
		if s.counters.HintsDropped.Load() != 1 {
			t.Error("a hint was queued beyond the limit")
		}
		s.end(errLost)
		<-done
		close(conn.proceed)
		s.tasks.wg.Wait()

		s = testSession(discardConn{})
		if !s.push(event(2 * queueFrameBytes)) {
			t.Error("a frame larger than the queue was not queued")
		}
		s.end(errLost)
		s.tasks.wg.Wait()
	})
}
