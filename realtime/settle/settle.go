// Package settle turns the acknowledgements of devices into saved messages:
// it publishes what was delivered, tells the senders, and only then lets the
// inbox forget (DESIGN §5, "ack").
//
// For every user it takes the message events between what is settled and what
// was acknowledged, publishes them, waits for the confirmation, puts one
// delivered event per sender into the senders' inboxes, and then clears them
// from the user's inbox, in that order. A crash between any two steps repeats
// work and loses none. All users of an instance share one Pub/Sub message per
// flush.
//
//	socket ─ Sent, Ack, Read ─▶ Account ─▶ Settler ─▶ Pub/Sub ─▶ delivered, read events ─▶ inbox settled
package settle

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// Publisher publishes on the topic delivery-acks.
type Publisher interface {
	// Publish returns nil when Pub/Sub has confirmed that it keeps data. After
	// an error it may have it nevertheless; the same entries are then published
	// again. It is called by several goroutines at once and must end when ctx does.
	Publish(ctx context.Context, data []byte) error
}

// Options of a Settler. Zero values take the defaults named.
type Options struct {
	Now func() time.Time // time.Now; for delivered_at
	Log *slog.Logger     // slog.Default()

	Gather      time.Duration // from the first ack of a message to the flush; 250 ms
	GatherRest  time.Duration // from the first ack of nothing but receipts to the flush; 2 s
	MaxMessages int           // in one Pub/Sub message; delivery.MaxMessages
	MaxBytes    int           // of its data; delivery.MaxBytes
	Publish     time.Duration // timeout of one Publish; 10 s
	Drain       time.Duration // how long Run goes on settling after its context ended; 4 s
	MaxBackoff  time.Duration // longest wait between attempts, with jitter; 15 s
	KeepBytes   int           // of events kept in memory for all users; beyond it, lists are read from Redis; 64 MB
	MaxReads    int           // read marks that wait; 10,000
}

func (o *Options) setDefaults() {
	set(&o.Gather, 250*time.Millisecond)
	set(&o.GatherRest, 2*time.Second)
	set(&o.MaxMessages, delivery.MaxMessages)
	set(&o.MaxBytes, delivery.MaxBytes)
	set(&o.Publish, 10*time.Second)
	set(&o.Drain, 4*time.Second)
	set(&o.MaxBackoff, 15*time.Second)
	set(&o.KeepBytes, 64<<20)
	set(&o.MaxReads, 10_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

func set[T int | time.Duration](v *T, standard T) {
	if *v <= 0 {
		*v = standard
	}
}

// Settler settles for every user of one instance. Safe for many goroutines.
type Settler struct {
	// fixed after construction
	inboxes *inbox.Inboxes
	pub     Publisher
	opts    Options
	poke    chan struct{} // has a value when Run should look again

	n counts

	// guarded by mu, which is never held across I/O
	mu       sync.Mutex
	persons  map[place]*person
	dirty    map[*person]struct{} // have something to settle; those in flight included
	due      time.Time            // when to flush; zero where nothing waits
	messages int                  // known to wait for the next flush
	bytes    int                  // of them
	kept     int                  // bytes of events in memory, of all persons
	reads    int                  // read marks that wait, of all persons
	flushing int                  // flushes under way
	failures int                  // of Publish in a row
	retryAt  time.Time            // not to publish before
}

// place is one life of one inbox.
type place struct{ uid, epoch string }

// New returns a Settler, which settles while Run runs.
func New(inboxes *inbox.Inboxes, pub Publisher, opts Options) *Settler {
	opts.setDefaults()
	return &Settler{inboxes: inboxes, pub: pub, opts: opts, poke: make(chan struct{}, 1),
		persons: map[place]*person{}, dirty: map[*person]struct{}{}}
}

// Counters are counts since the start of this instance.
type Counters struct {
	Acks, AcksDropped, AcksEarly      int64 // acks; of them of another epoch; beyond what was sent
	Flushes, Published, PublishFailed int64 // flushes; Pub/Sub messages confirmed; failed
	Messages, Receipts, Reads         int64 // messages settled; delivered events appended; read marks settled
	FromStream                        int64 // lists that memory did not cover
	Retaken                           int64 // lists taken anew, since another instance had settled meanwhile
	OtherEpoch                        int64 // settlements dropped, since the inbox lives another life
	Failed                            int64 // settlements that Redis did not do; they are tried again
	Poison                            int64 // undecodable messages passed over
	ReadsRefused                      int64 // read marks refused since too many wait
	Forgotten                         int64 // times that events in memory were given up; they are read from Redis
	Refused                           int64 // messages to deleted users, told to their senders
	Waiting                           int64 // users with something to settle, now
}

type counts struct {
	acks, acksDropped, acksEarly, flushes, published, publishFailed, messages, receipts, reads, fromStream,
	retaken, otherEpoch, failed, poison, readsRefused, forgotten, refused atomic.Int64
}

// Snapshot returns the counters.
func (s *Settler) Snapshot() Counters {
	s.mu.Lock()
	waiting := int64(len(s.dirty))
	s.mu.Unlock()
	n := &s.n
	return Counters{
		Acks: n.acks.Load(), AcksDropped: n.acksDropped.Load(), AcksEarly: n.acksEarly.Load(),
		Flushes: n.flushes.Load(), Published: n.published.Load(), PublishFailed: n.publishFailed.Load(),
		Messages: n.messages.Load(), Receipts: n.receipts.Load(), Reads: n.reads.Load(),
		FromStream: n.fromStream.Load(), Retaken: n.retaken.Load(), OtherEpoch: n.otherEpoch.Load(),
		Failed: n.failed.Load(), Poison: n.poison.Load(), ReadsRefused: n.readsRefused.Load(),
		Forgotten: n.forgotten.Load(), Refused: n.refused.Load(), Waiting: waiting,
	}
}
