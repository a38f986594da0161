package load

import (
	"math/rand/v2"
	"slices"

	"github.com/phoenixchat/phoenixchat/infra/client"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// quickReactions are what users react with; "" withdraws a reaction.
var quickReactions = []string{"👍", "❤️", "😂", "😮", "🙏", ""}

// changeable is how many of the newest messages of a conversation users change.
const changeable = 8

// changeMessage makes a user edit or delete an own message of a conversation, or react to any. It returns 1, although
// the user may find nothing to change: what is written next must not depend on what the device shows.
func (c *Crowd) changeMessage(user string, store Store, app App, conversation string, rnd *rand.Rand) (made int) {
	kind := []chat.ChangeKind{chat.KindEdit, chat.KindEdit, chat.KindReact, chat.KindDelete}[rnd.IntN(4)]
	which, emoji := rnd.IntN(changeable), quickReactions[rnd.IntN(len(quickReactions))]
	text := "edit " + body(c.edits.Add(1), rnd)
	lines := store.Conversation(conversation)
	deleted := func(l client.Line) bool { return l.Changes.Deleted != nil }
	lines = slices.DeleteFunc(lines[max(0, len(lines)-changeable):], deleted)
	if len(lines) == 0 {
		return 1
	}
	l := lines[which%len(lines)]
	if l.From != user {
		kind = chat.KindReact
	}
	content := emoji
	switch kind {
	case chat.KindEdit:
		content = text
	case chat.KindDelete:
		content = ""
	}
	app.Change(conversation, l.Key(), kind, content)
	return 1
}
