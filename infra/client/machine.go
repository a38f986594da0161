package client

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// effects are what a machine can do to the world. None blocks for long, none
// calls the machine.
type effects interface {
	dial(socket int)            // answered by dialed
	write(socket int, b []byte) // a failure is answered by closed
	close(socket int)           // answered by nothing
	load(job loadJob)           // answered by loaded
	renewToken()                     // answered by renewed
}

// phase is how far a socket has come.
type phase uint8

const (
	dialing  phase = iota // dial was called
	greeted               // hello was sent
	catching              // welcome has come
	live                  // caught_up has come
)

// socket is what a machine knows of one connection.
type socket struct {
	n       int
	phase   phase
	leaving bool // told to go away: another one is to be opened

	heardAt  time.Time // of the last frame, or of the dial
	pingedAt time.Time // when a ping asked whether the link lives; zero when none is open
	probedAt time.Time // when it was last doubted
	liveAt   time.Time

	ackCursor string    // newest stored cursor that this socket brought, not yet acknowledged
	ackDue    time.Time // zero: nothing to acknowledge
	ackedAt   time.Time

	// Of own messages, reset with every socket:
	queue    []string             // outbox entries that wait for their answer on this socket, as typed
	inflight map[string]time.Time // sent on this socket at, no answer yet
}

// machine is the client rules as a state machine. Inputs are its methods,
// outputs go to fx. It has no goroutine, timer or clock of its own: every input
// brings the device's time, and tick is to be called when next says.
// All calls come one at a time.
type machine struct {
	store       *Store
	fx          effects
	rnd         *rand.Rand
	pace        Pace
	misbehavior Misbehavior
	note        func(Note)

	connected bool
	sockets   []*socket // open or being dialled, oldest first
	lastN     int
	tries     int           // failed attempts since the last good socket
	retryAt   time.Time     // when to dial; zero when a dial is not wanted or under way
	offset    time.Duration // the server's clock minus the device's, from the last welcome
	token     string        // for hello; set by renewed, before any dialed that reports success
	renewAt   time.Time     // when to ask for a fresh token; zero while one is under way

	holds        map[string]hold // conversations whose outbox is held back by a refusal
	holdEnds     time.Time       // earliest end of a hold; zero for none
	loading      bool            // a load of history is under way
	loadTries    int
	loadAt       time.Time     // when to try to pay the history debt; zero: at once
	openRequests []openRequest // conversations that the person opened, to be loaded
	readAt       time.Time     // when to send unsent read marks; zero for none
}

type hold struct {
	until time.Time
	tries int
}

func newMachine(store *Store, fx effects, rnd *rand.Rand, pace Pace, misbehavior Misbehavior, note func(Note)) *machine {
	return &machine{store: store, fx: fx, rnd: rnd, pace: pace, misbehavior: misbehavior, note: note, holds: map[string]hold{}}
}

// goOnline lets the machine connect, at once.
func (m *machine) goOnline(now time.Time) {
	if m.connected {
		return
	}
	m.connected, m.tries = true, 0
	m.connect(now)
}

// goOffline gives up all sockets and dials until goOnline.
func (m *machine) goOffline() {
	wasUp := m.up() != nil
	m.connected, m.retryAt = false, time.Time{}
	for _, s := range m.sockets {
		m.fx.close(s.n)
	}
	m.sockets = nil
	if wasUp {
		m.note(Note{NoteKind: NoteDown})
	}
}

// up returns the newest socket that is caught up, or nil. It is the one that
// own frames go to.
func (m *machine) up() *socket {
	for _, s := range slices.Backward(m.sockets) {
		if s.phase == live {
			return s
		}
	}
	return nil
}

// newestWelcomed returns the newest socket that has its welcome: the one whose
// events move the cursor. An older one may bring events of an epoch that is over.
func (m *machine) newestWelcomed() *socket {
	for _, s := range slices.Backward(m.sockets) {
		if s.phase >= catching {
			return s
		}
	}
	return nil
}

func (m *machine) socket(n int) *socket {
	for _, s := range m.sockets {
		if s.n == n {
			return s
		}
	}
	return nil
}

// connect dials unless a socket is on its way or a good one is there.
func (m *machine) connect(now time.Time) {
	m.retryAt = time.Time{}
	if !m.connected {
		return
	}
	for _, s := range m.sockets {
		if !s.leaving {
			return
		}
	}
	m.lastN++
	m.sockets = append(m.sockets, &socket{n: m.lastN, heardAt: now})
	m.fx.dial(m.lastN)
}

// retry plans the next dial with full jitter, and not before atLeast from now.
func (m *machine) retry(now time.Time, atLeast time.Duration) {
	bound := m.pace.RetryFirst << min(m.tries, 16)
	if bound > m.pace.RetryMax || bound <= 0 {
		bound = m.pace.RetryMax
	}
	m.tries++
	m.retryAt = now.Add(atLeast + m.jitter(bound))
}

// dialed tells how a dial ended.
func (m *machine) dialed(now time.Time, n int, ok bool) {
	s := m.socket(n)
	switch {
	case s == nil && ok:
		m.fx.close(n)
	case s == nil:
	case !ok:
		m.drop(now, s, 0)
	default:
		s.phase, s.heardAt = greeted, now
		cursor := m.store.Cursor()
		m.fx.write(n, encodeHello(m.token, m.store.device, cursor))
		if cursor != "" {
			m.note(Note{NoteKind: NoteAcked, Cursor: cursor})
		}
	}
}

// closed tells that a socket has ended, by whoever's wish, and with which code.
func (m *machine) closed(now time.Time, n, code int) {
	if code == problem.TokenEnded.CloseCode() {
		m.token = "" // the next dial brings a fresh one
	}
	if s := m.socket(n); s != nil {
		m.drop(now, s, 0)
	}
}

// drop forgets a socket and, unless another one serves or comes, plans the next.
func (m *machine) drop(now time.Time, s *socket, atLeast time.Duration) {
	before := m.up()
	m.fx.close(s.n)
	m.sockets = slices.DeleteFunc(m.sockets, func(o *socket) bool { return o == s })
	if before == s {
		if m.up() == nil {
			m.note(Note{NoteKind: NoteDown})
		}
		if now.Sub(s.liveAt) >= 5*time.Second { // a socket that dies young is no reason to begin again at 500 ms
			m.tries = 0
		}
	}
	if !m.connected || !m.retryAt.IsZero() {
		return
	}
	for _, o := range m.sockets {
		if !o.leaving {
			return
		}
	}
	m.retry(now, atLeast)
}

// frame takes one frame of a server. One that cannot be read ends the socket,
// since passing over it would lose what it holds.
func (m *machine) frame(now time.Time, n int, data []byte) {
	s := m.socket(n)
	if s == nil {
		return
	}
	f, err := wire.DecodeServer(data)
	if err != nil {
		m.drop(now, s, m.pace.RetryFirst)
		return
	}
	s.heardAt, s.pingedAt = now, time.Time{}
	switch f := f.(type) {
	case wire.Welcome:
		m.welcome(now, s, f)
	case wire.EventFrame:
		m.event(now, s, f)
	case wire.CaughtUp:
		m.caughtUp(now, s, f)
	case wire.Sent:
		m.sent(now, s, f)
	case wire.ErrorFrame:
		m.errorFrame(now, s, f)
	case wire.Goaway:
		if !s.leaving {
			s.leaving = true
			m.connect(now)
		}
	}
}

func (m *machine) welcome(now time.Time, s *socket, f wire.Welcome) {
	m.offset = f.Now.Time().Sub(now)
	if s.phase < catching {
		s.phase = catching
	}
	if !f.Resumed {
		m.store.commit(func(d *durable) {
			d.recordGap(chat.Micros(m.pace.Margin.Microseconds()))
			m.note(Note{NoteKind: NoteNotResumed})
		})
		m.loadTries, m.loadAt = 0, now
		if s.phase == live { // a gap in mid-stream: what was accepted may be lost as well
			m.requeue(s)
		}
	}
}

func (m *machine) caughtUp(now time.Time, s *socket, f wire.CaughtUp) {
	if s.phase == live {
		return
	}
	older := m.up()
	s.phase, s.liveAt = live, now
	if s == m.newestWelcomed() {
		m.store.commit(func(d *durable) { d.cursor = f.Cursor })
	}
	switch {
	case older == nil:
		m.note(Note{NoteKind: NoteUp})
	default:
		m.note(Note{NoteKind: NoteMoved})
	}
	for _, o := range slices.Clone(m.sockets) { // what the old ones brought is acknowledged on them
		if o != s && o.n < s.n {
			m.ack(now, o)
			m.fx.close(o.n)
			m.sockets = slices.DeleteFunc(m.sockets, func(x *socket) bool { return x == o })
		}
	}
	m.requeue(s)
	m.readAt = now
	m.tick(now)
}

// requeue makes everything that is not yet delivered go out again on s, unchanged.
func (m *machine) requeue(s *socket) {
	m.store.mu.Lock()
	s.queue = slices.Clone(m.store.d.outbox)
	m.store.mu.Unlock()
	s.inflight = map[string]time.Time{}
}

// chance returns a duration below bound.
func (m *machine) jitter(bound time.Duration) time.Duration {
	return time.Duration(m.rnd.Int64N(int64(bound)))
}

// at returns the place in time of a message that is sent for the first time now.
func (m *machine) placeAt(now time.Time, c *conversation) chat.Micros {
	return max(chat.MicrosOf(now.Add(m.offset)), c.newest+1)
}
