package users

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/password"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Limits of names in code points, and of an address in bytes.
const (
	MinUsername    = 3
	MaxUsername    = 30
	MaxDisplayName = 50
	MaxEmail       = 254 // RFC 5321 §4.5.3.1.3, without the brackets
)

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
	fault := password.Check(f.Password, f.Username, f.DisplayName, f.Email)
	check(fields, "password", passwordFaults[fault])
	tidy, msg := tidyName(f.DisplayName, f.Operator)
	check(fields, "display_name", msg)
	f.DisplayName = tidy
	err := invalid(fields)
	if len(fields) == 1 && (fault == password.Common || fault == password.OwnName) {
		err = &problem.Error{Kind: problem.Invalid, Code: string(fault), Message: passwordFaults[fault], Fields: fields}
	}
	return f, err
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

// passwordFaults are the messages for the faults of a password.
var passwordFaults = map[password.Fault]string{
	password.Short:    "Use at least 8 characters.",
	password.Long:     "Use at most 200 characters.",
	password.Repeated: "Use more than one different character.",
	password.Common:   "This password is too common. Choose another.",
	password.OwnName:  "Choose a password other than your name, username or email address.",
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
