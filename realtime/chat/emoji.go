package chat

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
)

// emojiTable lists the emoji of one Unicode version that Unicode recommends for general interchange: the fully
// qualified sequences of emoji-test.txt, as the npm package unicode-emoji-json 0.9.0 and the RGI_Emoji property of ICU
// 78 have them. The client has a copy of it (web/src/protocol/emoji.json).
//
//go:embed emoji.json
var emojiTable []byte

var emoji = sync.OnceValue(func() map[string]struct{} {
	var t struct{ Emoji string }
	if err := json.Unmarshal(emojiTable, &t); err != nil {
		panic("chat: emoji.json: " + err.Error())
	}
	set := map[string]struct{}{}
	for e := range strings.FieldsSeq(t.Emoji) {
		set[e] = struct{}{}
	}
	return set
})

// ValidEmoji reports whether s is exactly one emoji of the table. Both services check reactions against it, and so does
// the client, so that each shows what the others accept.
func ValidEmoji(s string) bool {
	_, ok := emoji()[s]
	return ok
}
