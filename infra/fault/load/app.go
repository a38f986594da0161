package load

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Store is what a device keeps when its app ends: that of package client, or the browser's own on IndexedDB. Its
// methods are safe for concurrent use. [client.Store] describes them.
type Store interface {
	Conversation(id string) []client.Line
	Conversations() []string
	Newest(conversation string) (client.Line, bool)
	Unseen(conversation string) (at chat.Micros, unseen bool)
	Outbox() int
	Backfills() int
	PendingBackfills() []string
	Summary(conversation string) client.Summary
	Rows() int
}

// App is one run of the app on a device: that of package client, or the browser's own. Its methods are safe for
// concurrent use. [client.Client] describes them.
type App interface {
	Write(to, body, replyTo string) (id string)
	Change(conversation, key string, kind chat.ChangeKind, content string)
	Seen(conversation string, at chat.Micros)
	Open(ctx context.Context, conversation string, whole bool) error
	Offline()
	Online()
	Drop()
	StopReading(stop bool)
	Up() bool
	Kill()
}

var (
	_ Store = (*client.Store)(nil)
	_ App   = (*client.Client)(nil)
	_ Store = (*browserStore)(nil)
	_ App   = (*browserApp)(nil)
)

// startApp starts the app of a device, whose mu is held.
func (d *Device) startApp() App {
	name := d.name
	note := func(n client.Note) { d.crowd.recordNote(name, n) }
	seed := d.crowd.opts.Seed ^ hash(name)
	if s, ok := d.store.(*browserStore); ok {
		return s.start(browserOptions{
			dial:        d.dial,
			token:       func() (string, time.Time, error) { return d.crowd.testbed.Token(d.user) },
			note:        note,
			request:     func(url string) func([]byte) error { return d.crowd.recordRequest(name, url) },
			skew:        time.Duration(d.skew.Load()),
			seed:        rand.New(rand.NewPCG(seed, d.starts)),
			misbehavior: d.misbehavior,
		})
	}
	return client.New(d.store.(*client.Store), client.Options{
		Dial:        d.dial,
		Token:       func(context.Context) (string, time.Time, error) { return d.crowd.testbed.Token(d.user) },
		History:     d.crowd.recordHistory(name, d.crowd.testbed.History(d.user)),
		Wall:        func() time.Time { return time.Now().Add(time.Duration(d.skew.Load())) },
		NewID:       func(_, fresh string) string { return d.crowd.newID(d.user, fresh) },
		Rand:        rand.New(rand.NewPCG(seed, d.starts)),
		Note:        note,
		Pace:        d.crowd.opts.Pace,
		Misbehavior: d.misbehavior,
	})
}

// copyStore returns a copy of a store, or nil if own messages are unsent.
func copyStore(s Store) Store {
	switch s := s.(type) {
	case *browserStore:
		if c := s.copy(); c != nil {
			return c
		}
	case *client.Store:
		if c := s.Snapshot(); c.Outbox() == 0 {
			return c
		}
	}
	return nil
}

// isBrowser reports whether a store is the browser's own.
func isBrowser(s Store) bool {
	_, is := s.(*browserStore)
	return is
}
