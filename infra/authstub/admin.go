package authstub

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// createAccount handles the Admin SDK's CreateUser.
func (s *Server) createAccount(r *http.Request) (any, error) {
	var in struct {
		LocalID string `json:"localId"`
		fields
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.LocalID == "" {
		in.LocalID = newUID()
	}
	if len(in.LocalID) > 128 {
		return nil, badRequest("INVALID_LOCAL_ID")
	}
	if err := s.prepareFields(&in.fields); err != nil {
		return nil, err
	}
	now := s.now()
	a := &account{UID: in.LocalID, CreatedAt: now.UnixMilli()}
	a.ValidSince = now.Unix()
	err := s.db.Update(func(tx *bolt.Tx) error {
		if other, err := accountByUID(tx, a.UID); err != nil {
			return err
		} else if other != nil {
			return badRequest("DUPLICATE_LOCAL_ID")
		}
		if err := s.applyFields(tx, a, &in.fields); err != nil {
			return err
		}
		return putAccount(tx, a)
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"kind": "identitytoolkit#SignupNewUserResponse", "localId": a.UID, "email": a.Email,
		"displayName": a.Name}, nil
}

// lookUpAccounts handles GetUser, GetUserByEmail and GetUsers.
func (s *Server) lookUpAccounts(r *http.Request) (any, error) {
	var in struct {
		LocalID []string `json:"localId"`
		Email   []string `json:"email"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	users := []any{}
	err := s.db.View(func(tx *bolt.Tx) error {
		add := func(by func(*bolt.Tx, string) (*account, error), keys []string) error {
			for _, key := range keys {
				a, err := by(tx, key)
				if err != nil {
					return err
				}
				if a != nil && !found[a.UID] {
					found[a.UID] = true
					users = append(users, userInfo(a))
				}
			}
			return nil
		}
		if err := add(accountByUID, in.LocalID); err != nil {
			return err
		}
		return add(accountByEmail, in.Email)
	})
	if err != nil {
		return nil, err
	}
	out := map[string]any{"kind": "identitytoolkit#GetAccountInfoResponse"}
	if len(users) > 0 { // like production, omit an empty list, which the SDKs read as "not found"
		out["users"] = users
	}
	return out, nil
}

// updateByAdmin handles UpdateUser, SetCustomUserClaims and RevokeRefreshTokens.
func (s *Server) updateByAdmin(r *http.Request) (any, error) {
	var in struct {
		LocalID string `json:"localId"`
		fields
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := s.prepareFields(&in.fields); err != nil {
		return nil, err
	}
	a, err := s.updateAccount(in.LocalID, func(tx *bolt.Tx, a *account) error { return s.applyFields(tx, a, &in.fields) })
	if err != nil {
		return nil, err
	}
	return map[string]any{"kind": "identitytoolkit#SetAccountInfoResponse", "localId": a.UID, "email": a.Email}, nil
}

// deleteByAdmin handles DeleteUser.
func (s *Server) deleteByAdmin(r *http.Request) (any, error) {
	var in struct {
		LocalID string `json:"localId"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		a, err := accountByUID(tx, in.LocalID)
		if err != nil {
			return err
		}
		if a == nil {
			return badRequest("USER_NOT_FOUND")
		}
		return deleteAccount(tx, a)
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"kind": "identitytoolkit#DeleteAccountResponse"}, nil
}

// deleteAccounts handles DeleteUsers. The SDK always sets force, so the accounts need not be disabled first.
func (s *Server) deleteAccounts(r *http.Request) (any, error) {
	var in struct {
		LocalIDs []string `json:"localIds"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		for _, uid := range in.LocalIDs {
			a, err := accountByUID(tx, uid)
			if err == nil && a != nil {
				err = deleteAccount(tx, a)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return map[string]any{}, err
}

// listAccounts handles Users: it returns all accounts in the order of their uids, in pages.
func (s *Server) listAccounts(r *http.Request) (any, error) {
	size, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("maxResults"), "20"))
	if err != nil || size < 1 || size > 1000 {
		return nil, badRequest("INVALID_PAGE_SELECTION : maxResults must be a number from 1 to 1000")
	}
	after := r.URL.Query().Get("nextPageToken") // the last uid of the previous page
	users := []any{}
	next := ""
	err = s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketAccounts).Cursor()
		k, _ := c.Seek([]byte(after))
		if k != nil && string(k) == after {
			k, _ = c.Next()
		}
		last := ""
		for ; k != nil; k, _ = c.Next() {
			if len(users) == size {
				next = last
				return nil
			}
			a, err := accountByUID(tx, string(k))
			if err != nil {
				return err
			}
			users = append(users, userInfo(a))
			last = a.UID
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[string]any{"kind": "identitytoolkit#DownloadAccountResponse", "users": users}
	if next != "" {
		out["nextPageToken"] = next
	}
	return out, nil
}

// queryAccounts handles QueryUsers.
func (s *Server) queryAccounts(r *http.Request) (any, error) {
	in := struct {
		ReturnUserInfo *bool  `json:"returnUserInfo"`
		Limit          int    `json:"limit,string"`
		Offset         int    `json:"offset,string"`
		SortBy         string `json:"sortBy"`
		Order          string `json:"order"`
		Expression     []struct {
			Email  string `json:"email"`
			UserID string `json:"userId"`
		} `json:"expression"`
	}{Limit: 500}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.Limit < 1 || in.Limit > 500 || in.Offset < 0 {
		return nil, badRequest("INVALID_PAGE_SELECTION")
	}
	var all []*account
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketAccounts).ForEach(func(k, _ []byte) error {
			a, err := accountByUID(tx, string(k))
			if err != nil {
				return err
			}
			matches := len(in.Expression) == 0
			for _, e := range in.Expression {
				matches = matches || (e.Email != "" && strings.EqualFold(e.Email, a.Email)) ||
					(e.UserID != "" && e.UserID == a.UID)
			}
			if matches {
				all = append(all, a)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	count := strconv.Itoa(len(all))
	if in.ReturnUserInfo != nil && !*in.ReturnUserInfo {
		return map[string]any{"recordsCount": count}, nil
	}
	less := map[string]func(a, b *account) int{
		"NAME":          func(a, b *account) int { return cmp.Compare(a.Name, b.Name) },
		"CREATED_AT":    func(a, b *account) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) },
		"LAST_LOGIN_AT": func(a, b *account) int { return cmp.Compare(a.LoginAt, b.LoginAt) },
		"USER_EMAIL":    func(a, b *account) int { return cmp.Compare(a.Email, b.Email) },
	}[in.SortBy]
	slices.SortStableFunc(all, func(a, b *account) int { // accounts are in the order of their uids
		if less == nil {
			return 0
		}
		return less(a, b)
	})
	if in.Order == "DESC" {
		slices.Reverse(all)
	}
	page := all[min(in.Offset, len(all)):min(in.Offset+in.Limit, len(all))]
	users := []any{}
	for _, a := range page {
		users = append(users, userInfo(a))
	}
	return map[string]any{"userInfo": users, "recordsCount": count}, nil
}

// deleteAll deletes all accounts and reset codes. The official emulator offers the same call for tests.
func (s *Server) deleteAll(*http.Request) (any, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketAccounts, bucketEmails, bucketCodes} {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	return map[string]any{}, err
}
