package authstub

import (
	"slices"
	"sync"
	"time"
)

// Limits of the mails that verify an address. Production has its own, which Google does not publish.
const (
	mailEvery    = time.Minute
	mailsPerHour = 5
)

// mails counts, in memory, the mails that a user has asked for with a token. Resets are not among them.
type mails struct {
	now func() time.Time

	mu   sync.Mutex
	sent map[string][]time.Time // by uid, in the last hour
}

// take reports whether the account may cause another mail, and counts it if so: 1 a minute and 5 an hour.
func (m *mails) take(uid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	old := func(at time.Time) bool { return now.Sub(at) >= time.Hour }
	sent := slices.DeleteFunc(m.sent[uid], old)
	m.sent[uid] = sent
	if n := len(sent); n >= mailsPerHour || n > 0 && now.Sub(sent[n-1]) < mailEvery {
		return false
	}
	if len(m.sent) > maxTracked {
		for uid, times := range m.sent {
			if len(slices.DeleteFunc(times, old)) == 0 {
				delete(m.sent, uid)
			}
		}
	}
	m.sent[uid] = append(sent, now)
	return true
}
