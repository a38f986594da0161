package storefirestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// auditDoc is audit/{id}.
type auditDoc struct {
	At      chat.Micros `firestore:"at"`
	By      string      `firestore:"by"`
	ByName  string      `firestore:"by_name"`
	Action  string      `firestore:"action"`
	On      string      `firestore:"on"`
	OnName  string      `firestore:"on_name"`
	Reason  string      `firestore:"reason"`
	Outcome string      `firestore:"outcome"`
}

// AddAudit implements store.Records.
func (s *Store) AddAudit(ctx context.Context, a store.Audit) error {
	_, err := s.audit.Collection(colAudit).Doc(a.ID).Create(ctx, auditDoc{a.At, a.By, a.ByName, a.Action, a.On,
		a.OnName, a.Reason, a.Outcome})
	if status.Code(err) == codes.AlreadyExists {
		return nil
	}
	return translate(err)
}

// AuditLog implements store.Records.
func (s *Store) AuditLog(ctx context.Context, cursor string, limit int) ([]store.Audit, string, error) {
	return page(ctx, queryIn(s.audit, auditByNewest), "audit", cursor, limit,
		func(snap *firestore.DocumentSnapshot) (store.Audit, int64, error) {
			var d auditDoc
			_, err := decoded(snap, nil, &d)
			return store.Audit{ID: snap.Ref.ID, At: d.At, By: d.By, ByName: d.ByName, Action: d.Action, On: d.On,
				OnName: d.OnName, Reason: d.Reason, Outcome: d.Outcome}, int64(d.At), err
		})
}

// page reads a page of a list that is sorted by a number. read decodes an entry and returns its sort value.
func page[T any](ctx context.Context, q firestore.Query, list, cursor string, limit int,
	read func(*firestore.DocumentSnapshot) (T, int64, error)) ([]T, string, error) {
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	if mark != nil {
		if q, err = from(q, mark, mark.Num); err != nil {
			return nil, "", err
		}
	}
	var entries []T
	var last store.Mark
	next := ""
	err = each(ctx, q.Limit(limit+1), func(snap *firestore.DocumentSnapshot) (bool, error) {
		if len(entries) == limit {
			next = last.Cursor()
			return false, nil
		}
		e, n, err := read(snap)
		entries, last = append(entries, e), store.Mark{List: list, Num: n, ID: snap.Ref.ID}
		return true, err
	})
	if err != nil {
		return nil, "", err
	}
	return entries, next, nil
}

// deadLetterDoc is dead_letters/{id}.
type deadLetterDoc struct {
	At     chat.Micros `firestore:"at"`
	Reason string      `firestore:"reason"`
	Data   []byte      `firestore:"data"`
}

// PutDeadLetters implements store.Records.
func (s *Store) PutDeadLetters(ctx context.Context, dead []store.DeadLetter) error {
	var writes []write
	seen := map[string]bool{}
	for _, l := range dead {
		if !seen[l.ID] {
			seen[l.ID] = true
			writes = append(writes, s.create(colDeadLetters+"/"+l.ID,
				map[string]*firestorepb.Value{"at": integer(l.At), "reason": text(l.Reason), "data": blob(l.Data)}))
		}
	}
	_, err := s.writeAll(ctx, writes)
	return err
}

func deadLetterFrom(snap *firestore.DocumentSnapshot) (store.DeadLetter, int64, error) {
	var d deadLetterDoc
	_, err := decoded(snap, nil, &d)
	return store.DeadLetter{ID: snap.Ref.ID, At: d.At, Reason: d.Reason, Data: d.Data}, int64(d.At), err
}

// DeadLetters implements store.Records.
func (s *Store) DeadLetters(ctx context.Context, cursor string, limit int) ([]store.DeadLetter, string, error) {
	return page(ctx, s.query(deadByOldest, nil), "letters", cursor, limit, deadLetterFrom)
}

// DeadLetter implements store.Records.
func (s *Store) DeadLetter(ctx context.Context, id string) (store.DeadLetter, error) {
	if !pathSafe(id) {
		return store.DeadLetter{}, problem.ErrNotFound
	}
	snap, err := s.doc(colDeadLetters, id).Get(ctx)
	store.CountRead(ctx, 1)
	if err != nil {
		return store.DeadLetter{}, translate(err)
	}
	l, _, err := deadLetterFrom(snap)
	return l, err
}

// RemoveDeadLetter implements store.Records.
func (s *Store) RemoveDeadLetter(ctx context.Context, id string) error {
	if !pathSafe(id) {
		return problem.ErrNotFound
	}
	_, err := s.doc(colDeadLetters, id).Delete(ctx, firestore.Exists)
	return translate(err)
}

// CountDeadLetters implements store.Records.
func (s *Store) CountDeadLetters(ctx context.Context) (int64, error) {
	return count(ctx, s.query(allDeadLetters, nil))
}

// limitDoc is limits/{key}.
type limitDoc struct {
	Count     int64       `firestore:"count"`
	Ends      chat.Micros `firestore:"ends"`
	ExpiresAt time.Time   `firestore:"expires_at"` // a TTL policy deletes the document some time later
}

// maxTakeAttempts is the number of times that Take tries to write. Each attempt that fails means that another
// succeeded.
const maxTakeAttempts = 50

// Take implements store.Limits. It writes only if the document is still as it was read, and repeats otherwise. It uses
// no transaction, because transactions that count the same key at once each hold a read lock for which the other waits.
func (s *Store) Take(ctx context.Context, key string, n, limit int64, window time.Duration,
	now chat.Micros) (taken int64, ends chat.Micros, err error) {
	ref := s.doc(colLimits, key)
	for range maxTakeAttempts {
		var d limitDoc
		snap, err := ref.Get(ctx)
		store.CountRead(ctx, 1)
		exists := err == nil
		if exists {
			err = snap.DataTo(&d)
		} else if status.Code(err) == codes.NotFound {
			err = nil
		}
		if err != nil {
			return 0, 0, translate(err)
		}
		w, taken := store.Window{Count: d.Count, Ends: d.Ends}.Take(n, limit, window, now)
		if taken == 0 {
			return 0, w.Ends, nil
		}
		d = limitDoc{Count: w.Count, Ends: w.Ends, ExpiresAt: w.Ends.Time().Add(time.Hour)}
		if exists {
			_, err = ref.Update(ctx, []firestore.Update{
				{Path: "count", Value: d.Count}, {Path: "ends", Value: d.Ends}, {Path: "expires_at", Value: d.ExpiresAt},
			}, firestore.LastUpdateTime(snap.UpdateTime))
		} else {
			_, err = ref.Create(ctx, d)
		}
		switch status.Code(err) {
		case codes.OK:
			return taken, w.Ends, nil
		case codes.AlreadyExists, codes.FailedPrecondition, codes.NotFound, codes.Aborted:
			// Another call has written the document, or it was deleted after its window.
		default:
			return 0, 0, translate(err)
		}
		select {
		case <-time.After(rand.N(20 * time.Millisecond)):
		case <-ctx.Done():
			return 0, 0, translate(context.Cause(ctx))
		}
	}
	return 0, 0, problem.ErrUnavailable.WithCause(fmt.Errorf("count %s: another call wrote it at each attempt", key))
}
