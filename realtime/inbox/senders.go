package inbox

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/script"
)

// Limits of what an instance remembers and asks.
const (
	maxSenders = 4_000  // senders whose totals are remembered
	maxPairs   = 50_000 // pairs of users of whom the first has written to the second
	maxAnswers = 10_000 // answers of the archive

	refreshEvery   = time.Second // see Tuning
	healEvery      = time.Minute
	askEvery       = time.Minute
	asksPerMinute  = 60  // questions to the archive because of one user
	fieldsPerQuery = 500 // messages that one command or script checks
)

// senders is what an instance remembers of users who send. All of it may be forgotten at any time: Redis and the
// archive have it too.
type senders struct {
	seed    maphash.Seed
	totals  *recent[string, *sender]
	wrote   *recent[uint64, struct{}] // hashes of pairs: the first has written to the second
	answers *recent[uint64, answer]   // of the archive, by the hash of the sorted pair
}

// answer is an answer of the archive about a sorted pair of users.
type answer struct {
	until         time.Time // when the archive may be asked again
	first, second bool      // who has written to the other
}

func newSenders() *senders {
	return &senders{maphash.MakeSeed(), newRecent[string, *sender](maxSenders),
		newRecent[uint64, struct{}](maxPairs), newRecent[uint64, answer](maxAnswers)}
}

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

// forget forgets who has written to whom, so that it is recorded again after Redis has lost it.
func (s *senders) forget() { s.wrote.clear() }

func (s *senders) hasWritten(from, to string) bool {
	_, ok := s.wrote.get(s.pair(from, to))
	return ok
}

// update records the totals that a script returned for a user who sends through this instance. messages is -1 if it
// returned none.
func (s *senders) update(uid string, messages, bytes, sends, minuteLeft int64) {
	u, ok := s.totals.get(uid)
	if !ok || messages < 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.messages, u.bytes, u.sends = messages, bytes, sends
	u.minuteEnds = time.Now().Add(time.Duration(minuteLeft) * time.Millisecond)
}

// sender is what is known about one user who sends.
type sender struct {
	first chan struct{} // holds a value while a message to a new person is under way, so that these are counted one by one

	// guarded by mu
	mu              sync.Mutex
	messages, bytes int64     // that wait, when Redis was last asked
	sends           int64     // in the minute that ends at minuteEnds
	minuteEnds      time.Time // by the clock of this instance
	refreshed       time.Time // when the totals were last read in order to refuse
	healed          time.Time
	asks            int // questions to the archive in the minute that ends at asksEnd
	asksEnd         time.Time
}

// waitForRate returns how long the sender must wait because of SendsPerMinute.
func (u *sender) waitForRate(l Limits) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if left := time.Until(u.minuteEnds); left > 0 && u.sends >= int64(l.SendsPerMinute) {
		return left
	}
	return 0
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
// yet. The caller must call done after the message was accepted or refused. It takes a round trip if this instance does
// not know that the sender has written to the recipient, and otherwise only before a refusal.
func (boxes *Inboxes) checkSender(ctx context.Context, s *sender, m chat.Message,
	size int) (held error, done func(), err error) {
	full, err := boxes.outboxFull(ctx, s, m.From, size)
	if err != nil {
		return nil, nil, err
	}
	if full {
		boxes.counters.OutboxFull.Add(1)
		return ErrOutboxFull, func() {}, nil
	}
	if boxes.senders.hasWritten(m.From, m.To) {
		return nil, func() {}, nil
	}
	select {
	case s.first <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, problem.ErrUnavailable.WithCause(ctx.Err())
	}
	done = func() { <-s.first }
	room, err := boxes.roomForNewPerson(ctx, m.From, m.To)
	switch {
	case err != nil:
		done()
		return nil, nil, err
	case !room:
		boxes.counters.NewPeople.Add(1)
		return ErrTooManyNewPeople, done, nil
	}
	return nil, done, nil
}

// outboxFull reports whether the messages of a sender that wait in all inboxes leave no room for another one. Before it
// reports that, it reads the totals from Redis, and takes out the messages that do not wait.
func (boxes *Inboxes) outboxFull(ctx context.Context, s *sender, uid string, size int) (bool, error) {
	l, t := boxes.opts.Limits, boxes.opts.tuning
	if !s.over(l, size) {
		return false, nil
	}
	if s.due(&s.refreshed, t.Refresh) {
		if err := boxes.refreshTotals(ctx, s, uid); err != nil {
			return false, err
		}
	}
	if s.over(l, size) && s.due(&s.healed, t.Heal) {
		if err := boxes.healTotals(ctx, s, uid); err != nil {
			return false, err
		}
	}
	return s.over(l, size), nil
}

// setTotals records totals as Redis has them, "<messages> <bytes> …".
func (u *sender) setTotals(messages, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.messages, u.bytes = messages, bytes
}

func (boxes *Inboxes) refreshTotals(ctx context.Context, s *sender, uid string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := boxes.rdb.HGet(ctx, outKey(uid), totalsField).Result()
	if err != nil && err != redis.Nil {
		return boxes.classifyError(err)
	}
	r := reply{list: []any{"0", "0"}}
	if part := strings.Fields(text); len(part) == 4 {
		r.list = []any{part[0], part[1]}
	}
	s.setTotals(r.int(0), r.int(1))
	return r.failure()
}

// totalsField is the field of out that holds the totals. The other fields contain a '/'.
const totalsField = "totals"

// Outgoing is a message that waits, or has waited lately, as its sender's totals have it.
type Outgoing struct {
	To, MessageID string
	Value         string // as in Redis
}

// Outgoing returns the messages of a sender that wait, and possibly some that have ceased to. It may miss messages if a
// node of Redis lost its last writes.
func (boxes *Inboxes) Outgoing(ctx context.Context, from string) ([]Outgoing, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all, err := boxes.rdb.HGetAll(ctx, outKey(from)).Result()
	if err != nil {
		return nil, boxes.classifyError(err)
	}
	list := make([]Outgoing, 0, len(all))
	for field, value := range all {
		if to, id, ok := strings.Cut(field, "/"); ok {
			list = append(list, Outgoing{to, id, value})
		}
	}
	return list, nil
}

// healTotals takes the messages that do not wait out of a sender's totals. Such a message was delivered before its
// "sent" event was appended, or Redis lost the receipt in a failover.
func (boxes *Inboxes) healTotals(ctx context.Context, s *sender, uid string) error {
	list, err := boxes.Outgoing(ctx, uid)
	if err != nil {
		return err
	}
	ended, err := boxes.notWaiting(ctx, uid, list)
	if err != nil {
		return err
	}
	for len(ended) > 0 {
		n := min(fieldsPerQuery, len(ended))
		args := make([]any, 0, 2*n)
		for _, o := range ended[:n] {
			args = append(args, o.To+"/"+o.MessageID, o.Value)
		}
		ended = ended[n:]
		v, err := boxes.runScript(ctx, script.Call{Script: healScript, Keys: []string{outKey(uid)}, Args: args})
		if err != nil {
			return err
		}
		r := newReply(v, 2)
		s.setTotals(r.int(0), r.int(1))
		if r.err != nil {
			return r.failure()
		}
		boxes.counters.Healed.Add(int64(n))
	}
	return nil
}

// notWaiting returns the messages of a sender that have no record in the inboxes of their recipients. It takes one
// round trip for about 500 messages.
func (boxes *Inboxes) notWaiting(ctx context.Context, from string, list []Outgoing) ([]Outgoing, error) {
	byRecipient := map[string][]Outgoing{}
	for _, o := range list {
		byRecipient[o.To] = append(byRecipient[o.To], o)
	}
	var ended []Outgoing
	pipe := boxes.rdb.Pipeline()
	type question struct {
		list  []Outgoing
		reply *redis.SliceCmd
	}
	var questions []question
	asked := 0
	ask := func() error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if _, err := pipe.Exec(ctx); err != nil {
			return boxes.classifyError(err)
		}
		for _, q := range questions {
			for i, v := range q.reply.Val() {
				if v == nil {
					ended = append(ended, q.list[i])
				}
			}
		}
		pipe, questions, asked = boxes.rdb.Pipeline(), nil, 0
		return nil
	}
	for to, all := range byRecipient {
		for len(all) > 0 {
			n := min(fieldsPerQuery, len(all))
			fields := make([]string, n)
			for i, o := range all[:n] {
				fields[i] = from + "/" + o.MessageID
			}
			questions = append(questions, question{all[:n], pipe.HMGet(ctx, pendingKey(to), fields...)})
			all = all[n:]
			if asked += n; asked >= fieldsPerQuery {
				if err := ask(); err != nil {
					return nil, err
				}
			}
		}
	}
	if asked > 0 {
		if err := ask(); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

// roomForNewPerson reports whether from may write to to: they have written to each other, or the limit of new people
// is not reached. It changes nothing. Before it refuses, it asks the archive.
func (boxes *Inboxes) roomForNewPerson(ctx context.Context, from, to string) (bool, error) {
	v, err := boxes.runScript(ctx, script.Call{Script: reachScript, Keys: []string{peersKey(from), reachKey(from)},
		Args: []any{to, boxes.opts.Limits.NewPeople}})
	if err != nil {
		return false, err
	}
	if v != "full" {
		return true, nil
	}
	wrote, answered, err := boxes.askArchive(ctx, from, from, to)
	if err != nil { // the limit is reached as far as anyone can tell, and the client will try again
		boxes.opts.Log.Debug("a sender is refused without asking the archive", "uid", from, "error", err)
		return false, nil
	}
	return wrote || answered, nil
}

// hasAnswered reports whether the recipient of m has ever written to its sender. If so, it records it in the inbox of
// the recipient.
func (boxes *Inboxes) hasAnswered(ctx context.Context, m chat.Message) (bool, error) {
	answered, err := boxes.HasWritten(ctx, m.To, m.From)
	if err != nil || !answered {
		return false, err
	}
	return true, boxes.acquaint(ctx, m.To, m.From, true, false)
}

// HasWritten reports whether from has ever sent a message to to. It takes a round trip, unless this instance knows it.
// It asks the archive only if Redis does not know of a message, and about one pair at most once a minute, so a first
// message that was sent and wiped meanwhile may be reported late. The error is problem.ErrUnavailable, or
// ErrRateLimited after 60 questions to the archive because of to within a minute.
func (boxes *Inboxes) HasWritten(ctx context.Context, from, to string) (bool, error) {
	if boxes.senders.hasWritten(from, to) {
		return true, nil
	}
	known, err := boxes.knownInRedis(ctx, from, to)
	if err != nil {
		return false, err
	}
	if known {
		boxes.senders.learn(from, to)
		return true, nil
	}
	known, _, err = boxes.askArchive(ctx, to, from, to)
	return known, err
}

// knownInRedis reports whether the peers of either user say that from has written to to. A message is in the inbox of
// its recipient a moment before the sender's own peers know it.
func (boxes *Inboxes) knownInRedis(ctx context.Context, from, to string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pipe := boxes.rdb.Pipeline()
	of, by := pipe.HGet(ctx, peersKey(to), from), pipe.HGet(ctx, peersKey(from), to)
	if _, err := pipe.Exec(ctx); err != nil && err != redis.Nil {
		return false, boxes.classifyError(err)
	}
	return of.Val() == "2" || of.Val() == "3" || by.Val() == "1" || by.Val() == "3", nil
}

// askArchive asks the archive which of two users have written to the other, because of a user named by asker. It
// records the answer in Redis.
func (boxes *Inboxes) askArchive(ctx context.Context, asker, a, b string) (aWrote, bWrote bool, err error) {
	if boxes.opts.Archive == nil {
		return false, false, nil
	}
	first, second := a, b
	if second < first {
		first, second = b, a
	}
	key := boxes.senders.pair(first, second)
	known, ok := boxes.senders.answers.get(key)
	if !ok || time.Now().After(known.until) {
		if !boxes.senders.of(asker).mayAsk() {
			return false, false, ErrRateLimited.WithRetry(time.Minute)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		boxes.counters.Asked.Add(1)
		writers, err := boxes.opts.Archive.Writers(ctx, chat.ConversationID(a, b))
		if err != nil {
			return false, false, problem.ErrUnavailable.WithCause(err)
		}
		known = answer{until: time.Now().Add(boxes.opts.tuning.Ask)}
		for _, uid := range writers {
			known.first, known.second = known.first || uid == first, known.second || uid == second
		}
		boxes.senders.answers.put(key, known)
		if known.first || known.second {
			if err := boxes.acquaint(ctx, first, second, known.first, known.second); err != nil {
				return false, false, err
			}
		}
	}
	if a == first {
		return known.first, known.second, nil
	}
	return known.second, known.first, nil
}

// acquaint records in Redis, for both users, who has written to the other.
func (boxes *Inboxes) acquaint(ctx context.Context, a, b string, aWrote, bWrote bool) error {
	_, errs := boxes.runScripts(ctx, []script.Call{
		boxes.call(acquaintScript, a, false, b, flag(aWrote), flag(bWrote)),
		boxes.call(acquaintScript, b, false, a, flag(bWrote), flag(aWrote)),
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if aWrote {
		boxes.senders.learn(a, b)
	}
	if bWrote {
		boxes.senders.learn(b, a)
	}
	return nil
}

// recent remembers the values that were used last: at least most of them, and at most twice that number.
type recent[K comparable, V any] struct {
	most int

	// guarded by mu
	mu          sync.Mutex
	now, before map[K]V // before: the generation before now
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most: most, now: map[K]V{}}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(k)
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(k, v)
}

func (r *recent[K, V]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.before = map[K]V{}, nil
}

// getOrAdd returns the value of k, or sets it to what add returns.
func (r *recent[K, V]) getOrAdd(k K, add func() V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.find(k)
	if !ok {
		v = add()
		r.set(k, v)
	}
	return v
}

// find returns the value of k, and keeps it for another generation. mu is held.
func (r *recent[K, V]) find(k K) (v V, ok bool) {
	if v, ok = r.now[k]; ok {
		return v, true
	}
	if v, ok = r.before[k]; ok {
		r.set(k, v)
	}
	return v, ok
}

// set sets the value of k, and starts another generation if this one is full. mu is held.
func (r *recent[K, V]) set(k K, v V) {
	if _, ok := r.now[k]; !ok && len(r.now) >= r.most {
		r.now, r.before = map[K]V{}, r.now
	}
	r.now[k] = v
}
