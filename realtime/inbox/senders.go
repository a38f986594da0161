package inbox

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of what an instance remembers and asks.
const (
	maxSenders = 4_000  // senders whose totals are remembered
	maxPairs   = 50_000 // pairs of users of whom the first has written to the second
	maxAnswers = 10_000 // answers of the archive
	maxQueued  = 10_000 // messages that were queued, and whose sent event may be missing

	refreshEvery   = time.Second // see Tuning
	healEvery      = time.Minute
	askEvery       = time.Minute
	asksPerMinute  = 60  // questions to the archive because of one user
	fieldsPerQuery = 500 // messages that one command or script checks

	queuedFor = 30 * time.Second // how long a queued message is remembered; a client repeats a send after seconds
)

// senders is what an instance remembers of users who send. All of it may be forgotten at any time: Redis and the
// archive have it too.
type senders struct {
	seed    maphash.Seed
	totals  *recent[string, *sender]
	wrote   *recent[uint64, struct{}] // hashes of pairs: the first has written to the second
	answers *recent[uint64, answer]   // of the archive, by the hash of the sorted pair
	queued  *recent[string, queued]   // messages that wait, and whose sent event may be missing; see queuedKey
	late    *recent[string, struct{}] // whose totals may be too high; see noteLate
}

// queued is a message that an inbox has and whose sent event may be missing.
type queued struct {
	acceptedAt chat.Micros
	until      time.Time // when it is forgotten
}

// answer is an answer of the archive about a sorted pair of users.
type answer struct {
	until         time.Time // when the archive may be asked again
	first, second bool      // who has written to the other
}

func newSenders() *senders {
	return &senders{maphash.MakeSeed(), newRecent[string, *sender](maxSenders),
		newRecent[uint64, struct{}](maxPairs), newRecent[uint64, answer](maxAnswers),
		newRecent[string, queued](maxQueued), newRecent[string, struct{}](maxSenders)}
}

// queuedKey identifies an item and its content.
func queuedKey(i Item) string { return i.From() + "/" + i.To() + "/" + i.ID() + "/" + i.digest() }

// rememberQueued records that the item is in its recipient's inbox, so that a repeated send only adds the sent
// event.
func (s *senders) rememberQueued(i Item, acceptedAt chat.Micros) {
	s.queued.put(queuedKey(i), queued{acceptedAt, time.Now().Add(queuedFor)})
}

// queuedAt returns when the item was accepted, if rememberQueued has recorded it lately.
func (s *senders) queuedAt(i Item) (acceptedAt chat.Micros, ok bool) {
	if s.queued.empty() {
		return 0, false
	}
	q, ok := s.queued.get(queuedKey(i))
	return q.acceptedAt, ok && time.Now().Before(q.until)
}

// forgetQueued forgets the item: its sent event is appended.
func (s *senders) forgetQueued(i Item) { s.queued.remove(queuedKey(i)) }

// of returns what is known about a user.
func (s *senders) of(uid string) *sender {
	return s.totals.getOrAdd(uid, func() *sender { return &sender{first: make(chan struct{}, 1)} })
}

// pair returns the key of an ordered pair of users.
func (s *senders) pair(from, to string) uint64 {
	return maphash.Comparable(s.seed, [2]string{from, to})
}

// learn records that from has written to to.
func (s *senders) learn(from, to string) { s.wrote.put(s.pair(from, to), struct{}{}) }

// forget forgets who has written to whom, and which messages are queued, because Redis may have lost it.
func (s *senders) forget() {
	s.wrote.clear()
	s.queued.clear()
}

func (s *senders) hasWritten(from, to string) bool {
	_, ok := s.wrote.get(s.pair(from, to))
	return ok
}

// update records the totals of a user who sends through this instance. messages is negative if they are not known.
func (s *senders) update(uid string, messages, bytes int64) {
	if u, ok := s.totals.get(uid); ok && messages >= 0 {
		u.setTotals(messages, bytes)
	}
}

// sender is what is known about one user who sends.
type sender struct {
	first chan struct{} // holds a value while a message to a new person is under way, so that these are counted one by one

	// guarded by mu
	mu              sync.Mutex
	messages, bytes int64     // that wait, when Redis was last asked
	minute          int64     // since 1970, by the clock of this instance
	sends           int64     // in this minute, as far as they are known
	unsynced        int64     // of sends, those that Redis does not know yet
	refreshed       time.Time // when the totals were last read in order to refuse
	healed          time.Time
	asks            int // questions to the archive in the minute that ends at asksEnd
	asksEnd         time.Time
}

// over reports whether another message of the given size exceeds the totals, as far as they are known.
func (u *sender) over(l Limits, size int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.messages >= int64(l.SenderMessages) || u.messages > 0 && u.bytes+int64(size) > int64(l.SenderBytes)
}

// due reports whether at is at least every ago, and then sets it to now. at is a field of u.
func (u *sender) due(at *time.Time, every time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if now.Sub(*at) < every {
		return false
	}
	*at = now
	return true
}

// mayAsk uses up one question to the archive.
func (u *sender) mayAsk() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now(); now.After(u.asksEnd) {
		u.asks, u.asksEnd = 0, now.Add(time.Minute)
	}
	u.asks++
	return u.asks <= asksPerMinute
}

// checkSender checks the limits of a sender over all recipients. held is the refusal of a message that does not wait
// yet. as limits the new people to whom the sender may write. The caller must call done after the message was accepted
// or refused. It takes a round trip if this instance does not know that the sender has written to the recipient, and
// otherwise only before a refusal.
func (boxes *Inboxes) checkSender(ctx context.Context, s *sender, i Item,
	size int, as Standing) (held error, done func(), err error) {
	full, err := boxes.outboxFull(ctx, s, i.From(), size)
	if err != nil {
		return nil, nil, err
	}
	if full {
		boxes.counters.OutboxFull.Add(1)
		return ErrOutboxFull, func() {}, nil
	}
	if boxes.senders.hasWritten(i.From(), i.To()) {
		return nil, func() {}, nil
	}
	select {
	case s.first <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, problem.ErrUnavailable.WithCause(ctx.Err())
	}
	done = func() { <-s.first }
	room, err := boxes.roomForNewPerson(ctx, i.From(), i.To(), as)
	switch {
	case err != nil:
		done()
		return nil, nil, err
	case !room && as == Confined:
		boxes.counters.Forbidden.Add(1)
		return ErrContactsForbidden, done, nil
	case !room:
		boxes.counters.NewPeople.Add(1)
		return ErrTooManyNewPeople, done, nil
	}
	return nil, done, nil
}
