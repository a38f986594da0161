package inbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
)

// Errors of Enqueue beside problem.ErrUnavailable. Those with RetryAfter may
// be sent again unchanged; the others are final.
var (
	ErrIDReused  = problem.New(problem.Conflict, "id_reused", "This message could not be sent. Write it again.")
	ErrInboxFull = problem.New(problem.TooMany, "inbox_full",
		"Too many messages wait for this person. This one will be sent when there is room.").WithRetry(15 * time.Second)
	ErrRecipientUnknown  = problem.New(problem.NotFound, "recipient_unknown", "This person has no account here, or has left.")
	ErrRecipientDisabled = problem.New(problem.Forbidden, "recipient_disabled", "This person's account is disabled, so the message was not sent.")
	ErrBlocked           = problem.New(problem.Forbidden, "blocked", "This person does not take messages from you.")
)

// Gates fills gate:{uid} in Redis where it is missing; gate.Gates does it.
type Gates interface {
	Fill(ctx context.Context, uid string) error
}

// Options of Inboxes. Zero values take the defaults named.
type Options struct {
	Subscriber *redissub.Subscriber // needed; shared with gate and presence
	Gates      Gates                // nil: Enqueue asks no gate (tests only)

	Now     func() time.Time // time.Now
	Log     *slog.Logger     // slog.Default()
	Timeout time.Duration    // of one operation; 3 s

	MaxWaiting          int           // messages waiting in one inbox; 10,000
	MaxWaitingPerSender int           // of them from one sender; 1,000
	KeepEvents          int           // newest events kept for resuming; 100
	KeepFor             time.Duration // every event is kept this long; 1 h
	KeepAtMost          int           // but at most as many; 2,000
	MaxEntries          int           // beyond which receipts are shed at once, since nothing may be trimmed; 20,000
	Expire              time.Duration // of an inbox with nothing unacknowledged, after its last use; 24 h

	Compare time.Duration // how often every subscribed inbox is compared with its last event; 30 s
	Probe   time.Duration // how often the primaries are asked who they are; 5 s
}

func (o *Options) setDefaults() {
	set(&o.Timeout, 3*time.Second)
	set(&o.MaxWaiting, 10_000)
	set(&o.MaxWaitingPerSender, 1_000)
	set(&o.KeepEvents, 100)
	set(&o.KeepFor, time.Hour)
	set(&o.KeepAtMost, 2_000)
	set(&o.MaxEntries, 20_000)
	set(&o.Expire, 24*time.Hour)
	set(&o.Compare, 30*time.Second)
	set(&o.Probe, 5*time.Second)
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

// Inboxes is every user's inbox.
type Inboxes struct {
	// fixed after construction
	rdb      redis.UniversalClient
	opts     Options
	resyncs  chan Resync
	returned chan struct{} // has a value when the subscription connection works again

	n counts

	// guarded by mu
	mu     sync.Mutex
	feeds  map[*Feed]struct{}
	resync *Resync // merged into the value of resyncs that nobody has read
}

// New returns Inboxes on rdb. Feeds and Resyncs work while Run runs. It must be
// called before the Listener runs.
func New(rdb redis.UniversalClient, opts Options) *Inboxes {
	opts.setDefaults()
	x := &Inboxes{rdb: rdb, opts: opts, resyncs: make(chan Resync, 1), returned: make(chan struct{}, 1),
		feeds: map[*Feed]struct{}{}}
	opts.Subscriber.OnReconnect(func(time.Duration) {
		select {
		case x.returned <- struct{}{}:
		default:
		}
	})
	return x
}

// Counters are counts since the start of this instance.
type Counters struct {
	Enqueued, Repeated, Refused int64 // messages taken; sent again; refused
	Full                        int64 // of Refused, for inbox_full
	Appended                    int64 // events other than messages
	Shed                        int64 // receipts that a full inbox could not keep
	PoisonEntries, PoisonWakes  int64 // skipped
	FeedOverflows, FeedsLost    int64 // feeds that dropped wakes; that were marked lost for any reason
	Compared, Diverged          int64 // inboxes compared; whose last event a feed had not been told of
	Unavailable                 int64 // operations that Redis did not do
	Resyncs, Epochs             int64 // times that Redis came back; with another epoch
}

type counts struct {
	enqueued, repeated, refused, full, appended, shed, poisonEntries, poisonWakes,
	feedOverflows, feedsLost, compared, diverged, unavailable, resyncs, epochs atomic.Int64
}

// Snapshot returns the counters.
func (x *Inboxes) Snapshot() Counters {
	n := &x.n
	return Counters{
		Enqueued: n.enqueued.Load(), Repeated: n.repeated.Load(), Refused: n.refused.Load(), Full: n.full.Load(),
		Appended: n.appended.Load(), Shed: n.shed.Load(),
		PoisonEntries: n.poisonEntries.Load(), PoisonWakes: n.poisonWakes.Load(),
		FeedOverflows: n.feedOverflows.Load(), FeedsLost: n.feedsLost.Load(),
		Compared: n.compared.Load(), Diverged: n.diverged.Load(),
		Unavailable: n.unavailable.Load(), Resyncs: n.resyncs.Load(), Epochs: n.epochs.Load(),
	}
}

// Tune sets what this package needs of a Redis client, where it is unset, and
// returns o: contexts bound every operation, timeouts are short (operations may
// be repeated), and no connection spends round trips on introducing itself.
func Tune(o *redis.UniversalOptions) *redis.UniversalOptions {
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	set(&o.DialTimeout, 2*time.Second)
	set(&o.ReadTimeout, 2*time.Second)
	set(&o.WriteTimeout, 2*time.Second)
	set(&o.PoolSize, 32)
	set(&o.DialerRetries, 2)               // by default 5, 100 ms apart: longer than an operation should wait
	set(&o.ConnMaxIdleTime, 5*time.Minute) // idle connections are cut after 10 min
	if o.MaintNotificationsConfig == nil {
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	return o
}
