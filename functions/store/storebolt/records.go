package storebolt

import (
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// AddAudit implements store.Records.
func (s *Store) AddAudit(ctx context.Context, a store.Audit) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket(auditIDs).Get([]byte(a.ID)) != nil {
			return nil
		}
		if err := tx.Bucket(auditIDs).Put([]byte(a.ID), []byte{1}); err != nil {
			return err
		}
		return put(tx, audit, num(nil, a.At, a.ID), a)
	})
}

// AuditLog implements store.Records.
func (s *Store) AuditLog(ctx context.Context, cursor string, limit int) (page []store.Audit, next string, err error) {
	const list = "audit"
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		page, next = nil, ""
		c := tx.Bucket(audit).Cursor()
		k, v := c.Last()
		if mark != nil {
			if k = before(c, num(nil, mark.Num, mark.ID)); k != nil {
				v = tx.Bucket(audit).Get(k)
			}
		}
		for ; k != nil; k, v = c.Prev() {
			if len(page) == limit {
				last := page[limit-1]
				next = store.Mark{List: list, Num: int64(last.At), ID: last.ID}.Cursor()
				break
			}
			var a store.Audit
			if err := decode(audit, k, v, &a); err != nil {
				return err
			}
			page = append(page, a)
		}
		return nil
	})
	return page, next, err
}

// PutDeadLetters implements store.Records.
func (s *Store) PutDeadLetters(ctx context.Context, dead []store.DeadLetter) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, l := range dead {
			if tx.Bucket(deadLetterIDs).Get([]byte(l.ID)) != nil {
				continue
			}
			if err := tx.Bucket(deadLetterIDs).Put([]byte(l.ID), num(nil, l.At, "")); err != nil {
				return err
			}
			if err := put(tx, deadLetters, num(nil, l.At, l.ID), l); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeadLetters implements store.Records.
func (s *Store) DeadLetters(ctx context.Context, cursor string,
	limit int) (page []store.DeadLetter, next string, err error) {
	const list = "letters"
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		page, next = nil, ""
		b := tx.Bucket(deadLetters)
		c := b.Cursor()
		k, _ := c.First()
		if mark != nil {
			k = after(c, num(nil, mark.Num, mark.ID))
		}
		for ; k != nil; k, _ = c.Next() {
			if len(page) == limit {
				last := page[limit-1]
				next = store.Mark{List: list, Num: int64(last.At), ID: last.ID}.Cursor()
				break
			}
			var l store.DeadLetter
			if err := decode(deadLetters, k, b.Get(k), &l); err != nil {
				return err
			}
			page = append(page, l)
		}
		return nil
	})
	return page, next, err
}

// deadLetterKey returns the key of a dead letter.
func deadLetterKey(tx *bbolt.Tx, id string) ([]byte, error) {
	at := tx.Bucket(deadLetterIDs).Get([]byte(id))
	if at == nil {
		return nil, problem.ErrNotFound
	}
	n, _ := denum(at)
	return num(nil, n, id), nil
}

// DeadLetter implements store.Records.
func (s *Store) DeadLetter(ctx context.Context, id string) (l store.DeadLetter, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		k, err := deadLetterKey(tx, id)
		if err != nil {
			return err
		}
		_, err = get(tx, deadLetters, k, &l)
		return err
	})
	return l, err
}

// RemoveDeadLetter implements store.Records.
func (s *Store) RemoveDeadLetter(ctx context.Context, id string) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		k, err := deadLetterKey(tx, id)
		if err != nil {
			return err
		}
		if err := tx.Bucket(deadLetters).Delete(k); err != nil {
			return err
		}
		return tx.Bucket(deadLetterIDs).Delete([]byte(id))
	})
}

// CountDeadLetters implements store.Records.
func (s *Store) CountDeadLetters(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		n = int64(tx.Bucket(deadLetterIDs).Stats().KeyN)
		return nil
	})
	return n, err
}

// limitRecord counts the events of one key in one window.
type limitRecord struct {
	Count int64       `json:"count"`
	Ends  chat.Micros `json:"ends"`
}

// Take implements store.Limits. Each call that takes something deletes a few windows that have ended, so that they do
// not accumulate.
func (s *Store) Take(ctx context.Context, id string, n, limit int64, window time.Duration,
	now chat.Micros) (taken int64, ends chat.Micros, err error) {
	store.CountRead(ctx, 1)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		var r limitRecord
		if _, err := get(tx, limitCount, []byte(id), &r); err != nil {
			return err
		}
		var w store.Window
		w, taken = store.Window(r).Take(n, limit, window, now)
		ends = w.Ends
		if taken == 0 {
			return nil
		}
		if err := put(tx, limitCount, []byte(id), limitRecord(w)); err != nil {
			return err
		}
		return dropEnded(tx, id, now)
	})
	return taken, ends, err
}

// dropEnded looks at ten keys, from id on, and deletes the windows that have ended.
func dropEnded(tx *bbolt.Tx, id string, now chat.Micros) error {
	c := tx.Bucket(limitCount).Cursor()
	var ended [][]byte
	k, v := c.Seek([]byte(id))
	for range 10 {
		if k == nil {
			k, v = c.First()
		}
		var r limitRecord
		if err := decode(limitCount, k, v, &r); err != nil {
			return err
		}
		if r.Ends <= now {
			ended = append(ended, append([]byte(nil), k...))
		}
		k, v = c.Next()
	}
	for _, k := range ended {
		if err := tx.Bucket(limitCount).Delete(k); err != nil {
			return err
		}
	}
	return nil
}
