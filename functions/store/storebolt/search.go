package storebolt

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Search implements store.Users.
func (s *Store) Search(ctx context.Context, q store.Search) (page []store.User, next string, err error) {
	q.Limit = store.PageSize(q.Limit)
	scanned := 0
	defer func() { store.CountRead(ctx, scanned) }()
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		query, p := store.ParseQuery(q.Prefix), &pager{tx: tx, q: q}
		defer func() { scanned = p.scanned }()
		switch {
		case strings.Contains(q.Prefix, "@"):
			page, next, err = searchEmail(p)
		case query.Term != "":
			page, next, err = searchWord(p, query)
		case q.Order == store.ByNewest:
			page, next, err = searchNewest(p, byCreated)
		case q.Order == store.ByActive:
			page, next, err = searchNewest(p, byActive)
		default:
			page, next, err = searchName(p)
		}
		return err
	})
	return page, next, err
}

// pager fills a page. It looks for one user more than fits, to know whether there is a next page.
type pager struct {
	tx      *bbolt.Tx
	q       store.Search
	page    []store.User
	marks   []store.Mark
	scanned int // users read
}

// add adds the user uid if the search wants them. It returns false when enough users were found.
func (p *pager) add(uid string, m store.Mark) (bool, error) {
	p.scanned++
	u, err := getUser(p.tx, uid)
	if err != nil {
		return false, err
	}
	if (p.q.All || u.Active()) && (p.q.Hide == nil || !p.q.Hide(u)) {
		p.page, p.marks = append(p.page, u), append(p.marks, m)
	}
	return len(p.page) <= p.q.Limit, nil
}

// result returns the page and its cursor.
func (p *pager) result() ([]store.User, string, error) {
	if len(p.page) <= p.q.Limit {
		return p.page, "", nil
	}
	return p.page[:p.q.Limit], p.marks[p.q.Limit-1].Cursor(), nil
}

// searchName lists all users by name.
func searchName(p *pager) ([]store.User, string, error) {
	const list = "name"
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return nil, "", err
	}
	c := p.tx.Bucket(byName).Cursor()
	k, _ := c.First()
	if mark != nil {
		k = after(c, key(mark.Text, mark.ID))
	}
	for ; k != nil; k, _ = c.Next() {
		name, uid, _ := strings.Cut(string(k), "\x00")
		if more, err := p.add(uid, store.Mark{List: list, Text: name, ID: uid}); err != nil || !more {
			if err != nil {
				return nil, "", err
			}
			break
		}
	}
	return p.result()
}

// searchNewest lists all users by the number in an index, greatest first.
func searchNewest(p *pager, bucket []byte) ([]store.User, string, error) {
	list := string(bucket)
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return nil, "", err
	}
	c := p.tx.Bucket(bucket).Cursor()
	k, _ := c.Last()
	if mark != nil {
		k = before(c, num(nil, mark.Num, mark.ID))
	}
	for ; k != nil; k, _ = c.Prev() {
		n, uid := denum(k)
		if more, err := p.add(uid, store.Mark{List: list, Num: n, ID: uid}); err != nil || !more {
			if err != nil {
				return nil, "", err
			}
			break
		}
	}
	return p.result()
}

// searchEmail lists the users whose address has a prefix, by address.
func searchEmail(p *pager) ([]store.User, string, error) {
	want := strings.ToLower(strings.TrimSpace(p.q.Prefix))
	list := "email:" + want
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return nil, "", err
	}
	c := p.tx.Bucket(byEmail).Cursor()
	k, _ := c.Seek([]byte(want))
	if mark != nil {
		k = after(c, key(mark.Text, mark.ID))
	}
	for ; bytes.HasPrefix(k, []byte(want)); k, _ = c.Next() {
		email, uid, _ := strings.Cut(string(k), "\x00")
		if more, err := p.add(uid, store.Mark{List: list, Text: email, ID: uid}); err != nil || !more {
			if err != nil {
				return nil, "", err
			}
			break
		}
	}
	return p.result()
}

// searchWord lists the users who have, for each word of the query, a word that begins with it, by name. The index is
// sorted by word, so the keys of all matches are read. Only the records of users on the page are.
func searchWord(p *pager, query store.Query) ([]store.User, string, error) {
	list := "word:" + strings.Join(query.Words, " ")
	mark, err := store.ParseMark(p.q.Cursor, list)
	if err != nil {
		return nil, "", err
	}
	tx, last := p.tx, ""
	if mark != nil {
		last = string(key(mark.Text, mark.ID))
	}
	words := rarestFirst(tx, query.Words, last)
	common := len(words) - 1
	var candidates map[string]bool // keys of users who have all words but the commonest; nil: all users
	for _, w := range words[:common] {
		candidates = withWord(tx, w, last, candidates)
	}
	for {
		found := firstWith(tx, words[common], last, p.q.Limit+1, candidates)
		for _, k := range found {
			name, uid, _ := strings.Cut(k, "\x00")
			more, err := p.add(uid, store.Mark{List: list, Text: name, ID: uid})
			if err != nil {
				return nil, "", err
			}
			if !more {
				return p.result()
			}
			last = k
		}
		if len(found) <= p.q.Limit { // otherwise some were disabled, and the page is not full yet
			return p.result()
		}
	}
}

// rarestFirst sorts words by the number of users who have them, so that the set of candidates stays small.
func rarestFirst(tx *bbolt.Tx, words []string, last string) []string {
	if len(words) < 2 {
		return words
	}
	matches := map[string]int{}
	for _, w := range words {
		eachWith(tx, w, last, func([]byte) { matches[w]++ })
	}
	words = slices.Clone(words)
	slices.SortFunc(words, func(a, b string) int { return matches[a] - matches[b] })
	return words
}

// eachWith calls f with the keys in byName, after last, of the users who have a word that begins with word. It may
// pass a key more than once.
func eachWith(tx *bbolt.Tx, word, last string, f func(k []byte)) {
	c := tx.Bucket(byWord).Cursor()
	for k, _ := c.Seek([]byte(word)); bytes.HasPrefix(k, []byte(word)); k, _ = c.Next() {
		if rest := k[bytes.IndexByte(k, 0)+1:]; string(rest) > last {
			f(rest)
		}
	}
}

// withWord returns the keys of the candidates who have the word. Without candidates (nil), all users are.
func withWord(tx *bbolt.Tx, word, last string, candidates map[string]bool) map[string]bool {
	have := map[string]bool{}
	eachWith(tx, word, last, func(k []byte) {
		if candidates == nil || candidates[string(k)] {
			have[string(k)] = true
		}
	})
	return have
}

// firstWith returns the first n keys of the candidates who have the word. Without candidates (nil), all users are.
func firstWith(tx *bbolt.Tx, word, last string, n int, candidates map[string]bool) []string {
	var first []string
	eachWith(tx, word, last, func(k []byte) {
		if candidates != nil && !candidates[string(k)] || len(first) == n && string(k) >= first[n-1] {
			return
		}
		i, have := slices.BinarySearch(first, string(k))
		if have {
			return
		}
		if len(first) == n {
			first = first[:n-1]
		}
		first = slices.Insert(first, i, string(k))
	})
	return first
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
