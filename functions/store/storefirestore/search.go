package storefirestore

import (
	"context"
	"strings"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Search implements store.Users.
func (s *Store) Search(ctx context.Context, q store.Search) ([]store.User, string, error) {
	limit := store.PageSize(q.Limit)
	query := store.ParseQuery(q.Prefix)
	var (
		list  string
		fq    firestore.Query
		value = func(u store.User) (string, int64) { return u.SortKey(), 0 }
		want  = func(u store.User) bool { return (q.All || u.Listed()) && (q.Hide == nil || !q.Hide(u)) }
	)
	switch {
	case strings.Contains(q.Prefix, "@"):
		email := strings.ToLower(strings.TrimSpace(q.Prefix))
		list, fq = "email:"+email, s.query(allUsersByEmail, nil, email, email+"\U0010ffff")
		value = func(u store.User) (string, int64) { return u.Email, 0 }
	case query.Term != "":
		list = "word:" + strings.Join(query.Words, " ")
		if q.All {
			fq = s.query(allUsersByWord, nil, query.Term)
		} else {
			fq = s.query(usersByWord, nil, false, query.Term)
		}
		found := want
		want = func(u store.User) bool { return found(u) && query.Matches(u) }
	case q.Order == store.ByNewest:
		list, fq = "newest", s.query(allUsersByNewest, nil)
		value = func(u store.User) (string, int64) { return "", int64(u.CreatedAt) }
	case q.Order == store.ByActive:
		list, fq = "active", s.query(allUsersByActive, nil)
		value = func(u store.User) (string, int64) { return "", int64(u.LastActiveAt) }
	case q.All:
		list, fq = "name", s.query(allUsersByName, nil)
		value = func(u store.User) (string, int64) { return store.Fold(u.DisplayName), 0 }
	default:
		list, fq = "people", s.query(usersBySortKey, nil, false)
	}
	mark, err := store.ParseMark(q.Cursor, list)
	if err != nil {
		return nil, "", err
	}
	numeric := list == "newest" || list == "active"
	var page []store.User
	for scanned := 0; ; {
		next := fq
		if mark != nil {
			var v any = mark.Text
			if numeric {
				v = mark.Num
			}
			if next, err = from(fq, mark, v); err != nil {
				return nil, "", err
			}
		}
		got, most := 0, limit+1-len(page)
		if scanned > 0 {
			most = min(most, store.MaxScan-scanned)
		}
		full := false
		err := each(ctx, next.Limit(most), func(snap *firestore.DocumentSnapshot) (bool, error) {
			got++
			if len(page) == limit {
				full = true
				return false, nil
			}
			u, err := userFrom(snap)
			if err != nil {
				return false, err
			}
			t, n := value(u)
			mark = &store.Mark{List: list, Text: t, Num: n, ID: u.UID}
			if want(u) {
				page = append(page, u)
			}
			return true, nil
		})
		if err != nil {
			return nil, "", err
		}
		scanned += got
		switch {
		case got < most:
			return page, "", nil
		case full, scanned >= store.MaxScan:
			return page, mark.Cursor(), nil
		}
	}
}
