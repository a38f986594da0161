package inbox

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Errors of Enqueue, in addition to problem.ErrUnavailable. A send that failed with RetryAfter may be repeated
// unchanged; the other errors are final. See Limits for what each limit counts.
var (
	ErrIDReused  = problem.New(problem.Conflict, "id_reused", "This message could not be sent. Write it again.")
	ErrInboxFull = problem.New(problem.TooMany, "inbox_full",
		"Too many messages are waiting for this person. Yours will be sent when there is room.").WithRetry(15 * time.Second)
	ErrAnswerAwaited = problem.New(problem.TooMany, "answer_awaited",
		"This person has not answered you yet. Your message will be sent when they have read the others or answered.").
		WithRetry(time.Minute)
	ErrTooManyNewPeople = problem.New(problem.TooMany, "too_many_new_people",
		"You have written to many new people today. Your message will be sent tomorrow.").WithRetry(time.Hour)
	// ErrContactsForbidden refuses a sender to whom an admin has forbidden new contacts.
	ErrContactsForbidden = problem.New(problem.Forbidden, "contacts_forbidden",
		"You may not write to new people at the moment. You can still write to people you have chatted with.")
	// ErrWritersLimited refuses a sender whom the recipient has never answered, because the recipient does not want
	// messages from such people.
	ErrWritersLimited = problem.New(problem.Forbidden, "writers_limited",
		"This person only gets messages from people they have written to.")
	ErrOutboxFull = problem.New(problem.TooMany, "outbox_full",
		"Too many of your messages are waiting to be read. This one will be sent when there is room.").
		WithRetry(time.Minute)
	ErrRateLimited = problem.New(problem.TooMany, "rate_limited",
		"You are doing this too often. The app will try again in a moment.")
	ErrRecipientUnknown = problem.New(problem.NotFound, "recipient_unknown",
		"This person could not be found. They may have left.")
	// ErrRecipientUnavailable does not tell whether the recipient is disabled or has blocked the sender.
	ErrRecipientUnavailable = problem.New(problem.Forbidden, "recipient_unavailable", "You cannot write to this person.")
	// ErrWithdrawn is only the code of refused events: the sender's account was disabled, or an operator removed the
	// message.
	ErrWithdrawn = problem.New(problem.Forbidden, "withdrawn", "This message was withdrawn, so it was not delivered.")
)

// Defaults and fixed limits; see DESIGN §5.
const (
	// Limit of one operation. Redis may take some seconds to answer, for example while it rewrites its append-only file
	// or moves to another machine, and an operation that is given up was often carried out. A new connection needs two
	// answers.
	timeout = 10 * time.Second

	keepEvents = 100                 // newest events that are kept, for resuming
	keepFor    = time.Hour           // age up to which events are kept, …
	keepAtMost = 2_000               // … up to this number, …
	keepBytes  = 2 << 20             // … and up to this size, without the messages that wait
	maxEntries = 20_000              // entries beyond which receipts are shed, because nothing may be trimmed
	expire     = 24 * time.Hour      // time since its last use after which an inbox in which nothing waits expires
	keepPeers  = 30 * 24 * time.Hour // time since its last use after which a user's peers are asked of the archive again
	maxPeers   = 10_000              // peers of one user
	keepOut    = 31 * 24 * time.Hour // longer than a message may wait

	// MaxEvent is the largest number of bytes of a message event: a body of chat.MaxBody line separators, which JSON
	// escapes with six bytes each, and the longest of all other fields.
	MaxEvent = 49_152

	compare = 30 * time.Second // interval at which every subscribed inbox is compared with its newest event
	probe   = 5 * time.Second  // interval at which the primaries are asked for their epochs
)

// Limits of the messages that wait, and of their senders. Zero values take the defaults. A limit of bytes counts the
// JSON of events, and admits one message of any size.
type Limits struct {
	Messages, Bytes                 int // in an inbox, of all senders: 10,000 and 16 MiB; ErrInboxFull
	PairMessages, PairBytes         int // in an inbox, of one sender: 1,000 and 512 KiB; ErrInboxFull
	StrangerMessages, StrangerBytes int // the same until the recipient has answered: 5 and 64 KiB; ErrAnswerAwaited
	SenderMessages, SenderBytes     int // of one sender, in all inboxes: 10,000 and 4 MiB; ErrOutboxFull
	SendsPerMinute                  int // of one sender, with repeats: 450; ErrRateLimited

	// NewPeople is the number of people to whom one sender may write on a UTC day for the first time, not counting those
	// who have written to the sender before: 20; ErrTooManyNewPeople.
	NewPeople int
	// NewPeopleUnverified is NewPeople of a sender whose address is not confirmed: 3, and at most NewPeople.
	NewPeopleUnverified int
}

// WithDefaults returns l with every unset limit replaced by its default.
func (l Limits) WithDefaults() Limits {
	l.Messages, l.Bytes = cmp.Or(l.Messages, 10_000), cmp.Or(l.Bytes, 16<<20)
	l.PairMessages, l.PairBytes = cmp.Or(l.PairMessages, 1_000), cmp.Or(l.PairBytes, 512<<10)
	l.StrangerMessages, l.StrangerBytes = cmp.Or(l.StrangerMessages, 5), cmp.Or(l.StrangerBytes, 64<<10)
	l.SenderMessages, l.SenderBytes = cmp.Or(l.SenderMessages, 10_000), cmp.Or(l.SenderBytes, 4<<20)
	l.SendsPerMinute, l.NewPeople = cmp.Or(l.SendsPerMinute, 450), cmp.Or(l.NewPeople, 20)
	l.NewPeopleUnverified = min(cmp.Or(l.NewPeopleUnverified, 3), l.NewPeople)
	return l
}

// Generous returns limits that no test reaches by accident. It is for tests and measurements that are not about limits.
func Generous() Limits {
	const n = 1 << 40
	return Limits{n, n, n, n, n, n, n, n, n, n, n}
}

// Gates fills gate:{uid} in Redis if it is missing. gate.Gates implements it.
type Gates interface {
	Fill(ctx context.Context, uid string) error
}

// Archive knows the messages that were saved. gatefirestore.Archive implements it.
type Archive interface {
	// Writers returns the members of a conversation of whom a message was saved, and those who have accepted the request
	// of such a member.
	Writers(ctx context.Context, conversation string) ([]string, error)
}

// Options configure Inboxes.
type Options struct {
	Subscriber *redissub.Subscriber // required; shared with gate and presence
	Runner     *script.Runner       // shared with gate and presence, and made with ReplicaWait; default: a new one
	Gates      Gates                // nil: Enqueue checks no gate (tests only)
	Now        func() time.Time     // default: time.Now
	Log        *slog.Logger         // default: slog.Default()

	// Archive is asked before a sender is refused for a limit on strangers, because Redis may have been wiped. nil: there
	// are no saved messages (tests only).
	Archive Archive
	Limits  Limits

	// Away is called for each message that was queued for a user with a device registered for push, while nobody looked at
	// any of the user's devices. It must check with HasWritten that the user has written to the sender: nobody is notified
	// of the request of a stranger. It must not block. nil: nobody is notified.
	Away func(chat.Message)

	// ReplicaWait is how long a send waits until a replica of Redis has the message. If none has it by then, the send is
	// refused for now. 0: a send does not wait, and a failover may lose what was accepted last (DESIGN §2). It must be
	// shorter than an operation, and every primary must have a replica.
	ReplicaWait time.Duration

	tuning tuning
}

// tuning holds the limits that only tests of this package change. Zero values take the defaults.
type tuning struct {
	KeepEvents, KeepAtMost, KeepBytes, MaxEntries, MaxPeers int
	KeepFor, Compare, Probe                                 time.Duration
	// Intervals at which a sender's totals are read again, and healed, before a send is refused, and at which the archive
	// is asked the same question again; defaults in senders.go.
	Refresh, Heal, Ask    time.Duration
	Late                  time.Duration
	PurgeAgain, PurgeTick time.Duration // defaults in withdraw_purge.go
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	o.Limits = o.Limits.WithDefaults()
	t := &o.tuning
	t.KeepEvents = cmp.Or(t.KeepEvents, keepEvents)
	t.KeepAtMost = cmp.Or(t.KeepAtMost, keepAtMost)
	t.KeepBytes = cmp.Or(t.KeepBytes, keepBytes)
	t.MaxEntries = cmp.Or(t.MaxEntries, maxEntries)
	t.MaxPeers = cmp.Or(t.MaxPeers, maxPeers)
	t.KeepFor = cmp.Or(t.KeepFor, keepFor)
	t.Compare = cmp.Or(t.Compare, compare)
	t.Probe = cmp.Or(t.Probe, probe)
	t.Refresh = cmp.Or(t.Refresh, refreshEvery)
	t.Heal = cmp.Or(t.Heal, healEvery)
	t.Ask = cmp.Or(t.Ask, askEvery)
	t.Late = cmp.Or(t.Late, lateAfter)
	t.PurgeAgain = cmp.Or(t.PurgeAgain, purgeAgain)
	t.PurgeTick = cmp.Or(t.PurgeTick, purgeTick)
}

// Inboxes gives access to every user's inbox.
type Inboxes struct {
	// immutable after construction
	rdb         redis.UniversalClient
	opts        Options
	runner      *script.Runner
	scripts     scripts
	resyncs     chan Resync
	reconnected chan struct{} // has a value when the subscription connection works again
	senders     *senders
	shedLog     *rate.Limiter // of log entries about receipts that were not stored

	counters Counters

	// guarded by mu
	mu    sync.Mutex
	feeds map[*Feed]struct{}
}

// New returns Inboxes that use rdb. Feeds and Resyncs work while Run runs. Call New before the Subscriber runs.
func New(rdb redis.UniversalClient, opts Options) *Inboxes {
	opts.setDefaults()
	if opts.Runner == nil {
		opts.Runner = script.NewRunner(rdb, script.Options{Timeout: timeout, ReplicaWait: opts.ReplicaWait})
	}
	boxes := &Inboxes{rdb: rdb, opts: opts, runner: opts.Runner, scripts: newScripts(&opts),
		resyncs: make(chan Resync, 1), reconnected: make(chan struct{}, 1), senders: newSenders(),
		shedLog: rate.NewLimiter(rate.Every(time.Minute), 10), feeds: map[*Feed]struct{}{}}
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
	Unreplicated  counter.Count // messages refused for now because no replica had them in time
	Refused       counter.Count // messages refused, for any reason
	Full          counter.Count // messages refused because too many wait in the inbox
	Strangers     counter.Count // messages refused because the recipient has not answered
	NewPeople     counter.Count // messages refused because the sender has written to too many new people
	Forbidden     counter.Count // messages refused because an admin has forbidden the sender new contacts
	Unknown       counter.Count // messages refused because the recipient wants none of people whom they have not answered
	OutboxFull    counter.Count // messages refused because too many of the sender wait
	TooFast       counter.Count // messages refused because of the sender's rate over all instances
	Asked         counter.Count // questions to the archive
	Withdrawn     counter.Count // waiting messages removed, and refused to their senders
	Unaccounted   counter.Count // messages that are missing in their sender's totals, because Redis failed
	Late          counter.Count // checks of a sender's totals after a message was accounted for late
	Healed        counter.Count // messages that a sender's totals counted, and that did not wait
	Appended      counter.Count // events other than messages
	AppendedAgain counter.Count // repeated appends that found their event in the inbox
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

// Limits returns the limits in effect.
func (boxes *Inboxes) Limits() Limits { return boxes.opts.Limits }

// Counters returns the counters of this instance.
func (boxes *Inboxes) Counters() *Counters { return &boxes.counters }

// Protocol is the version of RESP that clients use. With version 3, go-redis looks for notifications of the server
// before every command, which takes a system call, and a client that learns of maintenance changes the settings of
// connections that others are opening (seen in v9.23). This package needs neither.
const Protocol = 2

// Tune sets the options of a Redis client that this package needs, if they are unset, and returns o. Contexts bound
// every operation. The client itself repeats none for lack of an answer, because its timeouts are not shorter than
// those of the contexts: Redis would do the work again while it is slow already. New connections spend no round trips
// on identifying the client.
func Tune(o *redis.UniversalOptions) *redis.UniversalOptions {
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true
	o.DialTimeout = cmp.Or(o.DialTimeout, 2*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, timeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, timeout)
	o.PoolSize = cmp.Or(o.PoolSize, 32)
	// The default is 5 attempts, 100 ms apart, which is longer than an operation should wait.
	o.DialerRetries = cmp.Or(o.DialerRetries, 2)
	o.ConnMaxIdleTime = cmp.Or(o.ConnMaxIdleTime, 5*time.Minute) // the network cuts idle connections after 10 min
	o.Protocol = Protocol
	return o
}
