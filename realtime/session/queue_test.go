package session

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// A client that does not read cannot make the server hold more than a fixed number of bytes for it. An event that is
// larger than the queue passes when the queue is empty.
func TestQueueOfFramesIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &session{ctx: ctx, cancel: cancel, counters: &Counters{},
			out: make(chan []byte, queueFrames), outBytes: semaphore.NewWeighted(queueFrameBytes)}
		event := func(size int) wire.EventFrame {
			return wire.EventFrame{Cursor: inbox.Cursor{}.String(), Event: bytes.Repeat([]byte("1"), size)}
		}
		done := make(chan struct{})
		go func() {
			for s.push(event(33 << 10)) {
			}
			close(done)
		}()
		synctest.Wait()
		if queued := len(s.out) * 33 << 10; queued > queueFrameBytes || len(s.out) == 0 {
			t.Errorf("%d bytes are queued", queued)
		}
		s.pushHint(event(33 << 10))
		if s.counters.HintsDropped.Load() != 1 {
			t.Error("a hint was queued beyond the limit")
		}
		s.end(errLost)
		<-done

		ctx, cancel = context.WithCancelCause(t.Context())
		s = &session{ctx: ctx, cancel: cancel, counters: &Counters{},
			out: make(chan []byte, queueFrames), outBytes: semaphore.NewWeighted(queueFrameBytes)}
		if !s.push(event(2 * queueFrameBytes)) {
			t.Error("a frame larger than the queue was not queued")
		}
		s.end(errLost)
	})
}
