// Package internalapi is the contract of the realtime service's /internal/* routes, which the functions call when a
// user's gate changes, when a user is deleted, and for the operator's figures. It holds the paths, the request and
// response types, and the limits that both ends use. Package server serves the routes; [Client] calls them over HTTP.
//
//	POST /internal/gate     [Gate] → 204
//	POST /internal/gone     [Gone] → 204
//	GET  /internal/figures  200 → [Figures], with more about the instance that answers
//
// Every call carries an ID token of a service account that may call (package identity). Errors are problem details (RFC
// 9457).
package internalapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Paths of the routes.
const (
	GatePath    = "/internal/gate"
	GonePath    = "/internal/gone"
	FiguresPath = "/internal/figures"
)

// MaxBody limits the body of a request and of a response, in bytes. A gate with a long list of blocked users fits.
const MaxBody = 1 << 20

// Gate decides whether a user may connect and receive messages. It is the state of the store after a change.
type Gate struct {
	UID        string        `json:"uid"`
	Exists     bool          `json:"exists"`
	Disabled   bool          `json:"disabled"`
	ValidAfter chat.Micros   `json:"valid_after"` // sign-ins before this time are no longer valid; 0: all are
	Ended      []chat.Micros `json:"ended"`       // later sign-ins that are no longer valid either
	Blocked    []string      `json:"blocked"`     // users whose messages this user refuses
}

// Equal reports whether g and o are the same gate.
func (g Gate) Equal(o Gate) bool {
	return g.UID == o.UID && g.Exists == o.Exists && g.Disabled == o.Disabled && g.ValidAfter == o.ValidAfter &&
		slices.Equal(g.Ended, o.Ended) && slices.Equal(g.Blocked, o.Blocked)
}

// Check reports a uid that is not valid.
func (g Gate) Check() error { return checkUID(g.UID) }

// Gone names a user who was deleted.
type Gone struct {
	UID string `json:"uid"`
}

// Check reports a uid that is not valid.
func (g Gone) Check() error { return checkUID(g.UID) }

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

	// Figures returns the load.
	Figures(ctx context.Context) (Figures, error)
}
