package store_test

import (
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
)

func TestPreviewsEndBetweenCharacters(t *testing.T) {
	const family = "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" // 7 code points, one character
	a := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct{ body, want string }{
		{"short", "short"},
		{a(250), a(200)},
		{a(197) + family, a(197)},
		{a(193) + family + "b", a(193) + family},
		{a(199) + "\U0001f1e9\U0001f1ea", a(199)}, // a flag
		{strings.Repeat("\U0001f1e9\U0001f1ea", 101), strings.Repeat("\U0001f1e9\U0001f1ea", 100)},
		{a(199) + "e\u0301", a(199)},
		{a(199) + "\U0001f44d\U0001f3fd", a(199)}, // a thumb with a skin tone
		{"Z" + strings.Repeat("\u0301", 300), "Z" + strings.Repeat("\u0301", 199)},
	} {
		got := store.PreviewOf(chat.Message{ID: "i", From: "f", Body: c.body}).Text
		if got != c.want {
			t.Errorf("the preview of %q is %q, want %q", c.body, got, c.want)
		}
	}
}
