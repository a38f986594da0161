package crowd

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// marks records the read marks of all users. It is safe for concurrent use.
type marks struct {
	mu     sync.Mutex
	newest map[mark]chat.Micros     // newest message of others that a user has received in a conversation
	set    map[mark]chat.Micros     // newest mark that a user has set
	seen   map[seenMark]chat.Micros // newest mark of a user that a device of the other user has received
}

// mark names the read mark of a user in a conversation.
type mark struct{ by, with int }

type seenMark struct {
	mark
	device int // of with
}

func newMarks() *marks {
	return &marks{newest: map[mark]chat.Micros{}, set: map[mark]chat.Micros{}, seen: map[seenMark]chat.Micros{}}
}

// noteMessage records that a device has received a message. Only the first device of a user reads.
func (m *marks) noteMessage(d *device, event []byte) {
	from, _ := field(event, `"from":"`)
	sender, ok := userOf(from)
	at := numberField(event, `"at":`)
	if !ok || d.index != 0 || !d.crowd.opts.Reads {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := mark{by: d.user, with: sender}
	m.newest[key] = max(m.newest[key], at)
}

// next returns the mark that user by should set now in the conversation with another. ok is false if it is set already.
func (m *marks) next(by, with int) (at chat.Micros, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := mark{by, with}
	if at = m.newest[key]; at <= m.set[key] {
		return 0, false
	}
	m.set[key] = at
	return at, true
}

// noteRead records that a device has received a read event.
func (m *marks) noteRead(d *device, event []byte) {
	by, _ := field(event, `"by":"`)
	reader, ok := userOf(by)
	if !ok || reader == d.user { // an own mark, for the user's other devices
		return
	}
	at := numberField(event, `"at":`)
	m.mu.Lock()
	defer m.mu.Unlock()
	key := seenMark{mark{by: reader, with: d.user}, d.index}
	m.seen[key] = max(m.seen[key], at)
}

// missing returns how many devices have not received the newest read mark of the other user.
func (m *marks) missing(devices int) (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, at := range m.set {
		for device := range devices {
			if m.seen[seenMark{key, device}] != at {
				n++
			}
		}
	}
	return n
}

// numberField returns the number after prefix.
func numberField(data []byte, prefix string) chat.Micros {
	_, after, _ := bytes.Cut(data, []byte(prefix))
	end := 0
	for end < len(after) && after[end] >= '0' && after[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(string(after[:end]), 10, 64) // 0 if there is no number
	return chat.Micros(n)
}

// uid returns the uid of a user. It is as long as those of Firebase.
func uid(user int) string { return fmt.Sprintf("load%024d", user) }

// userOf is the inverse of uid.
func userOf(uid []byte) (int, bool) {
	n, err := strconv.Atoi(string(bytes.TrimPrefix(uid, []byte("load"))))
	return n, err == nil
}
