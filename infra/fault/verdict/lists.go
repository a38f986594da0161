package verdict

import (
	"slices"
	"strings"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/fault/record"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// list is what a device, or the API, shows of the conversations of a user.
type list struct {
	device *device // nil: the list of the API
	user   string
	early  bool // before devices open anything
	items  []record.Item
}

func (l *list) name() string {
	switch {
	case l.device == nil:
		return "the list of " + l.user
	case l.early:
		return l.device.name + " before it opens anything"
	}
	return l.device.name
}

// causeFor is how long a refusal may follow the end of its cause. Instances cache gates for 3 s.
const causeFor = 5 * time.Second

// hasCause reports whether the record has a cause for the refusal of m.
func (j *judge) hasCause(m *message) bool {
	before := func(at int64, happened bool) bool { return happened && at <= m.refusedAt }
	switch m.refusal {
	case "recipient_unknown":
		at, erased := j.erased[m.to]
		return before(at, erased)
	case "withdrawn":
		return slices.ContainsFunc(j.withdrawn[m.typedOn.user], func(at int64) bool { return before(at, true) })
	case "recipient_unavailable":
		return slices.ContainsFunc(j.blocksBetween(m.to, m.typedOn.user), func(b span) bool {
			return b.from <= m.refusedAt && (b.to == never || m.refusedAt <= b.to+causeFor.Microseconds())
		})
	case "id_reused":
		return len(m.reused) > 0
	}
	return false
}

// blocksBetween returns when one of two users has blocked the other.
func (j *judge) blocksBetween(a, b string) []span {
	return slices.Concat(j.blocks[[2]string{a, b}], j.blocks[[2]string{b, a}])
}

// unjudged reports whether the list says nothing certain about a conversation. A member was deleted, or has blocked the
// other, so that read marks were dropped, or a message fell under the stated exception.
func (j *judge) unjudged(conversation string) bool {
	a, b, _ := strings.Cut(conversation, "~")
	_, erasedA := j.erased[a]
	_, erasedB := j.erased[b]
	blocked := slices.ContainsFunc(j.blocksBetween(a, b), func(s span) bool { return s.to == never })
	return j.loose[conversation] || erasedA || erasedB || blocked
}

// judgeLists compares lists of conversations with what was saved and what users have seen.
func (j *judge) judgeLists() {
	if j.cutShort {
		return
	}
	for i := range j.lists {
		l := &j.lists[i]
		if l.device != nil {
			l.user = l.device.user
			if l.device.left || l.device.misbehavior != "" {
				continue
			}
		}
		listed := map[string]bool{}
		var previous chat.Micros
		for _, item := range l.items {
			if listed[item.Conversation] = true; j.unjudged(item.Conversation) {
				continue
			}
			if previous > 0 && item.At > previous {
				j.addFinding(Listing, nil, l.name(), "%s is below an older conversation", item.Conversation)
			}
			previous = item.At
			j.judgeItem(l, item)
		}
		for conversation, views := range j.views {
			saved := slices.ContainsFunc(views, func(v *view) bool { return v.device == nil && len(v.lines) > 0 })
			if saved && isMember(conversation, l.user) && !listed[conversation] && !j.unjudged(conversation) {
				j.addFinding(Listing, nil, l.name(), "%s is missing", conversation)
			}
		}
	}
}

func isMember(conversation, user string) bool {
	a, b, _ := strings.Cut(conversation, "~")
	return user == a || user == b
}

// judgeItem compares one conversation of a list with the truth.
func (j *judge) judgeItem(l *list, item record.Item) {
	var saved *view
	for _, v := range j.views[item.Conversation] {
		if v.device == nil {
			saved = v
		}
	}
	if saved == nil || len(saved.lines) == 0 {
		if item.ID != "" {
			j.addFinding(Listing, nil, l.name(), "%s has a preview and no messages", item.Conversation)
		}
		return
	}
	newest := saved.lines[len(saved.lines)-1]
	if item.ID != newest.ID || item.At != newest.At || item.Text != newest.Text ||
		l.device == nil && item.LastAt != newest.At {
		j.addFinding(Listing, nil, l.name(), "the preview of %s is %s at %d, and the newest message is %s at %d",
			item.Conversation, item.ID, item.At, newest.ID, newest.At)
	}
	for user, devices := range j.devicesOf {
		if !isMember(item.Conversation, user) {
			continue
		}
		if a := j.answerOf(user, item.Conversation); user != l.user && a != accepted {
			if got := item.Read[user]; got != 0 && a == none {
				j.addFinding(ReadMarks, nil, l.name(), "the mark of %s in %s is %d, and they have not answered",
					user, item.Conversation, got)
			}
			continue
		}
		var least, most int64 // a device that has left may not have sent its last mark
		for _, d := range devices {
			at := d.readTo[item.Conversation].at
			most = max(most, at)
			if !d.left {
				least = max(least, at)
			}
		}
		if got := int64(item.Read[user]); got < least || got > most {
			j.addFinding(ReadMarks, nil, l.name(), "the mark of %s in %s is %d, and they have seen %d to %d",
				user, item.Conversation, got, least, most)
		}
	}
	unread := 0
	for _, line := range saved.lines {
		m := j.messages[key{item.Conversation, line.ID}]
		if line.At > item.Read[l.user] && m != nil && m.to == l.user && j.has(l, item.Conversation, line.ID) {
			unread++
		}
	}
	if want := min(unread, store.MaxUnread); min(item.Unread, store.MaxUnread) != want {
		j.addFinding(ReadMarks, nil, l.name(), "%d unread in %s, want %d", item.Unread, item.Conversation, want)
	}
	j.judgeSeen(l, item)
}

// answer says whether a user has written in a conversation. Before that, the other user gets no read marks of them.
type answer int

const (
	none     answer = iota
	typed           // a message or a change was typed, and it is not known whether it was accepted
	accepted        // one was accepted
)

func (j *judge) answerOf(user, conversation string) answer {
	if j.answers == nil {
		j.answers = map[[2]string]answer{}
		for _, m := range j.order {
			k, a := [2]string{m.typedOn.user, m.conversation}, typed
			if m.accepted >= 0 || m.saved >= 0 {
				a = accepted
			}
			j.answers[k] = max(j.answers[k], a)
		}
	}
	return j.answers[[2]string{user, conversation}]
}

// has reports whether the owner of a list has a message. A new device, and one to which
// the server reported a gap, has older messages only after it has opened the conversation.
func (j *judge) has(l *list, conversation, id string) bool {
	if !l.early {
		return true
	}
	for _, v := range j.early[conversation] {
		if v.device == l.device {
			_, has := v.place[id]
			return has
		}
	}
	return false
}

// judgeSeen checks that a device shows its user's messages as read if the other user has seen them and has answered,
// and not as read if that one has not.
func (j *judge) judgeSeen(l *list, item record.Item) {
	if l.device == nil {
		return
	}
	views := j.views
	if l.early {
		views = j.early
	}
	for _, v := range views[item.Conversation] {
		if v.device != l.device {
			continue
		}
		for _, line := range v.lines {
			m := j.messages[key{item.Conversation, line.ID}]
			if m == nil || m.typed < 0 || m.to == l.device.user {
				continue
			}
			answered := j.answerOf(m.to, item.Conversation)
			if line.State == "read" && answered == none {
				j.addFinding(ReadMarks, m, l.name(), "shown as read, and its recipient has not answered")
			}
			if line.State != "delivered" || answered != accepted {
				continue
			}
			for _, d := range j.devicesOf[m.to] {
				if !d.left && d.readTo[item.Conversation].at >= int64(line.At) {
					j.addFinding(ReadMarks, m, l.name(), "shown as delivered, and its recipient has seen it")
				}
			}
		}
	}
}
