package store

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/prober"
)

// User is the directory's record of a user. The rules for changing it are its methods, so that they are the same in
// every implementation.
type User struct {
	UID          string
	Username     string // as the user wrote it; unique without regard to case
	DisplayName  string
	CreatedAt    chat.Micros
	LastActiveAt chat.Micros // to the hour; 0: never
	Admin        bool
	Disabled     bool        // may do nothing until enabled again
	Blocked      []string    // uids whose messages this user refuses
	ErasingAt    chat.Micros // when the deletion began, 0: it has not; a user being deleted may do nothing

	Renamed []chat.Micros // the last changes of the username, oldest first, at most MaxRenames
	Frozen  []FrozenNames // older names, which people whom this user has blocked go on seeing
	Picture string        // version of the picture; "": none

	// A copy of the account's address, for lists. The sign-in system has the right one.
	Email         string // lower case; "": not known
	EmailVerified bool
	EmailAt       chat.Micros // when the account had this address

	// Sign-ins are identified by SignInTime. Both lists are sorted and limited.
	ValidAfter chat.Micros   // tokens of earlier sign-ins are not accepted; 0: all are
	Ended      []chat.Micros // later sign-ins whose tokens are not accepted either
	SignIns    []chat.Micros // the newest sign-ins that have called the API, without those that have ended
	SignedOut  []chat.Micros // those of the ended ones whose device was signed out on purpose
	Devices    []Device      // where the user is signed in; in no order
	PasswordAt chat.Micros   // when the user last chose another password in our page; 0: never
	Push       bool          // has a push subscription; see Subscriptions

	LimitedUntil chat.Micros // until then, the user may not write to new people; 0: they may
	Warning      *Warning    // of an admin, which the user has not confirmed yet

	Privacy chat.Privacy

	SecondFactor bool        // sign-ins need the code of an authenticator app
	Recovery     []string    // hashes of the recovery codes that were not used, see RecoveryHash
	RecoveryAt   chat.Micros // when the recovery codes were made; 0: never
}

// FrozenNames are names and the picture that a user had, and the people who go on seeing them: those who were blocked
// when these changed. A blocked person must not learn from a new name or picture that the user is there and active.
type FrozenNames struct {
	Username    string   `json:"username" firestore:"username"`
	DisplayName string   `json:"display_name" firestore:"display_name"`
	UIDs        []string `json:"uids" firestore:"uids"`
	Picture     string   `json:"picture,omitempty" firestore:"picture,omitempty"`
}

// frozenFor returns what the user uid goes on seeing of u, or nil if they see the present names.
func (u User) frozenFor(uid string) *FrozenNames {
	i := slices.IndexFunc(u.Frozen, func(f FrozenNames) bool { return slices.Contains(f.UIDs, uid) })
	if i < 0 {
		return nil
	}
	return &u.Frozen[i]
}

// NamesFor returns the names of u that the user uid may see.
func (u User) NamesFor(uid string) (username, displayName string) {
	if f := u.frozenFor(uid); f != nil {
		return f.Username, f.DisplayName
	}
	return u.Username, u.DisplayName
}

// freeze keeps the names and the picture that u has now for the blocked people who do not see older ones already.
func (u *User) freeze() {
	names := FrozenNames{Username: u.Username, DisplayName: u.DisplayName, Picture: u.Picture}
	for _, uid := range u.Blocked {
		if u.frozenFor(uid) == nil {
			names.UIDs = append(names.UIDs, uid)
		}
	}
	if names.UIDs != nil {
		u.Frozen = append(slices.Clone(u.Frozen), names)
	}
}

// thaw makes uid see the present names of u again.
func (u *User) thaw(uid string) {
	var frozen []FrozenNames
	for _, f := range u.Frozen {
		f.UIDs = slices.DeleteFunc(slices.Clone(f.UIDs), func(s string) bool { return s == uid })
		if len(f.UIDs) > 0 {
			frozen = append(frozen, f)
		}
	}
	u.Frozen = frozen
}

// Active reports whether the user may do anything.
func (u User) Active() bool { return !u.Disabled && u.ErasingAt == 0 }

// SortKey is the place of u in the directory and in searches by words: first the users whose address is verified, then
// the others, each by Fold of the display name. So a crowd of accounts without a real address cannot hide people.
func (u User) SortKey() string {
	if u.EmailVerified {
		return "0" + Fold(u.DisplayName)
	}
	return "1" + Fold(u.DisplayName)
}

// Abandoned reports whether u is an account that nobody has used since a time, and that may be somebody else's: its
// address is not verified. It is not if u is an admin, or is disabled, about whom admins decide.
func (u User) Abandoned(since chat.Micros) bool {
	return !u.EmailVerified && !u.Admin && u.Active() && !prober.Is(u.UID) && max(u.CreatedAt, u.LastActiveAt) < since
}

// Listed reports whether people find the user in lists and searches.
func (u User) Listed() bool { return u.Active() && !prober.Is(u.UID) }

// HasBlocked reports whether u refuses messages of uid.
func (u User) HasBlocked(uid string) bool { return slices.Contains(u.Blocked, uid) }

// Rename changes the names that are not nil, at the time now. nameOf returns the entry under the key of a username,
// or nil; it is called only if the username changes in more than its case. The result holds the entries to write, by
// key: the new username becomes the user's, and the old one is held for them.
//
// A user can change their username MaxRenames times within NameHold, so that they hold at most that many old names. A
// change of case alone does not count. With operator, the change is neither limited nor counted.
//
// The errors are ErrUsernameTaken, ErrRenames with RetryAfter, and those of nameOf; then u must not be written.
func (u *User) Rename(username, displayName *string, now chat.Micros, operator bool,
	nameOf func(key string) (*Name, error)) (map[string]Name, error) {
	old := *u
	if displayName != nil {
		u.DisplayName = *displayName
	}
	if username != nil {
		u.Username = *username
	}
	if u.Username != old.Username || u.DisplayName != old.DisplayName {
		old.freeze()
		u.Frozen = old.Frozen
	}
	oldKey, newKey := NameKey(old.Username), NameKey(u.Username)
	if oldKey == newKey {
		return nil, nil
	}
	if !operator {
		if err := u.countRename(now); err != nil {
			return nil, err
		}
	}
	n, err := nameOf(newKey)
	if err != nil {
		return nil, err
	}
	if !n.OpenTo("", u.UID, now) {
		return nil, ErrUsernameTaken
	}
	return map[string]Name{oldKey: HeldName(u.UID, now), newKey: {UID: u.UID}}, nil
}

// countRename records a change of the username at now, or returns ErrRenames.
func (u *User) countRename(now chat.Micros) error {
	since := now - chat.Micros(NameHold.Microseconds())
	recent := slices.DeleteFunc(slices.Clone(u.Renamed), func(at chat.Micros) bool { return at <= since })
	if len(recent) >= MaxRenames {
		return ErrRenames.WithRetry(recent[len(recent)-MaxRenames].Time().Sub(since.Time()))
	}
	u.Renamed = append(recent, now)
	return nil
}

// SetBlocked makes u refuse messages of uid, or accept them again. The error is ErrBlockedFull.
func (u *User) SetBlocked(uid string, blocked bool) error {
	switch {
	case !blocked:
		u.Blocked = slices.DeleteFunc(u.Blocked, func(b string) bool { return b == uid })
		u.thaw(uid)
	case u.HasBlocked(uid):
	case len(u.Blocked) >= MaxBlocked:
		return ErrBlockedFull
	default:
		u.Blocked = append(u.Blocked, uid)
	}
	return nil
}

// OtherAdmin reports whether there is an active admin other than uid. Its answer must hold until the change that
// asked is written.
type OtherAdmin func(uid string) (bool, error)

// keepOne returns ErrLastAdmin if u is the last active admin.
func (u *User) keepOne(other OtherAdmin) error {
	if !u.Admin || !u.Active() {
		return nil
	}
	found, err := other(u.UID)
	if err == nil && !found {
		err = ErrLastAdmin
	}
	return err
}

// SetAdmin makes u an admin or an ordinary user. With keepOne, it returns ErrLastAdmin rather than unmake the last
// active admin; without, other is not called.
func (u *User) SetAdmin(admin, keepOne bool, other OtherAdmin) error {
	if !admin && keepOne {
		if err := u.keepOne(other); err != nil {
			return err
		}
	}
	u.Admin = admin
	return nil
}

// SetDisabled disables or enables u. A user who is being deleted stays disabled. The last active admin cannot be
// disabled: ErrLastAdmin.
func (u *User) SetDisabled(disabled bool, other OtherAdmin) error {
	if disabled {
		if err := u.keepOne(other); err != nil {
			return err
		}
	}
	u.Disabled = disabled || u.ErasingAt != 0
	return nil
}

// BeginErase marks u as being deleted since at, and reports whether it was not before. It also disables u: the gate,
// which realtime/ fills from the record, knows only disabled. The last active admin cannot be deleted: ErrLastAdmin.
func (u *User) BeginErase(at chat.Micros, other OtherAdmin) (begun bool, err error) {
	if u.ErasingAt != 0 {
		return false, nil
	}
	if err := u.keepOne(other); err != nil {
		return false, err
	}
	u.ErasingAt, u.Disabled = at, true
	return true, nil
}

// Signup is a sign-up in progress: a lease on an email address and a username. While it lasts, nobody else can sign
// up with either of them.
type Signup struct {
	EmailKey string // EmailKey of the address
	Username string
	UID      string      // of the account to create, or to take over from an attempt that was interrupted
	Attempt  string      // identifies the holder of the lease; "": released
	Expires  chat.Micros // the address and the username are free from then on
}

// Signups reserves names while an account is created in another system, so that a sign-up that is interrupted blocks
// the names no longer than its lease lasts.
//
// The order is: Reserve, create the account s.UID elsewhere, Commit. A caller that gives up calls Release. A caller
// that crashed is followed by a retry, which gets the same UID from Reserve, or by a sweep: LeaseStale, delete the
// account, Forget.
type Signups interface {
	// Reserve leases an email address and a username until lease after now. A new lease gets uid. If an earlier sign-up
	// with this address was not committed, the result has the UID of that one, and the username of that one is released.
	//
	// ErrUsernameTaken: the username is a user's, or is leased for another address. ErrSignupBusy, with RetryAfter:
	// another attempt holds the lease of the address. Reserve does not know whether the address already has an account.
	Reserve(ctx context.Context, email, username, uid, attempt string, now chat.Micros,
		lease time.Duration) (Signup, error)

	// Commit creates the user and ends the lease, both or neither. u.UID and u.Username must be those of s. Other users
	// lose their copies of u's address: their accounts cannot have it anymore.
	// ErrSignupLost: this attempt does not hold the lease, or it was committed before.
	Commit(ctx context.Context, s Signup, u User) error

	// Release ends the lease at once, but keeps the uid for a retry with the same address. It has no effect if this
	// attempt does not hold the lease.
	Release(ctx context.Context, s Signup) error

	// LeaseStale gives attempt at most limit leases that ended before a time, oldest first, each until lease after now.
	// They are what remains of sign-ups that were interrupted and not retried.
	LeaseStale(ctx context.Context, before chat.Micros, attempt string, now chat.Micros, lease time.Duration,
		limit int) ([]Signup, error)

	// Forget deletes s and releases its username. It has no effect if this attempt does not hold the lease.
	Forget(ctx context.Context, s Signup) error
}

// Orders of a list of users.
const (
	ByName   = "name"   // by Fold of the display name; only with All
	ByNewest = "newest" // newest first
	ByActive = "active" // last active first; users who were never active are last
)

// Search describes a list of users.
type Search struct {
	// Prefix limits the list to users who have, for each of its words, a word in their names that begins with it (see
	// Terms). Such a list is sorted by SortKey, whatever Order says. A Prefix that contains "@" selects users whose email
	// address begins with it. "" selects everybody.
	Prefix string
	Order  string // "": by SortKey or, with All, ByName
	All    bool   // include users who are disabled or being deleted
	Cursor string
	Limit  int

	// Hide, which may be nil, excludes users whom the caller may not find. It is called while the list is read, so that
	// neither the page nor its cursor shows them.
	Hide func(User) bool
}

// MaxScan limits the documents that are read for one page of a search, unless the page itself has more. If it is
// reached, the page is short or empty, and its cursor continues the search. So every search is bounded, also one for
// a letter that everybody has, and its pages together still have everybody whom it fits.
const MaxScan = 250

// Reads returns the number of documents that s usually reads at most. It is more than a page and one if the list has
// to read users to know whether they match. (Users whom Hide excludes are not included.)
func (s Search) Reads() int {
	page := PageSize(s.Limit) + 1
	q := ParseQuery(s.Prefix)
	if len(q.Words) > 1 || len(q.Words) == 1 && q.Term != q.Words[0] {
		return max(page, MaxScan)
	}
	return page
}

// Users is the directory.
type Users interface {
	// User returns one user. It also finds users who are being deleted.
	User(ctx context.Context, uid string) (User, error)

	// Users returns those of the uids that exist.
	Users(ctx context.Context, uids []string) (map[string]User, error)

	// UserByEmail returns the user whose copy of the address this is, in any case.
	UserByEmail(ctx context.Context, email string) (User, error)

	// UserByUsername returns the user with this username, in any case.
	UserByUsername(ctx context.Context, username string) (User, error)

	// Search lists users.
	Search(ctx context.Context, s Search) ([]User, string, error)

	// Rename changes the names that are not nil and returns the result. A username that is given up stays reserved for
	// the same user for NameHold; then anybody may take it. See User.Rename for operator. ErrUsernameTaken, ErrRenames.
	Rename(ctx context.Context, uid string, username, displayName *string, now chat.Micros, operator bool) (User, error)

	// SetBlocked makes uid refuse messages of other, or accept them again. ErrBlockedFull.
	SetBlocked(ctx context.Context, uid, other string, blocked bool) (User, error)

	// SetPrivacy replaces the privacy of a user.
	SetPrivacy(ctx context.Context, uid string, p chat.Privacy) (User, error)

	// SetAdmin makes a user an admin or an ordinary user. With keepOne, unmaking the last active admin gives
	// ErrLastAdmin, even if two concurrent calls would do it only together.
	SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (User, error)

	// SetDisabled disables or enables a user. Disabling the last active admin gives ErrLastAdmin. A user who is being
	// deleted stays disabled.
	SetDisabled(ctx context.Context, uid string, disabled bool) (User, error)

	// SetAddress replaces the copy of an address unless it is newer than a. Other users who have an older copy of the
	// same address lose it. If another user has a newer copy, uid loses theirs.
	SetAddress(ctx context.Context, uid string, a Address) (User, error)

	// EndSessions raises ValidAfter to at. It never lowers it.
	EndSessions(ctx context.Context, uid string, at chat.Micros) (User, error)

	// EndSession ends one sign-in, and EndOtherSessions all others of which the store knows: because the password has
	// changed at passwordAt or, if that is 0, to sign out their devices. See the methods of User.
	EndSession(ctx context.Context, uid string, signIn chat.Micros) (User, error)
	EndOtherSessions(ctx context.Context, uid string, keep, passwordAt chat.Micros) (User, error)

	// SignOutDevice ends the sign-ins of a device. An unknown device is a problem of kind NotFound.
	SignOutDevice(ctx context.Context, uid, device string) (User, error)

	// RecordSignIn records the use of a sign-in, if that is due; see the methods of User. Otherwise it writes nothing. It
	// also raises LastActiveAt. added reports whether it has listed another device.
	RecordSignIn(ctx context.Context, uid string, seen Seen) (u User, added bool, err error)

	// Touch raises LastActiveAt of those of the uids that exist. A caller should do so at most hourly for one user.
	Touch(ctx context.Context, uids []string, at chat.Micros) error

	// CountUsers counts all users, and those who were active since a time, without the prober's.
	CountUsers(ctx context.Context, since chat.Micros) (all, active int64, err error)
}

// NameHold is how long a username stays reserved after its user changed it or was deleted, so that nobody can assume
// the name of somebody whom others still trust.
const NameHold = 30 * 24 * time.Hour

// MaxRenames is the number of times that a user can change their username within NameHold.
const MaxRenames = 2

// Erased is the mark that a deleted user leaves. It says that their messages must not be saved if they arrive late.
type Erased struct {
	UID string
	At  chat.Micros
}

// Erasure deletes users with all their data. Messages that they wrote are erased. Messages that others wrote to them
// stay with those others, in a conversation whose other member is gone. A conversation in which nothing is left is
// deleted. Of reports, see Reports.
//
// The order is BeginErase, EraseContent, FinishErase. Each of them may be repeated. An erasure that was interrupted
// starts again with BeginErase.
type Erasure interface {
	// BeginErase marks the user as being deleted, disables them and leaves the Erased mark. The last active admin gives
	// ErrLastAdmin.
	BeginErase(ctx context.Context, uid string, at chat.Micros) (User, error)

	// EraseContent deletes every saved message that uid wrote, and replaces the previews that showed one. It may take
	// long. If its context ends, a repeated call continues. If there is nothing to erase, it succeeds.
	EraseContent(ctx context.Context, uid string) error

	// FinishErase deletes the user and holds the username for NameHold. A user who does not exist is success. A user
	// without BeginErase is problem.ErrNotFound.
	FinishErase(ctx context.Context, uid string, now chat.Micros) error

	// Abandoned returns at most limit users who are Abandoned since a time, those who were active longest ago first.
	Abandoned(ctx context.Context, since chat.Micros, limit int) ([]User, error)

	// BeginEraseAbandoned is BeginErase for a user who is Abandoned since a time. A user who is not, or no longer, is
	// problem.ErrNotFound.
	BeginEraseAbandoned(ctx context.Context, uid string, since, at chat.Micros) (User, error)

	// Erasing returns users whose deletion began before a time and is not finished.
	Erasing(ctx context.Context, before chat.Micros, limit int) ([]User, error)

	// ErasedSince returns the marks left at or after a time, oldest first, at most MaxPage.
	ErasedSince(ctx context.Context, since chat.Micros) ([]Erased, error)
}
