package store

import (
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Name is what is kept under a username, in lower case. The rules of who may take a
// name and who may go on with a sign-up are here, once for all implementations.
type Name struct {
	UID      string      `json:"uid,omitempty" firestore:"uid,omitempty"`             // whose it is or was; "" while leased
	EmailKey string      `json:"email_key,omitempty" firestore:"email_key,omitempty"` // which sign-up leases it
	Expires  chat.Micros `json:"expires,omitempty" firestore:"expires_us,omitempty"`  // 0: belongs to UID
}

// NameKey returns the key of a username.
func NameKey(username string) string { return strings.ToLower(username) }

// OpenTo reports whether n, which may be nil, may be taken by the sign-up of
// emailKey or the person uid; either may be "".
func (n *Name) OpenTo(emailKey, uid string, now chat.Micros) bool {
	switch {
	case n == nil:
		return true
	case uid != "" && n.UID == uid, emailKey != "" && n.EmailKey == emailKey:
		return true
	}
	return n.Expires != 0 && n.Expires <= now
}

// LeasedBy reports whether n is a lease of the sign-up of emailKey.
func (n *Name) LeasedBy(emailKey string) bool {
	return n != nil && n.UID == "" && n.EmailKey == emailKey
}

// Renew returns the lease that follows old, which may be nil, when attempt
// wants name for the address behind emailKey. ErrSignupBusy, with RetryAfter,
// where old still runs.
func Renew(old *Signup, emailKey, username, uid, attempt string, now chat.Micros, lease time.Duration) (Signup, error) {
	if old != nil {
		if old.Attempt != "" && old.Attempt != attempt && old.Expires > now {
			return Signup{}, ErrSignupBusy.WithRetry(old.Expires.Time().Sub(now.Time()))
		}
		uid = old.UID
	}
	return Signup{EmailKey: emailKey, Username: username, UID: uid, Attempt: attempt, Expires: now + chat.Micros(lease.Microseconds())}, nil
}
