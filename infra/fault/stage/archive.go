package stage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// archive is a store whose savings are entered into the record, which counts
// what a paid backend would bill, and which can be down.
type archive struct {
	store.Store
	log  *record.Log
	down atomic.Bool
	half atomic.Bool // down, but what is saved is saved before the error

	reads, writes atomic.Int64 // documents
	gates         atomic.Int64 // gates asked for
	lists         atomic.Int64 // calls of Conversations and Messages

	mu    sync.Mutex
	saved map[string]bool // message ids; guarded by mu
}

func newArchive(s store.Store, log *record.Log) *archive {
	return &archive{Store: s, log: log, saved: map[string]bool{}}
}

var errDown = problem.ErrUnavailable.WithCause(errors.New("the store is down"))

// Save implements store.Archive. A message counts as saved when the store is
// about to begin, so that nothing can be seen in it before its entry.
func (a *archive) Save(ctx context.Context, delivered []delivery.Delivered, read []delivery.Read) error {
	if a.down.Load() && !a.half.Load() {
		return errDown
	}
	touched := map[string]bool{}
	for _, d := range delivered {
		touched[d.Conversation] = true
		a.mu.Lock()
		first := !a.saved[d.ID]
		a.saved[d.ID] = true
		a.mu.Unlock()
		if first {
			a.log.Add(record.Entry{Kind: record.Saved, ID: d.ID, Conversation: d.Conversation, At: d.At,
				Sum: record.SumOf(d.Message), Text: record.TextOf(d.Message)})
		}
	}
	for _, r := range read {
		touched[r.Conversation] = true
	}
	a.writes.Add(int64(len(delivered) + len(touched)))
	err := a.Store.Save(ctx, delivered, read)
	if err == nil && a.half.Load() {
		return errDown
	}
	return err
}

// Conversations implements store.Archive.
func (a *archive) Conversations(ctx context.Context, uid, cursor string, limit int) ([]store.Listed, string, error) {
	if a.down.Load() {
		return nil, "", errDown
	}
	a.lists.Add(1)
	list, next, err := a.Store.Conversations(ctx, uid, cursor, limit)
	a.reads.Add(int64(2 * len(list))) // the document, and its unread count
	return list, next, err
}

// User implements store.People; every call of the functions begins with it.
func (a *archive) User(ctx context.Context, uid string) (store.User, error) {
	if a.down.Load() {
		return store.User{}, errDown
	}
	a.reads.Add(1)
	return a.Store.User(ctx, uid)
}

// Messages implements store.Archive.
func (a *archive) Messages(ctx context.Context, conversation string, before store.Position, limit int) ([]delivery.Delivered, bool, error) {
	if a.down.Load() {
		return nil, false, errDown
	}
	a.lists.Add(1)
	page, more, err := a.Store.Messages(ctx, conversation, before, limit)
	a.reads.Add(int64(len(page)))
	return page, more, err
}
