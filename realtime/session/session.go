package session

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Time limits of a socket, besides those of package wire.
const (
	settleWithin  = 5 * time.Second  // from the end of a socket until its connection is closed
	finishWithin  = 3 * time.Second  // part of settleWithin: sends that were read before the end
	writeWithin   = 10 * time.Second // one frame
	farewellTime  = 2 * time.Second  // queued frames, the error frame and the close frame
	echoWithin    = time.Second      // from our close frame to the client's
	retryRedisMin = 500 * time.Millisecond
	retryRedisMax = 5 * time.Second
	floodRetry    = 30 * time.Second // after a socket was closed for a flood
)

// Sizes of a socket's queues. An empty queue takes no memory.
const (
	queueFrames     = 64        // frames for the writer, …
	queueFrameBytes = 256 << 10 // … and their bytes; a larger frame waits until the queue is empty
	queueSends      = 64        // sends for the worker; their bytes are limited as well, see user
	queueTyping     = 8         // typing frames for the worker
	maxReadMarks    = 64        // conversations with a read mark for the worker
)

// session is one socket.
type session struct {
	// immutable after construction
	sessions *Sessions
	deps     *Deps
	counters *Counters
	conn     *websocket.Conn
	in       *inbound // below conn
	remote   netip.Addr
	began    time.Time // monotonic
	opened   time.Time // as Deps.Now says

	client  useragent.Client
	greeted func() // reports that the hello has succeeded or failed; reader only, and nil after the report

	// ctx ends with the socket. Its cause is the reason; see end.
	ctx    context.Context
	cancel context.CancelCauseFunc
	tasks  tasks
	out    outbox

	// Set during the hello, before the feeder and the worker run.
	user       *user
	background bool   // of a service worker, or a short visit: no presence and no hints; see wire.ClientFrame
	unwatch    func() // stops watching the gate
	feed       *inbox.Feed
	window     *settle.Window

	// The reader makes them for the first frame that needs them. They are safe for concurrent use.
	limiters *limiters

	// Worker only.
	workCtx           context.Context // ends finishWithin after the socket; nil: not needed so far
	endWork           func()
	sendAllowed       time.Time // when the first of sends may be sent, as the rate limits said; zero: they were not asked
	watchRefusedUntil time.Time // until when the client knows that it watches too many people

	reported inbox.ID // up to which unacknowledged messages were reported; worker, and then finish

	// Feeder only, and for the feeder.
	feeder      feeder
	ackWaited   atomic.Bool // the feeder waits for acks
	retryRead   atomic.Bool // alarmRead: a failed read of the stream may be repeated
	presenceDue atomic.Bool // watcher has changes

	// Guarded by user.mu.
	queued int           // bytes of sends
	room   chan struct{} // signals the reader that there may be room for a send; nil: it has never waited

	// Guarded by mu.
	mu           sync.Mutex
	uid, device  string // from the hello on; all but the reader and the tasks need mu
	readDeadline time.Time
	claims       identity.Claims
	gate         gate.Gate
	gateSet      bool              // whether gate has been read
	watcher      *presence.Watcher // nil: the client has watched nobody
	alarms       alarms
	sends        []inbox.Item           // for the worker, with the one that it works on
	echoes       [8]inbox.Item          // the last ones that the worker has worked on, until their sent events come
	nextEcho     int                    // in echoes
	typingTo     []string               // for the worker: uids to notify that the user is typing
	readMarks    map[string]chat.Micros // for the worker, by conversation; nil: none
	watchList    []string               // for the worker, if hasWatchList
	hasWatchList bool
	listsDue     bool     // the worker has not looked at the read marks, the watch list and looking yet
	looking      bool     // somebody looks at the device
	looks        bool     // package presence counts the device as looked at
	vouched      bool     // looks was true before
	lateID       inbox.ID // of a message whose ack is awaited, if alarmLate is set or lateDue
	lateDue      bool     // alarmLate has rung, and the worker has not looked at it yet
	leaving      bool     // a goaway was sent or is queued
}

// newSession returns the session of a socket whose reader reads from conn. in is below conn.
func newSession(ss *Sessions, conn *websocket.Conn, in *inbound, remote netip.Addr) *session {
	s := &session{sessions: ss, deps: &ss.deps, counters: &ss.counters,
		conn: conn, in: in, remote: remote, began: time.Now(), opened: ss.deps.Now()}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.out.changed.L = &s.out.mu
	in.bytes, in.overheadLimit = ss.deps.Limits.Bytes.limiter(), ss.deps.Limits.Overhead
	in.flooded = func(why error) {
		s.counters.Floods.Add(1)
		s.end(ErrRateLimited.WithRetry(floodRetry).WithCause(why))
	}
	return s
}

// log returns the log of the socket. It is made for each use, because a socket logs little.
func (s *session) log() *slog.Logger {
	s.mu.Lock()
	uid, device := s.uid, s.device
	s.mu.Unlock()
	if uid == "" {
		return s.deps.Log.With("remote", s.remote.String())
	}
	return s.deps.Log.With("remote", s.remote.String(), "uid", uid, "device", device)
}

// name returns the user and the device, by which openSessions sorts.
func (s *session) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uid == "" {
		return ""
	}
	return s.uid + " " + s.device
}

// end ends the socket because of why. If why is a *problem.Error, the client receives it in an error frame and as its
// close code. Only the first call has an effect. It does not block, and is safe for concurrent use.
func (s *session) end(why error) {
	var p *problem.Error
	if !errors.As(why, &p) && !isReadError(why) && !errors.Is(why, errSlow) {
		why = problem.Of(why)
	}
	s.endTasks(func() { s.cancel(why) })
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.changed.Broadcast()
}

// why returns the reason for which the socket ended, or nil if it has not.
func (s *session) why() error { return context.Cause(s.ctx) }

// serve runs the socket. It returns when all goroutines of the socket have ended and its acks are settled.
func (s *session) serve() {
	// Our end of the connection stays open until then, because Cloud Run gives no CPU to an instance without requests.
	defer s.in.Close()
	s.setAlarm(alarmPing, wire.PingEvery)
	s.read()
	s.finish()
}

// finish ends everything that belongs to the socket, after the reader has returned.
//
//go:noinline
func (s *session) finish() {
	s.stopAlarms()
	s.in.stopTimer()
	ctx, cancel := context.WithTimeout(context.Background(), settleWithin)
	defer cancel()
	s.tasks.wg.Wait()
	if s.endWork != nil {
		s.endWork()
	}
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
			s.log().Warn("socket ended before its acks were settled", "error", err)
		}
		s.leavePresence(ctx)
	}
	if s.user != nil {
		s.user.leave(s)
	}
	s.logEnd(time.Since(s.began))
}

// leavePresence ends the part of the socket in the presence of its user.
func (s *session) leavePresence(ctx context.Context) {
	if s.background {
		return
	}
	if err := s.deps.Presence.Leave(ctx, s.uid, s.looks); err != nil {
		s.log().Info("presence could not be updated after a socket ended", "error", err)
	}
	s.reportLeft(ctx)
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
		s.log().Log(context.Background(), level, "socket ended", "code", p.Code, "error", why, "age", age)
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
	s.log().Debug("socket ended", "error", why, "age", age)
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
	if s.ctx.Err() != nil || reason == wire.GoawayResync && !s.alarms.isSet(alarmToken) {
		s.mu.Unlock()
		return
	}
	// A second goaway can only have less time (drain after rotate). The client is already moving, so only the end of this
	// socket comes sooner.
	first := !s.leaving
	s.leaving = true
	if at := s.alarms.at[alarmLeave]; at == 0 || time.Since(s.began)+within < at {
		s.setAlarmLocked(alarmLeave, within)
	}
	s.mu.Unlock()
	if first {
		s.pushGoaway(wire.Goaway{Reason: reason, WithinMS: within.Milliseconds()})
	}
}
