package authstub

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// codeLifetime is how long a code works. It is the same in production for password resets. (There, codes that verify
// an address work for three days.)
const codeLifetime = time.Hour

// Types of the codes that the stand-in mails. modes has the mode in the link of each.
const (
	PasswordReset  = "PASSWORD_RESET"
	VerifyEmail    = "VERIFY_EMAIL"
	VerifyNewEmail = "VERIFY_AND_CHANGE_EMAIL"
	RecoverEmail   = "RECOVER_EMAIL" // to the old address after a change: undoes it
)

var modes = map[string]string{PasswordReset: "resetPassword", VerifyEmail: "verifyEmail",
	VerifyNewEmail: "verifyAndChangeEmail", RecoverEmail: "recoverEmail"}

// code is a code that was mailed and not yet used.
type code struct {
	Seq      uint64    `json:"seq"` // order in which codes were made
	Type     string    `json:"type"`
	UID      string    `json:"uid"`
	Email    string    `json:"email"`               // of the account when the code was made; of RecoverEmail, the old one
	NewEmail string    `json:"new_email,omitempty"` // only of VerifyNewEmail and RecoverEmail
	Link     string    `json:"link"`
	Expires  time.Time `json:"expires"`
}

var (
	errCodeExpired = badRequest("EXPIRED_OOB_CODE")
	errCodeInvalid = badRequest("INVALID_OOB_CODE")

	errTooManyMails = badRequest("TOO_MANY_ATTEMPTS_TRY_LATER : Too many mails. Try again later.")
)

// codeRequest is a request for a code.
type codeRequest struct {
	RequestType   string `json:"requestType"`
	Email         string `json:"email"`
	NewEmail      string `json:"newEmail"`
	IDToken       string `json:"idToken"`
	ContinueURL   string `json:"continueUrl"`
	ReturnOobLink bool   `json:"returnOobLink"`
}

// sendCode handles sendPasswordResetEmail, sendEmailVerification and verifyBeforeUpdateEmail.
func (s *Server) sendCode(r *http.Request) (any, error) {
	var in codeRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.ReturnOobLink {
		return nil, badRequest("INSUFFICIENT_PERMISSION")
	}
	a, err := s.accountForCode(&in)
	if err != nil {
		return nil, err
	}
	if a != nil {
		if _, err := s.mailCode(a, in, r); err != nil {
			return nil, err
		}
	}
	return map[string]any{"kind": "identitytoolkit#GetOobConfirmationCodeResponse", "email": in.Email}, nil
}

// codeLink handles the Admin SDK's PasswordResetLink and EmailVerificationLink. The link of a reset is empty for an
// unknown address.
func (s *Server) codeLink(r *http.Request) (any, error) {
	var in codeRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	a, err := s.accountForCode(&in)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"kind": "identitytoolkit#GetOobConfirmationCodeResponse", "email": in.Email}
	if a != nil {
		link, err := s.mailCode(a, in, r)
		if err != nil {
			return nil, err
		}
		if in.ReturnOobLink {
			out["oobLink"] = link
		}
	}
	return out, nil
}

// accountForCode checks a request for a code and returns its account. It sets in.Email to the address of the account.
// The account is nil if the request must be answered as if a mail was sent: the address has no account, or the new
// address has one. The answer does not reveal who has an account.
func (s *Server) accountForCode(in *codeRequest) (a *account, err error) {
	switch {
	case in.RequestType == "":
		return nil, badRequest("MISSING_REQ_TYPE")
	case modes[in.RequestType] == "" || in.RequestType == RecoverEmail: // nobody can ask for the latter
		return nil, badRequest("OPERATION_NOT_ALLOWED : the stand-in does not support " + in.RequestType)
	}
	if in.ContinueURL != "" {
		if u, err := url.Parse(in.ContinueURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, badRequest("INVALID_CONTINUE_URI : the continue URL is not a web address")
		}
	}
	if in.RequestType == VerifyNewEmail {
		if in.NewEmail, err = requiredEmail(in.NewEmail, "MISSING_NEW_EMAIL"); err != nil {
			return nil, err
		}
	}
	// An administrator, who wants a link, names the account by its address. A user shows a token.
	if in.RequestType == PasswordReset || in.ReturnOobLink && in.IDToken == "" {
		if in.Email, err = requiredEmail(in.Email, "MISSING_EMAIL"); err != nil {
			return nil, err
		}
		a, err = s.findAccount(accountByEmail, in.Email)
		if err == nil && a == nil && in.RequestType != PasswordReset {
			err = badRequest("USER_NOT_FOUND")
		}
	} else if a, err = s.accountOfToken(in); err == nil {
		in.Email = a.Email
	}
	if err != nil || a == nil {
		return a, err
	}
	// Before it matters whether the new address has an account, because the answer must not reveal that.
	if in.RequestType != PasswordReset && !in.ReturnOobLink && !s.mails.take(a.UID) {
		return nil, errTooManyMails
	}
	if in.RequestType != VerifyNewEmail {
		return a, nil
	}
	other, err := s.findAccount(accountByEmail, in.NewEmail)
	if other != nil {
		a = nil
	}
	return a, err
}

// accountOfToken returns the account of the ID token with which a user asks for a code. Changing the address needs a
// recent sign-in.
func (s *Server) accountOfToken(in *codeRequest) (*account, error) {
	a, claims, err := s.verifyIDToken(in.IDToken)
	switch {
	case err != nil:
		return nil, err
	case a.Email == "":
		return nil, badRequest("MISSING_EMAIL")
	case in.RequestType == VerifyNewEmail && !s.isRecent(claims):
		return nil, errTooOld
	}
	return a, nil
}

// requiredEmail returns an address in lower case. missing is the error if it is "".
func requiredEmail(email, missing string) (string, error) {
	email = strings.ToLower(email)
	switch {
	case email == "":
		return "", badRequest(missing)
	case !validEmail(email):
		return "", badRequest("INVALID_EMAIL")
	}
	return email, nil
}

// mailCode stores a code for a and mails its link, unless the caller gets it. The link leads to the client's page on
// the host that received r.
func (s *Server) mailCode(a *account, in codeRequest, r *http.Request) (string, error) {
	c := code{Type: in.RequestType, UID: a.UID, Email: a.Email, NewEmail: in.NewEmail}
	err := s.db.Update(func(tx *bolt.Tx) error { return s.addCode(tx, &c, r.Host, in.ContinueURL) })
	if err == nil && !in.ReturnOobLink {
		s.mail(Mail{Type: c.Type, To: cmp.Or(c.NewEmail, c.Email), Link: c.Link})
	}
	return c.Link, err
}

// addCode stores a code within tx, and sets its link, which leads to the client's page on host, and its time.
func (s *Server) addCode(tx *bolt.Tx, c *code, host, continueURL string) error {
	if err := s.dropExpired(tx); err != nil {
		return err
	}
	id := rand.Text() + rand.Text()
	q := url.Values{"mode": {modes[c.Type]}, "lang": {"en"}, "oobCode": {id}, "apiKey": {"local"}}
	if continueURL != "" {
		q.Set("continueUrl", continueURL)
	}
	c.Link, c.Expires = "http://"+host+"/mail?"+q.Encode(), s.now().Add(codeLifetime)
	codes := tx.Bucket(bucketCodes)
	var err error
	if c.Seq, err = codes.NextSequence(); err != nil {
		return err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return codes.Put([]byte(id), b)
}

// dropExpired deletes codes that expired more than a day ago. Until then, using the code still reports that it
// expired instead of that it is invalid.
func (s *Server) dropExpired(tx *bolt.Tx) error {
	var old [][]byte
	err := tx.Bucket(bucketCodes).ForEach(func(k, v []byte) error {
		var c code
		if err := json.Unmarshal(v, &c); err != nil {
			return err
		}
		if s.now().Sub(c.Expires) > 24*time.Hour {
			old = append(old, k)
		}
		return nil
	})
	for _, k := range old {
		err = errors.Join(err, tx.Bucket(bucketCodes).Delete(k))
	}
	return err
}

// findCode returns a code and its account, within tx.
func (s *Server) findCode(tx *bolt.Tx, id string) (c code, a *account, err error) {
	b := tx.Bucket(bucketCodes).Get([]byte(id))
	if b == nil {
		return c, nil, errCodeInvalid
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, nil, err
	}
	if s.now().After(c.Expires) {
		return c, nil, errCodeExpired
	}
	a, err = accountByUID(tx, c.UID)
	switch {
	case err != nil:
		return c, nil, err
	case a == nil || a.Email != c.Email && c.Type != RecoverEmail:
		return c, nil, errCodeInvalid
	case a.Disabled:
		return c, nil, badRequest("USER_DISABLED")
	}
	return c, a, nil
}

// resetPassword handles confirmPasswordReset and, without a new password, checkActionCode and verifyPasswordResetCode.
func (s *Server) resetPassword(r *http.Request) (any, error) {
	var in struct {
		OobCode     string `json:"oobCode"`
		NewPassword string `json:"newPassword"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.OobCode == "" {
		return nil, badRequest("MISSING_OOB_CODE")
	}
	f := fields{}
	if in.NewPassword != "" {
		f.Password = &in.NewPassword
		if err := s.prepareFields(&f); err != nil {
			return nil, err
		}
	}
	var c code
	err := s.db.Update(func(tx *bolt.Tx) error {
		var a *account
		var err error
		if c, a, err = s.findCode(tx, in.OobCode); err != nil || in.NewPassword == "" {
			return err
		}
		if c.Type != PasswordReset {
			return errCodeInvalid
		}
		if err := s.applyFields(tx, a, &f); err != nil {
			return err
		}
		a.EmailVerified = true // the code was in a mail to this address
		return errors.Join(putAccount(tx, a), tx.Bucket(bucketCodes).Delete([]byte(in.OobCode)))
	})
	if err != nil {
		return nil, err
	}
	if in.NewPassword != "" {
		s.attempts.succeed(c.Email)
	}
	out := map[string]any{"kind": "identitytoolkit#ResetPasswordResponse", "email": c.Email, "requestType": c.Type}
	if c.NewEmail != "" {
		out["newEmail"] = c.NewEmail
	}
	return out, nil
}

// applyCode handles applyActionCode: it verifies, changes or restores an address. A change of the address ends all
// sign-ins, and mails the old address a code that undoes it. Its link leads to host.
func (s *Server) applyCode(id, host string) (any, error) {
	var a *account
	var undo code // its Type is "" if nothing can be undone
	err := s.db.Update(func(tx *bolt.Tx) (err error) {
		var c code
		if c, a, err = s.findCode(tx, id); err != nil {
			return err
		}
		switch c.Type {
		case VerifyEmail:
			a.EmailVerified = true
		case VerifyNewEmail:
			if err := s.applyFields(tx, a, &fields{Email: &c.NewEmail}); err != nil {
				return err
			}
			a.EmailVerified = true
			undo = code{Type: RecoverEmail, UID: a.UID, Email: c.Email, NewEmail: c.NewEmail}
			if err := s.addCode(tx, &undo, host, ""); err != nil {
				return err
			}
		case RecoverEmail:
			if err := s.applyFields(tx, a, &fields{Email: &c.Email}); err != nil {
				return err
			}
			a.EmailVerified = true // the code was in a mail to this address
		default:
			return errCodeInvalid
		}
		return errors.Join(putAccount(tx, a), tx.Bucket(bucketCodes).Delete([]byte(id)))
	})
	if err != nil {
		return nil, err
	}
	if undo.Type != "" {
		s.mail(Mail{Type: undo.Type, To: undo.Email, Link: undo.Link})
	}
	out := userInfo(a)
	out["kind"] = "identitytoolkit#SetAccountInfoResponse"
	return out, nil
}

// listCodes returns the codes and links of the mails, oldest first, in the official emulator's format.
func (s *Server) listCodes(*http.Request) (any, error) {
	type listed struct {
		Email       string `json:"email"`
		NewEmail    string `json:"newEmail,omitempty"`
		RequestType string `json:"requestType"`
		OobCode     string `json:"oobCode"`
		OobLink     string `json:"oobLink"`
		seq         uint64
	}
	list := []listed{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCodes).ForEach(func(k, v []byte) error {
			var c code
			if err := json.Unmarshal(v, &c); err != nil {
				return err
			}
			if s.now().Before(c.Expires) {
				list = append(list, listed{c.Email, c.NewEmail, c.Type, string(k), c.Link, c.Seq})
			}
			return nil
		})
	})
	slices.SortFunc(list, func(a, b listed) int { return cmp.Compare(a.seq, b.seq) })
	return map[string]any{"oobCodes": list}, err
}
