package users

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
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

// fault is why the value of a field is refused: a code for clients, and a message. The zero fault is none.
type fault struct{ code, msg string }

// faults collects the faults of a form, by field.
type faults map[string]fault

func (f faults) add(field string, found fault) {
	if found != (fault{}) {
		f[field] = found
	}
}

// err returns a problem with a code and a message per field, or nil if there is no fault.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	p := &problem.Error{Kind: problem.Invalid, Code: "invalid_fields", Message: "Please check the highlighted fields.",
		Fields: map[string]string{}, FieldCodes: map[string]string{}}
	for field, found := range f {
		p.Fields[field], p.FieldCodes[field] = found.msg, found.code
	}
	return p
}

// Check returns a problem with a message per invalid field, or nil.
func (f Signup) Check() error {
	_, err := f.check()
	return err
}

// check returns f with trimmed values, or a problem with a message per invalid field.
func (f Signup) check() (Signup, error) {
	fields := faults{}
	f.Email = address(f.Email)
	fields.add("email", checkEmail(f.Email))
	fields.add("username", checkUsername(f.Username, f.Operator))
	if ofProber("", f.Email) && !f.Operator {
		fields.add("email", fault{"email_reserved", "This email address is reserved. Choose another."})
	}
	f.Password = norm.NFC.String(f.Password) // as the client uses it at every sign-in
	weak := password.Check(f.Password, f.Username, f.DisplayName, f.Email)
	fields.add("password", passwordFaults[weak])
	tidy, found := tidyName(f.DisplayName, f.Operator)
	fields.add("display_name", found)
	f.DisplayName = tidy
	if len(fields) == 1 && weak != password.None {
		return f, passwordProblem(weak)
	}
	return f, fields.err()
}

// passwordProblem returns the problem with a password, or nil. The code of one that is common or an own name says so.
func passwordProblem(weak password.Fault) error {
	found := passwordFaults[weak]
	switch weak {
	case password.None:
		return nil
	case password.Common, password.OwnName:
		return &problem.Error{Kind: problem.Invalid, Code: found.code, Message: found.msg,
			Fields: map[string]string{"password": found.msg}}
	}
	return faults{"password": found}.err()
}

// address returns an email address in lower case, with its domain in the ASCII form, which is the one that mail servers
// know. If the domain has no such form, it stays as it is.
func address(email string) string {
	email = strings.ToLower(strings.TrimSpace(norm.NFKC.String(email)))
	at := strings.LastIndexByte(email, '@') + 1
	domain, err := idna.Lookup.ToASCII(email[at:])
	if at == 0 || err != nil || ascii(email[at:]) {
		return email
	}
	return email[:at] + domain
}

// ascii reports whether s has only visible characters of ASCII.
func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func checkEmail(email string) fault {
	wrong := fault{"email_invalid", "Enter an email address like name@example.org."}
	local, domain, _ := strings.Cut(email, "@")
	if ascii(domain) && !ascii(local) && utf8.ValidString(local) && !strings.ContainsFunc(local, unicode.IsSpace) {
		return fault{"email_letters", "Use an address without letters such as ä or é before the @."}
	}
	if len(email) > MaxEmail || !ascii(email) {
		return wrong
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || strings.ContainsAny(email, "\"()<>,;:\\[]") {
		return wrong
	}
	if len(local) > 64 || !strings.Contains(strings.Trim(domain, "."), ".") {
		return wrong
	}
	return fault{}
}

func checkUsername(name string, operator bool) fault {
	if n := utf8.RuneCountInString(name); n < MinUsername || n > MaxUsername {
		return fault{"username_length", "Use 3 to 30 characters."}
	}
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	for i := range len(name) {
		if !letter(name[i]) && !strings.ContainsRune("._-", rune(name[i])) {
			return fault{"username_form", "Use only the letters a to z, digits, dots, hyphens and underscores."}
		}
	}
	if !letter(name[0]) || !letter(name[len(name)-1]) {
		return fault{"username_ends", "Start and end with a letter or a digit."}
	}
	if !operator && (imitates(name) || ofProber(name, "")) {
		return fault{"username_reserved", "This username is reserved. Choose another."}
	}
	return fault{}
}

// passwordFaults are the codes and messages for the faults of a password.
var passwordFaults = map[password.Fault]fault{
	password.Short:    {"password_short", "Use at least 8 characters."},
	password.Long:     {"password_long", "Use at most 200 characters."},
	password.Repeated: {"password_repeated", "Use more than one different character."},
	password.Common:   {string(password.Common), "This password is too common. Choose another."},
	password.OwnName:  {string(password.OwnName), "Choose a password other than your name, username or email address."},
}

// CheckNames checks the names that are not nil, as a user may choose them. It returns them as they are stored, or a
// problem with a message per invalid field.
func CheckNames(username, displayName *string) (_, _ *string, err error) {
	fields := faults{}
	if username != nil {
		fields.add("username", checkUsername(*username, false))
	}
	if displayName != nil {
		tidy, found := tidyName(*displayName, false)
		fields.add("display_name", found)
		displayName = &tidy
	}
	return username, displayName, fields.err()
}

// tidyName returns a display name in the form NFC, with its white space collapsed, or what is
// wrong with it. An operator may choose a reserved name.
func tidyName(name string, operator bool) (string, fault) {
	if !utf8.ValidString(name) || hasHidden(name) {
		return "", fault{"name_characters", "This name contains characters that are not allowed."}
	}
	visible := strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Mn, r) && !blank(r) && !ignorable(r)
	})
	name = strings.Join(strings.Fields(norm.NFC.String(name)), " ")
	switch {
	case !visible:
		return "", fault{"name_invisible", "Enter a name that is visible to others."}
	case utf8.RuneCountInString(name) > MaxDisplayName:
		return "", fault{"name_long", "Use at most 50 characters."}
	case hasBadge(name):
		return "", fault{"name_badge", "Choose a name without check marks and shields, which could be mistaken for a badge."}
	case !operator && imitates(name):
		return "", fault{"name_reserved", "This name is reserved. Choose another."}
	}
	return name, fault{}
}
