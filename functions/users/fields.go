package users

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/accounts"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of names in code points, and of an address in bytes.
const (
	MinUsername    = 3
	MaxUsername    = 30
	MaxDisplayName = 50
	MaxEmail       = 254 // RFC 5321 §4.5.3.1.3, without the brackets
)

// common lists passwords of at least eight characters that attackers try first.
var common = []string{"password", "password1", "password12", "password123", "passw0rd", "p@ssw0rd", "p@ssword",
	"12345678", "123456789",
	"1234567890", "0123456789", "87654321", "987654321", "0987654321", "123123123", "12341234", "11223344", "1q2w3e4r",
	"1q2w3e4r5t", "1qaz2wsx",
	"qwertyuiop", "qwerty123", "qwerty12", "qwertzui", "qwertzuiop", "azertyuiop", "asdfghjkl", "asdfasdf", "zxcvbnm123",
	"iloveyou", "iloveyou1", "sunshine",
	"princess", "football", "baseball", "superman", "trustno1", "welcome1", "welcome123", "letmein1", "letmein123",
	"dragon123", "monkey123",
	"master123", "starwars", "computer", "internet", "whatever", "michelle", "jennifer", "samantha", "charlie1",
	"abcd1234", "abc12345", "a1b2c3d4",
	"aa123456", "changeme", "changeme123", "admin123", "administrator", "passwort", "passwort1", "hallo123", "test1234",
	"testtest", "secret123"}

// check sets the message of a field, unless msg is "".
func check(fields map[string]string, field, msg string) {
	if msg != "" {
		fields[field] = msg
	}
}

// invalid returns a problem with a message per field, or nil if fields is empty.
func invalid(fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &problem.Error{Kind: problem.Invalid, Code: "invalid_fields", Message: "Please check the highlighted fields.",
		Fields: fields}
}

// Check returns a problem with a message per invalid field, or nil.
func (f Signup) Check() error {
	_, err := f.check()
	return err
}

// check returns f with trimmed values, or a problem with a message per invalid field.
func (f Signup) check() (Signup, error) {
	fields := map[string]string{}
	f.Email = strings.ToLower(strings.TrimSpace(f.Email))
	check(fields, "email", checkEmail(f.Email))
	check(fields, "username", checkUsername(f.Username, f.Operator))
	if ofProber("", f.Email) && !f.Operator {
		fields["email"] = "This email address is reserved. Choose another."
	}
	f.Password = norm.NFC.String(f.Password) // as the client uses it at every sign-in
	check(fields, "password", checkPassword(f))
	tidy, msg := tidyName(f.DisplayName, f.Operator)
	check(fields, "display_name", msg)
	f.DisplayName = tidy
	return f, invalid(fields)
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
	if n := utf8.RuneCountInString(name); n < MinUsername || n > MaxUsername {
		return "Use 3 to 30 characters."
	}
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	for i := range len(name) {
		if !letter(name[i]) && !strings.ContainsRune("._-", rune(name[i])) {
			return "Use only the letters a to z, digits, dots, hyphens and underscores."
		}
	}
	if !letter(name[0]) || !letter(name[len(name)-1]) {
		return "Start and end with a letter or a digit."
	}
	if !operator && (imitates(name) || ofProber(name, "")) {
		return "This username is reserved. Choose another."
	}
	return ""
}

func checkPassword(f Signup) string {
	local, _, _ := strings.Cut(f.Email, "@")
	lower := strings.ToLower(f.Password)
	switch count := utf8.RuneCountInString(f.Password); {
	case count < accounts.MinPassword:
		return "Use at least 8 characters."
	case count > accounts.MaxPassword:
		return "Use at most 200 characters."
	case strings.TrimSpace(f.Password) == "", oneRune(lower):
		return "Use more than one different character."
	case slices.Contains(common, lower):
		return "This password is too common. Choose another."
	case lower == f.Email, lower == local, lower == strings.ToLower(f.Username):
		return "Choose a password other than your username or email address."
	}
	return ""
}

// CheckNames checks the names that are not nil, as a user may choose them. It returns them as they are stored, or a
// problem with a message per invalid field.
func CheckNames(username, displayName *string) (_, _ *string, err error) {
	fields := map[string]string{}
	if username != nil {
		check(fields, "username", checkUsername(*username, false))
	}
	if displayName != nil {
		tidy, msg := tidyName(*displayName, false)
		check(fields, "display_name", msg)
		displayName = &tidy
	}
	return username, displayName, invalid(fields)
}

// tidyName returns a display name in the form NFC, with its white space collapsed, or a message that says what is
// wrong with it. An operator may choose a reserved name.
func tidyName(name string, operator bool) (string, string) {
	if !utf8.ValidString(name) || hasHidden(name) {
		return "", "This name contains characters that are not allowed."
	}
	visible := strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Mn, r) && !blank(r) && !ignorable(r)
	})
	name = strings.Join(strings.Fields(norm.NFC.String(name)), " ")
	switch {
	case !visible:
		return "", "Enter a name that is visible to others."
	case utf8.RuneCountInString(name) > MaxDisplayName:
		return "", "Use at most 50 characters."
	case hasBadge(name):
		return "", "Choose a name without check marks and shields, which could be mistaken for a badge."
	case !operator && imitates(name):
		return "", "This name is reserved. Choose another."
	}
	return name, ""
}

// oneRune reports whether s repeats a single character.
func oneRune(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	return strings.TrimLeft(s, string(first)) == ""
}
