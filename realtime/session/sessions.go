// Package session serves WebSockets, from the hello to the close. Package wire documents the protocol.
//
// Each socket has one goroutine, the reader, which reads frames. Three tasks have a goroutine only while there is work
// for them:
//
//   - The feeder sends the user's inbox to the socket, live or from the stream.
//   - The worker does what needs Redis on behalf of the client, in order.
//   - The writer sends the frames of a bounded queue. The feeder and the worker write what they have queued themselves,
//     unless somebody writes already, so that an event wakes up one goroutine and not two. One system call writes all
//     frames that are queued.
//
// None of them holds a lock during I/O, and none waits for another socket.
//
//	client ─▶ reader ─┬─ acks ──────────────▶ settle.Window
//	                  ├─ sends, marks, … ───▶ worker ─▶ inbox, presence
//	                  └─ replies ─┐
//	client ◀─ writer ◀─ queue ◀───┴── feeder ◀─ inbox.Feed, the stream, presence
//
// Backpressure of the client: a full queue of sends, and a client that exceeds its share of bytes, stop the reader, so
// that the network slows the client down. Nothing is refused or dropped.
//
// Backpressure of the server: if a client is slow, its feeder stops at the full queue or at 256 unacknowledged
// messages. The feed then overflows and is marked as lost, and when there is room again, the feeder reads the stream
// from where it stopped. No event is dropped, and no other socket waits.
package session

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Errors that end sockets, besides those of the packages below.
var (
	ErrHelloExpected = problem.New(problem.Invalid, "hello_expected",
		"The app did not sign in to the server first. Reload the page.")
	ErrHelloTimeout = problem.New(problem.Invalid, "hello_timeout",
		"The app took too long to sign in to the server. Reload the page.")
	ErrHelloRepeated = problem.New(problem.Invalid, "hello_repeated",
		"The app signed in twice on one connection. Reload the page.")
	ErrOtherUser = problem.New(problem.Forbidden, "token_other_user",
		"You are now signed in as a different user. Reload the page.")
	ErrReplaced = problem.New(problem.Replaced, "socket_replaced",
		"You opened the chat in too many places, so it was closed here. Reload the page to use it here.")
	ErrGoingAway = problem.New(problem.GoingAway, "going_away",
		"The chat is moving to another server. It will reconnect in a moment.").WithRetry(time.Second)
)

// Reasons for which a socket ends without an error frame.
var (
	errClosedByClient = errors.New("closed by the client")
	errLost           = errors.New("the connection broke")
	errSilent         = errors.New("the client was silent for too long")
	errSlow           = errors.New("the client did not read in time")
)

// Deps is what sockets need. The zero value of a field with a default means that default.
type Deps struct {
	Inboxes  *inbox.Inboxes
	Settler  *settle.Settler
	Gates    *gate.Gates
	Presence *presence.Presence
	Verifier identity.Verifier
	Log      *slog.Logger                            // default: slog.Default()
	Now      func() time.Time                        // the server's wall clock; default: time.Now
	Jitter   func(below time.Duration) time.Duration // random in [0, below); default: rand.N

	// Away is called for messages that a device at which somebody looks has not shown. It must not block. nil: nobody is
	// notified.
	Away func(chat.Message)

	Limits    Limits
	Announced wire.Limits // for the welcome; default: wire.DefaultLimits(), and PerUser in any case
	// NewPeopleUnverified replaces Announced.NewPeople for a user whose address is not confirmed; default: 3.
	NewPeopleUnverified int
	PerUser             int           // sockets of one user on this instance; the oldest beyond are closed; default 10
	Watched             int           // people whose presence a user may watch in an hour on this instance; default 250
	AgeMin              time.Duration // a socket is asked to rotate at a random age from AgeMin; default 45 min
	AgeMax              time.Duration // to AgeMax; default 55 min
	GoawayWithin        time.Duration // time that a socket has after a rotate or resync; default 1 min
	ResyncOver          time.Duration // time over which resyncs are spread; default 5 s
	DrainOver           time.Duration // time over which Drain spreads its goaways; default 4 s

	// Welcomed is called for each socket whose hello was accepted. It must not block. nil: nobody listens.
	Welcomed func(signins.Use)
}

// Sessions is the set of all sockets of one instance. It is safe for concurrent use.
type Sessions struct {
	deps     Deps // immutable
	counters Counters

	failedLog, refusedLog logging.Sampler // of log entries about sends; failed: because Redis or the server failed

	mu       sync.Mutex
	open     map[*session]struct{}
	serving  int              // sockets that are open, or are being refused
	users    map[string]*user // by uid
	swept    time.Time        // when sweepUsers last ran
	draining bool
	drained  chan struct{} // closed when draining and no socket is open
}

// New returns a Sessions without sockets.
func New(deps Deps) *Sessions {
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Jitter == nil {
		deps.Jitter = rand.N[time.Duration]
	}
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	deps.Limits = deps.Limits.WithDefaults()
	if deps.PerUser <= 0 {
		deps.PerUser = 10
	}
	if deps.Announced == (wire.Limits{}) {
		deps.Announced = wire.DefaultLimits()
	}
	deps.Announced.Sockets = deps.PerUser
	deps.NewPeopleUnverified = cmp.Or(deps.NewPeopleUnverified, inbox.Limits{}.WithDefaults().NewPeopleUnverified)
	if deps.Watched <= 0 {
		deps.Watched = defaultWatched
	}
	def(&deps.AgeMin, 45*time.Minute)
	def(&deps.AgeMax, max(55*time.Minute, deps.AgeMin))
	deps.AgeMax = max(deps.AgeMax, deps.AgeMin)
	def(&deps.GoawayWithin, time.Minute)
	def(&deps.ResyncOver, 5*time.Second)
	def(&deps.DrainOver, 4*time.Second)
	ss := &Sessions{
		deps: deps, open: map[*session]struct{}{}, users: map[string]*user{}, drained: make(chan struct{}),
	}
	ss.counters.Open.Read = func() int64 { return int64(ss.Open()) }
	return ss
}

// Run asks all sockets to reconnect whenever Redis has come back. It runs until ctx ends, and returns its cause.
func (ss *Sessions) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-ss.deps.Inboxes.Resyncs():
			ss.deps.Log.Info("redis came back; asking sockets to resync", "sockets", ss.Open(), "new_epoch", r.NewEpoch)
			ss.spreadGoaways(ctx, wire.GoawayResync, ss.deps.ResyncOver,
				func() time.Duration { return ss.deps.GoawayWithin })
		}
	}
}

// Serve starts to serve a socket, whose handshake must have used Metered, and returns. When the socket has ended and
// its acks are settled, at most 5 s later, it closes conn and calls ended. The log has the client's address, remote.
// client is the kind of the device. If greeted is not nil, it is called once, when the user is known or the socket has
// ended.
func (ss *Sessions) Serve(conn *websocket.Conn, remote netip.Addr, client useragent.Client, greeted, ended func()) {
	s := newSession(ss, conn, inboundOf(conn), remote)
	s.greeted = greeted
	s.client = client
	ss.mu.Lock()
	ss.open[s] = struct{}{}
	ss.serving++
	draining := ss.draining
	ss.mu.Unlock()
	ss.counters.Opened.Add(1)
	if draining {
		s.end(ErrGoingAway)
	}
	go ss.serve(s, ended)
}

// Refuse starts to send why to the client, and returns. See Serve about the parameters.
func (ss *Sessions) Refuse(conn *websocket.Conn, remote netip.Addr, why *problem.Error, ended func()) {
	s := newSession(ss, conn, inboundOf(conn), remote)
	ss.mu.Lock()
	ss.serving++
	ss.mu.Unlock()
	ss.counters.Opened.Add(1)
	s.end(why)
	go ss.serve(s, ended)
}

// serve is the goroutine of a socket.
func (ss *Sessions) serve(s *session, ended func()) {
	defer func() {
		ss.mu.Lock()
		delete(ss.open, s)
		ss.serving--
		ss.checkDrained()
		ss.mu.Unlock()
	}()
	defer ended()
	defer s.endOnPanic("session")
	s.serve()
}

// Open returns the number of open sockets.
func (ss *Sessions) Open() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.open)
}

// Counters returns the counters of all sockets.
func (ss *Sessions) Counters() *Counters { return &ss.counters }

// Drain refuses new sockets and sends a goaway to all open ones, spread over Deps.DrainOver. They are served in the
// meantime. Sockets that are still open shortly before ctx ends are closed with code 1001. Drain returns when all
// sockets have ended and their acks are settled, or with the error of ctx.
func (ss *Sessions) Drain(ctx context.Context) error {
	ss.mu.Lock()
	ss.draining = true
	ss.checkDrained()
	ss.mu.Unlock()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(8 * time.Second)
	}
	// The last quarter of the time is for closing and settling the sockets that have not moved by themselves.
	closeAt := deadline.Add(-time.Until(deadline) / 4)
	over := min(ss.deps.DrainOver, time.Until(closeAt)/2)
	spreading, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		ss.spreadGoaways(spreading, wire.GoawayDrain, over,
			func() time.Duration { return max(time.Until(closeAt), 0) })
	})
	timer := time.AfterFunc(time.Until(closeAt), func() {
		for _, s := range ss.openSessions() {
			s.end(ErrGoingAway)
		}
	})
	defer timer.Stop()
	select {
	case <-ss.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkDrained closes drained when the last socket of a draining instance has ended. The caller holds ss.mu.
func (ss *Sessions) checkDrained() {
	if ss.draining && ss.serving == 0 {
		select {
		case <-ss.drained:
		default:
			close(ss.drained)
		}
	}
}

// openSessions returns the open sockets, ordered by user and device, so that tests can repeat a drain.
func (ss *Sessions) openSessions() []*session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	open := make([]*session, 0, len(ss.open))
	for s := range ss.open {
		open = append(open, s)
	}
	names := make(map[*session]string, len(open))
	for _, s := range open {
		names[s] = s.name()
	}
	slices.SortFunc(open, func(a, b *session) int { return strings.Compare(names[a], names[b]) })
	return open
}

// spreadGoaways sends a goaway to every socket that is open now, one after the other over the given time. It returns
// when all were sent or ctx has ended. It takes them in the order of openSessions. within returns the time that
// a socket has from its goaway on.
func (ss *Sessions) spreadGoaways(
	ctx context.Context, reason wire.GoawayReason, over time.Duration, within func() time.Duration,
) {
	open := ss.openSessions()
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, s := range open {
		timer.Reset(time.Until(start.Add(over * time.Duration(i) / time.Duration(len(open)))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		s.goaway(reason, within())
	}
}

// admitUser returns the user, and counts one more hello that is being handled; see user.admitted. It returns nil if
// these are more than Deps.PerUser.
func (ss *Sessions) admitUser(uid string) *user {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.sweepUsers()
	u := ss.users[uid]
	if u == nil {
		u = newUser(ss.deps.Limits)
		ss.users[uid] = u
	}
	if !u.admit(ss.deps.PerUser) {
		return nil
	}
	return u
}

// sweepUsers removes users who have no socket and whose limits have recovered. Removing them earlier would let a client
// continue a flood by reconnecting. The caller holds ss.mu.
func (ss *Sessions) sweepUsers() {
	now := time.Now()
	if now.Sub(ss.swept) < time.Minute {
		return
	}
	ss.swept = now
	for uid, u := range ss.users {
		if u.isIdle(now, ss.deps.Limits) {
			delete(ss.users, uid)
		}
	}
}
