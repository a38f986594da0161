package store

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// folding is the table of the folding rule. The client has a copy of it (web/src/text/folding.json).
//
//go:embed folding.json
var folding []byte

// foldTable maps characters that have no decomposition to their plain spelling, after case folding, each quote to an
// apostrophe, and each dash to a hyphen.
var foldTable = sync.OnceValue(func() map[rune]string {
	var t struct {
		Letters        map[string]string
		Quotes, Dashes string
	}
	if err := json.Unmarshal(folding, &t); err != nil {
		panic("store: folding.json: " + err.Error())
	}
	table := map[rune]string{}
	for from, to := range t.Letters {
		table[[]rune(from)[0]] = to
	}
	for _, r := range t.Quotes {
		table[r] = quote
	}
	for _, r := range t.Dashes {
		table[r] = "-"
	}
	return table
})

// quote is the form of all quotes in foldKeepQuotes.
const quote = "'"

// Fold returns s in the form by which lists are sorted and searched, which is the plain spelling of a name: without
// compatibility forms, accents, invisible characters and quotes, in lower case with full case folding, with one kind
// of dash, and with white space collapsed. "Élodie  Ä" becomes "elodie a", "Łukasz O’Neil" becomes "lukasz oneil".
func Fold(s string) string {
	return strings.ReplaceAll(foldKeepQuotes(s), quote, "")
}

// foldKeepQuotes is Fold, but replaces each quote with an apostrophe.
func foldKeepQuotes(s string) string {
	table := foldTable()
	var b strings.Builder
	write := func(r rune) {
		if to, ok := table[r]; ok {
			b.WriteString(to)
		} else {
			b.WriteRune(r)
		}
	}
	for _, whole := range s {
		if to, ok := table[whole]; ok && to == quote { // an acute accent that is used as a quote decomposes to a space
			b.WriteString(to)
			continue
		}
		for _, r := range norm.NFKD.String(string(whole)) {
			if !unicode.In(r, unicode.Mn, unicode.Cf) {
				// Upper case first, so that letters with several lower-case forms become the same.
				write(unicode.ToLower(unicode.ToUpper(unicode.ToLower(r))))
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
