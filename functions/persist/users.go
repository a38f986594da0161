package persist

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Saving reads nothing per message. What it must know of people it reads at
// most this often, and what it notes of them it writes at most that often.
const (
	erasedEvery = 10 * time.Second // how late a deletion is heard of here
	activeEvery = time.Hour
	maxActive   = 20_000 // people remembered as noted; beyond it they are noted again
)

// erased knows who was deleted. Messages of theirs that were still on their way are
// not saved: nobody would delete them a second time.
type erased struct {
	flight singleflight.Group

	mu   sync.Mutex
	uids map[string]bool
	last chat.Micros // At of the newest mark seen
	read time.Time   // when the marks were last read
}

// among returns the set of deleted people, at most erasedEvery old.
func (e *erased) among(ctx context.Context, s store.Erasure, now time.Time) (map[string]bool, error) {
	e.mu.Lock()
	uids, fresh := e.uids, !e.read.IsZero() && now.Sub(e.read) < erasedEvery
	e.mu.Unlock()
	if fresh {
		return uids, nil
	}
	// One reads for all who wait; the set is replaced, never changed, so that
	// it can be used without the lock.
	v, err, _ := e.flight.Do("", func() (any, error) {
		e.mu.Lock()
		next, since := maps.Clone(e.uids), e.last
		e.mu.Unlock()
		if next == nil {
			next = map[string]bool{}
		}
		for {
			marks, err := s.ErasedSince(ctx, since)
			if err != nil {
				return nil, err
			}
			news := false
			for _, m := range marks {
				news = news || !next[m.UID]
				next[m.UID] = true
				since = max(since, m.At)
			}
			if len(marks) < store.MaxPage || !news {
				break
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.uids, e.last, e.read = next, since, now
		return next, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(map[string]bool), nil
}

// dropErased takes out what was written by people who were deleted.
func (f *Function) dropErased(ctx context.Context, delivered []delivery.Delivered, read []delivery.Read) ([]delivery.Delivered, []delivery.Read, error) {
	gone, err := f.erased.among(ctx, f.deps.Store, f.deps.Now())
	if err != nil || len(gone) == 0 {
		return delivered, read, err
	}
	before := len(delivered) + len(read)
	delivered = slices.DeleteFunc(delivered, func(d delivery.Delivered) bool { return gone[d.From] })
	read = slices.DeleteFunc(read, func(r delivery.Read) bool { return gone[r.By] })
	if n := before - len(delivered) - len(read); n > 0 {
		f.deps.Log.InfoContext(ctx, "not saved, since their authors were deleted", "entries", n)
	}
	return delivered, read, nil
}

// active remembers whose activity was noted lately.
type active struct {
	mu    sync.Mutex
	noted map[string]time.Time
}

// due returns those of the uids that are to be noted now, and counts them as noted.
func (a *active) due(uids []string, now time.Time) (due []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.noted == nil || len(a.noted) > maxActive {
		a.noted = map[string]time.Time{}
	}
	for _, uid := range uids {
		if now.Sub(a.noted[uid]) >= activeEvery {
			a.noted[uid] = now
			due = append(due, uid)
		}
	}
	return due
}

// noteActive writes down that people were active. It is a figure for
// operators: when it fails, nothing is tried again.
func (f *Function) noteActive(ctx context.Context, delivered []delivery.Delivered, read []delivery.Read) {
	var uids []string
	for _, d := range delivered {
		uids = append(uids, d.From, d.To)
	}
	for _, r := range read {
		uids = append(uids, r.By)
	}
	now := f.deps.Now()
	due := f.active.due(uids, now)
	if len(due) == 0 {
		return
	}
	if err := f.deps.Store.Touch(ctx, due, chat.MicrosOf(now)); err != nil {
		f.deps.Log.WarnContext(ctx, "activity could not be noted", "error", err)
	}
}
