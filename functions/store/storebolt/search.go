package storebolt

import (
	"bytes"
	"context"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// maxLook limits the index entries that a search by words looks at for one page. If it is reached, the page is short,
// and its cursor continues the search, as after store.MaxScan users.
const maxLook = 2000

// Search implements store.Users.
func (s *Store) Search(ctx context.Context, q store.Search) (page []store.User, next string, err error) {
	q.Limit = store.PageSize(q.Limit)
	p := &pager{}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		p = &pager{tx: tx, q: q}
		query := store.ParseQuery(q.Prefix)
		switch {
		case strings.Contains(q.Prefix, "@"):
			return searchEmail(p)
		case query.Term != "":
			return searchWord(p, query)
		case q.Order == store.ByNewest:
			return searchNewest(p, byCreated)
		case q.Order == store.ByActive:
			return searchNewest(p, byActive)
		}
		if q.All {
			return searchName(p, byName, "name")
		}
		return searchName(p, bySortKey, "people")
	})
	store.CountRead(ctx, p.read)
	s.countLooked(p.read + p.looked)
	if err != nil {
		return nil, "", err
	}
	return p.page, p.next, nil
}

// pager fills a page. It looks for one user more than fits, to know whether there is a next page.
type pager struct {
	tx     *bbolt.Tx
	q      store.Search
	page   []store.User
	last   store.Mark // of the last user on the page
	next   string     // the cursor, if the page ends before the list
	read   int        // users read
	looked int        // index entries that searchWord looked at
}

// add adds the user uid, whose place in the list is m, if the search wants them. It returns false when the page ends:
// with the first user who no longer fits, or after store.MaxScan users.
func (p *pager) add(uid string, m store.Mark, wants func(store.User) bool) (more bool, err error) {
	p.read++
	u, err := getUser(p.tx, uid)
	if err != nil {
		return false, err
	}
	if (p.q.All || u.Listed()) && (p.q.Hide == nil || !p.q.Hide(u)) && wants(u) {
		if len(p.page) == p.q.Limit {
			p.next = p.last.Cursor()
			return false, nil
		}
		p.page, p.last = append(p.page, u), m
	}
	if p.read == store.MaxScan {
		p.next = m.Cursor()
		return false, nil
	}
	return true, nil
}

func anybody(store.User) bool { return true }

// searchName lists all users by the text in an index.
func searchName(p *pager, bucket []byte, list string) error {
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return err
	}
	c := p.tx.Bucket(bucket).Cursor()
	k, _ := c.First()
	if mark != nil {
		k = after(c, key(mark.Text, mark.ID))
	}
	for ; k != nil; k, _ = c.Next() {
		text, uid, _ := strings.Cut(string(k), "\x00")
		if more, err := p.add(uid, store.Mark{List: list, Text: text, ID: uid}, anybody); err != nil || !more {
			return err
		}
	}
	return nil
}

// searchNewest lists all users by the number in an index, greatest first.
func searchNewest(p *pager, bucket []byte) error {
	list := string(bucket)
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return err
	}
	c := p.tx.Bucket(bucket).Cursor()
	k, _ := c.Last()
	if mark != nil {
		k = before(c, num(nil, mark.Num, mark.ID))
	}
	for ; k != nil; k, _ = c.Prev() {
		n, uid := denum(k)
		if more, err := p.add(uid, store.Mark{List: list, Num: n, ID: uid}, anybody); err != nil || !more {
			return err
		}
	}
	return nil
}

// searchEmail lists the users whose address has a prefix, by address.
func searchEmail(p *pager) error {
	want := strings.ToLower(strings.TrimSpace(p.q.Prefix))
	list := "email:" + want
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return err
	}
	c := p.tx.Bucket(byEmail).Cursor()
	k, _ := c.Seek([]byte(want))
	if mark != nil {
		k = after(c, key(mark.Text, mark.ID))
	}
	for ; bytes.HasPrefix(k, []byte(want)); k, _ = c.Next() {
		email, uid, _ := strings.Cut(string(k), "\x00")
		if more, err := p.add(uid, store.Mark{List: list, Text: email, ID: uid}, anybody); err != nil || !more {
			return err
		}
	}
	return nil
}

// searchWord lists the users who have, for each word of the query, a word that begins with it, by store.User.SortKey.
//
// The index has the users of each term in the order of the list, so it reads the intersection of these lists: it
// skips in each list to the first key that the others may have. A search for one word looks at no entry that is not
// on its page. A search for several may skip often before it finds a user, so maxLook bounds it.
func searchWord(p *pager, query store.Query) error {
	list := "word:" + strings.Join(query.Words, " ")
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return err
	}
	if strings.Contains(list, "\x00") {
		return nil // no name has one, and the index separates the parts of a key by it
	}
	var lists []termList
	for _, term := range query.Terms() {
		lists = append(lists, termList{c: p.tx.Bucket(byTerm).Cursor(), term: prefix(term)})
	}
	var from []byte // keys before it are decided
	if mark != nil {
		from = prefix(mark.Text, mark.ID)
	}
	for _, l := range lists { // if nobody has one of the terms, the others need not be compared
		p.looked++
		first := l.seek(from)
		if first == nil {
			return nil
		}
		if bytes.Compare(first, from) > 0 {
			from = first
		}
	}
	for {
		k, next := p.common(lists, from)
		if k == nil {
			return nil
		}
		sortKey, uid, _ := strings.Cut(string(k), "\x00")
		m := store.Mark{List: list, Text: sortKey, ID: uid}
		if next == nil {
			if more, err := p.add(uid, m, query.Matches); err != nil || !more {
				return err
			}
			next = append(k, 0)
		}
		if p.looked >= maxLook {
			p.next = m.Cursor()
			return nil
		}
		from = next
	}
}

// common looks for a key in all lists. It starts with the first key at or after from in the first list, and returns it
// as k. If another list does not have k, the search goes on at next. If a list has no more keys, k is nil.
func (p *pager) common(lists []termList, from []byte) (k, next []byte) {
	for i, l := range lists {
		p.looked++
		found := l.seek(from)
		if found == nil {
			return nil, nil
		}
		if i > 0 && !bytes.Equal(found, k) {
			return k, found
		}
		k, from = found, found
	}
	return k, nil
}

// termList is the users who have a term, as keys in bySortKey.
type termList struct {
	c    *bbolt.Cursor
	term []byte
}

// seek returns a copy of the first key at or after from, or nil.
func (l termList) seek(from []byte) []byte {
	k, _ := l.c.Seek(append(bytes.Clone(l.term), from...))
	if rest, ok := bytes.CutPrefix(k, l.term); ok {
		return bytes.Clone(rest)
	}
	return nil
}

// after moves c to the first key greater than k, and returns it.
func after(c *bbolt.Cursor, k []byte) []byte {
	found, _ := c.Seek(k)
	if bytes.Equal(found, k) {
		found, _ = c.Next()
	}
	return found
}

// before moves c to the last key smaller than k, and returns it.
func before(c *bbolt.Cursor, k []byte) []byte {
	if found, _ := c.Seek(k); found == nil {
		found, _ = c.Last()
		return found
	}
	found, _ := c.Prev()
	return found
}
