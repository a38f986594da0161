package store

import (
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Limits of the sign-ins that the record of a user lists.
const (
	MaxEnded   = 100 // sign-ins that were ended one by one
	MaxSignIns = 20  // newest sign-ins that have called the API
)

// second is the resolution of the time of a sign-in.
const second = chat.Micros(1e6)

// SignInTime returns the time by which a sign-in is identified: the auth_time of its tokens, which every refreshed
// token keeps. It has whole seconds, so two sign-ins of one user within a second are one: ending one ends both.
func SignInTime(authTime time.Time) chat.Micros { return chat.Micros(authTime.Unix()) * second }

// HasEnded reports whether the tokens of a sign-in are not accepted anymore.
func (u User) HasEnded(signIn chat.Micros) bool {
	return signIn/second < u.ValidAfter/second || slices.Contains(u.Ended, signIn)
}

// EndedBy returns when the password was changed that ended a sign-in, as far as is known, or 0.
func (u User) EndedBy(signIn chat.Micros) chat.Micros {
	if signIn > u.PasswordAt || !u.HasEnded(signIn) || u.WasSignedOut(signIn) {
		return 0
	}
	return u.PasswordAt
}

// IsNewSignIn reports whether RecordSignIn has not been called for a sign-in. A sign-in that is older than all of a
// full list has been recorded and dropped.
func (u User) IsNewSignIn(signIn chat.Micros) bool {
	return !slices.Contains(u.SignIns, signIn) && (len(u.SignIns) < MaxSignIns || signIn > u.SignIns[0])
}

// EndSessions makes u's tokens of sign-ins before at invalid. It does not undo an earlier call with a later time.
func (u *User) EndSessions(at chat.Micros) {
	u.ValidAfter = max(u.ValidAfter, at)
	before := func(signIn chat.Micros) bool { return signIn/second < u.ValidAfter/second }
	u.Ended, u.SignIns = without(u.Ended, before), without(u.SignIns, before)
	u.Devices = u.withoutEnded(u.Devices)
}

// EndSession makes the tokens of one sign-in invalid. Firebase Auth can only revoke all refresh tokens of a user, so a
// refresh token of this sign-in goes on making ID tokens, and the sign-in must stay in the list as long as that may
// happen. If the list is full, EndSession ends all sign-ins up to the oldest in the list instead of forgetting it.
func (u *User) EndSession(signIn chat.Micros) {
	if !u.HasEnded(signIn) {
		u.Ended = with(u.Ended, signIn)
	}
	u.SignIns = without(u.SignIns, func(s chat.Micros) bool { return s == signIn })
	u.Devices = u.withoutEnded(u.Devices)
	if n := len(u.Ended); n > MaxEnded {
		u.EndSessions(u.Ended[n-MaxEnded-1] + second)
	}
}

// EndOtherSessions makes the tokens of all sign-ins before keep invalid, and of those after it that are listed. If the
// reason is that the password has changed at passwordAt, the devices keep their data. If passwordAt is 0, the listed
// devices are signed out, so that their clients delete their data; see SignOutDevice.
func (u *User) EndOtherSessions(keep, passwordAt chat.Micros) {
	u.PasswordAt = max(u.PasswordAt, passwordAt)
	if passwordAt == 0 {
		for _, d := range u.Devices {
			if !d.Has(keep) {
				u.signOut(d)
			}
		}
	}
	u.endOthers(keep)
}

// endOthers makes the tokens of all sign-ins before keep invalid, and of those after it that are listed.
func (u *User) endOthers(keep chat.Micros) {
	u.EndSessions(keep)
	later := slices.Clone(u.SignIns)
	for _, d := range u.Devices {
		later = append(later, d.SignIns...)
	}
	for _, signIn := range later {
		if signIn != keep {
			u.EndSession(signIn)
		}
	}
}

// Address is the address of an account, as the sign-in system had it at a time.
type Address struct {
	Email    string // lower case
	Verified bool
	At       chat.Micros
}

// AddressOutdated reports whether u's copy of the address differs from a and is not newer.
func (u User) AddressOutdated(a Address) bool {
	return a.At >= u.EmailAt && a.Email != "" && (a.Email != u.Email || a.Verified != u.EmailVerified)
}

// SetAddress replaces u's copy of the address unless it is newer than a. others are the other users whose copy has that
// address. The sign-in system gives an address to one account only, so the newest copy is right, and SetAddress empties
// the rest. It returns those of others that it changed.
func (u *User) SetAddress(a Address, others []User) (changed []User) {
	if !u.AddressOutdated(a) {
		return nil
	}
	for _, o := range others {
		if o.EmailAt > a.At {
			u.Email, u.EmailVerified, u.EmailAt = "", false, o.EmailAt
			return nil
		}
	}
	u.Email, u.EmailVerified, u.EmailAt = a.Email, a.Verified, a.At
	return emptied(others, a.At)
}

// emptied returns users without their copies of an address that another account had at a time.
func emptied(users []User, at chat.Micros) []User {
	out := slices.Clone(users)
	for i := range out {
		out[i].Email, out[i].EmailVerified, out[i].EmailAt = "", false, at
	}
	return out
}

// Displaced returns others, the users whose copy has the address of u, a user who has just signed up with it, without
// their copies. Their accounts have other addresses by now.
func (u User) Displaced(others []User) []User { return emptied(others, u.EmailAt) }

// AddressOf returns an address in the form of Address.
func AddressOf(email string, verified bool, at chat.Micros) Address {
	return Address{Email: strings.ToLower(email), Verified: verified, At: at}
}

// with returns a copy of the sorted list with t.
func with(list []chat.Micros, t chat.Micros) []chat.Micros {
	i, found := slices.BinarySearch(list, t)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, t)
}

// without returns a copy of list without the times for which drop returns true, or nil if none is left.
func without(list []chat.Micros, drop func(chat.Micros) bool) []chat.Micros {
	list = slices.DeleteFunc(slices.Clone(list), drop)
	if len(list) == 0 {
		return nil
	}
	return list
}
