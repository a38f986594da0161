package storebolt

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// stubRecord is the sum of the changes of a message that is not saved.
type stubRecord struct {
	Sum       chat.Changes `json:"sum"`
	At        chat.Micros  `json:"at"` // when the first change was saved
	ChangedAt chat.Micros  `json:"changed_at"`
}

// stubsPerSave is how many old stubs a call of SaveChanges deletes for each entry. One would keep their number from
// growing.
const stubsPerSave = 2

// moveChange moves a message or a stub in the index of changes. A time of 0 stands for no place.
func moveChange(tx *bbolt.Tx, conversation, key string, from, to chat.Micros) error {
	a, b, err := chat.Members(conversation)
	if err != nil {
		return err
	}
	id := store.ChangedID(conversation, key)
	for _, uid := range []string{a, b} {
		if from != 0 {
			if err := tx.Bucket(byChange).Delete(num(prefix(uid), from, id)); err != nil {
				return err
			}
		}
		if to != 0 {
			if err := tx.Bucket(byChange).Put(num(prefix(uid), to, id), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill returns the record of a message that is saved now. If there were changes before the message, it has them, and
// their stub is gone.
func fill(tx *bbolt.Tx, d delivery.Delivered) (messageRecord, error) {
	var stub stubRecord
	ok, err := get(tx, stubs, key(d.Conversation, d.Key()), &stub)
	if err != nil || !ok {
		return messageRecord{Delivered: d}, err
	}
	now := chat.MicrosOf(time.Now()) // devices that have seen the list of changes learn that the message has some
	r := messageRecord{Delivered: store.WithChanges(d, stub.Sum), ChangedAt: max(now, stub.ChangedAt)}
	if err := dropStub(tx, d.Conversation, d.Key(), stub); err != nil {
		return r, err
	}
	return r, moveChange(tx, d.Conversation, d.Key(), 0, r.ChangedAt)
}

func dropStub(tx *bbolt.Tx, conversation, k string, stub stubRecord) error {
	if err := tx.Bucket(stubs).Delete(key(conversation, k)); err != nil {
		return err
	}
	if err := tx.Bucket(stubAges).Delete(num(nil, stub.At, store.ChangedID(conversation, k))); err != nil {
		return err
	}
	return moveChange(tx, conversation, k, stub.ChangedAt, 0)
}

// SaveChanges implements store.Changes. It is one transaction.
func (s *Store) SaveChanges(ctx context.Context, list []store.MessageChanges, now chat.Micros) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		l := &changes{tx, map[string]*conversationRecord{}, map[string]chat.Micros{}}
		for _, c := range list {
			stored, err := message(tx, c.Conversation, c.Key)
			if err != nil {
				return err
			}
			if stored == nil {
				err = saveStub(tx, c, now)
			} else {
				err = l.change(stored, c, now)
			}
			if err != nil {
				return err
			}
		}
		if err := dropOldStubs(tx, stubsPerSave*len(list), now); err != nil {
			return err
		}
		return l.write()
	})
}

// saveStub keeps the changes of a message that is not saved.
func saveStub(tx *bbolt.Tx, c store.MessageChanges, now chat.Micros) error {
	stub := stubRecord{At: now}
	if _, err := get(tx, stubs, key(c.Conversation, c.Key), &stub); err != nil {
		return err
	}
	sum := stub.Sum.Merge(c.Sum)
	if sum.Equal(stub.Sum) {
		return nil
	}
	before := stub.ChangedAt
	stub.Sum, stub.ChangedAt = sum, max(now, before)
	if err := moveChange(tx, c.Conversation, c.Key, before, stub.ChangedAt); err != nil {
		return err
	}
	if err := tx.Bucket(stubAges).Put(num(nil, stub.At, store.ChangedID(c.Conversation, c.Key)), nil); err != nil {
		return err
	}
	return put(tx, stubs, key(c.Conversation, c.Key), stub)
}

// dropOldStubs deletes at most limit stubs whose time is over.
func dropOldStubs(tx *bbolt.Tx, limit int, now chat.Micros) error {
	var old []string
	c := tx.Bucket(stubAges).Cursor()
	for k, _ := c.First(); k != nil && len(old) < limit; k, _ = c.Next() {
		at, id := denum(k)
		if chat.Micros(at)+chat.Micros(store.KeepStub.Microseconds()) > now {
			break
		}
		old = append(old, id)
	}
	for _, id := range old {
		conversation, k, _ := store.ParseChangedID(id)
		var stub stubRecord
		if _, err := get(tx, stubs, key(conversation, k), &stub); err != nil {
			return err
		}
		if err := dropStub(tx, conversation, k, stub); err != nil {
			return err
		}
	}
	return nil
}

// change merges changes into a saved message, and into the preview of its conversation.
func (l *changes) change(stored *messageRecord, c store.MessageChanges, now chat.Micros) error {
	sum := stored.Changes.Merge(c.Sum)
	if sum.Equal(stored.Changes) {
		return nil
	}
	before := stored.ChangedAt
	stored.Delivered, stored.ChangedAt = store.WithChanges(stored.Delivered, sum), max(now, before)
	if err := moveChange(l.tx, c.Conversation, c.Key, before, stored.ChangedAt); err != nil {
		return err
	}
	if err := put(l.tx, messages, num(prefix(c.Conversation), stored.At, c.Key), stored); err != nil {
		return err
	}
	r, err := l.get(c.Conversation)
	if err != nil {
		return err
	}
	if chat.KeyOf(r.Preview.ID, r.Preview.From) == c.Key {
		r.Preview = store.PreviewOf(stored.Message)
	}
	return nil
}

// Changed implements store.Changes.
func (s *Store) Changed(ctx context.Context, uid string, since chat.Micros, cursor string,
	limit int) (page []delivery.Delivered, next string, err error) {
	list := "changes:" + uid
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	p := prefix(uid)
	from := num(prefix(uid), max(since, 0), "")
	if mark != nil {
		from = append(num(prefix(uid), mark.Num, mark.ID), 0) // after it
	}
	looked := 0
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		page, next, looked = nil, "", 0
		c := tx.Bucket(byChange).Cursor()
		last := store.Mark{List: list}
		for k, _ := c.Seek(from); bytes.HasPrefix(k, p); k, _ = c.Next() {
			if looked == limit {
				next = last.Cursor()
				return nil
			}
			looked++
			last.Num, last.ID = denum(k[len(p):])
			conversation, mk, _ := store.ParseChangedID(last.ID)
			stored, err := message(tx, conversation, mk)
			if err != nil {
				return err
			}
			if stored != nil { // not a stub
				page = append(page, stored.Delivered)
			}
		}
		return nil
	})
	store.CountRead(ctx, looked)
	return page, next, err
}

// CountChanged implements store.Changes.
func (s *Store) CountChanged(ctx context.Context, uid string, since chat.Micros) (n int, err error) {
	store.CountRead(ctx, 1)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		n = 0
		p := prefix(uid)
		c := tx.Bucket(byChange).Cursor()
		for k, _ := c.Seek(num(prefix(uid), max(since, 0), "")); bytes.HasPrefix(k, p) &&
			n < store.MaxChanged; k, _ = c.Next() {
			n++
		}
		return nil
	})
	return n, err
}

// eraseChanges deletes the reactions of uid, and the changes of their messages that were not saved.
func (s *Store) eraseChanges(ctx context.Context, uid string) error {
	p := prefix(uid)
	for from := p; from != nil; {
		err := s.update(ctx, func(tx *bbolt.Tx) error {
			var ids []string
			c := tx.Bucket(byChange).Cursor()
			k, _ := c.Seek(from)
			for ; bytes.HasPrefix(k, p) && len(ids) < eraseMax; k, _ = c.Next() {
				_, id := denum(k[len(p):])
				ids = append(ids, id)
			}
			from = nil
			if bytes.HasPrefix(k, p) {
				from = bytes.Clone(k)
			}
			for _, id := range ids {
				if err := eraseChangesOf(tx, id, uid); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseChangesOf does so for one message or stub.
func eraseChangesOf(tx *bbolt.Tx, id, uid string) error {
	conversation, k, _ := store.ParseChangedID(id)
	stored, err := message(tx, conversation, k)
	if err != nil {
		return err
	}
	if stored != nil {
		sum, had := store.WithoutReaction(stored.Changes, uid)
		if !had {
			return nil
		}
		stored.Changes = sum
		return put(tx, messages, num(prefix(conversation), stored.At, k), stored)
	}
	var stub stubRecord
	if ok, err := get(tx, stubs, key(conversation, k), &stub); err != nil || !ok {
		return err
	}
	sum, had := store.WithoutReaction(stub.Sum, uid)
	if _, from, _ := chat.ParseKey(k); from == uid || sum.Empty() {
		return dropStub(tx, conversation, k, stub)
	}
	if !had {
		return nil
	}
	stub.Sum = sum
	return put(tx, stubs, key(conversation, k), stub)
}
