package inbox

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/listen"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Errors of Enqueue beside problem.ErrUnavailable. Those with RetryAfter may
// be sent again unchanged; the others are final.
var (
	ErrIDReused  = problem.New(problem.Conflict, "id_reused", "This message could not be sent. Write it again.")
	ErrInboxFull = problem.New(problem.TooMany, "inbox_full",
		"Too many messages wait for this person. This one will be sent when there is room.").WithRetry(15 * time.Second)
	ErrRecipientUnknown = problem.New(problem.NotFound, "recipient_unknown", "This person has no account here, or has left.")
	ErrBlocked          = problem.New(problem.Forbidden, "blocked", "This person does not take messages from you.")
)

// Gates fills gate:{uid} in Redis where it is missing; gate.Gates does it.
type Gates interface {
	Fill(ctx context.Context, uid string) error
}

// Options of Inboxes. Zero values take the defaults named.
type Options struct {
	Listener *listen.Listener // needed; shared with gate and presence
	Gates    Gates            // nil: Enqueue asks no gate (tests only)

	Now     func() time.Time // time.Now
	Log     *slog.Logger     // slog.Default()
	Timeout time.Duration    // of one operation; 3 s

	MaxUnacked       int           // messages waiting in one inbox; 10,000
	MaxUnackedSender int           // of them from one sender; 1,000
	KeepEvents       int           // newest events kept for resuming; 100
	KeepFor          time.Duration // every event is kept this long; 1 h
	KeepAtMost       int           // but at most as many; 2,000
	MaxEntries       int           // beyond which receipts are shed at once, since nothing may be trimmed; 20,000
	Expire           time.Duration // of an inbox with nothing unacknowledged, after its last use; 24 h

	Compare time.Duration // how often every subscribed inbox is compared with its last event; 30 s
	Probe   time.Duration // how often the primaries are asked who they are; 5 s
}

// Inboxes is every user's inbox.
type Inboxes struct {
	rdb  redis.UniversalClient
	opts Options
}

// New returns Inboxes on rdb. Feeds and Resyncs work while Run runs.
func New(rdb redis.UniversalClient, opts Options) *Inboxes {
	return &Inboxes{rdb: rdb, opts: opts}
}

// Run owns what happens in the background until ctx ends, and returns its
// cause: comparing every subscribed inbox with its last event, since a wake
// can be lost without a trace, and watching for another life of Redis. The
// Listener is run by whoever made it. It must be called exactly once.
func (x *Inboxes) Run(ctx context.Context) error { return problem.ErrUnavailable }

// Enqueue puts m into its recipient's inbox, where it stays until a device of
// the recipient has acknowledged it, then a "sent" event into the sender's
// own inbox for the sender's other devices. m must have passed CheckSend;
// m.AcceptedAt is set here, and returned. A repeated send of the same content is answered like
// the first for as long as that waits; of other content it is ErrIDReused.
// Other errors: ErrRecipientUnknown, ErrBlocked (by the recipient's gate,
// read in the same script), ErrInboxFull, problem.ErrUnavailable. After an error the message may nevertheless
// be queued; sending it again, unchanged, is harmless. Two round trips.
func (x *Inboxes) Enqueue(ctx context.Context, m chat.Message) (chat.Micros, error) {
	return 0, problem.ErrUnavailable
}

// Position is a place in an inbox up to which a reader has everything, or was
// told that something may be missing.
type Position struct {
	Cursor
	Told ID // the highest floor that the reader was told about (as Resumed or Gap)
}

// Follows says how w continues what a reader at p has.
func (p Position) Follows(w Wake) Relation {
	switch {
	case w.Epoch != p.Epoch:
		return Apart
	case !w.Event.ID.After(p.ID):
		return Seen
	case w.Prev.After(p.ID):
		return Apart
	}
	return Next
}

// To returns the position after e was handed on.
func (p Position) To(e Event) Position {
	p.ID = e.ID
	return p
}

// Relation is the answer of Position.Follows.
type Relation int

// The relations of a wake to a reader's position.
const (
	Next  Relation = iota // the event comes right after the position: hand it on
	Seen                  // the reader has it: skip it
	Apart                 // something lies between, or it is another life: Read from the position
)

// Attachment is where a device starts to read.
type Attachment struct {
	Epoch   string
	From    Position // read from here, never elsewhere
	Last    ID       // newest event when attached; ID{} never
	Acked   ID       // newest id acknowledged and published for saving
	Resumed bool     // From is the cursor given: nothing is missing, and the cursor counts as an ack
}

// Attach begins a device's reading at the cursor it has stored, "" on a first
// visit. A cursor of another epoch, below the floor, above the last event,
// unreadable or empty gives Resumed false: it acknowledges nothing, and everything retained follows.
// Subscribe first, so that nothing falls between. A use: the inbox lives on for another Expire. One round trip.
func (x *Inboxes) Attach(ctx context.Context, uid, cursor string) (Attachment, error) {
	return Attachment{}, problem.ErrUnavailable
}

// Page is what Read found.
type Page struct {
	Events []Event  // in order; poison entries are left out, counted and logged
	Next   Position // read on from here; it may be beyond the last of Events
	Last   ID       // newest event of the inbox
	Acked  ID       // newest id acknowledged and published for saving
	More   bool     // there is more to read now
	// Gap: events may be missing between the position read from and Events,
	// which is told to the socket as a Welcome with Resumed false before Events. Told once per floor.
	Gap bool
	// Life: the Gap is one of another epoch (Next.Epoch says which): beyond the Welcome,
	// the socket should be sent a goaway (resync), so that its outbox sends again.
	Life bool
}

// Read returns up to limit events after p (at most 500, and about 512 KB; more
// are cut, see More), with the floor, from one script. One round trip.
func (x *Inboxes) Read(ctx context.Context, uid string, p Position, limit int) (Page, error) {
	return Page{}, problem.ErrUnavailable
}

// Entry is an event to append to someone's inbox.
type Entry struct {
	UID   string
	Type  string // wire.EventDelivered, …; never wire.EventMessage, which Enqueue writes
	Event any    // marshalled as JSON; carries its own "type"
}

// Append puts events into inboxes, in one round trip (one per node of a
// cluster), in the order given for each uid. The result has an error or nil per entry. A repeated append gives a
// repeated event, which clients do not mind. Not meant for messages. Appends go on when Redis
// is full, since receipts are what lets it drain.
func (x *Inboxes) Append(ctx context.Context, entries []Entry) []error {
	return make([]error, len(entries))
}

// Hint publishes data to the feeds of uid, and forgets it.
func (x *Inboxes) Hint(ctx context.Context, uid string, data []byte) error {
	return problem.ErrUnavailable
}

// Wake is one live notice from a feed: an event, or (Hint not nil) a hint.
type Wake struct {
	Epoch string
	Event Event // shared between feeds: not to be changed
	Prev  ID    // the event before it
	Hint  json.RawMessage
}

// Feed is a live view of one inbox for one reader. Take and Seen are for one
// goroutine; Close may be called by any.
type Feed struct{}

// Subscribe opens a feed of uid's inbox; it returns when Redis has confirmed
// it. The first feed of a uid on this instance costs a round trip. A feed holds at most 64
// wakes and 512 KB; beyond that it drops them all, counted, and marks itself lost.
func (x *Inboxes) Subscribe(ctx context.Context, uid string) (*Feed, error) {
	return nil, problem.ErrUnavailable
}

// Ready has a value when Take has something to give.
func (f *Feed) Ready() <-chan struct{} { return nil }

// Take returns what came since the last call. lost: wakes may be missing, so
// Read from the position until there is no more; the wakes returned came after the loss.
func (f *Feed) Take() (wakes []Wake, lost bool) { return nil, false }

// Seen tells the feed up to where its reader has read, so that the comparison
// with the inbox's last event does not call it lost for nothing. Call it after reading pages; wakes count by themselves.
func (f *Feed) Seen(c Cursor) {}

// Close ends the feed. It does not block.
func (f *Feed) Close() {}

// Resync says why clients should reconnect, so that outboxes send again and
// devices load what may have been lost.
type Resync struct {
	Epoch bool // Redis lives another life (else: the connection was broken for a while, and its life is the same)
}

// Resyncs has a value when Redis came back. One reader per Inboxes; values that
// nobody read are merged.
func (x *Inboxes) Resyncs() <-chan Resync { return nil }

// Queue is what waits in all inboxes.
type Queue struct {
	Messages int
	Inboxes  int       // with something waiting
	Oldest   time.Time // when the oldest of them was queued; zero where nothing waits
	Complete bool      // false: too many inboxes, a part was counted
}

// Queued counts what waits in all inboxes, by scanning: for the operator's
// figures, not for every request.
func (x *Inboxes) Queued(ctx context.Context) (Queue, error) { return Queue{}, problem.ErrUnavailable }

// Counters are counts since the start of this instance.
type Counters struct {
	Enqueued, Repeated, Refused       int64 // messages taken, sent again, refused finally or for now
	Full                              int64 // refused for inbox_full
	Appended                          int64 // events other than messages
	Shed                              int64 // receipts that a full inbox could not keep
	PoisonEntries, PoisonWakes        int64 // skipped
	FeedOverflows, FeedLost, Compared int64 // feeds that dropped wakes; were marked lost; inboxes compared
	Diverged                          int64 // inboxes whose last event a feed had not been told of
	Unavailable                       int64 // operations that Redis did not answer
	Resyncs, Epochs                   int64 // times that Redis came back; with another epoch
}

// Snapshot returns the counters.
func (x *Inboxes) Snapshot() Counters { return Counters{} }

// Tune sets what this package needs of a Redis client where it is unset:
// contexts bound every operation, short timeouts, few retries (operations may be repeated).
func Tune(o *redis.UniversalOptions) *redis.UniversalOptions { return o }
