// Package internalapi is the contract of the realtime service's /internal/* routes, which the functions call when a
// user's gate or profile changes, when a user is deleted, when messages that wait must be withdrawn, when devices may
// show a content that is not saved, when a user has chosen a setting, and for the operator's figures. It holds the
// paths, the request and response types, and the limits that both ends use. Package server serves the routes; [Client]
// calls them over HTTP.
//
//	POST /internal/gate       [Gate] → 204
//	POST /internal/gone       [Gone] → 204
//	POST /internal/profile    [Profile] → 204
//	POST /internal/purge      [Purge] → 200 [Purged]
//	POST /internal/corrected  [Corrected] → 204
//	POST /internal/setting    [Setting] → 204; 404 if it accepts a request that does not exist
//	GET  /internal/waiting    200 → [Waiting]
//	GET  /internal/figures    200 → [Figures], with more about the instance that answers
//
// Every call carries an ID token of a service account that may call (package identity). Errors are problem details (RFC
// 9457).
package internalapi

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
)

// Paths of the routes.
const (
	GatePath      = "/internal/gate"
	GonePath      = "/internal/gone"
	ProfilePath   = "/internal/profile"
	PurgePath     = "/internal/purge"
	CorrectedPath = "/internal/corrected"
	SettingPath   = "/internal/setting"
	WaitingPath   = "/internal/waiting"
	FiguresPath   = "/internal/figures"
)

// WorkTime limits the work of one Purge or Waiting call, so that it is answered in time.
const WorkTime = 8 * time.Second

// MaxBody limits the body of a request and of a response, in bytes. A gate with a long list of blocked users fits.
const MaxBody = 1 << 20

// Gate decides whether a user may connect and receive messages. It is the state of the store after a change.
type Gate struct {
	UID        string        `json:"uid"`
	Exists     bool          `json:"exists"`
	Disabled   bool          `json:"disabled"`
	ValidAfter chat.Micros   `json:"valid_after"` // sign-ins before this time are no longer valid; 0: all are
	Ended      []chat.Micros `json:"ended"`       // later sign-ins that are no longer valid either
	SignedOut  []chat.Micros `json:"signed_out"`  // those of the ended ones whose device was signed out on purpose
	Blocked    []string      `json:"blocked"`     // users whose messages this user refuses
	Push       bool          `json:"push"`        // whether a device of the user is registered for push

	// LimitedUntil is the time until which the user may not write to new people; 0: they may.
	LimitedUntil chat.Micros `json:"limited_until,omitempty"`

	Privacy chat.Privacy `json:"privacy,omitzero"`

	// Unverified: the user has not proved that the account's address is theirs.
	Unverified bool `json:"unverified,omitempty"`
}

// Equal reports whether g and o are the same gate.
func (g Gate) Equal(o Gate) bool {
	return g.UID == o.UID && g.Exists == o.Exists && g.Disabled == o.Disabled && g.ValidAfter == o.ValidAfter &&
		slices.Equal(g.Ended, o.Ended) && slices.Equal(g.SignedOut, o.SignedOut) && slices.Equal(g.Blocked, o.Blocked) &&
		g.Push == o.Push && g.LimitedUntil == o.LimitedUntil && g.Privacy == o.Privacy &&
		g.Unverified == o.Unverified
}

// Check reports a uid that is not valid.
func (g Gate) Check() error { return checkUID(g.UID) }

// Gone names a user who was deleted.
type Gone struct {
	UID string `json:"uid"`
}

// Check reports a uid that is not valid.
func (g Gone) Check() error { return checkUID(g.UID) }

// Profile names a user whose profile has changed.
type Profile struct {
	UID string `json:"uid"`
	// Own: only what the user sees has changed, so only the user's own devices get notice.
	Own bool `json:"own,omitempty"`
}

// Check reports a uid that is not valid.
func (p Profile) Check() error { return checkUID(p.UID) }

// Reasons of a Purge: the code that senders get with the refused events.
const (
	ReasonWithdrawn   = "withdrawn"             // the sender was disabled or deleted, or an operator decided it
	ReasonUnavailable = "recipient_unavailable" // the recipient has blocked the sender
)

// Purge selects messages that wait. They are refused to their sender, and removed.
type Purge struct {
	From   string `json:"from"`         // sender
	To     string `json:"to,omitempty"` // recipient; "": all
	Reason string `json:"reason"`
}

// Check reports a uid or a reason that is not valid.
func (p Purge) Check() error {
	if p.Reason != ReasonWithdrawn && p.Reason != ReasonUnavailable {
		return fmt.Errorf("reason %.40q is not valid", p.Reason)
	}
	if p.To != "" {
		if err := checkUID(p.To); err != nil {
			return err
		}
	}
	return checkUID(p.From)
}

// Corrected lists messages as the archive holds them, because devices may show another content under their key.
type Corrected struct {
	Messages []delivery.Delivered `json:"messages"` // at most delivery.MaxMessages
}

// Check reports a message that cannot be in the archive, and a list that is empty or too long.
func (c Corrected) Check() error {
	if n := len(c.Messages); n == 0 || n > delivery.MaxMessages {
		return fmt.Errorf("%d messages", n)
	}
	for _, m := range c.Messages {
		if err := m.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Setting is a choice of a user that is stored.
type Setting struct {
	UID     string       `json:"uid"`
	Setting chat.Setting `json:"setting"`
}

// Check reports a setting that the user cannot have made.
func (s Setting) Check() error {
	if err := checkUID(s.UID); err != nil {
		return err
	}
	return s.Setting.Check(s.UID, s.Setting.At.Time())
}

// Purged is the result of a Purge so far.
type Purged struct {
	Messages int64 `json:"messages"` // removed by this call
	Bytes    int64 `json:"bytes"`    // of these, in the inboxes
	// Complete: all messages that waited were removed. Otherwise the service goes on by itself.
	Complete bool `json:"complete"`
}

// Waiting says whose messages wait, and for whom.
type Waiting struct {
	Messages   int64   `json:"messages"`
	Bytes      int64   `json:"bytes"`
	Inboxes    int64   `json:"inboxes"`    // in which messages wait
	Senders    []Share `json:"senders"`    // the MaxShares largest, by bytes
	Recipients []Share `json:"recipients"` // the same of recipients
	Complete   bool    `json:"complete"`   // false: only some of the inboxes were counted
}

// MaxShares limits the senders and the recipients that Waiting names.
const MaxShares = 50

// Share is what waits from one sender, or for one recipient.
type Share struct {
	UID      string `json:"uid"`
	Messages int64  `json:"messages"`
	Bytes    int64  `json:"bytes"`
}

func checkUID(uid string) error {
	if !chat.ValidUID(uid) {
		return fmt.Errorf("uid %.140q is not valid", uid)
	}
	return nil
}

// Figures is the load of the realtime service over all instances.
type Figures struct {
	Sockets   map[string]int64 `json:"sockets"`       // open sockets by instance
	Queued    int64            `json:"queued"`        // messages that no device of their recipient has acknowledged
	OldestAge int64            `json:"oldest_age_ms"` // age of the oldest of these messages, in milliseconds
	Complete  bool             `json:"complete"`      // false: only some of the inboxes were counted
}

// API is what the functions ask of the realtime service. A method blocks until its context ends at the latest. All
// methods are idempotent and safe for concurrent use. If the service does not answer, or refuses the caller, the error
// is problem.ErrUnavailable with the cause.
type API interface {
	// GateChanged applies a change on all instances at once: sockets that may no longer be open close within 5 s. If it
	// fails, the change applies when the cached gate expires (after 24 h at most), so the caller must report the failure
	// or call again.
	GateChanged(ctx context.Context, g Gate) error

	// Gone reports that a user was deleted. The user's sockets close, and the senders of messages that wait for the user
	// learn that these will not be delivered.
	Gone(ctx context.Context, uid string) error

	// ProfileChanged reports a new public profile: names, picture, the admin's badge, or that the user was deleted. The
	// user's own devices and the people who watch the user load it again, unless one of the two has blocked the other.
	// It is a hint: a device that misses it shows the new profile minutes later.
	ProfileChanged(ctx context.Context, uid string) error

	// OwnProfileChanged reports a change of a profile that only its user sees, such as a sign-in on a new device, a
	// warning or a block. The user's devices load it again. It is a hint like ProfileChanged.
	OwnProfileChanged(ctx context.Context, uid string) error

	// Purge withdraws messages that wait, and repeats that for what is accepted within some seconds after the call if the
	// sender is disabled or deleted.
	Purge(ctx context.Context, p Purge) (Purged, error)

	// Corrected sends saved messages to all devices of both users, which replace their content. It makes several calls
	// if the messages are too large for one. After an error, some devices may have been corrected.
	Corrected(ctx context.Context, messages []delivery.Delivered) error

	// Set sends a choice of a user to all devices of the user. A user who accepts a request (chat.SettingAccept) has then
	// answered it; if the other user has never written to them, the error is chat.ErrRequestUnknown.
	Set(ctx context.Context, s Setting) error

	// Waiting returns who fills what. It is for operators: it reads all inboxes in which messages wait.
	Waiting(ctx context.Context) (Waiting, error)

	// Figures returns the load.
	Figures(ctx context.Context) (Figures, error)
}
