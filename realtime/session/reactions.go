package session

import (
	"maps"
	"time"

	"golang.org/x/time/rate"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
)

// maxReacted limits the messages of which an instance remembers how often one user has reacted to them. Beyond it, the
// ones that may be reacted to again without a limit are forgotten, or else all.
const maxReacted = 256

// reactions has the rates of one user's reactions, by the conversation and the key of the message.
type reactions map[string]*rate.Limiter

// waitToReact uses up one reaction to a message, or returns how long to wait for the next. For any other item it
// returns 0.
func (u *user) waitToReact(i inbox.Item, r Rate) time.Duration {
	c := i.Change
	if c == nil || c.Kind != chat.KindReact {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	key := c.Conversation + "/" + c.Of.Key()
	l := u.reacted[key]
	if l == nil {
		if len(u.reacted) >= maxReacted {
			u.reacted.makeRoom(time.Now())
		}
		l = r.limiter()
		if u.reacted == nil {
			u.reacted = reactions{}
		}
		u.reacted[key] = l
	}
	wait, ok := allow(l)
	if ok {
		return 0
	}
	return wait
}

// makeRoom forgets some rates.
func (r reactions) makeRoom(now time.Time) {
	before := len(r)
	r.forgetFull(now)
	if len(r) == before {
		clear(r)
	}
}

// forgetFull forgets the rates that would be the same if they were new.
func (r reactions) forgetFull(now time.Time) {
	maps.DeleteFunc(r, func(_ string, l *rate.Limiter) bool { return isFull(l, now) })
}
