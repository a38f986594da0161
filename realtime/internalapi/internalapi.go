// Package internalapi is the functions' port to realtime/: what they tell it when a
// person's gate changes, and what they ask it for the operator's figures.
// [Client] speaks to its internal routes over HTTP.
package internalapi

import (
	"context"
	"slices"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Gate is what decides whether a person may connect and be written to, as
// the store has it after a change.
type Gate struct {
	UID        string      `json:"uid"`
	Exists     bool        `json:"exists"`
	Disabled   bool        `json:"disabled"`
	ValidAfter chat.Micros `json:"valid_after"`
	Blocked    []string    `json:"blocked"`
}

// Equal reports whether g and o decide alike.
func (g Gate) Equal(o Gate) bool {
	return g.UID == o.UID && g.Exists == o.Exists && g.Disabled == o.Disabled && g.ValidAfter == o.ValidAfter && slices.Equal(g.Blocked, o.Blocked)
}

// Figures is the load of realtime/ over all instances.
type Figures struct {
	Sockets   map[string]int64 `json:"sockets"`       // open sockets by instance
	Queued    int64            `json:"queued"`        // messages that no device of their recipient has yet
	OldestAge int64            `json:"oldest_age_ms"` // of the oldest of these, in milliseconds
	Complete  bool             `json:"complete"`      // false: only a part of the queues was counted
}

// Relay is the port. Methods block for at most their context; all may be
// repeated and called at once. A realtime/ that does not answer or refuses the
// caller gives problem.ErrUnavailable with the cause.
type API interface {
	// GateChanged makes a change hold at once on all instances: sockets that may no
	// longer be open close within 5 s. When it has failed, the change holds as soon as the
	// gate that is cached expires (24 h): the caller must say so or call again.
	GateChanged(ctx context.Context, g Gate) error

	// Gone says that a person was deleted: sockets close, and messages
	// that wait for them are settled with their senders as not delivered.
	Gone(ctx context.Context, uid string) error

	// Figures asks for the load.
	Figures(ctx context.Context) (Figures, error)
}
