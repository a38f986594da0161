package store

import (
	"context"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// User is a person as the store keeps them.
type User struct {
	UID          string
	Username     string // as the person wrote it; unique without regard to case
	DisplayName  string
	Email        string // lower case
	CreatedAt    chat.Micros
	LastActiveAt chat.Micros // to the hour; 0: never
	Admin        bool
	Disabled     bool        // may do nothing until enabled again
	ValidAfter   chat.Micros // tokens of a sign-in before this are ended; 0: none was
	Blocked      []string    // uids whose messages this person refuses
	ErasingAt    chat.Micros // not 0: is being deleted since; may do nothing any more
}

// Active reports whether the person may do anything.
func (u User) Active() bool { return !u.Disabled && u.ErasingAt == 0 }

// HasBlocked reports whether u refuses messages of uid.
func (u User) HasBlocked(uid string) bool { return slices.Contains(u.Blocked, uid) }

// Signup is a sign-up under way: a lease on an email address and a username.
// While it lasts nobody else can sign up with either.
type Signup struct {
	EmailKey string // EmailKey of the address
	Username string
	UID      string      // the account to create, or, after a sign-up that broke off, to take over
	Attempt  string      // who holds the lease
	Expires  chat.Micros // afterwards anybody may take name and address
}

// Signups reserves names while an account is made in another system, so
// that a sign-up which breaks off anywhere blocks nobody for longer than its lease.
//
// The order is: Reserve, create the account s.UID elsewhere, Commit. Who gives
// up calls Release. Who crashed is followed by a retry, which Reserve gives
// the same UID, or by a sweep: TakeStale, remove the account, Forget.
type Signups interface {
	// Reserve leases an email address and a username until lease after now.
	// uid is used for a new lease; where an earlier sign-up with this address was not
	// committed, its uid is returned instead, and its username let go.
	// ErrUsernameTaken: the name belongs to somebody or is leased to another address.
	// ErrSignupBusy, with RetryAfter: another attempt holds the address's lease.
	// That the address belongs to an account is not known here.
	Reserve(ctx context.Context, email, username, uid, attempt string, now chat.Micros, lease time.Duration) (Signup, error)

	// Commit creates the user and ends the lease, both or neither. u.UID and
	// u.Username must be those of s. ErrSignupLost: the lease is no longer
	// this attempt's, or it was committed before.
	Commit(ctx context.Context, s Signup, u User) error

	// Release ends the lease at once, keeping the uid for a retry with the
	// same address. A lease that is not this attempt's any more is left alone.
	Release(ctx context.Context, s Signup) error

	// TakeStale gives attempt the leases that ended before a time, oldest first, at most limit, each
	// until lease after now: what is left of sign-ups that never came back.
	LeaseStale(ctx context.Context, before chat.Micros, attempt string, now chat.Micros, lease time.Duration, limit int) ([]Signup, error)

	// Forget drops what is left of s. A lease that is not this attempt's any more is left alone.
	Forget(ctx context.Context, s Signup) error
}

// Orders of a list of people.
const (
	ByName   = "name"   // by Fold of the display name
	ByNewest = "newest" // newest account first
	ByActive = "active" // last active first; those never active are last
)

// Search says which people a list shows.
type Search struct {
	// Prefix: only people with a word in their name, or a username, that begins
	// with each of its words (see Terms), by name whatever Order says.
	// With an "@" in it: people whose email address begins with it.
	// "" is everybody.
	Prefix string
	Order  string // "" is ByName
	All    bool   // disabled people and those being deleted, too
	Cursor string
	Limit  int
}

// People keeps the users. Changes take effect on every later read.
type Users interface {
	// User returns one person; those being deleted are still found.
	User(ctx context.Context, uid string) (User, error)

	// Users returns those of the uids that exist, in no order.
	Users(ctx context.Context, uids []string) (map[string]User, error)

	// UserByEmail returns the person with this address, in any case.
	UserByEmail(ctx context.Context, email string) (User, error)

	// UserByUsername returns the person with this username, in any case.
	UserByUsername(ctx context.Context, username string) (User, error)

	// Search lists people.
	Search(ctx context.Context, s Search) ([]User, string, error)

	// Rename changes what is not nil and returns the result. A username that is left
	// stays reserved for the same person for NameHold, then anybody may take it.
	// ErrUsernameTaken.
	Rename(ctx context.Context, uid string, username, displayName *string, now chat.Micros) (User, error)

	// SetBlocked makes uid refuse messages of other, or no longer.
	// ErrBlockedFull.
	SetBlocked(ctx context.Context, uid, other string, blocked bool) (User, error)

	// SetAdmin makes or unmakes an admin. With keepOne, unmaking the last active
	// admin is ErrLastAdmin, also when two calls that would together do it race.
	SetAdmin(ctx context.Context, uid string, admin, keepOne bool) (User, error)

	// SetDisabled disables or enables. Disabling the last active admin is ErrLastAdmin.
	// Who is being deleted stays disabled.
	SetDisabled(ctx context.Context, uid string, disabled bool) (User, error)

	// EndSessions raises ValidAfter to at (it never falls).
	EndSessions(ctx context.Context, uid string, at chat.Micros) (User, error)

	// Touch raises LastActiveAt of those of the uids that exist. Callers
	// should not do so more than hourly for one person.
	Touch(ctx context.Context, uids []string, at chat.Micros) error

	// CountPeople counts everybody, and those active since a time.
	CountUsers(ctx context.Context, since chat.Micros) (all, active int64, err error)
}

// NameHold is how long a username that was left or whose person was deleted
// stays reserved, so that nobody can step into a name that others still trust.
const NameHold = 30 * 24 * time.Hour

// Erased is the mark that a deleted person leaves: that messages of theirs
// which arrive late are not to be saved.
type Erased struct {
	UID string
	At  chat.Micros
}

// Erasure deletes people with all that is theirs. What they wrote is erased.
// What others wrote to them stays with those others, under a conversation
// whose other member is gone; where nothing is left the conversation goes, too.
//
// The order is Begin, Content, Finish; each may be repeated, and an erasure that was
// interrupted anywhere goes on from Begin.
type Erasure interface {
	// BeginErase marks the person as being deleted, and disabled, and leaves the Erased mark.
	// The last active admin is ErrLastAdmin.
	BeginErase(ctx context.Context, uid string, at chat.Micros) (User, error)

	// EraseContent deletes every saved message that uid wrote, and mends the
	// previews that showed one. It may take long and may be cut off by its
	// context: a repeated call goes on. Nothing to erase is success.
	EraseContent(ctx context.Context, uid string) error

	// FinishErase deletes the user and holds the username for NameHold. A
	// person who does not exist is success; one who was not begun is problem.ErrNotFound.
	FinishErase(ctx context.Context, uid string, now chat.Micros) error

	// Erasing returns people whose deletion began before a time and is not finished.
	Erasing(ctx context.Context, before chat.Micros, limit int) ([]User, error)

	// ErasedSince returns the marks left at or after a time, oldest first, at most MaxPage.
	ErasedSince(ctx context.Context, since chat.Micros) ([]Erased, error)
}
