package users

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/norm"
)

// Names with which a stranger could pose as the operator of the chat are reserved, in the username and in the display
// name. They are compared by what they look like (the skeleton of UTS 39), as whole words: "badminton" is not "admin".

// Words that are reserved. A word of strong makes every name reserved that has it as a word. A word of weak is also an
// ordinary word or a true name ("Joaquin Phoenix", "Amanda Staff"), so it makes a name reserved only if nothing else is
// in the name but words of these lists and of filler. A word of affixes is also found at the start or at the end of a
// longer word, and a word of inside anywhere in it.
var (
	strong = []string{"admin", "admins", "administrator", "administrators", "administration", "adminteam", "sysadmin",
		"superadmin", "superuser", "webmaster", "postmaster", "hostmaster", "sysop", "moderator", "moderators",
		"moderation",
		"operator", "operators", "support", "supportteam", "helpdesk", "helpcenter", "helpline",
		"customerservice", "customercare", "servicedesk", "official", "security", "noreply", "donotreply",
		"phoenixchat",
		"administrador", "administradora", "administrateur", "administratrice", "administratore", "beheerder",
		"administraator",
		"moderador", "moderadora", "moderateur", "moderatrice", "moderatore", "soporte", "suporte", "kundendienst",
		"kundenservice", "админ", "администратор", "модератор", "поддержка", "管理员", "管理員", "管理者", "客服", "官方",
		"관리자", "운영자", "サポート", "مدير", "مشرف", "الدعم"}
	weak = []string{"root", "help", "system", "systems", "staff", "phoenix", "team", "service", "services",
		"mod", "mods",
		"deleted", "anonymous", "anonym", "unknown", "abuse", "info", "information", "billing", "contact", "owner", "bot",
		"notification", "notifications", "announcement", "announcements", "newsletter", "feedback", "privacy", "legal",
		"trust", "safety", "everyone", "nobody", "undefined", "null", "hilfe", "ayuda", "система", "помощь",
		"verified", "verification",
		"server", "agent", "manager", "management", "department"}
	filler = []string{"the", "real", "true", "your", "our", "my", "this", "of", "and", "for", "from", "at",
		"to", "chat", "chats",
		"messenger", "messages", "message", "app", "web", "site", "website", "online", "account", "accounts",
		"user", "users", "person", "people", "member", "members", "desk", "center", "centre", "group", "dept",
		"office", "chief", "head", "lead", "leader", "super", "main", "global", "general",
		"tech", "technical", "customer", "client", "care", "community", "authorized", "inc", "llc",
		"ltd", "gmbh", "hq", "io", "com", "org", "net", "x", "xx", "xxx", "mr", "ms", "no", "reply", "not", "do",
		"sys", "op"}
	affixes = []string{"admin", "support", "official", "管理员", "管理員", "管理者", "客服", "官方", "관리자", "운영자", "サポート"}
	inside  = []string{"administrator", "moderator", "superuser", "sysadmin", "webmaster", "helpdesk",
		"noreply", "phoenixchat"}

	// trueWords begin or end with an affix, and are names or ordinary words.
	trueWords = []string{"administer", "administered", "administers", "administering", "adminton", "badminton",
		"supporter",
		"supporters", "supported", "supporting", "supportive", "unofficial", "officially", "officials",
		"inofficial", "semiofficial"}
)

// lexicon is the folded form of the lists.
type lexicon struct {
	strong, weak, filler, trueWords map[string]bool
	affixes, inside                 []string
	longest                         int // bytes of the longest word
}

var reservedWords = sync.OnceValue(func() *lexicon {
	l := &lexicon{}
	set := func(words []string) map[string]bool {
		m := map[string]bool{}
		for _, w := range words {
			w = strings.ReplaceAll(look(w), " ", "")
			m[w] = true
			l.longest = max(l.longest, len(w))
		}
		return m
	}
	l.strong, l.weak, l.filler, l.trueWords = set(strong), set(weak), set(filler), set(trueWords)
	for _, a := range affixes {
		l.affixes = append(l.affixes, look(a))
	}
	for _, w := range inside {
		l.inside = append(l.inside, look(w))
	}
	return l
})

// digits replaces characters that are written instead of letters, and gives letters that look alike one form.
var digits = strings.NewReplacer("0", "o", "1", "i", "l", "i", "|", "i", "!", "i", "3", "e", "€", "e", "4", "a",
	"@", "a", "5", "s", "$", "s", "6", "g", "9", "g", "7", "t", "+", "t", "8", "b", "2", "z", "vv", "w")

// look returns what s looks like, for comparisons: its UTS 39 skeleton, without accents and case, with the letters that
// digits and signs stand for.
func look(s string) string {
	s = bare(s)
	s = bare(confusable.Skeleton(s)) // maps, for example, m to rn and Cyrillic letters to Latin ones
	return digits.Replace(s)
}

// bare returns s in compatibility form and lower case, without marks and invisible characters.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Mn, unicode.Me) || ignorable(r) || blank(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
}

// lettered returns s in compatibility form. Letters in circles and squares that have no such form, and those that make
// up flags, become plain letters, too.
func lettered(s string) string {
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		for _, first := range []rune{0x1f150, 0x1f170, 0x1f1e6} {
			if r >= first && r < first+26 {
				return 'A' + r - first
			}
		}
		return r
	}, s))
}

// word is a word of a name.
type word struct {
	text  string
	apart bool // in brackets or behind a dash, as a title would be
}

// imitates reports whether name is reserved.
func imitates(name string) bool {
	l := reservedWords()
	name = lettered(name)
	words := wordsOf(name)
	all, known, some := "", true, false
	for i, w := range words {
		kind := l.kind(w.text)
		if kind == isStrong || kind == isWeak && w.apart || i > 0 && l.kind(words[i-1].text+w.text) == isStrong {
			return true
		}
		known = known && kind != isOther
		some = some || kind == isWeak
		all += w.text
	}
	for _, w := range joined(name, words) {
		if l.kind(w) == isStrong {
			return true
		}
	}
	// The name has nothing but words of the lists, or would if it were written without separators.
	kind := l.kind(all)
	return known && some || kind == isStrong || kind == isWeak && utf8.RuneCountInString(all) > 3
}

// wordRune reports whether r can be part of a word: a letter, a digit, a mark, or a sign that looks like a letter.
func wordRune(r rune) bool {
	if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) {
		return true
	}
	first, _ := utf8.DecodeRuneInString(look(string(r)))
	return unicode.IsLetter(first)
}

// wordsOf splits a name at separators, and between a small and a capital letter.
func wordsOf(name string) []word {
	var words []word
	separator := "" // before the current rune
	var last rune
	for _, r := range name {
		if ignorable(r) {
			continue
		}
		if !wordRune(r) {
			separator += string(r)
			last = r
			continue
		}
		if len(words) == 0 || separator != "" || unicode.IsUpper(r) && unicode.IsLower(last) {
			apart := setsApart(separator)
			if len(words) > 0 {
				words[len(words)-1].apart = words[len(words)-1].apart || apart
			}
			words = append(words, word{"", apart})
		}
		words[len(words)-1].text += string(r)
		separator, last = "", r
	}
	if len(words) > 0 && setsApart(separator) {
		words[len(words)-1].apart = true
	}
	// A sign that looks like a letter is punctuation at the edge of a word, and alone.
	var list []word
	apart := false
	for _, w := range words {
		text := strings.Trim(w.text, "@|!+")
		if text == "" {
			apart = true
			if len(list) > 0 {
				list[len(list)-1].apart = true
			}
			continue
		}
		list = append(list, word{text, w.apart || apart})
		apart = false
	}
	return list
}

// setsApart reports whether a separator makes the words beside it look like titles.
func setsApart(separator string) bool {
	spaced := strings.Contains(separator, " ")
	return strings.ContainsFunc(separator, func(r rune) bool {
		return !strings.ContainsRune(" .,_-'’", r) || spaced && strings.ContainsRune("_-", r)
	})
}

// joined returns further words of a name: the parts between spaces without separators in them ("ad.min"), and runs of
// single characters ("a d m i n").
func joined(name string, words []word) []string {
	var list []string
	for _, part := range strings.Fields(name) {
		list = append(list, strings.Map(func(r rune) rune {
			if !wordRune(r) {
				return -1
			}
			return r
		}, part))
	}
	run := ""
	for _, w := range append(slices.Clone(words), word{}) {
		if utf8.RuneCountInString(w.text) == 1 {
			run += w.text
			continue
		}
		list = append(list, run)
		run = ""
	}
	return list
}

// kind says which list a word belongs to.
type kind int

const (
	isOther kind = iota
	isFiller
	isWeak
	isStrong
)

// kind returns the kind of a word. Digits at its edges may stand for letters or for nothing, as may an x. A word that
// consists of several words of the lists ("theadmin") has the kind of the strongest of them.
func (l *lexicon) kind(text string) kind {
	const digits = "0123456789"
	best := isOther
	for _, form := range []string{text, strings.TrimRight(text, digits), strings.TrimLeft(text, digits),
		strings.Trim(text, digits), strings.Trim(text, digits+"xX")} {
		if form == "" { // nothing but digits
			best = max(best, isFiller)
			continue
		}
		form = look(form)
		if l.trueWords[form] {
			continue
		}
		best = max(best, l.compound(form))
		for _, w := range l.inside {
			if strings.Contains(form, w) {
				best = isStrong
			}
		}
		for _, a := range l.affixes {
			before, isSuffix := strings.CutSuffix(form, a)
			if strings.HasPrefix(form, a) && !l.inflected(form) || isSuffix && len(before) >= 3 {
				best = isStrong
			}
		}
	}
	return best
}

// inflected reports whether a word is formed from a true word, or like the surname Administrova.
func (l *lexicon) inflected(form string) bool {
	for w := range l.trueWords {
		if strings.HasPrefix(form, w) {
			return true
		}
	}
	return strings.HasPrefix(form, look("administr"))
}

// compound returns the kind of a word that can be divided into words of the lists, and isOther for other words. If
// there are several divisions, the strongest word of any of them counts.
func (l *lexicon) compound(form string) kind {
	best := make([]kind, len(form)+1) // of the first i bytes; isOther: they cannot be divided
	best[0] = isFiller
	for end := 1; end <= len(form); end++ {
		for start := max(0, end-l.longest); start < end; start++ {
			if best[start] == isOther {
				continue
			}
			k, part := isOther, form[start:end]
			switch {
			case l.strong[part]:
				k = isStrong
			case l.weak[part]:
				k = isWeak
			case l.filler[part] && (len(part) >= 3 || part == form):
				k = isFiller // short ones are parts of too many names
			}
			if k != isOther {
				best[end] = max(best[end], best[start], k)
			}
		}
	}
	return best[len(form)]
}
