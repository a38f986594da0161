package client

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/wire"
)

// effects are the actions of a machine. They do not block for long and do not call the machine.
type effects interface {
	dial(socket int)            // followed by dialed
	write(socket int, b []byte) // followed by closed if it fails
	close(socket int)           // followed by nothing
	load(job loadJob)           // followed by loaded
	renewToken()                // followed by tokenRenewed
}

// phase is the progress of a socket's handshake.
type phase uint8

const (
	dialing  phase = iota // dial was called
	greeted               // hello was sent
	catching              // welcome was received
	live                  // caught_up was received
)

// socket is the machine's state of one connection.
type socket struct {
	n       int
	phase   phase
	leaving bool // the server sent goaway: another socket is to be opened
	changes bool // the server accepts changes

	refusedAt   time.Time     // time of the last error frame without an id
	refusedWait time.Duration // its retry_after

	heardAt  time.Time // time of the last frame, or of the dial
	pingedAt time.Time // time of a ping without an answer; zero if there is none
	probedAt time.Time // time of the last ping
	liveAt   time.Time

	ackCursor string    // newest stored cursor from this socket that is not acknowledged yet
	ackDue    time.Time // zero: nothing to acknowledge
	ackedAt   time.Time

	// Own messages, reset with every socket:
	queue    []rowKey             // outbox entries that need an answer on this socket, in the order of typing
	inflight map[rowKey]time.Time // when each message was sent that has no answer on this socket yet
}

// machine is the client rules as a state machine. Its methods are the inputs, and outputs go to fx. It has no
// goroutine or timer: every input passes the time by a clock that never jumps, and the caller calls tick at the time
// that next returns. Calls must not overlap.
type machine struct {
	store       *Store
	fx          effects
	rnd         *rand.Rand // jitter
	ids         *rand.Rand // ids of messages: another source, so that they do not depend on how often jitter is drawn
	changeIDs   *rand.Rand // ids of changes, for the same reason
	pace        Pace
	misbehavior Misbehavior
	note        func(Note)
	wall        func() time.Time
	newID       func(conversation, fresh string) string // may be nil
	looking     bool

	online     bool
	background bool      // the device sleeps, and its socket is a short visit
	sockets    []*socket // open or being dialed, oldest first
	lastN      int
	tries      int       // failed attempts since the last good socket
	retryAt    time.Time // when to dial; zero if no dial is planned
	clock      serverClock
	token      string    // for hello; tokenRenewed sets it before the first successful dial
	renewAt    time.Time // when to request a new token; zero while a request is running

	holds        map[string]hold // conversations that wait after a retryable refusal
	holdEnds     time.Time       // when the first hold ends; zero if there is none
	loading      bool            // a load of history is running
	loadTries    int
	loadAt       time.Time     // earliest time of the next load; zero: now
	openRequests []openRequest // conversations that the user opened and that are still to be loaded
	readAt       time.Time     // when to send read marks; zero if there are none
}

type hold struct {
	until       time.Time
	tries       int
	forStranger bool // ends at once when the other user writes
}

// newMachine returns a machine of a device that is offline. Rand, Pace, Note and Wall of opts must be set.
func newMachine(store *Store, fx effects, opts Options) *machine {
	return &machine{
		store: store, fx: fx, rnd: opts.Rand, ids: rand.New(rand.NewPCG(opts.Rand.Uint64(), opts.Rand.Uint64())),
		changeIDs: rand.New(rand.NewPCG(opts.Rand.Uint64(), opts.Rand.Uint64())),
		pace:      opts.Pace, misbehavior: opts.Misbehavior, note: opts.Note, wall: opts.Wall, newID: opts.NewID,
		looking: opts.Looking,
		holds:   map[string]hold{},
	}
}

// goOnline lets the machine connect, and connects.
func (m *machine) goOnline(now time.Time) {
	if m.online {
		return
	}
	m.online, m.tries = true, 0
	m.connect(now)
}

// goOffline closes all sockets and dials no more until goOnline.
func (m *machine) goOffline() {
	wasUp := m.up() != nil
	m.online, m.retryAt = false, time.Time{}
	for _, s := range m.sockets {
		m.fx.close(s.n)
	}
	m.sockets = nil
	if wasUp {
		m.note(Note{NoteKind: NoteDown})
	}
}

// up returns the newest socket that is caught up, or nil. Own frames are sent on it.
func (m *machine) up() *socket {
	for _, s := range slices.Backward(m.sockets) {
		if s.phase == live {
			return s
		}
	}
	return nil
}

// newestWelcomed returns the newest socket that has its welcome. Only its events move the cursor, because an older
// socket may deliver events of an epoch that has ended.
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

// connect dials, unless a dial is running or a socket is open that need not leave.
func (m *machine) connect(now time.Time) {
	m.retryAt = time.Time{}
	if !m.online {
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

// retry plans the next dial with full jitter, at least atLeast from now.
func (m *machine) retry(now time.Time, atLeast time.Duration) {
	bound := m.pace.RetryFirst << min(m.tries, 16)
	if bound > m.pace.RetryMax || bound <= 0 {
		bound = m.pace.RetryMax
	}
	m.tries++
	m.retryAt = now.Add(atLeast + m.jitter(bound))
}

// dialed reports the end of a dial.
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
		m.fx.write(n, encodeHello(m.token, m.store.device, cursor, m.looking, m.background))
		if cursor != "" {
			m.note(Note{NoteKind: NoteAcked, Cursor: cursor})
		}
	}
}

// closed reports that a socket has ended, on either side, and its close code.
func (m *machine) closed(now time.Time, n, code int) {
	if code == problem.TokenEnded.CloseCode() {
		m.token = "" // request a new one before the next dial
	}
	s := m.socket(n)
	if s == nil {
		return
	}
	var atLeast time.Duration
	switch {
	case code == problem.Replaced.CloseCode():
		// Another device took the place of this one. If this one took it back at once, the two would go on forever.
		atLeast = m.pace.Replaced + m.jitter(m.pace.Replaced*9/10) // and some seconds in retry
	case now.Sub(s.refusedAt) < closesWithin:
		atLeast = s.refusedWait // the error ended the socket
	}
	m.drop(now, s, atLeast)
}

// closesWithin is the longest time between an error frame that ends a socket and its close.
const closesWithin = 5 * time.Second

// reconnect dials at once, because the user asks for it, although a dial may be planned for later.
func (m *machine) reconnect(now time.Time) {
	m.tries = 0
	m.connect(now)
}

// drop removes a socket. Unless another socket is open or being dialed, it plans the next dial.
func (m *machine) drop(now time.Time, s *socket, atLeast time.Duration) {
	before := m.up()
	m.fx.close(s.n)
	m.sockets = slices.DeleteFunc(m.sockets, func(o *socket) bool { return o == s })
	if before == s {
		if m.up() == nil {
			m.note(Note{NoteKind: NoteDown})
		}
		if now.Sub(s.liveAt) >= 5*time.Second { // a socket that ends early does not reset the backoff
			m.tries = 0
		}
	}
	if !m.online || !m.retryAt.IsZero() {
		return
	}
	for _, o := range m.sockets {
		if !o.leaving {
			return
		}
	}
	m.retry(now, atLeast)
}

// frame handles one frame of a server. A frame that cannot be decoded ends the socket, since skipping it could lose
// an event.
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
		m.sent(now, f)
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
	m.clock = serverClock{now: f.Now.Time(), at: now}
	s.changes = f.Changes
	if s.phase < catching {
		s.phase = catching
	}
	if !f.Resumed {
		m.store.commit(func(d *durable) {
			d.recordGap(now, m.pace.Margin)
			m.note(Note{NoteKind: NoteNotResumed})
		})
		m.loadTries, m.loadAt = 0, now
		if s.phase == live { // a gap in mid-stream: accepted messages may be lost as well
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
		m.store.commit(func(d *durable) { m.heard(d, now, f.Cursor) })
	}
	switch {
	case older == nil:
		m.note(Note{NoteKind: NoteUp})
	default:
		m.note(Note{NoteKind: NoteMoved})
	}
	for _, o := range slices.Clone(m.sockets) { // events are acknowledged on the socket that delivered them
		if o != s && o.n < s.n {
			m.ack(now, o)
			m.fx.close(o.n)
			m.sockets = slices.DeleteFunc(m.sockets, func(open *socket) bool { return open == o })
		}
	}
	m.requeue(s)
	m.readAt = now
	m.tick(now)
}

// requeue queues every message of the outbox on s, unchanged.
func (m *machine) requeue(s *socket) {
	m.store.mu.Lock()
	s.queue = slices.Clone(m.store.d.outbox)
	m.store.mu.Unlock()
	s.inflight = map[rowKey]time.Time{}
}

// jitter returns a random duration below bound.
func (m *machine) jitter(bound time.Duration) time.Duration {
	return time.Duration(m.rnd.Int64N(int64(bound)))
}

// serverClock derives the server's time from the last welcome and the time since. The device's wall clock has no part
// in it, because it may be corrected at any time. A machine that sleeps may stop the monotonic clock, so the result may
// be behind until the next welcome, but never ahead.
type serverClock struct {
	now time.Time // what the welcome said
	at  time.Time // when it arrived
}

func (c serverClock) time(now time.Time) time.Time { return c.now.Add(now.Sub(c.at)) }

// placeAt returns the at of a message or change that is sent for the first time now. It is above everything that the
// device has seen in the conversation. There was a welcome, as a socket is caught up.
func (m *machine) placeAt(now time.Time, d *durable, conversation string) chat.Micros {
	c := d.conv(conversation)
	seen := max(c.newest, c.change)
	for row, k := range d.changes {
		if row.conversation == conversation {
			seen = max(seen, k.At)
		}
	}
	return max(chat.MicrosOf(m.clock.time(now)), seen+1)
}

// heard records the cursor of the last event, and that no event before it is missing, but for those of a gap.
func (m *machine) heard(d *durable, now time.Time, cursor string) {
	d.cursor, d.heard, d.knew = cursor, now, chat.MicrosOf(m.clock.time(now))
}
