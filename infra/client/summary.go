package client

import (
	"maps"
	"slices"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Summary is a conversation as the list of conversations shows it.
type Summary struct {
	Newest chat.Message           // of others, or delivered; without a body if there is none
	Unread int                    // messages of others above the user's own read mark
	Read   map[string]chat.Micros // read marks by uid
	Unsent bool                   // the user's own read mark is not confirmed yet
}

// Summary returns what the list of conversations shows of one.
func (s *Store) Summary(conversation string) Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.d.conversations[conversation]
	if c == nil {
		return Summary{}
	}
	out := Summary{Read: maps.Clone(c.read), Unsent: c.unsent > c.read[s.uid]}
	for _, m := range slices.Backward(c.shown) {
		if out.Newest.ID == "" && (m.From != s.uid || m.state >= Delivered) {
			out.Newest = s.d.line(m).Message
		}
		if m.From != s.uid && m.At > max(c.read[s.uid], c.unsent) {
			out.Unread++
		}
	}
	return out
}
