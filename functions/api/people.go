package api

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// seenPeople remembers, for the last users of this instance, whom lists and searches have shown them within the hour,
// so that a person who is shown again is not charged again. On another instance, they are. It is safe for concurrent
// use.
type seenPeople struct {
	seed maphash.Seed

	mu    sync.Mutex
	users map[string]*seen
}

// seen holds hashes of uids. A user's budget bounds their number.
type seen struct {
	people map[uint64]struct{}
	ends   time.Time
}

// maxSeen limits the users whom an instance remembers. 2,000 users with 500 people each need about 30 MB.
const maxSeen = 2_000

// fresh returns those of found, by index, who have not been shown to the user uid.
func (s *seenPeople) fresh(uid string, found []store.User, now time.Time) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[uid]
	if u != nil && !now.Before(u.ends) {
		u = nil
	}
	var fresh []int
	for i, f := range found {
		if u != nil {
			if _, shown := u.people[maphash.String(s.seed, f.UID)]; shown {
				continue
			}
		}
		fresh = append(fresh, i)
	}
	return fresh
}

// add remembers that people were shown to the user uid.
func (s *seenPeople) add(uid string, people []store.User, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[uid]
	if u == nil || !now.Before(u.ends) {
		if s.users == nil {
			s.users = map[string]*seen{}
		}
		if u == nil && len(s.users) >= maxSeen {
			for other := range s.users { // any one: they are charged once more
				delete(s.users, other)
				break
			}
		}
		u = &seen{people: map[uint64]struct{}{}, ends: now.Add(time.Hour)}
		s.users[uid] = u
	}
	for _, p := range people {
		u.people[maphash.String(s.seed, p.UID)] = struct{}{}
	}
}

// show charges the caller for the people in found whom they have not seen yet. It returns how many of found they may
// see, from the start, or the refusal if that is none. Admins see everybody.
func (a *API) show(ctx context.Context, r *request, found []store.User) (int, error) {
	if r.seesAll() || len(found) == 0 {
		return len(found), nil
	}
	now := a.deps.Now()
	fresh := a.seen.fresh(r.user.UID, found, now)
	n := len(found)
	if len(fresh) > 0 {
		granted, err := a.ledger.take(ctx, a.people, r.user.UID, int64(len(fresh)), 1)
		if err != nil && (fresh[0] == 0 || !errors.Is(err, errRateLimited)) {
			return 0, err
		}
		if int(granted) < len(fresh) {
			n = fresh[granted]
		}
	}
	a.seen.add(r.user.UID, found[:n], now)
	return n, nil
}
