// Package session serves WebSockets: what a client and this instance say to
// each other from the hello to the close (package wire tells the protocol).
//
// A socket has four goroutines. The reader, which is the caller of
// [Sessions.Serve], reads frames and owns the other three: the writer, the only
// one that writes data frames, takes them from a bounded queue; the feeder
// brings the user's inbox to the socket, live or from the stream; the worker
// does what waits for Redis on the client's behalf, in order. None of them
// holds a lock across I/O, and none waits for another socket.
//
//	client ─▶ reader ─┬─ acks ──────────────▶ settle.Window
//	                  ├─ sends, marks, … ───▶ worker ─▶ inbox, presence
//	                  └─ answers ─┐
//	client ◀─ writer ◀─ queue ◀───┴── feeder ◀─ inbox.Feed, the stream, presence
//
// A slow client stops its own feeder at the full queue, or at 256
// unacknowledged messages; its feed overflows and is marked lost, and when there is room
// again the feeder reads the stream from where it stopped. No event is dropped,
// and nobody else waits.
package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// Errors that end sockets, beside those of the packages below.
var (
	ErrHelloExpected = problem.New(problem.Invalid, "hello_expected", "The app spoke before it said who it is. Reload the page.")
	ErrHelloTimeout  = problem.New(problem.Invalid, "hello_timeout", "The app did not say who it is in time. Reload the page.")
	ErrHelloRepeated = problem.New(problem.Invalid, "hello_repeated", "The app said twice who it is. Reload the page.")
	ErrOtherUser     = problem.New(problem.Forbidden, "token_other_user", "You are signed in as someone else now. Reload the page.")
	ErrTooManyOpen   = problem.New(problem.TooMany, "too_many_sockets", "The chat is open in too many places at once. Close some of them.").WithRetry(30 * time.Second)
	ErrGoingAway     = problem.New(problem.GoingAway, "going_away", "The chat moves to another server.").WithRetry(time.Second)
)

// Deps is what sockets need. Zero values of those with a default take it.
type Deps struct {
	Inboxes  *inbox.Inboxes
	Settler  *settle.Settler
	Gates    *gate.Gates
	Presence *presence.Presence
	Verifier identity.Verifier
	Log      *slog.Logger     // default: slog.Default()
	Now      func() time.Time // the server's wall clock; default: time.Now

	Limits       Limits
	PerUser      int           // sockets of one user on this instance; default 50
	AgeMin       time.Duration // a socket is asked to rotate at a random age between these two;
	AgeMax       time.Duration // defaults 45 and 55 min
	GoawayWithin time.Duration // how long it is served after that, or after a resync; default 1 min
	ResyncOver   time.Duration // over which resyncs are spread; default 5 s
	DrainOver    time.Duration // over which Drain spreads its goaways; default 4 s
}

// Sessions is all sockets of one instance. It is safe for use by many goroutines.
type Sessions struct {
	deps   Deps
	counts counts

	mu       sync.Mutex
	open     map[*session]struct{}
	users    map[string]*user
	swept    time.Time
	draining bool
	drained  chan struct{} // closed when draining and no socket is open
}

// user is what the sockets of one user on this instance share.
type user struct {
	sockets int
	sends   *rate.Limiter
}

// New returns Sessions without sockets.
func New(deps Deps) *Sessions {
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	deps.Limits = deps.Limits.WithDefaults()
	if deps.PerUser <= 0 {
		deps.PerUser = 50
	}
	def(&deps.AgeMin, 45*time.Minute)
	def(&deps.AgeMax, max(55*time.Minute, deps.AgeMin))
	deps.AgeMax = max(deps.AgeMax, deps.AgeMin)
	def(&deps.GoawayWithin, time.Minute)
	def(&deps.ResyncOver, 5*time.Second)
	def(&deps.DrainOver, 4*time.Second)
	return &Sessions{deps: deps, open: map[*session]struct{}{}, users: map[string]*user{}, drained: make(chan struct{})}
}

// Run asks sockets to reconnect whenever Redis came back, until ctx ends, and
// returns its cause.
func (x *Sessions) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-x.deps.Inboxes.Resyncs():
			x.deps.Log.Info("redis came back: sockets are asked to resync", "sockets", x.Open(), "other_life", r.Epoch)
			x.spread(ctx, wire.GoawayResync, x.deps.ResyncOver, func() time.Duration { return x.deps.GoawayWithin })
		}
	}
}

// Serve serves one socket until it ends, and returns then, when its
// acknowledgements are settled, or 5 s after the end. conn is closed. The
// end of ctx ends the socket with 1001. greeted, if not nil, is called when
// its user is known or the socket has ended, once or more.
func (x *Sessions) Serve(ctx context.Context, conn *websocket.Conn, greeted func()) {
	s := newSession(ctx, x, conn)
	if greeted != nil {
		s.greeted = greeted
	}
	x.mu.Lock()
	x.open[s] = struct{}{}
	refuse := x.draining
	x.mu.Unlock()
	x.counts.opened.Add(1)
	x.counts.open.Add(1)
	defer func() {
		x.counts.open.Add(-1)
		x.mu.Lock()
		delete(x.open, s)
		x.checkDrained()
		x.mu.Unlock()
	}()
	if refuse {
		s.end(ErrGoingAway)
	}
	s.serve()
}

// Refuse tells conn why it is not served, and closes it.
func (x *Sessions) Refuse(ctx context.Context, conn *websocket.Conn, why *problem.Error) {
	s := newSession(ctx, x, conn)
	x.counts.opened.Add(1)
	s.end(why)
	s.serve()
}

// Open returns the number of open sockets.
func (x *Sessions) Open() int { return int(x.counts.open.Load()) }

// Snapshot returns the counters.
func (x *Sessions) Snapshot() Counters { return x.counts.snapshot() }

// Drain refuses new sockets and asks all open ones to go, spread over
// Deps.DrainOver and served meanwhile. Those that are still there shortly before
// ctx ends are closed with 1001. It returns when all sockets have ended and
// their acknowledgements are settled, or with the error of ctx.
func (x *Sessions) Drain(ctx context.Context) error {
	x.mu.Lock()
	x.draining = true
	x.checkDrained()
	x.mu.Unlock()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(8 * time.Second)
	}
	// The last part of the time is for those who have not gone, to be closed and settled.
	last := deadline.Add(-time.Until(deadline) / 4)
	over := min(x.deps.DrainOver, time.Until(last)/2)
	spreading, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		x.spread(spreading, wire.GoawayDrain, over, func() time.Duration { return max(time.Until(last), 0) })
	})
	timer := time.AfterFunc(time.Until(last), func() {
		for _, s := range x.all() {
			s.end(ErrGoingAway)
		}
	})
	defer timer.Stop()
	select {
	case <-x.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkDrained closes drained when the last socket of a draining instance has
// ended. x.mu is held.
func (x *Sessions) checkDrained() {
	if x.draining && len(x.open) == 0 {
		select {
		case <-x.drained:
		default:
			close(x.drained)
		}
	}
}

func (x *Sessions) all() []*session {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := make([]*session, 0, len(x.open))
	for s := range x.open {
		all = append(all, s)
	}
	return all
}

// spread asks every socket that is open now to go, one after the other over
// the given time, and returns when all were asked or ctx has ended. The order
// is that of a map: random enough.
func (x *Sessions) spread(ctx context.Context, reason string, over time.Duration, within func() time.Duration) {
	all := x.all()
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, s := range all {
		timer.Reset(time.Until(begin.Add(over * time.Duration(i) / time.Duration(len(all)))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		s.goaway(reason, within())
	}
}

// join counts one more socket of uid.
func (x *Sessions) join(uid string) (*user, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweep()
	u := x.users[uid]
	if u == nil {
		u = &user{sends: x.deps.Limits.UserSends.limiter()}
		x.users[uid] = u
	}
	if u.sockets >= x.deps.PerUser {
		return nil, ErrTooManyOpen
	}
	u.sockets++
	return u, nil
}

func (x *Sessions) leave(u *user) {
	x.mu.Lock()
	defer x.mu.Unlock()
	u.sockets--
}

// sweep forgets users without sockets whose rate is full again; before that a
// flood could begin anew by reconnecting. x.mu is held.
func (x *Sessions) sweep() {
	now := time.Now()
	if now.Sub(x.swept) < time.Minute {
		return
	}
	x.swept = now
	for uid, u := range x.users {
		if u.sockets == 0 && u.sends.TokensAt(now) >= float64(u.sends.Burst()) {
			delete(x.users, uid)
		}
	}
}

// errClosedByClient and the following are ends of a socket that its client is not told of.
var (
	errClosedByClient = errors.New("closed by the client")
	errLost           = errors.New("the connection broke")
	errSilent         = errors.New("nothing was heard")
	errSlow           = errors.New("the client did not read")
)
