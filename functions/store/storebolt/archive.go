package storebolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
)

// conversationRecord is a store.Conversation on the disk, with the members who have written a saved message, and those
// who have accepted the other one's request.
type conversationRecord struct {
	ID      string                 `json:"id"`
	LastAt  chat.Micros            `json:"last_at"`
	Preview store.Preview          `json:"preview"`
	Read    map[string]chat.Micros `json:"read,omitempty"`
	Writers []string               `json:"writers,omitempty"`

	Accepted []string `json:"accepted,omitempty"`
}

// changes collects the conversations that one transaction changes, and writes each of them, and its entries in
// byMember, once.
type changes struct {
	tx   *bbolt.Tx
	now  map[string]*conversationRecord
	last map[string]chat.Micros // LastAt on the disk; missing: not on the disk
}

func (c *changes) get(id string) (*conversationRecord, error) {
	if r := c.now[id]; r != nil {
		return r, nil
	}
	r := &conversationRecord{ID: id}
	ok, err := get(c.tx, conversations, []byte(id), r)
	if err != nil {
		return nil, err
	}
	if ok {
		c.last[id] = r.LastAt
	}
	if r.Read == nil {
		r.Read = map[string]chat.Micros{}
	}
	c.now[id] = r
	return r, nil
}

func (c *changes) write() error {
	for id, r := range c.now {
		if err := put(c.tx, conversations, []byte(id), r); err != nil {
			return err
		}
		last, had := c.last[id]
		if had && last == r.LastAt {
			continue
		}
		a, b, err := chat.Members(id)
		if err != nil {
			return err
		}
		for _, uid := range []string{a, b} {
			if had {
				if err := c.tx.Bucket(byMember).Delete(num(prefix(uid), last, id)); err != nil {
					return err
				}
			}
			if err := c.tx.Bucket(byMember).Put(num(prefix(uid), r.LastAt, id), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Save implements store.Archive. It is one transaction.
func (s *Store) Save(ctx context.Context, delivered []delivery.Delivered,
	read []delivery.Read) ([]delivery.Delivered, error) {
	var kept store.Kept
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		kept = store.Kept{}
		l := &changes{tx, map[string]*conversationRecord{}, map[string]chat.Micros{}}
		for _, d := range delivered {
			c, err := l.get(d.Conversation)
			if err != nil {
				return err
			}
			stored, err := message(tx, d.Conversation, d.Key())
			if err != nil {
				return err
			}
			if stored != nil {
				kept.Compare(stored.Delivered, d)
				continue
			}
			record, err := fill(tx, d)
			if err != nil {
				return err
			}
			d := record.Delivered
			if err := tx.Bucket(messageKeys).Put(key(d.Conversation, d.Key()), num(nil, d.At, "")); err != nil {
				return err
			}
			if err := put(tx, messages, num(prefix(d.Conversation), d.At, d.Key()), record); err != nil {
				return err
			}
			if err := tx.Bucket(byRecipient).Put(num(prefix(d.Conversation, d.To), d.At, d.Key()), nil); err != nil {
				return err
			}
			if err := countDay(tx, d.Message, 1); err != nil {
				return err
			}
			if !slices.Contains(c.Writers, d.From) {
				c.Writers = append(c.Writers, d.From)
			}
			if (chat.Message{At: c.Preview.At, ID: c.Preview.ID, From: c.Preview.From}).Before(d.Message) {
				c.LastAt, c.Preview = d.At, store.PreviewOf(d.Message)
			}
		}
		for _, r := range read {
			c, err := l.get(r.Conversation)
			if err != nil {
				return err
			}
			c.Read[r.By] = max(c.Read[r.By], r.At)
		}
		return l.write()
	})
	return kept.List(), err
}

// messageRecord is a message on the disk.
type messageRecord struct {
	delivery.Delivered
	ChangedAt chat.Micros `json:"changed_at,omitempty"` // when the last change was saved
}

// message returns the message with a key, or nil if it does not exist.
func message(tx *bbolt.Tx, conversation, k string) (*messageRecord, error) {
	v := tx.Bucket(messageKeys).Get(key(conversation, k))
	if v == nil {
		return nil, nil
	}
	at, _ := denum(v)
	r := new(messageRecord)
	if _, err := get(tx, messages, num(prefix(conversation), at, k), r); err != nil {
		return nil, err
	}
	return r, nil
}

// countDay adds by to the number of messages that were accepted on the day of m. Those of the prober are not counted.
func countDay(tx *bbolt.Tx, m chat.Message, by int64) error {
	if prober.Is(m.From) {
		return nil
	}
	day := []byte(m.AcceptedAt.Time().Format("2006-01-02"))
	var n int64
	if v := tx.Bucket(days).Get(day); v != nil {
		n = int64(binary.BigEndian.Uint64(v))
	}
	return tx.Bucket(days).Put(day, binary.BigEndian.AppendUint64(nil, uint64(n+by)))
}

// Message implements store.Archive.
func (s *Store) Message(ctx context.Context, conversation, k string) (m delivery.Delivered, saved bool, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		stored, err := message(tx, conversation, k)
		if stored != nil {
			m, saved = stored.Delivered, true
		}
		return err
	})
	store.CountRead(ctx, 1)
	return m, saved, err
}

// Writers implements store.Archive.
func (s *Store) Writers(ctx context.Context, conversation string) ([]string, error) {
	var r conversationRecord
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		_, err := get(tx, conversations, []byte(conversation), &r)
		return err
	})
	return store.Writers(conversation, r.Writers, r.Accepted), err
}

// MessagesOn implements store.Archive.
func (s *Store) MessagesOn(ctx context.Context, day string) (n int64, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		if v := tx.Bucket(days).Get([]byte(day)); v != nil {
			n = int64(binary.BigEndian.Uint64(v))
		}
		return nil
	})
	return n, err
}

// Conversations implements store.Archive.
func (s *Store) Conversations(ctx context.Context, uid, cursor string,
	limit int) (page []store.Listed, next string, err error) {
	list := "conversations:" + uid
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	p := prefix(uid)
	looked := 0
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		page, next, looked = nil, "", 0
		c := tx.Bucket(byMember).Cursor()
		from := num(p, int64(-1), "") // sorts after every time
		if mark != nil {
			from = num(p, mark.Num, mark.ID)
		}
		for k := before(c, from); bytes.HasPrefix(k, p); k, _ = c.Prev() {
			last, id := denum(k[len(p):])
			if last == 0 { // there are read marks, but not yet messages
				break
			}
			if len(page) == limit {
				m := page[limit-1]
				next = store.Mark{List: list, Num: int64(m.LastAt), ID: m.ID}.Cursor()
				break
			}
			var r conversationRecord
			if _, err := get(tx, conversations, []byte(id), &r); err != nil {
				return err
			}
			l := listed(tx, uid, r)
			looked += 2 + l.Unread // the record, the keys of the unread messages, and the key after them
			page = append(page, l)
		}
		return nil
	})
	s.countLooked(looked)
	store.CountRead(ctx, len(page)+unreadCounts(uid, page))
	return page, next, err
}

// listed returns a conversation as it is in the list of uid.
func listed(tx *bbolt.Tx, uid string, r conversationRecord) store.Listed {
	if r.Read == nil {
		r.Read = map[string]chat.Micros{}
	}
	return store.Listed{Unread: countUnread(tx, uid, r),
		Conversation: store.Conversation{ID: r.ID, LastAt: r.LastAt, Preview: r.Preview, Read: r.Read,
			Writers: store.Writers(r.ID, r.Writers, r.Accepted)}}
}

// unreadCounts returns how many conversations of a list have their unread messages counted.
func unreadCounts(uid string, list []store.Listed) (n int) {
	for _, c := range list {
		if c.Read[uid] < c.LastAt {
			n++
		}
	}
	return n
}

// countUnread counts the messages to uid after its read mark, at most store.MaxUnread. It looks at the keys of these
// messages only, so its cost depends neither on what uid has written nor on how long the conversation is.
func countUnread(tx *bbolt.Tx, uid string, r conversationRecord) int {
	p, n := prefix(r.ID, uid), 0
	c := tx.Bucket(byRecipient).Cursor()
	for k, _ := c.Seek(num(prefix(r.ID, uid), r.Read[uid]+1, "")); bytes.HasPrefix(k, p) &&
		n < store.MaxUnread; k, _ = c.Next() {
		n++
	}
	return n
}

// Messages implements store.Archive.
func (s *Store) Messages(ctx context.Context, conversation string, pos store.Position,
	limit int) (page []delivery.Delivered, more bool, err error) {
	limit = store.PageSize(limit)
	p := prefix(conversation)
	from := num(prefix(conversation), int64(-1), "")
	if pos != (store.Position{}) {
		from = num(prefix(conversation), max(pos.At, 0), pos.Key)
	}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		page, more = nil, false
		b := tx.Bucket(messages)
		c := b.Cursor()
		for k := before(c, from); bytes.HasPrefix(k, p); k, _ = c.Prev() {
			if len(page) == limit {
				more = true
				break
			}
			var d delivery.Delivered
			if err := decode(messages, k, b.Get(k), &d); err != nil {
				return err
			}
			page = append(page, d)
		}
		return nil
	})
	store.CountRead(ctx, len(page))
	slices.Reverse(page)
	return page, more, err
}

// eraseMax limits the messages that one transaction of EraseContent deletes, since other calls wait for it.
const eraseMax = 2000

// EraseContent implements store.Erasure.
func (s *Store) EraseContent(ctx context.Context, uid string) error {
	var ids []string
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		p := prefix(uid)
		c := tx.Bucket(byMember).Cursor()
		for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
			_, id := denum(k[len(p):])
			ids = append(ids, id)
		}
		return nil
	})
	for _, id := range ids {
		for done := false; !done && err == nil; {
			err = s.update(ctx, func(tx *bbolt.Tx) error {
				done, err = eraseFrom(tx, id, uid)
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	if _, err := s.Unsubscribe(ctx, uid, func(store.Subscription) bool { return true }); err != nil {
		return err
	}
	if err := s.eraseReports(ctx, uid); err != nil {
		return err
	}
	if err := s.eraseChoices(ctx, uid); err != nil {
		return err
	}
	return s.eraseChanges(ctx, uid)
}

// eraseFrom deletes at most eraseMax messages of uid in a conversation, and reports whether none are left.
func eraseFrom(tx *bbolt.Tx, id, uid string) (done bool, err error) {
	other, err := chat.Other(id, uid)
	if err != nil {
		return false, err
	}
	p := prefix(id, other)
	var mine [][]byte
	c := tx.Bucket(byRecipient).Cursor()
	k, _ := c.Seek(p)
	for ; bytes.HasPrefix(k, p) && len(mine) < eraseMax; k, _ = c.Next() {
		mine = append(mine, bytes.Clone(k[len(p):]))
	}
	done = !bytes.HasPrefix(k, p)
	for _, k := range mine {
		if err := dropMessage(tx, id, other, k); err != nil {
			return false, err
		}
	}
	if !done {
		return false, nil
	}
	l := &changes{tx, map[string]*conversationRecord{}, map[string]chat.Micros{}}
	r, err := l.get(id)
	if err != nil {
		return false, err
	}
	if k := before(tx.Bucket(messages).Cursor(), num(prefix(id), int64(-1), "")); bytes.HasPrefix(k, prefix(id)) {
		var newest delivery.Delivered // of the other member
		if _, err := get(tx, messages, k, &newest); err != nil {
			return false, err
		}
		delete(r.Read, uid)
		r.Accepted = slices.DeleteFunc(r.Accepted, func(accepted string) bool { return accepted == uid })
		r.LastAt, r.Preview = newest.At, store.PreviewOf(newest.Message)
		return true, l.write()
	}
	for _, m := range []string{uid, other} {
		if err := tx.Bucket(byMember).Delete(num(prefix(m), l.last[id], id)); err != nil {
			return false, err
		}
	}
	return true, tx.Bucket(conversations).Delete([]byte(id))
}

// dropMessage deletes a message to a member of a conversation. k is the number and the id (see num) of its keys.
func dropMessage(tx *bbolt.Tx, id, to string, k []byte) error {
	record := append(prefix(id), k...)
	var d messageRecord
	if _, err := get(tx, messages, record, &d); err != nil {
		return err
	}
	if err := countDay(tx, d.Message, -1); err != nil {
		return err
	}
	_, mk := denum(k)
	if err := moveChange(tx, id, mk, d.ChangedAt, 0); err != nil {
		return err
	}
	for _, e := range []entry{{messages, string(record)}, {messageKeys, string(key(id, mk))},
		{byRecipient, string(append(prefix(id, to), k...))}} {
		if err := tx.Bucket(e.bucket).Delete([]byte(e.key)); err != nil {
			return err
		}
	}
	return nil
}
