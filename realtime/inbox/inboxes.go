package inbox

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
)

// Errors of Enqueue, in addition to problem.ErrUnavailable. A send that failed with RetryAfter may be repeated
// unchanged; the other errors are final.
var (
	ErrIDReused  = problem.New(problem.Conflict, "id_reused", "This message could not be sent. Write it again.")
	ErrInboxFull = problem.New(problem.TooMany, "inbox_full",
		"Too many messages are waiting for this person. Yours will be sent when there is room.").WithRetry(15 * time.Second)
	ErrRecipientUnknown = problem.New(problem.NotFound, "recipient_unknown",
		"This person could not be found. They may have left.")
	ErrRecipientDisabled = problem.New(problem.Forbidden, "recipient_disabled",
		"This person's account is disabled, so the message was not sent.")
	ErrBlocked = problem.New(problem.Forbidden, "blocked", "This person does not accept messages from you.")
)

// Defaults and fixed limits; see DESIGN §5.
const (
	timeout = 3 * time.Second // of one operation

	maxWaiting          = 10_000         // messages that wait in one inbox
	maxWaitingPerSender = 1_000          // messages of one sender that wait in one inbox
	keepEvents          = 100            // newest events that are kept, for resuming
	keepFor             = time.Hour      // age up to which events are kept, …
	keepAtMost          = 2_000          // … up to this number
	maxEntries          = 20_000         // entries beyond which receipts are shed, because nothing may be trimmed
	expire              = 24 * time.Hour // time since its last use after which an inbox in which nothing waits expires

	compare = 30 * time.Second // interval at which every subscribed inbox is compared with its newest event
	probe   = 5 * time.Second  // interval at which the primaries are asked for their epochs
)

// Gates fills gate:{uid} in Redis if it is missing. gate.Gates implements it.
type Gates interface {
	Fill(ctx context.Context, uid string) error
}

// Options configure Inboxes.
type Options struct {
	Subscriber *redissub.Subscriber // required; shared with gate and presence
	Gates      Gates                // nil: Enqueue checks no gate (tests only)
	Now        func() time.Time     // default: time.Now
	Log        *slog.Logger         // default: slog.Default()

	MaxWaitingPerSender int // default: 1,000; set only by tests, among them those of session

	tuning tuning
}

// tuning holds the limits that only tests of this package change. Zero values take the defaults.
type tuning struct {
	MaxWaiting, KeepEvents, KeepAtMost, MaxEntries int
	KeepFor, Compare, Probe                        time.Duration
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	o.MaxWaitingPerSender = cmp.Or(o.MaxWaitingPerSender, maxWaitingPerSender)
	t := &o.tuning
	t.MaxWaiting = cmp.Or(t.MaxWaiting, maxWaiting)
	t.KeepEvents = cmp.Or(t.KeepEvents, keepEvents)
	t.KeepAtMost = cmp.Or(t.KeepAtMost, keepAtMost)
	t.MaxEntries = cmp.Or(t.MaxEntries, maxEntries)
	t.KeepFor = cmp.Or(t.KeepFor, keepFor)
	t.Compare = cmp.Or(t.Compare, compare)
	t.Probe = cmp.Or(t.Probe, probe)
}

// Inboxes gives access to every user's inbox.
type Inboxes struct {
	// immutable after construction
	rdb         redis.UniversalClient
	opts        Options
	resyncs     chan Resync
	reconnected chan struct{} // has a value when the subscription connection works again

	counters Counters

	// guarded by mu
	mu    sync.Mutex
	feeds map[*Feed]struct{}
}

// New returns Inboxes that use rdb. Feeds and Resyncs work while Run runs. Call New before the Subscriber runs.
func New(rdb redis.UniversalClient, opts Options) *Inboxes {
	opts.setDefaults()
	boxes := &Inboxes{rdb: rdb, opts: opts, resyncs: make(chan Resync, 1), reconnected: make(chan struct{}, 1),
		feeds: map[*Feed]struct{}{}}
	opts.Subscriber.OnReconnect(func() {
		select {
		case boxes.reconnected <- struct{}{}:
		default:
		}
	})
	return boxes
}

// Counters count what this instance did since it started.
type Counters struct {
	Enqueued      counter.Count // messages accepted
	Repeated      counter.Count // repeated sends of a waiting message
	Refused       counter.Count // messages refused, for any reason
	Full          counter.Count // messages refused because too many wait
	Appended      counter.Count // events other than messages
	Shed          counter.Count // receipts that a full inbox did not store
	PoisonEntries counter.Count // unreadable stream entries, skipped
	PoisonWakes   counter.Count // unreadable wakes, skipped
	FeedOverflows counter.Count // times that a feed dropped its wakes
	FeedsLost     counter.Count // times that a feed was marked lost, for any reason
	Compared      counter.Count // inboxes compared with their newest event
	Diverged      counter.Count // feeds that had missed the newest event
	Unavailable   counter.Count // operations that Redis did not execute
	Resyncs       counter.Count // times that Redis came back
	Epochs        counter.Count // times that Redis came back with another epoch
}

// Counters returns the counters of this instance.
func (boxes *Inboxes) Counters() *Counters { return &boxes.counters }

// Tune sets the options of a Redis client that this package needs, if they are unset, and returns o. Contexts bound
// every operation. Timeouts are short, because operations may be repeated. New connections spend no round trips on
// identifying the client.
func Tune(o *redis.UniversalOptions) *redis.UniversalOptions {
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.DialTimeout = cmp.Or(o.DialTimeout, 2*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 2*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 2*time.Second)
	o.PoolSize = cmp.Or(o.PoolSize, 32)
	// The default is 5 attempts, 100 ms apart, which is longer than an operation should wait.
	o.DialerRetries = cmp.Or(o.DialerRetries, 2)
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, 5*time.Minute) // the network cuts idle connections after 10 min
	if o.MaintNotificationsConfig == nil {
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	return o
}
