package load

import (
	"context"
	"fmt"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// browserStore is the store of a device with the browser's engine.
type browserStore struct {
	browsers *Browsers
	id       int
}

// newStore returns an empty store of a user.
func (b *Browsers) newStore(uid string) *browserStore {
	s := &browserStore{b, b.nextID()}
	s.mustCall(toNode{Do: "create", UID: uid}, nil)
	return s
}

// mustCall makes a call that cannot fail while the process runs. A failure makes the run fail.
func (s *browserStore) mustCall(line toNode, result any) {
	line.Store = s.id
	if err := s.browsers.call(context.Background(), line, result); err != nil {
		s.browsers.fail(fmt.Errorf("%s: %w", line.Do, err))
	}
}

// copy returns a copy of the store, or nil if own messages or changes are unsent.
func (s *browserStore) copy() *browserStore {
	c := &browserStore{s.browsers, s.browsers.nextID()}
	var copied bool
	s.mustCall(toNode{Do: "copy", Copy: c.id}, &copied)
	if !copied {
		return nil
	}
	return c
}

// browserLine is a message as the process describes it.
type browserLine struct {
	Message chat.Message `json:"message"`
	Changes chat.Changes `json:"changes"`
	State   string       `json:"state"`
	Refusal string       `json:"refusal"`
}

func (l browserLine) line() client.Line {
	return client.Line{Message: l.Message, Changes: l.Changes, State: stateNamed(l.State), Refusal: l.Refusal}
}

// stateNamed returns the state with this name, or Waiting for "", as messages of others have.
func stateNamed(name string) client.State {
	for s := client.Waiting; s <= client.Read; s++ {
		if s.String() == name {
			return s
		}
	}
	return client.Waiting
}

// Conversation implements Store.
func (s *browserStore) Conversation(id string) []client.Line {
	var lines []browserLine
	s.mustCall(toNode{Do: "lines", Conversation: id}, &lines)
	out := make([]client.Line, len(lines))
	for i, l := range lines {
		out[i] = l.line()
	}
	return out
}

// Conversations implements Store.
func (s *browserStore) Conversations() (ids []string) {
	s.mustCall(toNode{Do: "conversations"}, &ids)
	return ids
}

// Newest implements Store.
func (s *browserStore) Newest(conversation string) (client.Line, bool) {
	var l *browserLine
	s.mustCall(toNode{Do: "newest", Conversation: conversation}, &l)
	if l == nil {
		return client.Line{}, false
	}
	return l.line(), true
}

// Unseen implements Store.
func (s *browserStore) Unseen(conversation string) (at chat.Micros, unseen bool) {
	var r struct {
		At     chat.Micros
		Unseen bool
	}
	s.mustCall(toNode{Do: "unseen", Conversation: conversation}, &r)
	return r.At, r.Unseen
}

// Summary implements Store.
func (s *browserStore) Summary(conversation string) client.Summary {
	var r struct {
		Newest *chat.Message
		Unread int
		Read   map[string]chat.Micros
		Unsent bool
	}
	s.mustCall(toNode{Do: "summary", Conversation: conversation}, &r)
	out := client.Summary{Unread: r.Unread, Read: r.Read, Unsent: r.Unsent}
	if r.Newest != nil {
		out.Newest = *r.Newest
	}
	return out
}

// Rows implements Store. It counts all rows of the database beside messages.
func (s *browserStore) Rows() (n int) {
	s.mustCall(toNode{Do: "rows"}, &n)
	return n
}

type unfinishedWork struct {
	Outbox    int
	Backfills []string
}

func (s *browserStore) unfinished() (r unfinishedWork) {
	s.mustCall(toNode{Do: "unfinished"}, &r)
	return r
}

// Outbox implements Store.
func (s *browserStore) Outbox() int { return s.unfinished().Outbox }

// Backfills implements Store.
func (s *browserStore) Backfills() int { return len(s.unfinished().Backfills) }

// PendingBackfills implements Store.
func (s *browserStore) PendingBackfills() []string { return s.unfinished().Backfills }
