package gate

import (
	"slices"
	"strings"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

// Words of the field privacy, separated by spaces. Scripts look for them.
const (
	privacyChats      = "chats"       // only people whom the user has answered see the presence
	privacyNobody     = "nobody"      // nobody sees it
	privacyNoReceipts = "no_receipts" // see chat.Privacy
	privacyOnlyKnown  = "known"       // likewise
)

// encodePrivacy returns the part of p that realtime/ needs.
func encodePrivacy(p chat.Privacy) string {
	var words []string
	for word, applies := range map[string]bool{privacyChats: p.LastSeen == chat.Chats,
		privacyNobody: p.LastSeen == chat.Nobody, privacyNoReceipts: p.NoReceipts, privacyOnlyKnown: p.OnlyKnown} {
		if applies {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// ParsePrivacy decodes the field privacy of gate:{uid}. It ignores words that this version does not know.
func ParsePrivacy(text string) (p chat.Privacy) {
	for _, word := range strings.Fields(text) {
		switch word {
		case privacyChats:
			p.LastSeen = chat.Chats
		case privacyNobody:
			p.LastSeen = chat.Nobody
		case privacyNoReceipts:
			p.NoReceipts = true
		case privacyOnlyKnown:
			p.OnlyKnown = true
		}
	}
	return p
}
