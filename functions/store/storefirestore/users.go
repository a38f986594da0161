package storefirestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// userDoc is users/{uid}. The realtime service reads what a gate consists of. A field
// by which lists are sorted is always written: a document without it would be missing from the list.
type userDoc struct {
	Username      string      `firestore:"username"`
	UsernameLower string      `firestore:"username_lower"`
	DisplayName   string      `firestore:"display_name"`
	NameKey       string      `firestore:"name_key"` // store.Fold of the display name
	SortKey       string      `firestore:"sort_key"` // store.User.SortKey
	Terms         []string    `firestore:"terms"`    // store.Terms of both names
	CreatedAt     chat.Micros `firestore:"created_at"`
	LastActiveAt  chat.Micros `firestore:"last_active_at"`
	Admin         bool        `firestore:"admin"`
	Disabled      bool        `firestore:"disabled"`
	Blocked       []string    `firestore:"blocked"`
	ErasingAt     chat.Micros `firestore:"erasing_at,omitempty"`

	Renamed []chat.Micros       `firestore:"renamed,omitempty"`
	Frozen  []store.FrozenNames `firestore:"frozen,omitempty"`
	Picture string              `firestore:"picture,omitempty"`

	Email         string      `firestore:"email"`
	EmailVerified bool        `firestore:"email_verified"`
	EmailAt       chat.Micros `firestore:"email_at"`

	ValidAfter chat.Micros   `firestore:"valid_after"`
	Ended      []chat.Micros `firestore:"ended"`
	SignIns    []chat.Micros `firestore:"sign_ins"`
	SignedOut  []chat.Micros `firestore:"signed_out,omitempty"`
	PasswordAt chat.Micros   `firestore:"password_at,omitempty"`
	Devices    []deviceDoc   `firestore:"devices,omitempty"`

	Push bool `firestore:"push,omitempty"`

	LimitedUntil chat.Micros    `firestore:"limited_until,omitempty"`
	Warning      *store.Warning `firestore:"warning,omitempty"`

	Privacy *privacyDoc `firestore:"privacy,omitempty"` // nil: the default

	SecondFactor bool        `firestore:"second_factor,omitempty"`
	Recovery     []string    `firestore:"recovery,omitempty"`
	RecoveryAt   chat.Micros `firestore:"recovery_at,omitempty"`
}

// deviceDoc is a store.Device in userDoc.
type deviceDoc struct {
	First   chat.Micros   `firestore:"first"`
	Last    chat.Micros   `firestore:"last"`
	SignIns []chat.Micros `firestore:"sign_ins"`
	Browser string        `firestore:"browser,omitempty"`
	System  string        `firestore:"system,omitempty"`
	Place   string        `firestore:"place,omitempty"`
}

func deviceDocs(list []store.Device) (docs []deviceDoc) {
	for _, d := range list {
		docs = append(docs, deviceDoc{First: d.First, Last: d.Last, SignIns: d.SignIns, Browser: d.Client.Browser,
			System: d.Client.System, Place: d.Client.Place})
	}
	return docs
}

func devicesOf(docs []deviceDoc) (list []store.Device) {
	for _, d := range docs {
		list = append(list, store.Device{First: d.First, Last: d.Last, SignIns: d.SignIns,
			Client: useragent.Client{Browser: d.Browser, System: d.System, Place: d.Place}})
	}
	return list
}

func docOf(u store.User) userDoc {
	return userDoc{Username: u.Username, UsernameLower: store.NameKey(u.Username), DisplayName: u.DisplayName,
		NameKey: store.Fold(u.DisplayName), SortKey: u.SortKey(),
		Terms: store.Terms(u.Username,
			u.DisplayName), CreatedAt: u.CreatedAt, LastActiveAt: u.LastActiveAt, Admin: u.Admin,
		Disabled: u.Disabled, Blocked: u.Blocked, ErasingAt: u.ErasingAt,
		Email: u.Email, EmailVerified: u.EmailVerified, EmailAt: u.EmailAt,
		ValidAfter: u.ValidAfter, Ended: u.Ended, SignIns: u.SignIns, SignedOut: u.SignedOut,
		PasswordAt: u.PasswordAt,
		Push:       u.Push, LimitedUntil: u.LimitedUntil, Warning: u.Warning,
		Devices: deviceDocs(u.Devices), Privacy: privacyDocOf(u.Privacy),
		Renamed: u.Renamed, Frozen: u.Frozen, Picture: u.Picture,
		SecondFactor: u.SecondFactor, Recovery: u.Recovery, RecoveryAt: u.RecoveryAt}
}

func (d userDoc) user(uid string) store.User {
	return store.User{UID: uid, Username: d.Username, DisplayName: d.DisplayName, CreatedAt: d.CreatedAt,
		LastActiveAt: d.LastActiveAt,
		Admin:        d.Admin, Disabled: d.Disabled, Blocked: d.Blocked, ErasingAt: d.ErasingAt,
		Email: d.Email, EmailVerified: d.EmailVerified, EmailAt: d.EmailAt,
		ValidAfter: d.ValidAfter, Ended: d.Ended, SignIns: d.SignIns, SignedOut: d.SignedOut,
		PasswordAt: d.PasswordAt,
		Push:       d.Push, LimitedUntil: d.LimitedUntil, Warning: d.Warning,
		Devices: devicesOf(d.Devices), Privacy: d.Privacy.privacy(),
		Renamed: d.Renamed, Frozen: d.Frozen, Picture: d.Picture,
		SecondFactor: d.SecondFactor, Recovery: d.Recovery, RecoveryAt: d.RecoveryAt}
}

// userFrom decodes a document of the collection users.
func userFrom(snap *firestore.DocumentSnapshot) (store.User, error) {
	var d userDoc
	if _, err := decoded(snap, nil, &d); err != nil {
		return store.User{}, err
	}
	return d.user(snap.Ref.ID), nil
}

// User implements store.Users.
func (s *Store) User(ctx context.Context, uid string) (store.User, error) {
	var d userDoc
	ok, err := get(ctx, s.doc(colUsers, uid), &d)
	if err == nil && !ok {
		err = problem.ErrNotFound
	}
	return d.user(uid), translate(err)
}

// Users implements store.Users.
func (s *Store) Users(ctx context.Context, uids []string) (map[string]store.User, error) {
	found := make(map[string]store.User, len(uids))
	uids = slices.Clone(uids)
	slices.Sort(uids)
	uids = slices.Compact(uids)
	if len(uids) == 0 {
		return found, nil
	}
	refs := make([]*firestore.DocumentRef, len(uids))
	for i, uid := range uids {
		refs[i] = s.doc(colUsers, uid)
	}
	store.CountRead(ctx, len(refs))
	snaps, err := s.client.GetAll(ctx, refs)
	if err != nil {
		return nil, translate(err)
	}
	for _, snap := range snaps {
		if !snap.Exists() {
			continue
		}
		u, err := userFrom(snap)
		if err != nil {
			return nil, err
		}
		found[u.UID] = u
	}
	return found, nil
}

// UserByEmail implements store.Users.
func (s *Store) UserByEmail(ctx context.Context, email string) (u store.User, err error) {
	found := false
	err = each(ctx, s.query(userWithEmail, nil, strings.ToLower(email)).Limit(1),
		func(snap *firestore.DocumentSnapshot) (bool, error) {
			u, err = userFrom(snap)
			found = true
			return false, err
		})
	if err == nil && !found {
		err = problem.ErrNotFound
	}
	return u, err
}

// UserByUsername implements store.Users.
func (s *Store) UserByUsername(ctx context.Context, username string) (store.User, error) {
	if !pathSafe(username) {
		return store.User{}, problem.ErrNotFound
	}
	var n store.Name
	ok, err := get(ctx, s.doc(colNames, store.NameKey(username)), &n)
	if err == nil && (!ok || n.UID == "" || n.Expires != 0) {
		err = problem.ErrNotFound
	}
	if err != nil {
		return store.User{}, translate(err)
	}
	return s.User(ctx, n.UID)
}

// pathSafe reports whether id can be the id of a document. The uids and usernames that callers have validated can. An
// id that comes from a request may not.
func pathSafe(id string) bool {
	return id != "" && len(id) <= 1500 && id != "." && id != ".." && !strings.ContainsAny(id, "/\x00") &&
		!(strings.HasPrefix(id, "__") && strings.HasSuffix(id, "__"))
}

// change applies f to a user and writes the result, in one transaction. f reads before it writes, as Firestore
// demands.
func (s *Store) change(ctx context.Context, uid string, f func(tx *firestore.Transaction,
	u *store.User) error) (u store.User, err error) {
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		store.CountRead(ctx, 1)
		var d userDoc
		ok, err := getIn(tx, s.doc(colUsers, uid), &d)
		if err != nil {
			return err
		}
		if !ok {
			return problem.ErrNotFound
		}
		u = d.user(uid)
		before := u
		if err := f(tx, &u); err != nil {
			return err
		}
		if err := s.deletePictures(tx, uid, u.LostPictures(before)); err != nil {
			return err
		}
		return tx.Set(s.doc(colUsers, uid), docOf(u))
	})
	return u, err
}

// Rename implements store.Users.
func (s *Store) Rename(ctx context.Context, uid string, username, displayName *string,
	now chat.Micros, operator bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *firestore.Transaction, u *store.User) error {
		entry := func(key string) (*store.Name, error) {
			store.CountRead(ctx, 1)
			return s.nameIn(tx, key)
		}
		entries, err := u.Rename(username, displayName, now, operator, entry)
		if err != nil {
			return err
		}
		for key, n := range entries {
			if err := tx.Set(s.doc(colNames, key), n); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetBlocked implements store.Users.
func (s *Store) SetBlocked(ctx context.Context, uid, other string, blocked bool) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error { return u.SetBlocked(other, blocked) })
}

// otherAdmin returns a store.OtherAdmin that reads the other admins in tx. The transaction locks them, so two admins
// cannot unmake each other at once.
func (s *Store) otherAdmin(ctx context.Context, tx *firestore.Transaction) store.OtherAdmin {
	return func(uid string) (bool, error) {
		list, err := s.othersIn(ctx, tx, s.query(admins, nil, true), uid)
		return slices.ContainsFunc(list, func(u store.User) bool { return u.Admin && u.Active() }), err
	}
}

// othersIn returns the users other than uid whom a query finds, as tx reads them. They may not match the query anymore.
// The query is not part of tx, because the locks of a query in a transaction keep others from creating users, and
// sign-ups at the same time block each other.
func (s *Store) othersIn(
	ctx context.Context, tx *firestore.Transaction, q firestore.Query, uid string,
) (list []store.User, err error) {
	var refs []*firestore.DocumentRef
	err = each(ctx, q, func(snap *firestore.DocumentSnapshot) (bool, error) {
		if snap.Ref.ID != uid {
			refs = append(refs, snap.Ref)
		}
		return true, nil
	})
	if err != nil || len(refs) == 0 {
		return nil, err
	}
	snaps, err := tx.GetAll(refs)
	if err != nil {
		return nil, err
	}
	for _, snap := range snaps {
		if !snap.Exists() {
			continue
		}
		u, err := userFrom(snap)
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

// SetAdmin implements store.Users.
func (s *Store) SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *firestore.Transaction, u *store.User) error {
		return u.SetAdmin(admin, keepOne, s.otherAdmin(ctx, tx))
	})
}

// SetDisabled implements store.Users.
func (s *Store) SetDisabled(ctx context.Context, uid string, disabled bool) (store.User, error) {
	return s.change(ctx, uid, func(tx *firestore.Transaction, u *store.User) error {
		return u.SetDisabled(disabled, s.otherAdmin(ctx, tx))
	})
}

// EndSessions implements store.Users.
func (s *Store) EndSessions(ctx context.Context, uid string, at chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		u.EndSessions(at)
		return nil
	})
}

// EndSession implements store.Users.
func (s *Store) EndSession(ctx context.Context, uid string, signIn chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		u.EndSession(signIn)
		return nil
	})
}

// EndOtherSessions implements store.Users.
func (s *Store) EndOtherSessions(ctx context.Context, uid string, keep, passwordAt chat.Micros) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		u.EndOtherSessions(keep, passwordAt)
		return nil
	})
}

// SignOutDevice implements store.Users.
func (s *Store) SignOutDevice(ctx context.Context, uid, device string) (store.User, error) {
	return s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error { return u.SignOutDevice(device) })
}

// errNotDue ends a transaction that has nothing to write.
var errNotDue = errors.New("the use of the sign-in is recorded already")

// RecordSignIn implements store.Users.
func (s *Store) RecordSignIn(ctx context.Context, uid string, seen store.Seen) (u store.User, added bool, err error) {
	var now store.User
	u, err = s.change(ctx, uid, func(_ *firestore.Transaction, u *store.User) error {
		before := *u
		u.RecordSignIn(seen)
		now, added = *u, u.AddedDevice(before, seen)
		if !before.IsDue(seen) {
			return errNotDue
		}
		return nil
	})
	if errors.Is(err, errNotDue) {
		return now, false, nil
	}
	return u, added, err
}

// SetAddress implements store.Users.
func (s *Store) SetAddress(ctx context.Context, uid string, a store.Address) (store.User, error) {
	return s.change(ctx, uid, func(tx *firestore.Transaction, u *store.User) error {
		if !u.AddressOutdated(a) {
			return nil
		}
		others, err := s.sharing(ctx, tx, a.Email, uid)
		if err != nil {
			return err
		}
		return s.replaceUsers(tx, u.SetAddress(a, others))
	})
}

// sharing returns the users other than uid whose copy of an address this is. Two users whose copies become the same at
// the same moment may both keep it, until the address of one is looked up again.
func (s *Store) sharing(
	ctx context.Context, tx *firestore.Transaction, email, uid string,
) (list []store.User, err error) {
	list, err = s.othersIn(ctx, tx, s.query(userWithEmail, nil, email), uid)
	return slices.DeleteFunc(list, func(u store.User) bool { return u.Email != email }), err
}

// replaceUsers writes users whom tx has read.
func (s *Store) replaceUsers(tx *firestore.Transaction, list []store.User) error {
	for _, u := range list {
		if err := tx.Set(s.doc(colUsers, u.UID), docOf(u)); err != nil {
			return err
		}
	}
	return nil
}

// Touch implements store.Users. Its writes have a precondition, so that they do not create users.
func (s *Store) Touch(ctx context.Context, uids []string, at chat.Micros) error {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	var writes []write
	for _, uid := range slices.Compact(uids) {
		w := s.merge(colUsers+"/"+uid, nil, map[string]chat.Micros{"last_active_at": at})
		w.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: true}}
		w.fine = codes.NotFound
		writes = append(writes, w)
	}
	_, err := s.writeAll(ctx, writes)
	return err
}

// CountUsers implements store.Users.
func (s *Store) CountUsers(ctx context.Context, since chat.Micros) (all, active int64, err error) {
	if all, err = count(ctx, s.query(everybody, nil)); err != nil {
		return 0, 0, err
	}
	if active, err = count(ctx, s.query(activeSince, nil, int64(since))); err != nil {
		return 0, 0, err
	}
	probers, err := s.Users(ctx, []string{prober.A, prober.B})
	for _, u := range probers {
		all--
		if u.LastActiveAt >= since {
			active--
		}
	}
	return all, active, err
}

// errName is the error for a username that cannot be the id of a document.
func errName(username string) error {
	return problem.Wrap(fmt.Errorf("username %.60q", username), problem.Invalid, "username_invalid",
		"This username cannot be used.")
}
