package load

import (
	"math/rand/v2"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// quickReactions are what users react with; "" withdraws a reaction.
var quickReactions = []string{"👍", "❤️", "😂", "😮", "🙏", ""}

// changeable is how many of the newest messages of a conversation users change.
const changeable = 8

// changeMessage makes a user edit or delete an own message of a conversation, or react to any. It returns 1, although
// the user may find nothing to change: what is written next must not depend on what the device shows. Devices with the browser's engine make none and show none, so their partners make none
// either.
func (c *Crowd) changeMessage(store Store, app App, conversation string, rnd *rand.Rand) (made int) {
	kind := []chat.ChangeKind{chat.KindEdit, chat.KindReact, chat.KindReact, chat.KindDelete}[rnd.IntN(4)]
	which, emoji, text := rnd.IntN(changeable), quickReactions[rnd.IntN(len(quickReactions))], "edit "+body(c.edits.Add(1), rnd)
	lines := store.Conversation(conversation)
	if c.hasBrowser(conversation) || len(lines) == 0 {
		return 1
	}
	l := lines[max(0, len(lines)-1-which)]
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

// hasBrowser reports whether a member of a conversation has a device with the browser's engine.
func (c *Crowd) hasBrowser(conversation string) bool {
	for _, d := range c.devices {
		if _, err := chat.Other(conversation, d.user); err == nil {
			if store, _ := d.storeAndApp(); isBrowser(store) {
				return true
			}
		}
	}
	return false
}
