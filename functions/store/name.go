package store

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxTerm is how many code points of a word a search can tell apart by index.
const maxTerm = 16

// Fold returns s as lists sort and search it: compatibility forms and accents
// taken off, lower case, white space collapsed. "Élodie  Ä" is "elodie a".
func Fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Words returns the distinct words, folded, by which a person is found: those of both
// names, whole ("hopper-adams", "a.turing") and in their parts.
func Words(username, displayName string) []string {
	both := Fold(username) + " " + Fold(displayName)
	words := append(strings.Fields(both), strings.FieldsFunc(both, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r)
	})...)
	slices.Sort(words)
	return slices.Compact(words)
}

// Terms returns every prefix, of 1 to maxTerm code points, of every word of a person: what an
// index that finds whole values needs to find prefixes.
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

// Query is the prefix of a Search, split as it is looked up: Term, by an
// index; Words, all of which must begin a word of the person.
type Query struct {
	Term  string
	Words []string
}

// ParseQuery splits a search prefix. The zero Query matches everybody.
func ParseQuery(prefix string) Query {
	var q Query
	for _, w := range strings.Fields(Fold(prefix)) {
		q.Words = append(q.Words, w)
		if len(w) > len(q.Term) {
			q.Term = w
		}
	}
	n := 0
	for i := range q.Term {
		if n == maxTerm {
			q.Term = q.Term[:i]
			break
		}
		n++
	}
	return q
}

// Matches reports whether the person is one that q looks for.
func (q Query) Matches(u User) bool {
	words := Words(u.Username, u.DisplayName)
	for _, w := range q.Words {
		if !slices.ContainsFunc(words, func(have string) bool { return strings.HasPrefix(have, w) }) {
			return false
		}
	}
	return true
}

// EmailKey identifies an email address, without regard to case, where the
// address itself need not be kept.
func EmailKey(email string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(email))))
	return hex.EncodeToString(sum[:16])
}
