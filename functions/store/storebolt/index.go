package storebolt

import (
	"bytes"
	"math"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// userRecord is a store.User on the disk. It has the same fields, so that one converts to the other, and a missing
// field does not compile.
type userRecord struct {
	UID          string      `json:"uid"`
	Username     string      `json:"username"`
	DisplayName  string      `json:"display_name"`
	CreatedAt    chat.Micros `json:"created_at"`
	LastActiveAt chat.Micros `json:"last_active_at,omitempty"`
	Admin        bool        `json:"admin,omitempty"`
	Disabled     bool        `json:"disabled,omitempty"`
	Blocked      []string    `json:"blocked,omitempty"`
	ErasingAt    chat.Micros `json:"erasing_at,omitempty"`

	Renamed []chat.Micros       `json:"renamed,omitempty"`
	Frozen  []store.FrozenNames `json:"frozen,omitempty"`
	Picture string              `json:"picture,omitempty"`

	Email         string      `json:"email"`
	EmailVerified bool        `json:"email_verified,omitempty"`
	EmailAt       chat.Micros `json:"email_at,omitempty"`

	ValidAfter chat.Micros   `json:"valid_after,omitempty"`
	Ended      []chat.Micros `json:"ended,omitempty"`
	SignIns    []chat.Micros `json:"sign_ins,omitempty"`

	SignedOut  []chat.Micros  `json:"signed_out,omitempty"`
	Devices    []store.Device `json:"devices,omitempty"`
	PasswordAt chat.Micros    `json:"password_at,omitempty"`
	Push       bool           `json:"push,omitempty"`

	LimitedUntil chat.Micros    `json:"limited_until,omitempty"`
	Warning      *store.Warning `json:"warning,omitempty"`

	Privacy chat.Privacy `json:"privacy,omitzero"`

	SecondFactor bool        `json:"second_factor,omitempty"`
	Recovery     []string    `json:"recovery,omitempty"`
	RecoveryAt   chat.Micros `json:"recovery_at,omitempty"`
}

func getUser(tx *bbolt.Tx, uid string) (store.User, error) {
	var r userRecord
	ok, err := get(tx, users, []byte(uid), &r)
	if err == nil && !ok {
		err = problem.ErrNotFound
	}
	return store.User(r), err
}

// entry is one key of an index.
type entry struct {
	bucket []byte
	key    string
}

func (e entry) equal(o entry) bool { return e.key == o.key && bytes.Equal(e.bucket, o.bucket) }

// never is a time after all others.
const never = chat.Micros(math.MaxInt64)

// entries returns the keys of u in all indexes.
func entries(u store.User) []entry {
	sortKey := u.SortKey()
	list := []entry{
		{byName, string(key(store.Fold(u.DisplayName), u.UID))},
		{bySortKey, string(key(sortKey, u.UID))},
		{byEmail, string(key(u.Email, u.UID))},
		{byCreated, string(num(nil, u.CreatedAt, u.UID))},
		{byActive, string(num(nil, u.LastActiveAt, u.UID))},
	}
	for _, term := range store.Terms(u.Username, u.DisplayName) {
		list = append(list, entry{byTerm, string(key(term, sortKey, u.UID))})
	}
	if u.Abandoned(never) {
		list = append(list, entry{byDisuse, string(num(nil, max(u.CreatedAt, u.LastActiveAt), u.UID))})
	}
	if u.Admin {
		list = append(list, entry{admins, u.UID})
	}
	if u.ErasingAt != 0 {
		list = append(list, entry{erasing, string(num(nil, u.ErasingAt, u.UID))})
	}
	return list
}

// reindex replaces the index entries of old by those of now. Either may be nil, for a user who does not exist.
func reindex(tx *bbolt.Tx, old, now *store.User) error {
	var before, after []entry
	if old != nil {
		before = entries(*old)
	}
	if now != nil {
		after = entries(*now)
	}
	for _, e := range before {
		if !slices.ContainsFunc(after, e.equal) {
			if err := tx.Bucket(e.bucket).Delete([]byte(e.key)); err != nil {
				return err
			}
		}
	}
	for _, e := range after {
		if !slices.ContainsFunc(before, e.equal) {
			if err := tx.Bucket(e.bucket).Put([]byte(e.key), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// sharing returns the users other than uid whose copy of an address this is.
func sharing(tx *bbolt.Tx, email, uid string) (list []store.User, err error) {
	p := prefix(email)
	c := tx.Bucket(byEmail).Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
		other := string(k[len(p):])
		if other == uid {
			continue
		}
		u, err := getUser(tx, other)
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

// replaceUsers writes users who exist.
func replaceUsers(tx *bbolt.Tx, list []store.User) error {
	for _, u := range list {
		old, err := getUser(tx, u.UID)
		if err == nil {
			err = putUser(tx, &old, u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putUser writes u and updates the indexes. old is the stored record, or nil for a new user.
func putUser(tx *bbolt.Tx, old *store.User, u store.User) error {
	if err := put(tx, users, []byte(u.UID), userRecord(u)); err != nil {
		return err
	}
	return reindex(tx, old, &u)
}
