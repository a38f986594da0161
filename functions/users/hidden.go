package users

import (
	"slices"
	"unicode"
)

// Characters that are invisible, or that could be mistaken for a badge, in display names.

// ignorable reports whether r is a default-ignorable code point (Unicode's property Default_Ignorable_Code_Point),
// which a font shows as nothing.
func ignorable(r rune) bool {
	return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r) ||
		unicode.Is(unicode.Cf, r) && !prepended(r)
}

// prepended reports whether r is a format character that is visible, such as an Arabic number sign.
func prepended(r rune) bool { return unicode.Is(unicode.Prepended_Concatenation_Mark, r) }

// blank reports whether r is a letter or symbol that is invisible: a filler of Hangul or Khitan, the empty
// Braille pattern, or the musical null notehead.
func blank(r rune) bool {
	return slices.Contains([]rune{'\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\U0001d159', '\U00016fe4'}, r)
}

const (
	zwnj      = '\u200c'
	zwj       = '\u200d'
	emojiForm = '\ufe0f' // variation selector 16
	textForm  = '\ufe0e' // variation selector 15
)

// hasHidden reports whether name contains control characters, format characters that change the text around them, or
// other invisible characters. With them, two names can look the same. Joiners and variation selectors are allowed where
// they have an effect: a joiner between two emoji or between two letters of a script that joins them, and a variation
// selector after a symbol. Tag characters, as in the flags of some regions, are not allowed.
func hasHidden(name string) bool {
	runes := []rune(name)
	at := func(i int) rune {
		if i < 0 || i >= len(runes) {
			return 0
		}
		return runes[i]
	}
	for i, r := range runes {
		switch {
		case unicode.IsSpace(r): // is collapsed
		case unicode.Is(unicode.Cc, r), blank(r):
			return true
		case r == emojiForm || r == textForm:
			if !symbol(at(i-1)) && !keycap(runes, i) {
				return true
			}
		case r == zwj:
			emoji := (symbol(at(i-1)) || at(i-1) == emojiForm && i > 1) && symbol(at(i+1))
			if !emoji && !joins(at(i-1), at(i+1)) {
				return true
			}
		case r == zwnj:
			if !joins(at(i-1), at(i+1)) {
				return true
			}
		case ignorable(r):
			return true
		case unicode.In(r, unicode.Co, unicode.Cs) || unicode.Is(unicode.Noncharacter_Code_Point, r):
			return true
		}
	}
	return false
}

// symbol reports whether r can be part of an emoji, before a variation selector or a joiner.
func symbol(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sk, unicode.Sm) || r == '\u203c' || r == '\u2049' || r == '\u2139'
}

// keycap reports whether the variation selector at i belongs to a keycap: a digit, # or *, the selector, and an
// enclosing keycap.
func keycap(runes []rune, i int) bool {
	return i > 0 && i+1 < len(runes) && runes[i+1] == '\u20e3' && slices.Contains([]rune("0123456789#*"), runes[i-1])
}

// joining lists the scripts in which joiners decide how letters are joined (UAX 31, table 4, and their signs).
var joining = []*unicode.RangeTable{unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko, unicode.Adlam,
	unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
	unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Tibetan}

// joins reports whether a joiner between two characters has an effect. At the end of a word in an Indic script, it
// follows a sign, and nothing follows it.
func joins(before, after rune) bool {
	return unicode.In(before, joining...) && (unicode.In(after, joining...) ||
		unicode.In(before, unicode.Mn, unicode.Mc) && (after == 0 || after == ' '))
}

// badges lists characters that look like the badge which clients show beside the name of an admin: check marks,
// shields, medals, seals, tools, police and crowns.
var badges = []rune("✓✔✅☑🗸🗹⍻√🛡⛨🔰⚜🎖🏅🏵✪✯👮⚙🛠👑🆗")

// hasBadge reports whether name contains a character that could be mistaken for a badge.
func hasBadge(name string) bool {
	return slices.ContainsFunc([]rune(name), func(r rune) bool { return slices.Contains(badges, r) })
}
