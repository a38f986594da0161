package store

import (
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Name is the entry that is stored under a username, in lower case. It is a user's, held for a former user, or leased
// by a sign-up. The rules for usernames and leases are here, so that they are the same in every implementation.
type Name struct {
	UID      string      `json:"uid,omitempty" firestore:"uid,omitempty"`             // present or former user; "": leased
	EmailKey string      `json:"email_key,omitempty" firestore:"email_key,omitempty"` // of the sign-up that leases it
	Expires  chat.Micros `json:"expires,omitempty" firestore:"expires_us,omitempty"`  // of a hold or lease; 0: it is UID's
}

// NameKey returns the key of a username.
func NameKey(username string) string { return strings.ToLower(username) }

// HeldName returns the entry for a username that uid gave up at now. It is reserved for NameHold.
func HeldName(uid string, now chat.Micros) Name {
	return Name{UID: uid, Expires: now + chat.Micros(NameHold.Microseconds())}
}

// OpenTo reports whether the sign-up of emailKey, or the user uid, may take the username. Either may be "". n is nil
// if there is no entry.
func (n *Name) OpenTo(emailKey, uid string, now chat.Micros) bool {
	switch {
	case n == nil:
		return true
	case uid != "" && n.UID == uid, emailKey != "" && n.EmailKey == emailKey:
		return true
	}
	return n.Expires != 0 && n.Expires <= now
}

// LeasedBy reports whether n, which may be nil, is a lease of the sign-up of emailKey.
func (n *Name) LeasedBy(emailKey string) bool {
	return n != nil && n.UID == "" && n.EmailKey == emailKey
}

// Renew returns the lease that replaces old, which may be nil, if attempt wants username for the address of emailKey.
// ErrSignupBusy, with RetryAfter: another attempt still holds old.
func Renew(old *Signup, emailKey, username, uid, attempt string, now chat.Micros, lease time.Duration) (Signup, error) {
	if old != nil {
		if old.Attempt != "" && old.Attempt != attempt && old.Expires > now {
			return Signup{}, ErrSignupBusy.WithRetry(old.Expires.Time().Sub(now.Time()))
		}
		uid = old.UID
	}
	return Signup{EmailKey: emailKey, Username: username, UID: uid, Attempt: attempt,
		Expires: now + chat.Micros(lease.Microseconds())}, nil
}

// HeldBy reports whether s, the stored lease or nil, is held by the attempt of mine.
func (s *Signup) HeldBy(mine Signup) bool { return s != nil && s.Attempt == mine.Attempt }

// CheckCommit returns ErrSignupLost unless mine may create u, given the stored lease s and the entry of its username.
// Either of these may be nil.
func (s *Signup) CheckCommit(mine Signup, name *Name, u User) error {
	if !s.HeldBy(mine) || s.UID != u.UID || !name.LeasedBy(mine.EmailKey) {
		return ErrSignupLost
	}
	return nil
}
