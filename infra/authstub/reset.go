package authstub

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	bolt "go.etcd.io/bbolt"
)

// codeLifetime is how long a reset code works. It is the same in production.
const codeLifetime = time.Hour

// code is a password reset that was requested and not yet used.
type code struct {
	UID     string    `json:"uid"`
	Email   string    `json:"email"`
	Link    string    `json:"link"`
	Expires time.Time `json:"expires"`
}

var (
	errCodeExpired = badRequest("EXPIRED_OOB_CODE")
	errCodeInvalid = badRequest("INVALID_OOB_CODE")
)

// newCode stores a code for a and returns the link that a mail would contain. It leads to the client's page on the
// host that received r.
func (s *Server) newCode(a *account, continueURL string, r *http.Request) (string, error) {
	id := rand.Text() + rand.Text()
	q := url.Values{"mode": {"resetPassword"}, "lang": {"en"}, "oobCode": {id}, "apiKey": {"local"}}
	if continueURL != "" {
		q.Set("continueUrl", continueURL)
	}
	link := "http://" + r.Host + "/reset?" + q.Encode()
	b, err := json.Marshal(code{UID: a.UID, Email: a.Email, Link: link, Expires: s.now().Add(codeLifetime)})
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

// useCode sets the new password and deletes the code. If password is "", it only checks the code. It returns the
// e-mail address of the account.
func (s *Server) useCode(id, password string) (email string, err error) {
	f := fields{}
	if password != "" {
		f.Password = &password
		if err := s.prepareFields(&f); err != nil {
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
		a, err := accountByUID(tx, c.UID)
		if err != nil {
			return err
		}
		if a == nil || a.Email != c.Email {
			return errCodeInvalid
		}
		if a.Disabled {
			return badRequest("USER_DISABLED")
		}
		if email = c.Email; password == "" {
			return nil
		}
		if err := s.applyFields(tx, a, &f); err != nil {
			return err
		}
		a.EmailVerified = true // the code was in a mail to this address
		return errors.Join(putAccount(tx, a), codes.Delete([]byte(id)))
	})
	if err == nil && password != "" {
		s.attempts.succeed(email)
	}
	return email, err
}

// listCodes returns the codes and links that mails would have contained, in the official emulator's format.
func (s *Server) listCodes(*http.Request) (any, error) {
	list := []any{}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCodes).ForEach(func(k, v []byte) error {
			var c code
			if err := json.Unmarshal(v, &c); err != nil {
				return err
			}
			if s.now().Before(c.Expires) {
				list = append(list, map[string]string{"email": c.Email, "requestType": "PASSWORD_RESET",
					"oobCode": string(k), "oobLink": c.Link})
			}
			return nil
		})
	})
	return map[string]any{"oobCodes": list}, err
}
