package store

import (
	"context"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Warning is a warning of an admin, which the user has to confirm.
type Warning struct {
	At     chat.Micros `json:"at" firestore:"at"`         // identifies it
	Reason string      `json:"reason" firestore:"reason"` // one of ReportReasons
}

// ConfirmWarning removes the warning, unless it is later than at.
func (u *User) ConfirmWarning(at chat.Micros) {
	if u.Warning != nil && u.Warning.At <= at {
		u.Warning = nil
	}
}

// Sanctions changes what admins impose on users, besides disabling them. An unknown user is problem.ErrNotFound.
type Sanctions interface {
	// LimitContacts forbids the user to write to new people until a time. 0: they may again.
	LimitContacts(ctx context.Context, uid string, until chat.Micros) (User, error)

	// Warn stores a warning in place of an earlier one.
	Warn(ctx context.Context, uid string, w Warning) (User, error)

	// ConfirmWarning removes the warning; see the method of User.
	ConfirmWarning(ctx context.Context, uid string, at chat.Micros) (User, error)
}
