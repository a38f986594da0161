package record

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Winner is a change that counts in the sum of the changes of a message.
type Winner struct {
	Kind string // edit, delete or react
	ID   string // its key
	At   chat.Micros
	Text Hash // see TextOfChange
}

// TextOfChange returns the hash of the content of a change: that of the text of an edit is the same as TextOf of a
// message with that body.
func TextOfChange(c chat.Change) Hash {
	if c.Kind == chat.KindReact {
		return hash(c.Conversation, c.From, c.Emoji)
	}
	return hash(c.Conversation, c.From, c.Body)
}

// ChangesOf describes the sum of the changes of a message: its winners in a fixed order, so equal sums have equal
// descriptions.
func ChangesOf(m chat.Message, sum chat.Changes) string {
	var out []string
	add := func(kind chat.ChangeKind, from string, p chat.Place, content string) {
		text := hash(m.Conversation, from, content)
		out = append(out, fmt.Sprintf("%s,%s,%d,%x", kind, chat.KeyOf(p.ID, from), p.At, uint64(text)))
	}
	if sum.Edited != nil {
		add(chat.KindEdit, m.From, sum.Edited.Place, sum.Edited.Body)
	}
	if sum.Deleted != nil {
		add(chat.KindDelete, m.From, *sum.Deleted, "")
	}
	for _, uid := range slices.Sorted(maps.Keys(sum.Reactions)) {
		r := sum.Reactions[uid]
		add(chat.KindReact, uid, r.Place, r.Emoji)
	}
	return strings.Join(out, " ")
}

// Winners parses what ChangesOf returns.
func Winners(changed string) (out []Winner) {
	for _, part := range strings.Fields(changed) {
		f := strings.Split(part, ",")
		if len(f) != 4 {
			continue
		}
		at, errAt := strconv.ParseInt(f[2], 10, 64)
		text, errText := strconv.ParseUint(f[3], 16, 64)
		if errAt == nil && errText == nil {
			out = append(out, Winner{f[0], f[1], chat.Micros(at), Hash(text)})
		}
	}
	return out
}

// LineOf returns a message as a line, with the body that follows from its changes.
func LineOf(m chat.Message, sum chat.Changes) Line {
	l := Line{ID: m.Key(), At: m.At, Text: TextOf(m), Changed: ChangesOf(m, sum)}
	if sum.SameText(chat.Changes{}) {
		l.Sum = SumOf(m)
	}
	return l
}
