package store

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
)

// maxTerm is the number of code points of a word that are indexed.
const maxTerm = 16

// Words returns the distinct folded words by which a user is found. They are the words of both names, whole
// ("hopper-adams", "a.turing", "obrien") and in parts ("hopper", "brien").
func Words(username, displayName string) []string {
	both := username + " " + displayName
	words := append(strings.Fields(Fold(both)), strings.FieldsFunc(foldKeepQuotes(both), separates)...)
	slices.Sort(words)
	return slices.Compact(words)
}

// separates reports whether r is not a part of a word.
func separates(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
}

// Terms returns every prefix of 1 to maxTerm code points of every word of a user. With them, an index that finds only
// whole values can find prefixes.
func Terms(username, displayName string) []string {
	var terms []string
	for _, w := range Words(username, displayName) {
		n := 0
		for i := range w {
			if n > 0 {
				terms = append(terms, w[:i])
			}
			if n++; n > maxTerm {
				break
			}
		}
		if n <= maxTerm {
			terms = append(terms, w)
		}
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// Query is the parsed prefix of a Search. Term is looked up in an index. A user matches if each of Words begins one
// of their words.
type Query struct {
	Term  string
	Words []string
}

// ParseQuery parses the prefix of a Search. The zero Query matches everybody. Signs around words do not count, such as
// the comma of "smith, john" and the sign of "@mara".
func ParseQuery(prefix string) Query {
	var q Query
	folded := Fold(prefix)
	var words []string
	for _, w := range strings.FieldsFunc(folded, func(r rune) bool { return strings.ContainsRune(" ,;/()[]{}<>", r) }) {
		if w = strings.TrimFunc(w, unicode.IsPunct); w != "" {
			words = append(words, w)
		}
	}
	if len(words) == 0 { // nothing but signs, which must not match everybody
		words = strings.Fields(folded)
	}
	for _, w := range words {
		q.Words = append(q.Words, w)
		if len(w) > len(q.Term) {
			q.Term = w
		}
	}
	q.Term = term(q.Term)
	return q
}

// term returns the first maxTerm code points of a word.
func term(word string) string {
	n := 0
	for i := range word {
		if n == maxTerm {
			return word[:i]
		}
		n++
	}
	return word
}

// Terms returns the terms that every user who matches q has. A user who has all of them matches unless a word of q is
// longer than a term.
func (q Query) Terms() []string {
	var terms []string
	for _, w := range q.Words {
		terms = append(terms, term(w))
	}
	slices.Sort(terms)
	needed := terms[:0]
	for i, t := range terms { // a term that begins the next one is implied by it
		if i+1 == len(terms) || !strings.HasPrefix(terms[i+1], t) {
			needed = append(needed, t)
		}
	}
	return needed
}

// Matches reports whether u matches q.
func (q Query) Matches(u User) bool {
	words := Words(u.Username, u.DisplayName)
	for _, w := range q.Words {
		if !slices.ContainsFunc(words, func(have string) bool { return strings.HasPrefix(have, w) }) {
			return false
		}
	}
	return true
}

// EmailKey returns a key for an email address, which does not depend on its case. It is used where the address itself
// need not be stored.
func EmailKey(email string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(email))))
	return hex.EncodeToString(sum[:16])
}
