package authstub

import (
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"

	bolt "go.etcd.io/bbolt"
)

// codeLife is how long a reset code works, as in production.
const codeLife = time.Hour

// code is a password reset that was asked for and not yet used.
type code struct {
	UID     string    `json:"uid"`
	Email   string    `json:"email"`
	Link    string    `json:"link"`
	Expires time.Time `json:"expires"`
}

var (
	errCodeExpired = bad("EXPIRED_OOB_CODE")
	errCodeInvalid = bad("INVALID_OOB_CODE")
)

// newCode stores a code for a and returns the link that a mail would carry, on
// the host that r came to.
func (s *Server) newCode(a *account, continueURL string, r *http.Request) (string, error) {
	id := rand.Text() + rand.Text()
	q := url.Values{"mode": {"resetPassword"}, "lang": {"en"}, "oobCode": {id}, "apiKey": {"local"}}
	if continueURL != "" {
		q.Set("continueUrl", continueURL)
	}
	link := "http://" + r.Host + "/emulator/action?" + q.Encode()
	b, err := json.Marshal(code{UID: a.UID, Email: a.Email, Link: link, Expires: s.now().Add(codeLife)})
	if err != nil {
		return "", err
	}
	return link, s.db.Update(func(tx *bolt.Tx) error {
		if err := s.dropExpired(tx); err != nil {
			return err
		}
		return tx.Bucket(bucketCodes).Put([]byte(id), b)
	})
}

// dropExpired keeps the stored codes few. An expired code is kept for a day, so
// that its holder is told what is wrong with it.
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

// useCode sets the new password and spends the code; with password "" it only
// checks the code. It returns the address of the account.
func (s *Server) useCode(id, password string) (email string, err error) {
	f := fields{}
	if password != "" {
		f.Password = &password
		if err := s.prepare(&f); err != nil {
			return "", err
		}
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		codes := tx.Bucket(bucketCodes)
		b := codes.Get([]byte(id))
		if b == nil {
			return errCodeInvalid
		}
		var c code
		if err := json.Unmarshal(b, &c); err != nil {
			return err
		}
		if s.now().After(c.Expires) {
			return errCodeExpired
		}
		a, err := get(tx, c.UID)
		if err != nil {
			return err
		}
		if a == nil || a.Email != c.Email {
			return errCodeInvalid
		}
		if a.Disabled {
			return bad("USER_DISABLED")
		}
		if email = c.Email; password == "" {
			return nil
		}
		if err := s.apply(tx, a, &f); err != nil {
			return err
		}
		a.EmailVerified = true // who has the code has read the mail
		return errors.Join(put(tx, a), codes.Delete([]byte(id)))
	})
	if err == nil && password != "" {
		s.attempts.succeed(email)
	}
	return email, err
}

// codes lists what mails would have carried, in the official emulator's format.
func (s *Server) codes(*http.Request) (any, error) {
	list := []any{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCodes).ForEach(func(k, v []byte) error {
			var c code
			if err := json.Unmarshal(v, &c); err != nil {
				return err
			}
			if s.now().Before(c.Expires) {
				list = append(list, map[string]string{"email": c.Email, "requestType": "PASSWORD_RESET", "oobCode": string(k), "oobLink": c.Link})
			}
			return nil
		})
	})
	return map[string]any{"oobCodes": list}, err
}

//go:embed reset.html
var pageText string

var page = template.Must(template.New("reset").Parse(pageText))

// pageData fills the page: a form while Code works, else only the Note.
type pageData struct {
	Email, Code, Continue, Note string
	Done                        bool
}

// actionPage shows the form behind a mail's link.
func (s *Server) actionPage(w http.ResponseWriter, r *http.Request) {
	d := pageData{Code: r.FormValue("oobCode"), Continue: webAddress(r.FormValue("continueUrl"))}
	var err error
	if d.Email, err = s.useCode(d.Code, ""); err != nil {
		d.Code, d.Note = "", noteOf(err)
	}
	s.show(w, d)
}

// actionDone takes the form.
func (s *Server) actionDone(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	d := pageData{Code: r.PostFormValue("oobCode"), Continue: webAddress(r.PostFormValue("continueUrl"))}
	password := r.PostFormValue("password")
	err := checkPassword(password)
	if err == nil {
		d.Email, err = s.useCode(d.Code, password)
	}
	switch {
	case err == nil:
		d.Done, d.Note = true, "The new password is set. Sign in with it."
	case errors.Is(err, errCodeInvalid), errors.Is(err, errCodeExpired):
		d.Code, d.Note = "", noteOf(err)
	default:
		d.Note = noteOf(err)
	}
	s.show(w, d)
}

func (s *Server) show(w http.ResponseWriter, d pageData) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	if err := page.Execute(w, d); err != nil {
		s.log.Info("authstub: reset page", "err", err)
	}
}

// webAddress returns u if a link may lead there, else "".
func webAddress(u string) string {
	if p, err := url.Parse(u); err != nil || (p.Scheme != "http" && p.Scheme != "https") {
		return ""
	}
	return u
}

func noteOf(err error) string {
	var e *apiError
	switch {
	case errors.Is(err, errCodeInvalid):
		return "This link has been used, or is not whole. Ask for a new one."
	case errors.Is(err, errCodeExpired):
		return "This link is older than an hour. Ask for a new one."
	case errors.As(err, &e) && e.message == "USER_DISABLED":
		return "This account has been disabled. Ask the operator of this chat."
	case errors.As(err, &e):
		return "A password has 6 to 4096 characters. Try another one."
	}
	return "This did not work. Try again."
}
