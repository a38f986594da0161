package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
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

// Times of a socket beside those of package wire.
const (
	settleWithin  = 5 * time.Second  // from the end of a socket to the return of its handler
	finishWithin  = 3 * time.Second  // of them for sends that were read before the end
	writeWithin   = 10 * time.Second // one frame
	farewellTime  = 2 * time.Second  // what is queued, the error and the close frame
	echoWithin    = time.Second      // from our close frame to the client's
	retryRedisMin = 500 * time.Millisecond
	retryRedisMax = 5 * time.Second
)

// Sizes of a socket's queues.
const (
	queueFrames = 64 // frames for the writer
	queueSends  = 64 // sends for the worker
	queueHints  = 8  // typing frames for the worker
	maxMarks    = 64 // conversations whose read mark waits for the worker
)

// session is one socket.
type session struct {
	x    *Sessions
	conn *websocket.Conn
	log  *slog.Logger

	greeted func() // tells that the hello is over, good or not; called by the reader, once or more

	// ctx ends with the socket; its cause says why. See end.
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // the goroutines that the reader owns

	// Queues; see the package comment.
	out     chan []byte       // frames for the writer
	goaways chan wire.Goaway  // one, ahead of out
	sends   chan chat.Message // for the worker
	hints   chan string       // for the worker: uids to tell of typing
	poke    chan struct{}     // tells the worker of marks or a watch list
	acked   chan struct{}     // tells the feeder that an ack came

	// Set by the reader at the hello, before the feeder and the worker start.
	uid     string
	user    *user
	unwatch func() // stops hearing of the gate
	feed    *inbox.Feed
	attach  inbox.Attachment
	account *settle.Window
	watcher *presence.Watcher

	// Reader only.
	frames, typing, strikes *rate.Limiter
	buf                     []byte

	// Worker only, but for throttled.
	ownSends, watches *rate.Limiter
	throttled         atomic.Bool // the worker waits for the rate of sends

	mu       sync.Mutex
	claims   identity.Claims
	gate     gate.Gate
	tokenEnd *time.Timer
	marks    map[string]chat.Micros // read marks that wait for the worker
	watch    []string               // the watch list that waits for the worker
	newWatch bool
	timers   []*time.Timer
	leaving  bool // a goaway was sent or is queued
}

func newSession(ctx context.Context, x *Sessions, conn *websocket.Conn) *session {
	limits := x.deps.Limits
	s := &session{
		x: x, conn: conn, greeted: func() {}, log: x.deps.Log.With("remote", conn.RemoteAddr().String()),
		out: make(chan []byte, queueFrames), goaways: make(chan wire.Goaway, 1),
		sends: make(chan chat.Message, queueSends), hints: make(chan string, queueHints),
		poke: make(chan struct{}, 1), acked: make(chan struct{}, 1),
		frames: limits.Frames.limiter(), ownSends: limits.Sends.limiter(), watches: limits.Watches.limiter(), typing: limits.Typing.limiter(), strikes: limits.Strikes.limiter(),
		marks: map[string]chat.Micros{},
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// end ends the socket. A *problem.Error is told to the client in an error
// frame and its close code. The first end counts. It does not block and may be
// called by any goroutine.
func (s *session) end(why error) {
	var p *problem.Error
	if !errors.As(why, &p) && !ofReading(why) && !errors.Is(why, errSlow) {
		why = problem.Of(why)
	}
	s.cancel(why)
}

// why returns what the socket ended with; nil while it has not. The end of the
// context that Serve was given is that of the instance.
func (s *session) why() error {
	cause := context.Cause(s.ctx)
	if cause == context.Canceled || cause == context.DeadlineExceeded { // bare: not the cause of a problem
		return ErrGoingAway
	}
	return cause
}

// run starts fn as a goroutine of the socket. A panic in it ends this socket and no other.
func (s *session) run(name string, fn func()) {
	s.wg.Go(func() {
		defer s.recover(name)
		fn()
	})
}

func (s *session) recover(name string) {
	if v := recover(); v != nil {
		s.x.counts.panics.Add(1)
		s.log.Error("panic in a socket", "goroutine", name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		s.end(problem.Of(fmt.Errorf("panic in %s: %v", name, v)))
	}
}

// serve is the life of the socket. It returns when all its goroutines have
// ended and its acks are settled.
func (s *session) serve() {
	begin := time.Now()
	s.run("writer", s.write)
	s.read()
	s.mu.Lock()
	for _, t := range s.timers {
		t.Stop()
	}
	s.mu.Unlock()
	// From here on 5 s: an instance without a request in flight has no CPU.
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
	if s.account != nil {
		if err := s.account.Close(ctx); err != nil {
			s.x.counts.unsettled.Add(1)
			s.log.Warn("socket ended before its acks were settled", "error", err)
		}
		if err := s.x.deps.Presence.Leave(ctx, s.uid); err != nil {
			s.log.Info("presence was not told that a socket ended", "error", err)
		}
	}
	if s.user != nil {
		s.x.leave(s.user)
	}
	s.tell(time.Since(begin))
}

// tell counts and logs the end of the socket.
func (s *session) tell(age time.Duration) {
	why, c := s.why(), &s.x.counts
	var p *problem.Error
	switch {
	case errors.As(why, &p) && p.Kind == problem.GoingAway:
		c.moved.Add(1)
	case errors.As(why, &p):
		c.refusals.Add(1)
		level := slog.LevelInfo
		if p.Kind == problem.Internal {
			level = slog.LevelError
		}
		s.log.Log(context.Background(), level, "socket ended", "code", p.Code, "error", why, "age", age)
		return
	case errors.Is(why, errClosedByClient):
		c.closedByClient.Add(1)
	case errors.Is(why, errSilent):
		c.silent.Add(1)
	case errors.Is(why, errSlow):
		c.slow.Add(1)
	default:
		c.lost.Add(1)
	}
	s.log.Debug("socket ended", "error", why, "age", age)
}

// read is the reader: hello, then frames until the socket ends.
func (s *session) read() {
	defer s.recover("reader")
	defer s.greeted()
	s.keepAlive()
	if err := s.hello(); err != nil {
		s.end(err)
	}
	s.greeted()
	for {
		f, err := s.next()
		if err == nil && s.ctx.Err() == nil {
			err = s.handle(f)
		}
		if err != nil {
			s.end(err)
		}
		if ofReading(err) {
			return
		}
	}
}

// ofReading reports whether err is one of reading, after which nothing more is
// read. After another the reader goes on until the client has answered the
// close frame, since a connection closed on unread bytes loses what was written.
func ofReading(err error) bool {
	return errors.Is(err, errClosedByClient) || errors.Is(err, errLost) || errors.Is(err, errSilent)
}

// hello waits for the hello, admits its user, and starts the feeder and the worker.
func (s *session) hello() error {
	_ = s.conn.SetReadDeadline(time.Now().Add(wire.HelloWithin)) // an error shows in the read
	var f wire.ClientFrame
	for {
		var err error
		if f, err = s.next(); errors.Is(err, errSilent) {
			return ErrHelloTimeout
		} else if err != nil {
			return err
		}
		if s.ctx.Err() != nil {
			return s.why()
		}
		if f.Known() {
			break
		}
		s.x.counts.unknownFrames.Add(1)
		if _, ok := take(s.strikes); !ok {
			return ErrRateLimited
		}
	}
	if f.Type != wire.TypeHello {
		return ErrHelloExpected.WithCause(fmt.Errorf("first frame is %q", f.Type))
	}
	claims, err := s.x.deps.Verifier.Verify(s.ctx, f.Token)
	if err != nil {
		return err
	}
	s.uid, s.claims = claims.UID, claims
	s.extend()
	s.log = s.log.With("uid", s.uid, "device", f.Device)
	if err := s.admit(f.Cursor); err != nil {
		return err
	}
	s.start()
	s.x.counts.welcomed.Add(1)
	return nil
}

// admit asks the user's gate and attaches to the inbox.
func (s *session) admit(cursor string) error {
	d := s.x.deps
	s.unwatch = d.Gates.Watch(s.uid, s.gateChanged) // first, so that no change falls between
	g, err := d.Gates.Get(s.ctx, s.uid)
	if err != nil {
		return err
	}
	if err := s.setGate(g); err != nil {
		return err
	}
	if s.user, err = s.x.join(s.uid); err != nil {
		return err
	}
	// Subscribed first, so that nothing falls between the two.
	if s.feed, err = d.Inboxes.Subscribe(s.ctx, s.uid); err != nil {
		return err
	}
	if s.attach, err = d.Inboxes.Attach(s.ctx, s.uid, cursor); err != nil {
		return err
	}
	s.account = d.Settler.Open(s.uid, s.attach)
	s.watcher = d.Presence.Watch()
	if err := d.Presence.Join(s.ctx, s.uid); err != nil {
		s.log.Info("presence was not told of a socket", "error", err)
	}
	return nil
}

// start begins everything that lasts until the socket ends.
func (s *session) start() {
	d := s.x.deps
	s.mu.Lock()
	s.tokenEnd = time.AfterFunc(s.claims.Expires.Sub(d.Now()), func() {
		s.end(problem.ErrTokenEnded)
	})
	age := d.AgeMin + rand.N(d.AgeMax-d.AgeMin+1)
	s.timers = append(s.timers, s.tokenEnd, time.AfterFunc(age, func() {
		s.goaway(wire.GoawayRotate, d.GoawayWithin)
	}))
	s.mu.Unlock()
	s.run("feeder", s.feedEvents)
	s.run("worker", s.work)
}

// gateChanged holds the socket to the user's gate as it is now.
func (s *session) gateChanged(g gate.Gate) {
	if err := s.setGate(g); err != nil {
		s.end(err)
	}
}

func (s *session) setGate(g gate.Gate) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = g
	return g.Admit(s.claims.AuthTime)
}

// goaway asks the client to open another socket, serves this one for as long
// as told, and then closes it. Only the first call counts. A socket that is not yet attached
// has nothing to resync. It does not block.
func (s *session) goaway(reason string, within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || reason == wire.GoawayResync && s.tokenEnd == nil {
		return
	}
	// A second goaway is a shorter one (drain after rotate): the client goes
	// already, only the end comes sooner.
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
