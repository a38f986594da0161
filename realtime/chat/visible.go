package chat

import "unicode"

// visible reports whether r can be seen in a message. White space, characters that Unicode calls ignorable (joiners,
// fillers, soft hyphens, variation selectors), the empty Braille pattern, the musical null notehead and the Khitan
// filler cannot. The client has the same rule (nothingVisible in web/src/protocol/chat.ts), and
// wire/testdata/frames/client.json has examples.
func visible(r rune) bool {
	switch {
	case r == '\u2800', r == '\U0001d159', r == '\U00016fe4', r >= 0xfff9 && r <= 0xfffb, unicode.IsSpace(r):
		return false
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return false
	case r >= 0x13430 && r <= 0x1345f, unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return true // formats that are drawn: hieroglyphs, and Arabic signs around numbers
	}
	return !unicode.Is(unicode.Cf, r)
}
