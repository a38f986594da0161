package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Time limits of a socket, besides those of package wire.
const (
	settleWithin  = 5 * time.Second  // from the end of a socket until its handler returns
	finishWithin  = 3 * time.Second  // part of settleWithin: sends that were read before the end
	writeWithin   = 10 * time.Second // one frame
	farewellTime  = 2 * time.Second  // queued frames, the error frame and the close frame
	echoWithin    = time.Second      // from our close frame to the client's
	retryRedisMin = 500 * time.Millisecond
	retryRedisMax = 5 * time.Second
	floodRetry    = 30 * time.Second // after a socket was closed for a flood
)

// Sizes of a socket's queues.
const (
	queueFrames     = 64        // frames for the writer, …
	queueFrameBytes = 256 << 10 // … and their bytes; a larger frame waits until the queue is empty
	queueSends      = 64        // sends for the worker; their bytes are limited as well, see user
	queueTyping     = 8         // typing frames for the worker
	maxReadMarks    = 64        // conversations with a read mark for the worker
	keepBuffer      = 16 << 10  // bytes of a read buffer that is kept for the next frame
)

// session is one socket.
type session struct {
	sessions *Sessions
	deps     *Deps
	counters *Counters
	conn     *websocket.Conn
	in       *inbound // below conn
	log      *slog.Logger

	name atomic.Pointer[string] // uid and device, from the hello on; see openSessions

	greeted func() // reports that the hello has succeeded or failed; the reader calls it once or more

	// ctx ends with the socket. Its cause is the reason; see end.
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // the goroutines that the reader owns

	// Queues; see the package comment.
	out        chan []byte         // frames for the writer
	outBytes   *semaphore.Weighted // bytes of the frames in out and of the one that is being written
	goaways    chan wire.Goaway    // at most one; the writer sends it before the frames in out
	sends      chan *chat.Message  // for the worker
	room       chan struct{}       // signals the reader that there may be room for a send
	typingTo   chan string         // for the worker: uids to notify that the user is typing
	workerWake chan struct{}       // signals the worker that there are read marks or a watch list
	ackArrived chan struct{}       // signals the feeder that an ack arrived

	// Set by the reader during the hello, before the feeder and the worker start.
	uid     string
	device  string
	user    *user
	unwatch func() // stops watching the gate
	feed    *inbox.Feed
	attach  inbox.Attachment
	window  *settle.Window
	watcher *presence.Watcher

	// Reader only.
	frames, unknown, typing *rate.Limiter
	buf                     []byte

	// Reader and worker; safe for concurrent use.
	strikes *rate.Limiter

	// Worker only.
	workCtx           context.Context // ends finishWithin after the socket
	ownSends, watches *rate.Limiter
	watchRefusedUntil time.Time // until when the client knows that it watches too many people

	queued int // bytes of sends that wait for the worker; guarded by user.mu

	// Guarded by mu.
	mu           sync.Mutex
	claims       identity.Claims
	gate         gate.Gate
	tokenEnd     *time.Timer
	sending      map[string]*chat.Message // messages that wait for the worker or are being queued, by id
	readMarks    map[string]chat.Micros   // read marks that wait for the worker, by conversation
	watchList    []string                 // the watch list that waits for the worker, if hasWatchList
	hasWatchList bool
	timers       []*time.Timer
	leaving      bool // a goaway was sent or is queued
}

func newSession(ctx context.Context, ss *Sessions, conn *websocket.Conn, remote netip.Addr) *session {
	limits := ss.deps.Limits
	in, ok := conn.NetConn().(*inbound)
	if !ok {
		panic("session: the handshake did not use Metered")
	}
	s := &session{
		sessions: ss, deps: &ss.deps, counters: &ss.counters,
		conn: conn, in: in, log: ss.deps.Log.With("remote", remote.String()), greeted: func() {},
		out: make(chan []byte, queueFrames), outBytes: semaphore.NewWeighted(queueFrameBytes),
		goaways: make(chan wire.Goaway, 1), sends: make(chan *chat.Message, queueSends), room: make(chan struct{}, 1),
		typingTo: make(chan string, queueTyping), workerWake: make(chan struct{}, 1), ackArrived: make(chan struct{}, 1),
		frames: limits.Frames.limiter(), unknown: limits.Unknown.limiter(), typing: limits.Typing.limiter(),
		strikes: limits.Strikes.limiter(), ownSends: limits.Sends.limiter(),
		watches: limits.Watches.limiter(), readMarks: map[string]chat.Micros{},
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	in.bytes, in.overhead = limits.Bytes.limiter(), limits.Overhead.limiter()
	in.flooded = func(why error) {
		s.counters.Floods.Add(1)
		s.end(ErrRateLimited.WithRetry(floodRetry).WithCause(why))
	}
	return s
}

// end ends the socket because of why. If why is a *problem.Error, the client receives it in an error frame and as its
// close code. Only the first call has an effect. It does not block, and is safe for concurrent use.
func (s *session) end(why error) {
	var p *problem.Error
	if !errors.As(why, &p) && !isReadError(why) && !errors.Is(why, errSlow) {
		why = problem.Of(why)
	}
	s.cancel(why)
}

// why returns the reason for which the socket ended, or nil if it has not. If the context given to Serve has ended, the
// instance is shutting down.
func (s *session) why() error {
	cause := context.Cause(s.ctx)
	// Compared with ==, because these errors may also be the cause of a problem.
	if cause == context.Canceled || cause == context.DeadlineExceeded {
		return ErrGoingAway
	}
	return cause
}

// run starts fn as a goroutine of the socket. If fn panics, only this socket ends.
func (s *session) run(name string, fn func()) {
	s.wg.Go(func() {
		defer s.endOnPanic(name)
		fn()
	})
}

// endOnPanic is deferred by every goroutine of the socket.
func (s *session) endOnPanic(goroutine string) {
	if v := recover(); v != nil {
		s.counters.Panics.Add(1)
		s.log.Error("panic in a socket",
			"goroutine", goroutine, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		s.end(problem.Of(fmt.Errorf("panic in %s: %v", goroutine, v)))
	}
}

// serve runs the socket. It returns when all goroutines of the socket have ended and its acks are settled.
func (s *session) serve() {
	start := time.Now()
	s.run("writer", s.writeFrames)
	s.read()
	s.in.stopTimer()
	s.mu.Lock()
	for _, t := range s.timers {
		t.Stop()
	}
	s.mu.Unlock()
	// The rest is limited to settleWithin. It must happen before the request ends, because Cloud Run gives no CPU to an
	// instance without requests.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), settleWithin)
	defer cancel()
	s.wg.Wait()
	s.conn.Close()
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.feed != nil {
		s.feed.Close()
	}
	if s.watcher != nil {
		s.watcher.Close()
	}
	if s.window != nil {
		if err := s.window.Close(ctx); err != nil {
			s.counters.Unsettled.Add(1)
			s.log.Warn("socket ended before its acks were settled", "error", err)
		}
		if err := s.deps.Presence.Leave(ctx, s.uid); err != nil {
			s.log.Info("presence could not be updated after a socket ended", "error", err)
		}
	}
	if s.user != nil {
		s.user.leave(s)
	}
	s.logEnd(time.Since(start))
}

// logEnd counts and logs the end of the socket.
func (s *session) logEnd(age time.Duration) {
	why, c := s.why(), s.counters
	var p *problem.Error
	switch {
	case errors.As(why, &p) && p.Kind == problem.GoingAway:
		c.Moved.Add(1)
	case errors.As(why, &p):
		c.Refusals.Add(1)
		if p.Kind == problem.Replaced {
			c.Replaced.Add(1)
		}
		level := slog.LevelInfo
		if p.Kind == problem.Internal {
			level = slog.LevelError
		}
		s.log.Log(context.Background(), level, "socket ended", "code", p.Code, "error", why, "age", age)
		return
	case errors.Is(why, errClosedByClient):
		c.ClosedByClient.Add(1)
	case errors.Is(why, errSilent):
		c.Silent.Add(1)
	case errors.Is(why, errSlow):
		c.Slow.Add(1)
	default:
		c.Lost.Add(1)
	}
	s.log.Debug("socket ended", "error", why, "age", age)
}

// isStaying reports whether the socket is open and was not sent a goaway.
func (s *session) isStaying() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ctx.Err() == nil && !s.leaving
}

// goaway asks the client to open another socket, keeps serving this one for the given time, and then closes it. Only
// the first call sends a frame. A resync is skipped on a socket that is not attached yet: such a client has sent
// nothing that it could send again. goaway does not block.
func (s *session) goaway(reason wire.GoawayReason, within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || reason == wire.GoawayResync && s.tokenEnd == nil {
		return
	}
	// A second goaway can only have less time (drain after rotate). The client is already moving, so only the end of this
	// socket comes sooner.
	if !s.leaving {
		s.leaving = true
		s.goaways <- wire.Goaway{Reason: reason, WithinMS: within.Milliseconds()}
	}
	s.timers = append(s.timers, time.AfterFunc(within, func() { s.end(ErrGoingAway) }))
}

// after calls fn after d, unless the socket has ended by then.
func (s *session) after(d time.Duration, fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.timers = append(s.timers, time.AfterFunc(d, fn))
	}
}
