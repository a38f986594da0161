package session

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// Bytes of sends that wait for the worker. A socket whose queue is empty may always add one message, so that every
// message can be sent.
const (
	queueSendBytes = 256 << 10 // of one socket
	userSendBytes  = 1 << 20   // of all sockets of a user on this instance
)

// sendOverhead is the size of a queued message besides its body, in bytes.
const sendOverhead = 500

func sendSize(i inbox.Item) int { return i.Size() + sendOverhead }

// user is what the sockets of one user on this instance share.
type user struct {
	bytes *rate.Limiter // immutable after construction

	// guarded by mu
	mu      sync.Mutex
	sends   *rate.Limiter // nil: not needed so far
	reads   *rate.Limiter // likewise
	sockets []*session    // whose hello was accepted, oldest first
	hellos  int           // being handled
	queued  int           // bytes of sends that wait for the workers
	waiting int           // sockets that are not read until there is room for a send
	unknown unknownUIDs
	reacted reactions
	watched watchedPeople
}

func newUser(l Limits) *user { return &user{bytes: l.UserBytes.limiter()} }

// sendLimit returns the rate limit of the user's sends, and readLimit that of the read marks.
func (u *user) sendLimit(l Limits) *rate.Limiter { return u.limiter(&u.sends, l.UserSends) }
func (u *user) readLimit(l Limits) *rate.Limiter { return u.limiter(&u.reads, l.UserReads) }

func (u *user) limiter(l **rate.Limiter, r Rate) *rate.Limiter {
	u.mu.Lock()
	defer u.mu.Unlock()
	if *l == nil {
		*l = r.limiter()
	}
	return *l
}

// admit counts a hello that is being handled, unless there are already limit. admitted undoes it.
func (u *user) admit(limit int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.hellos >= limit {
		return false
	}
	u.hellos++
	return true
}

func (u *user) admitted() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hellos--
}

// join adds a socket, and ends the oldest ones beyond the limit. A socket that was sent a goaway does not count: its
// client is already moving to another one.
func (u *user) join(s *session, limit int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sockets = append(u.sockets, s)
	staying := 0
	for _, o := range slices.Backward(u.sockets) {
		if !o.isStaying() {
			continue
		}
		if staying++; staying > limit {
			o.end(ErrReplaced)
		}
	}
}

// leave removes a socket, and what is left of its queue.
func (u *user) leave(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sockets = slices.DeleteFunc(u.sockets, func(o *session) bool { return o == s })
	u.free(s, s.queued)
}

// reserve adds n bytes to the queue of s, or reports that the queue is full.
func (u *user) reserve(s *session, n int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.queued > 0 && (s.queued+n > queueSendBytes || u.queued+n > userSendBytes) {
		return false
	}
	s.queued += n
	u.queued += n
	return true
}

// release removes n bytes from the queue of s.
func (u *user) release(s *session, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.free(s, n)
}

// free removes n bytes from the queue of s, and wakes the sockets that wait for room. mu is held.
func (u *user) free(s *session, n int) {
	s.queued -= n
	u.queued -= n
	if u.waiting > 0 {
		for _, o := range u.sockets {
			if o.room != nil {
				signal(o.room)
			}
		}
	}
}

// wait returns a channel that has a value when there may be room for a send of s, until done is called.
func (u *user) wait(s *session) (room <-chan struct{}, done func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.room == nil {
		s.room = make(chan struct{}, 1)
	}
	u.waiting++
	return s.room, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.waiting--
	}
}

// isFull reports whether as many events as ever are allowed at once.
func isFull(l *rate.Limiter, now time.Time) bool { return l.TokensAt(now) >= float64(l.Burst()) }

// isIdle reports whether the user has no socket and no limit that a reconnect would reset.
func (u *user) isIdle(now time.Time, l Limits) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	full := func(l *rate.Limiter) bool { return l == nil || isFull(l, now) }
	u.reacted.forgetFull(now)
	return len(u.sockets) == 0 && u.hellos == 0 && full(u.sends) && full(u.reads) && full(u.bytes) &&
		len(u.reacted) == 0 && u.unknown.isFull(now, l.UnknownUIDs) && !now.Before(u.watched.ends)
}

// unknownUIDs limits how many uids of users who do not exist one user may name. Looking up such a uid costs a read of
// the store, because a cache cannot hold all uids that somebody may invent. The zero value has the full budget.
type unknownUIDs struct {
	spent   float64 // look-ups of unknown uids that have not been recovered yet
	at      time.Time
	exists  map[string]struct{}  // users who exist: free
	missing map[string]time.Time // users who do not exist, until when this is believed: answered without a look-up
}

// Sizes and times of what is remembered about the users whom a user names.
const (
	maxExisting    = 256         // uids in unknownUIDs.exists
	maxMissing     = 256         // uids in unknownUIDs.missing
	missingFor     = time.Minute // lifetime of an entry of unknownUIDs.missing
	watchedFor     = time.Hour   // window of watchedPeople
	defaultWatched = 250         // people in that window
)

// uidCheck is what a user's budget says about a uid before it is looked up.
type uidCheck int

const (
	uidFree    uidCheck = iota // the user exists, as far as is known
	uidCharged                 // nothing is known, and the budget was charged; see found and refund
	uidMissing                 // the user does not exist
	uidRefused                 // nothing is known, and the budget is used up
)

// check decides whether the uid may be looked up. With uidRefused, wait is the time until it may.
func (u *user) check(uid string, limit Rate) (c uidCheck, wait time.Duration) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	b := &u.unknown
	if _, ok := b.exists[uid]; ok {
		return uidFree, 0
	}
	if until, ok := b.missing[uid]; ok {
		if now.Before(until) {
			return uidMissing, 0
		}
		delete(b.missing, uid)
	}
	b.recover(now, limit)
	if excess := b.spent + 1 - float64(limit.Burst); excess > 0 {
		return uidRefused, limit.timeFor(excess)
	}
	b.spent++ // now, so that the sockets of a user cannot look up more at the same time
	return uidCharged, 0
}

// refund gives back what check has charged, if it did: there was no look-up, or it failed.
func (u *user) refund(c uidCheck) {
	if c == uidCharged {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.unknown.spent = max(u.unknown.spent-1, 0)
	}
}

// found reports whether the user with this uid exists, for which check returned c. A user who exists costs nothing.
func (u *user) found(uid string, c uidCheck, exists bool) {
	if exists {
		u.refund(c)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	b := &u.unknown
	switch {
	case exists && c == uidCharged:
		if b.exists == nil || len(b.exists) >= maxExisting {
			b.exists = map[string]struct{}{}
		}
		b.exists[uid] = struct{}{}
	case !exists:
		delete(b.exists, uid)
		if b.missing == nil || len(b.missing) >= maxMissing {
			b.missing = map[string]time.Time{}
		}
		b.missing[uid] = time.Now().Add(missingFor)
	}
}

func (b *unknownUIDs) recover(now time.Time, limit Rate) {
	b.spent = max(b.spent-now.Sub(b.at).Seconds()*limit.PerSecond, 0)
	b.at = now
}

func (b *unknownUIDs) isFull(now time.Time, limit Rate) bool {
	b.recover(now, limit)
	return b.spent == 0
}

// watchedPeople are the distinct people whose presence a user has watched since the window began.
type watchedPeople struct {
	ends   time.Time           // of the window
	hashes map[uint64]struct{} // of uids, with hashSeed
}

// hashSeed keeps clients from finding uids with equal hashes.
var hashSeed = maphash.MakeSeed()

// watch returns those of uids whose presence the user may watch. If these are not all, the window ends at the given
// time, and otherwise the time is zero.
func (u *user) watch(uids []string, limit int) (allowed []string, ends time.Time) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	w := &u.watched
	if len(uids) > 0 && !now.Before(w.ends) {
		w.ends, w.hashes = now.Add(watchedFor), map[uint64]struct{}{}
	}
	allowed = uids[:0:0]
	for _, uid := range uids {
		h := maphash.String(hashSeed, uid)
		if _, ok := w.hashes[h]; !ok {
			if len(w.hashes) >= limit {
				ends = w.ends
				continue
			}
			w.hashes[h] = struct{}{}
		}
		allowed = append(allowed, uid)
	}
	return allowed, ends
}
