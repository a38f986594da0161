// Package settle turns the acknowledgements of devices into saved messages (DESIGN §5, "Ack and settle").
//
// For every user, it collects the messages between the newest settled event and the newest acknowledged one. It
// publishes them, waits for the confirmation, reports them to their senders with delivered events, and only then lets
// the inbox drop them. If a step fails, a later flush continues with that step. A crash between any two steps repeats
// work and loses nothing. All users of an instance share the Pub/Sub messages of a flush.
//
// Read marks follow the acks in a pipeline with two steps: publish, then append read events to the inboxes of both
// users. A mark never overtakes the acks that came before it.
//
//	socket ─ Ack ──▶ Window ─▶ Settler ─▶ Pub/Sub ─▶ delivered events ─▶ inbox settled
//	       ─ Read ─▶        ─▶         ─▶ Pub/Sub ────────────────────────────────────▶ read events
package settle

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/logging"
)

// Publisher publishes to the topic delivery-acks.
type Publisher interface {
	// Publish returns nil after Pub/Sub has confirmed that it stores data. After an error, Pub/Sub may have stored it
	// as well; the settler then publishes the same entries again. Several goroutines call Publish at once. It must
	// return when ctx ends. A message that is published has the attributes that package trace takes from ctx.
	Publish(ctx context.Context, data []byte) error
}

// Options are the settings of a Settler. A zero value means the default.
type Options struct {
	Now    func() time.Time                        // sets delivered_at; default time.Now
	Log    *slog.Logger                            // default slog.Default()
	Jitter func(below time.Duration) time.Duration // random in [0, below); default: rand.N
	Drain  time.Duration                           // how long Run goes on after its context has ended; default 4 s

	// Limits that only tests change.
	gather       time.Duration // from the first acknowledged message to the flush
	maxMessages  int           // messages and read marks in one Pub/Sub message
	maxBytes     int           // bytes of data in one Pub/Sub message
	maxBackoff   time.Duration // longest wait between two attempts
	keepBytes    int           // bytes of events kept in memory for all users; lists beyond it are read from Redis
	maxReadMarks int           // read marks that wait
}

func (o *Options) setDefaults() {
	setDefault(&o.Drain, 4*time.Second)
	setDefault(&o.gather, 250*time.Millisecond)
	setDefault(&o.maxMessages, delivery.MaxMessages)
	setDefault(&o.maxBytes, delivery.MaxBytes)
	setDefault(&o.maxBackoff, 15*time.Second)
	setDefault(&o.keepBytes, 64<<20)
	setDefault(&o.maxReadMarks, 10_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.N[time.Duration]
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

func setDefault[T int | time.Duration](v *T, standard T) {
	if *v <= 0 {
		*v = standard
	}
}

// Settler settles for all users of one instance. It is safe for concurrent use.
type Settler struct {
	// immutable after construction
	inboxes *inbox.Inboxes
	pub     Publisher
	opts    Options
	wake    chan struct{} // holds a value when Run must check the schedule again

	counters  Counters
	failedLog logging.Sampler // of log entries about flushes that failed

	// guarded by mu, which is never held during I/O
	mu              sync.Mutex
	states          map[inboxKey]*inboxState
	dirty           map[*inboxState]struct{} // with something to settle, including those in flight
	flushAt         time.Time                // when to flush; zero if nothing waits
	queuedMessages  int                      // known to wait for the next flush
	queuedBytes     int                      // of queuedMessages
	keptBytes       int                      // of events in memory, for all states
	readMarks       int                      // that wait, for all states
	flushes         int                      // in progress
	publishFailures int                      // in a row
	publishAfter    time.Time                // earliest time of the next attempt
}

// inboxKey identifies one epoch of one inbox.
type inboxKey struct{ uid, epoch string }

// New returns a Settler. It settles while Run runs.
func New(inboxes *inbox.Inboxes, pub Publisher, opts Options) *Settler {
	opts.setDefaults()
	s := &Settler{inboxes: inboxes, pub: pub, opts: opts, wake: make(chan struct{}, 1),
		states: map[inboxKey]*inboxState{}, dirty: map[*inboxState]struct{}{}}
	s.counters.Waiting.Read = s.waiting
	return s
}

// Counters are the counters of one instance.
type Counters struct {
	Acks          counter.Count // acks received
	AcksDropped   counter.Count // acks of another epoch
	AcksEarly     counter.Count // acks beyond what the socket was sent
	Flushes       counter.Count
	Published     counter.Count // Pub/Sub messages confirmed
	PublishFailed counter.Count // Pub/Sub messages not confirmed
	Messages      counter.Count // messages settled
	Receipts      counter.Count // delivered events appended
	Reads         counter.Count // read marks published and appended
	FromStream    counter.Count // lists read from Redis because memory did not cover them
	Retaken       counter.Count // lists shortened because another instance had settled a part
	OtherEpoch    counter.Count // settlements dropped because the inbox has another epoch
	Failed        counter.Count // flushes of a user that failed and are retried
	Poison        counter.Count // undecodable messages skipped
	ReadsRefused  counter.Count // read marks refused because too many wait
	Forgotten     counter.Count // times that events in memory were discarded; they are read from Redis
	Refused       counter.Count // messages to deleted users, reported to their senders
	Waiting       counter.Gauge // users with something to settle
}

// Counters returns the counters of s.
func (s *Settler) Counters() *Counters { return &s.counters }

// waiting returns the number of users with something to settle.
func (s *Settler) waiting() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.dirty))
}
