// Package password is the one rule for new passwords, at sign-up, reset and change. The client checks it with the same
// list (web/src/view/auth/newPassword.ts).
package password

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/store"
)

// Limits of a password, in code points. The upper limit keeps hashing cheap. (Firebase Auth allows 4,096.)
const (
	Min = 8
	Max = 200
)

// Fault is the reason why a password is refused. Common and OwnName are also codes of problems.
type Fault string

// The faults. The list of common passwords has none that are too short, because Short applies to them.
const (
	None     Fault = ""
	Short    Fault = "short"
	Long     Fault = "long"
	Repeated Fault = "repeated" // it is one character, or white space
	Common   Fault = "password_common"
	OwnName  Fault = "password_own_name"
)

// common has the passwords in lower case, one per line, in byte order, below the license of their source. Made by:
//
//	npm pack @zxcvbn-ts/language-common@4.1.3
//	{ tar -xOf zxcvbn-ts-language-common-4.1.3.tgz package/src/passwords.json |
//	    jq -r '[.[] | ascii_downcase | select(length >= 8)][:10000][]'
//	  printf '%s\n' p@ssword 0123456789 87654321 987654321 0987654321 123123123 12341234 qwertzui qwertzuiop \
//	    letmein123 changeme123 passwort1
//	  printf '%s\n' phoenixchat 'phoenix chat' phoenix-chat phoenix_chat phoenix.chat 'phoenixchat!' phoenixchat1 \
//	    phoenixchat12 phoenixchat123 chatphoenix 'phoenix!' phoenix12 phoenix123 administrator administrator1 \
//	    adminadmin adminchat chatadmin superuser superuser1 operator operator1 moderator moderator1
//	} | LC_ALL=C sort -u
//
// The words of the last command are those of this chat: its name, and its roles.
//
//go:embed common.txt
var common string

var commonSet = sync.OnceValue(func() map[string]bool {
	_, list, _ := strings.Cut(common, "SOFTWARE.\n\n") // the end of the license
	set := map[string]bool{}
	for line := range strings.Lines(list) {
		set[strings.TrimSuffix(line, "\n")] = true
	}
	return set
})

// Check returns the fault of a new password of a person with these names: the username, the display name and the email
// address, of which the part before the @ counts as a name, too. Passwords and names are compared in the form NFC and
// in lower case. A password is also an own name if both have the same letters and digits in their plain spelling, so
// that "Mira-Kern!" is a name of Mira Kern. There are no rules about kinds of characters.
func Check(password string, names ...string) Fault {
	lower := plain(password)
	first, _ := utf8.DecodeRuneInString(lower)
	switch count := utf8.RuneCountInString(norm.NFC.String(password)); {
	case count < Min:
		return Short
	case count > Max:
		return Long
	case strings.TrimSpace(lower) == "", strings.TrimLeft(lower, string(first)) == "":
		return Repeated
	case commonSet()[lower]:
		return Common
	}
	for _, name := range names {
		local, _, _ := strings.Cut(name, "@")
		for _, own := range []string{name, local} {
			letters := lettersOf(own)
			if lower == plain(own) || letters != "" && letters == lettersOf(password) {
				return OwnName
			}
		}
	}
	return None
}

func plain(s string) string { return strings.ToLower(norm.NFC.String(s)) }

// lettersOf returns the letters and digits of a name in its plain spelling.
func lettersOf(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) {
			return r
		}
		return -1
	}, store.Fold(s))
}
