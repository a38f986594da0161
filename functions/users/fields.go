package users

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of names, in code points, and of an address, in bytes.
const (
	MinUsername    = 3
	MaxUsername    = 30
	MaxDisplayName = 50
	MaxEmail       = 254 // RFC 5321 §4.5.3.1.3, less the brackets
)

// reserved are names that would let a stranger speak as the chat itself.
var reserved = []string{"admin", "administrator", "root", "superuser", "support", "help", "system", "security",
	"moderator", "operator", "staff", "official", "phoenix", "phoenixchat", "phoenix-chat", "phoenix.chat", "phoenix_chat"}

// common are the passwords of eight characters and more that are tried first.
var common = []string{"password", "password1", "password12", "password123", "passw0rd", "p@ssw0rd", "p@ssword", "12345678", "123456789",
	"1234567890", "0123456789", "87654321", "987654321", "0987654321", "123123123", "12341234", "11223344", "1q2w3e4r", "1q2w3e4r5t", "1qaz2wsx",
	"qwertyuiop", "qwerty123", "qwerty12", "qwertzui", "qwertzuiop", "azertyuiop", "asdfghjkl", "asdfasdf", "zxcvbnm123", "iloveyou", "iloveyou1", "sunshine",
	"princess", "football", "baseball", "superman", "trustno1", "welcome1", "welcome123", "letmein1", "letmein123", "dragon123", "monkey123",
	"master123", "starwars", "computer", "internet", "whatever", "michelle", "jennifer", "samantha", "charlie1", "abcd1234", "abc12345", "a1b2c3d4",
	"aa123456", "changeme", "changeme123", "admin123", "administrator", "passwort", "passwort1", "hallo123", "test1234", "testtest", "secret123"}

// check notes msg under field, unless it is "".
func check(fields map[string]string, field, msg string) {
	if msg != "" {
		fields[field] = msg
	}
}

// invalid is a problem with a message per field, or nil where there are none.
func invalid(fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &problem.Error{Kind: problem.Invalid, Code: "invalid_fields", Message: "Some of this cannot be taken as it is. See beside the fields.", Fields: fields}
}

// Check reports the problems of the fields, or nil.
func (n Signup) Check() error {
	_, err := n.check()
	return err
}

// check returns n tidied, or a problem with a message per field.
func (n Signup) check() (Signup, error) {
	fields := map[string]string{}
	n.Email = strings.ToLower(strings.TrimSpace(n.Email))
	check(fields, "email", checkEmail(n.Email))
	check(fields, "username", checkUsername(n.Username, n.Operator))
	check(fields, "password", checkPassword(n))
	tidy, msg := tidyName(n.DisplayName)
	check(fields, "display_name", msg)
	n.DisplayName = tidy
	return n, invalid(fields)
}

func checkEmail(email string) string {
	const msg = "Enter an email address like name@example.org."
	if len(email) > MaxEmail {
		return msg
	}
	for i := range len(email) {
		if email[i] <= ' ' || email[i] >= 0x7f {
			return msg
		}
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || strings.ContainsAny(email, "\"()<>,;:\\[]") {
		return msg
	}
	local, domain, _ := strings.Cut(email, "@")
	if len(local) > 64 || !strings.Contains(strings.Trim(domain, "."), ".") {
		return msg
	}
	return ""
}

func checkUsername(name string, operator bool) string {
	n := utf8.RuneCountInString(name)
	if n < MinUsername || n > MaxUsername {
		return "A username has 3 to 30 characters."
	}
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	for i := range len(name) {
		if !letter(name[i]) && !strings.ContainsRune("._-", rune(name[i])) {
			return "A username has only the letters a to z, digits, dots, hyphens and underscores."
		}
	}
	if !operator && slices.Contains(reserved, store.NameKey(name)) {
		return "This username is reserved. Choose another."
	}
	if !letter(name[0]) || !letter(name[len(name)-1]) {
		return "A username begins and ends with a letter or a digit."
	}
	return ""
}

func checkPassword(n Signup) string {
	local, _, _ := strings.Cut(n.Email, "@")
	lower := strings.ToLower(n.Password)
	switch count := utf8.RuneCountInString(n.Password); {
	case count < accounts.MinPassword:
		return "A password has at least 8 characters."
	case count > accounts.MaxPassword:
		return "A password has at most 200 characters."
	case strings.TrimSpace(n.Password) == "", oneRune(lower):
		return "Choose a password with more than one character in it."
	case slices.Contains(common, lower):
		return "Many people use this password, so it is tried first. Choose another."
	case lower == n.Email, lower == local, lower == strings.ToLower(n.Username):
		return "Choose a password that is not your name or address."
	}
	return ""
}

// tidyName returns a display name with its white space collapsed, in the form NFC, or a message why it cannot be one.
func tidyName(name string) (string, string) {
	if !utf8.ValidString(name) {
		return "", "This name has characters that cannot be shown."
	}
	visible := false
	for _, r := range name {
		// Cf: bidi overrides and their like would let one name pass for another, or
		// turn the text around it. Zero-width joiners belong to many scripts and emoji.
		if unicode.Is(unicode.Cc, r) && !unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' && !tagRune(r) {
			return "", "This name has characters that cannot be shown."
		}
		visible = visible || unicode.IsGraphic(r) && !unicode.IsSpace(r) && !blank(r)
	}
	name = strings.Join(strings.Fields(norm.NFC.String(name)), " ")
	switch {
	case !visible:
		return "", "Enter a name that others will see."
	case utf8.RuneCountInString(name) > MaxDisplayName:
		return "", "A name has at most 50 characters."
	}
	return name, ""
}

// oneRune reports whether s is one character over and over.
func oneRune(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return strings.TrimLeft(s, string(first)) == ""
}

// tagRune reports the tag characters of flag emoji.
func tagRune(r rune) bool { return r >= 0xe0020 && r <= 0xe007f }

// blank reports letters that show nothing: the Hangul fillers and the empty Braille pattern.
func blank(r rune) bool {
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' || r == '\u2800'
}
