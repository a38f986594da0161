// Package settle turns the acknowledgements of devices into saved messages:
// it publishes what was delivered, tells the senders, and only then lets the
// inbox forget (DESIGN §5, "ack").
//
// For every user it takes the message events between what is settled and what
// was acknowledged, publishes them, waits for the confirmation, puts one
// delivered event per sender into the senders' inboxes, and then clears them
// from the user's inbox, in that order. A crash between any two steps repeats
// work and loses none. All users of an instance share one Pub/Sub message per flush.
//
//	socket ─ Sent, Ack ─▶ Account ─▶ Settler ─▶ Pub/Sub ─▶ delivered events ─▶ inbox settled
package settle

import (
	"context"
	"log/slog"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Publisher publishes on the topic delivery-acks.
type Publisher interface {
	// Publish returns nil when Pub/Sub has confirmed that it keeps data. After an
	// error it may have it nevertheless; data is then published again. It is called by several goroutines at once and must
	// end when ctx does.
	Publish(ctx context.Context, data []byte) error
}

// Options of a Settler. Zero values take the defaults named.
type Options struct {
	Now func() time.Time // time.Now
	Log *slog.Logger     // slog.Default()

	Gather      time.Duration // from the first ack to the flush; 250 ms
	MaxMessages int           // in one Pub/Sub message; delivery.MaxMessages
	MaxBytes    int           // of its data; delivery.MaxBytes
	Publish     time.Duration // timeout of one Publish; 10 s
	Drain       time.Duration // how long Run goes on settling after its context ended; 4 s
	MaxBackoff  time.Duration // longest wait between attempts, with jitter; 15 s
	KeepBytes   int           // of events kept in memory for all users; beyond it, lists are read from Redis; 64 MB
	MaxReads    int           // read marks that wait; 10,000
}

// Settler settles for every user of one instance. Safe for many goroutines.
type Settler struct {
	inboxes *inbox.Inboxes
	pub     Publisher
	opts    Options
}

// New returns a Settler, which settles while Run runs.
func New(inboxes *inbox.Inboxes, pub Publisher, opts Options) *Settler {
	return &Settler{inboxes, pub, opts}
}

// Run flushes until ctx ends, then flushes what is left for at most
// Options.Drain, and returns the cause of ctx. It must be called exactly once.
func (s *Settler) Run(ctx context.Context) error { return problem.ErrUnavailable }

// Account is what one socket was sent and has acknowledged. Sent and Ack are
// for one goroutine at a time each; Close may be called once by any.
type Account struct{}

// Open begins the account of a socket of uid, attached at a. Where a was
// resumed, its cursor counts as an ack.
func (s *Settler) Open(uid string, a inbox.Attachment) *Account { return &Account{} }

// Sent notes that the socket was sent e (or it is in its write queue), an event of the
// given epoch. Every event that the socket is sent must be noted, of any type,
// in order. An event of another epoch forgets all acks of the old one.
func (a *Account) Sent(epoch string, e inbox.Event) {}

// Ack notes that the device has stored everything up to c. An ack of another
// epoch is dropped; one beyond what the socket was sent is remembered, and
// applied as it is sent. It does not block.
func (a *Account) Ack(c inbox.Cursor) {}

// Unacked returns the number of message events that the socket was sent and
// has not acknowledged, for flow control.
func (a *Account) Unacked() int { return 0 }

// Read queues a read mark of the user, to be published, and then put as a read
// event into the inboxes of both people, after the acks that came before it. r must be checked. The
// error is problem.ErrUnavailable when too many wait.
func (a *Account) Read(r delivery.Read) error { return problem.ErrUnavailable }

// Close ends the account and returns when what it acknowledged is settled, or
// with problem.ErrUnavailable when ctx ends before; settling then goes on in the
// background for as long as Run does. The last account of a user flushes at once.
func (a *Account) Close(ctx context.Context) error { return problem.ErrUnavailable }

// Gone settles the inbox of a deleted user: the senders of what waits in it
// are sent refused events, and then it is removed. The gate must say that the user does
// not exist before it is called, so that nothing is queued meanwhile. May be repeated.
func (s *Settler) Gone(ctx context.Context, uid string) error { return problem.ErrUnavailable }

// Counters are counts since the start of this instance.
type Counters struct {
	Acks, AcksDropped, AcksEarly      int64 // acks applied; of another epoch; beyond what was sent
	Flushes, Published, PublishFailed int64 // flushes; Pub/Sub messages confirmed; failed
	Messages, Receipts, Reads         int64 // messages settled; delivered events appended; read marks settled
	FromStream                        int64 // lists that memory did not cover
	Retaken                           int64 // lists taken anew, since another instance had settled meanwhile
	OtherEpoch                        int64 // settlements dropped by the inbox's script
	Poison, ReadsRefused, Forgotten   int64 // undecodable messages passed over; read marks refused; times memory was given up
	Refused                           int64 // messages to deleted users
	Waiting                           int64 // users with something to settle, now
}

// Snapshot returns the counters.
func (s *Settler) Snapshot() Counters { return Counters{} }
