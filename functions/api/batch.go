package api

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Limits of the routes that read several things at once. They bound what one call may read, and how large its answer
// is.
const (
	maxUsers    = 50  // of GET /users/batch
	maxMessages = 200 // of GET /messages/batch, as on the largest page of GET /messages
)

// batchAtOnce limits the reads of one call that are made concurrently.
const batchAtOnce = 10

// mostUsersBatch returns the documents that usersBatch may read.
func mostUsersBatch(r *request) int { return min(len(r.query["uid"]), maxUsers) }

// usersBatch returns several users, as GET /users/{uid} does each of them, in the order of the query. A new device
// needs the names of everybody who has written.
func (a *API) usersBatch(ctx context.Context, r *request) (*response, error) {
	uids := r.query["uid"]
	if len(uids) == 0 || len(uids) > maxUsers ||
		slices.ContainsFunc(uids, func(uid string) bool { return !chat.ValidUID(uid) }) {
		return nil, fieldProblem("uid", "Name 1 to 50 people.")
	}
	found, err := a.deps.Store.Users(ctx, uids)
	if err != nil {
		return nil, err
	}
	viewer := r.user.UID
	if r.seesAll() {
		viewer = ""
	}
	list := make([]profile, len(uids))
	for i, uid := range uids {
		list[i] = profile{UID: uid, Deleted: true}
		if u, here := found[uid]; here && u.ErasingAt == 0 {
			list[i] = profileFor(u, viewer)
		}
	}
	return ok(map[string]any{"users": list}), nil
}

// historyBatch is a query of GET /messages/batch.
type historyBatch struct {
	limit int
	pages []batchPage
	keys  []batchKey
}

type batchPage struct {
	conversation string
	before       store.Position
}

type batchKey struct{ conversation, key string }

var errBatch = fieldProblem("page", "Ask for fewer messages at once.")

// parseBatch parses a query, and checks that the caller is a member of each conversation.
func parseBatch(r *request) (b historyBatch, err error) {
	if b.limit, err = r.limit(); err != nil {
		return b, err
	}
	member := func(id string) error {
		_, err := chat.Other(id, r.user.UID)
		return err
	}
	for _, p := range r.query["page"] {
		id, before, _ := strings.Cut(p, ",")
		if err := member(id); err != nil {
			return b, err
		}
		pos, err := parsePosition(before)
		if err != nil {
			return b, err
		}
		b.pages = append(b.pages, batchPage{id, pos})
	}
	for _, m := range r.query["saved"] {
		id, keys, _ := strings.Cut(m, ",")
		if err := member(id); err != nil {
			return b, err
		}
		for key := range strings.SplitSeq(keys, ",") {
			if _, _, valid := chat.ParseKey(key); !valid {
				return b, errKey
			}
			b.keys = append(b.keys, batchKey{id, key})
		}
	}
	if n := len(b.pages)*b.limit + len(b.keys); n == 0 || n > maxMessages {
		return b, errBatch
	}
	return b, nil
}

// mostMessagesBatch returns the documents that messagesBatch may read: a page reads one message more than it shows.
func mostMessagesBatch(r *request) int {
	limit, err := r.limit()
	if err != nil {
		return 0
	}
	n := len(r.query["page"]) * (limit + 1)
	for _, m := range r.query["saved"] {
		n += strings.Count(m, ",")
	}
	return min(n, 2*maxMessages)
}

// messagesBatch returns several pages of history, and the messages with some keys that are saved. A device that was
// away needs both from many conversations.
func (a *API) messagesBatch(ctx context.Context, r *request) (*response, error) {
	b, err := parseBatch(r)
	if err != nil {
		return nil, err
	}
	pages := make([]historyPage, len(b.pages))
	found := make([]*delivery.Delivered, len(b.keys))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(batchAtOnce)
	for i, p := range b.pages {
		g.Go(func() (err error) {
			pages[i], err = a.page(ctx, p.conversation, p.before, b.limit)
			return err
		})
	}
	for i, k := range b.keys {
		g.Go(func() error {
			m, saved, err := a.deps.Store.Message(ctx, k.conversation, k.key)
			if saved {
				found[i] = &m
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	saved := []delivery.Delivered{}
	for _, m := range found {
		if m != nil {
			saved = append(saved, *m)
		}
	}
	return ok(map[string]any{"pages": pages, "saved": saved}), nil
}
