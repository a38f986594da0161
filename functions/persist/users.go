package persist

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Saving does not read anything per message. It reads and writes data about users at most this often.
const (
	erasedEvery = 10 * time.Second // how late this instance learns of a deletion
	activeEvery = time.Hour        // how often the activity of one user is recorded
	maxActive   = 20_000           // users whose last recording is remembered; beyond it, all are recorded again
)

// erased caches the set of deleted users. Messages of theirs that arrive late must not be saved, since nobody would
// delete them a second time.
type erased struct {
	flight singleflight.Group

	mu   sync.Mutex
	uids map[string]bool
	last chat.Micros // At of the newest mark seen
	read time.Time   // when the marks were last read
}

// deletedUsers returns the set of deleted users, at most erasedEvery old. The caller must not change it.
func (e *erased) deletedUsers(ctx context.Context, s store.Erasure, now time.Time) (map[string]bool, error) {
	e.mu.Lock()
	uids, fresh := e.uids, !e.read.IsZero() && now.Sub(e.read) < erasedEvery
	e.mu.Unlock()
	if fresh {
		return uids, nil
	}
	// One call reads for all that wait. The set is replaced, never changed, so that it can be used without the lock.
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

// dropErased removes the messages, changes and read marks of deleted users, and the changes of their messages.
func (f *Function) dropErased(ctx context.Context, b *batch) error {
	deleted, err := f.erased.deletedUsers(ctx, f.deps.Store, f.deps.Now())
	if err != nil || len(deleted) == 0 {
		return err
	}
	before := b.size()
	b.delivered = slices.DeleteFunc(b.delivered, func(d delivery.Delivered) bool { return deleted[d.From] })
	b.changed = slices.DeleteFunc(b.changed, func(c delivery.Changed) bool {
		return deleted[c.From] || deleted[c.Of.From]
	})
	b.read = slices.DeleteFunc(b.read, func(r delivery.Read) bool { return deleted[r.By] })
	b.seen = slices.DeleteFunc(b.seen, func(s delivery.Seen) bool { return deleted[s.UID] })
	if n := before - b.size(); n > 0 {
		f.deps.Log.InfoContext(ctx, "dropped entries of deleted users", "entries", n)
	}
	return nil
}

// recordSignIns records uses of sign-ins, and announces new devices. It ignores unknown users.
func (f *Function) recordSignIns(ctx context.Context, list []delivery.Seen) error {
	for _, s := range list {
		u, added, err := f.deps.Store.RecordSignIn(ctx, s.UID, store.Seen{SignIn: s.SignIn, At: s.At, Client: s.Client})
		switch {
		case errors.Is(err, problem.ErrNotFound):
			continue
		case err != nil:
			return err
		}
		if added && len(u.Devices) > 1 {
			if err := f.deps.Realtime.OwnProfileChanged(ctx, s.UID); err != nil {
				f.deps.Log.WarnContext(ctx, "a new sign-in could not be announced", "uid", s.UID, "error", err)
			}
		}
	}
	return nil
}

// active remembers when the activity of users was recorded.
type active struct {
	mu       sync.Mutex
	recorded map[string]time.Time // by uid
}

// due returns those of the uids whose activity is due to be recorded, and remembers that it is recorded now.
func (a *active) due(uids []string, now time.Time) (due []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.recorded == nil || len(a.recorded) > maxActive {
		a.recorded = map[string]time.Time{}
	}
	for _, uid := range uids {
		if now.Sub(a.recorded[uid]) >= activeEvery {
			a.recorded[uid] = now
			due = append(due, uid)
		}
	}
	return due
}

// recordActivity records the senders and recipients as active. It feeds a figure for admins, so a failure is not
// retried.
func (f *Function) recordActivity(ctx context.Context, b *batch) {
	var uids []string
	for _, d := range b.delivered {
		uids = append(uids, d.From, d.To)
	}
	for _, c := range b.changed {
		uids = append(uids, c.From, c.To)
	}
	for _, r := range b.read {
		uids = append(uids, r.By)
	}
	now := f.deps.Now()
	due := f.active.due(uids, now)
	if len(due) == 0 {
		return
	}
	if err := f.deps.Store.Touch(ctx, due, chat.MicrosOf(now)); err != nil {
		f.deps.Log.WarnContext(ctx, "recording activity failed", "error", err)
	}
}
