package authstub

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"
)

// account is a stored account. Times are Unix milliseconds unless stated otherwise.
type account struct {
	UID           string   `json:"uid"`
	Email         string   `json:"email,omitempty"` // lower case
	EmailVerified bool     `json:"email_verified,omitempty"`
	Name          string   `json:"name,omitempty"`
	Photo         string   `json:"photo,omitempty"`
	Password      string   `json:"password,omitempty"` // see hashPassword; "" means that no password is accepted
	PasswordAt    int64    `json:"password_at,omitempty"`
	Disabled      bool     `json:"disabled,omitempty"`
	Claims        string   `json:"claims,omitempty"` // JSON object as set by the administrator
	CreatedAt     int64    `json:"created_at"`
	LoginAt       int64    `json:"login_at,omitempty"`
	RefreshAt     int64    `json:"refresh_at,omitempty"`
	ValidSince    int64    `json:"valid_since"`          // seconds; ID tokens issued before it are revoked
	RevokedAt     int64    `json:"revoked_at,omitempty"` // nanoseconds; refresh tokens issued before it are revoked
	Factors       []factor `json:"factors,omitempty"`    // at most one
}

// revoke ends every session of a that began before t.
func (a *account) revoke(t time.Time) { a.ValidSince, a.RevokedAt = t.Unix(), t.UnixNano() }

var (
	bucketAccounts = []byte("accounts") // uid → account as JSON
	bucketEmails   = []byte("emails")   // address → uid
	bucketCodes    = []byte("codes")    // mailed code → code as JSON
	bucketKeys     = []byte("keys")     // "refresh" → secret
)

// openBuckets creates the buckets if necessary and returns the secret that signs refresh tokens.
func openBuckets(db *bolt.DB) (secret []byte, err error) {
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketAccounts, bucketEmails, bucketCodes, bucketKeys} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		keys := tx.Bucket(bucketKeys)
		if secret = bytes.Clone(keys.Get([]byte("refresh"))); secret != nil {
			return nil
		}
		secret = make([]byte, 32)
		rand.Read(secret)
		return keys.Put([]byte("refresh"), secret)
	})
	return secret, err
}

// accountByUID returns the account of uid, or nil.
func accountByUID(tx *bolt.Tx, uid string) (*account, error) {
	b := tx.Bucket(bucketAccounts).Get([]byte(uid))
	if b == nil {
		return nil, nil
	}
	var a account
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, fmt.Errorf("stored account %q: %w", uid, err)
	}
	return &a, nil
}

// accountByEmail returns the account with this address, or nil.
func accountByEmail(tx *bolt.Tx, email string) (*account, error) {
	uid := tx.Bucket(bucketEmails).Get([]byte(strings.ToLower(email)))
	if uid == nil {
		return nil, nil
	}
	return accountByUID(tx, string(uid))
}

func putAccount(tx *bolt.Tx, a *account) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketAccounts).Put([]byte(a.UID), b)
}

func deleteAccount(tx *bolt.Tx, a *account) error {
	return errors.Join(
		tx.Bucket(bucketAccounts).Delete([]byte(a.UID)),
		tx.Bucket(bucketEmails).Delete([]byte(a.Email)))
}

// findAccount reads one account and returns nil if it does not exist.
func (s *Server) findAccount(by func(*bolt.Tx, string) (*account, error), key string) (a *account, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		a, err = by(tx, key)
		return err
	})
	return a, err
}

// updateAccount applies f to the stored account of uid in one transaction. If the account does not exist, the error
// is USER_NOT_FOUND.
func (s *Server) updateAccount(uid string, f func(*bolt.Tx, *account) error) (a *account, err error) {
	err = s.db.Update(func(tx *bolt.Tx) error {
		if a, err = accountByUID(tx, uid); err != nil {
			return err
		}
		if a == nil {
			return badRequest("USER_NOT_FOUND")
		}
		if err := f(tx, a); err != nil {
			return err
		}
		return putAccount(tx, a)
	})
	return a, err
}

// fields are the fields that a request may set. A nil field keeps its value.
type fields struct {
	Email            *string  `json:"email"`
	EmailVerified    *bool    `json:"emailVerified"`
	Password         *string  `json:"password"`
	DisplayName      *string  `json:"displayName"`
	PhotoURL         *string  `json:"photoUrl"`
	DeleteAttribute  []string `json:"deleteAttribute"`
	DeleteProvider   []string `json:"deleteProvider"`
	Disabled         *bool    `json:"disabled"`    // when creating
	DisableUser      *bool    `json:"disableUser"` // when updating
	CustomAttributes *string  `json:"customAttributes"`
	ValidSince       *string  `json:"validSince"` // seconds

	MFA *adminFactors `json:"mfa"` // only of an administrator

	// Sent by SDKs for features that the stand-in refuses.
	PhoneNumber          *string         `json:"phoneNumber"`
	MFAInfo              json.RawMessage `json:"mfaInfo"`
	LinkProviderUserInfo json.RawMessage `json:"linkProviderUserInfo"`

	hashed string // hash of Password, computed outside the transaction
}

// prepareFields checks f and hashes its password, so that the transaction does nothing slow.
func (s *Server) prepareFields(f *fields) error {
	if f.PhoneNumber != nil || f.MFAInfo != nil || f.LinkProviderUserInfo != nil {
		return badRequest("OPERATION_NOT_ALLOWED : the stand-in supports only e-mail addresses and passwords")
	}
	if f.Email != nil {
		e := strings.ToLower(*f.Email)
		if !validEmail(e) {
			return badRequest("INVALID_EMAIL")
		}
		f.Email = &e
	}
	if f.CustomAttributes != nil {
		if err := checkClaims(*f.CustomAttributes); err != nil {
			return err
		}
	}
	if f.Password != nil {
		if err := checkPassword(*f.Password); err != nil {
			return err
		}
		var err error
		if f.hashed, err = s.hashPassword(*f.Password); err != nil {
			return err
		}
	}
	return nil
}

// applyFields sets the given fields of f on a, within tx.
func (s *Server) applyFields(tx *bolt.Tx, a *account, f *fields) error {
	if f.Email != nil && *f.Email != a.Email {
		if other, err := accountByEmail(tx, *f.Email); err != nil {
			return err
		} else if other != nil {
			return badRequest("EMAIL_EXISTS")
		}
		emails := tx.Bucket(bucketEmails)
		if err := errors.Join(emails.Delete([]byte(a.Email)), emails.Put([]byte(*f.Email), []byte(a.UID))); err != nil {
			return err
		}
		a.Email, a.EmailVerified = *f.Email, false
		a.revoke(s.now())
	}
	setIfGiven(&a.EmailVerified, f.EmailVerified)
	setIfGiven(&a.Name, f.DisplayName)
	setIfGiven(&a.Photo, f.PhotoURL)
	setIfGiven(&a.Disabled, f.Disabled)
	setIfGiven(&a.Disabled, f.DisableUser)
	setIfGiven(&a.Claims, f.CustomAttributes)
	if slices.Contains(f.DeleteAttribute, "DISPLAY_NAME") {
		a.Name = ""
	}
	if slices.Contains(f.DeleteAttribute, "PHOTO_URL") {
		a.Photo = ""
	}
	// The password provider is the address with the password. Without it, an account cannot sign in anymore.
	unlink := slices.Contains(f.DeleteProvider, "password")
	if unlink || slices.Contains(f.DeleteAttribute, "EMAIL") {
		if err := tx.Bucket(bucketEmails).Delete([]byte(a.Email)); err != nil {
			return err
		}
		a.Email, a.EmailVerified = "", false
	}
	if unlink || slices.Contains(f.DeleteAttribute, "PASSWORD") {
		a.Password = ""
	}
	if f.MFA != nil {
		if err := a.keepFactors(*f.MFA); err != nil {
			return err
		}
	}
	now := s.now()
	if f.hashed != "" {
		a.Password, a.PasswordAt = f.hashed, now.UnixMilli()
		a.revoke(now)
	}
	if f.ValidSince != nil {
		sec, err := strconv.ParseInt(*f.ValidSince, 10, 64)
		if err != nil {
			return badRequest("INVALID_ARGUMENT : validSince must be a number of seconds")
		}
		// The Admin SDK sends whole seconds, so tokens issued within the same second are revoked too.
		a.ValidSince = sec
		a.RevokedAt = min(time.Unix(sec+1, 0).UnixNano(), now.UnixNano())
	}
	return nil
}

func setIfGiven[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func validEmail(e string) bool {
	a, err := mail.ParseAddress(e)
	return err == nil && a.Address == e && a.Name == "" && len(e) <= 256
}

func checkPassword(p string) error {
	switch n := utf8.RuneCountInString(p); {
	case n < 6:
		return badRequest("WEAK_PASSWORD : Password should be at least 6 characters")
	case n < 8: // the policy in infra/terraform/identity.tf
		return badRequest("PASSWORD_DOES_NOT_MEET_REQUIREMENTS : Missing password requirements: " +
			"[Password must contain at least 8 characters]")
	}
	if len(p) > 4096 {
		return badRequest("PASSWORD_DOES_NOT_MEET_REQUIREMENTS : Password may have at most 4096 characters")
	}
	return nil
}

// reserved lists the claims that Firebase reserves.
var reserved = []string{"acr", "amr", "at_hash", "aud", "auth_time", "azp", "c_hash", "cnf", "exp", "firebase",
	"iat", "iss", "jti", "nbf", "nonce", "sub", "user_id"}

func checkClaims(s string) error {
	if len(s) > 1000 {
		return badRequest("CLAIMS_TOO_LARGE")
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &claims); err != nil || claims == nil {
		return badRequest("INVALID_CLAIMS")
	}
	for _, name := range reserved {
		if _, ok := claims[name]; ok {
			return badRequest("FORBIDDEN_CLAIM : " + name)
		}
	}
	return nil
}

// newUID returns an id in the format of Firebase: 28 letters and digits.
func newUID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, 28)
	var b [8]byte
	for i := range out {
		rand.Read(b[:])
		out[i] = alphabet[binary.LittleEndian.Uint64(b[:])%uint64(len(alphabet))]
	}
	return string(out)
}

// userInfo returns an account in the format of Identity Toolkit, without the password hash.
func userInfo(a *account) map[string]any {
	out := map[string]any{
		"localId": a.UID, "disabled": a.Disabled, "emailVerified": a.EmailVerified,
		"createdAt": strconv.FormatInt(a.CreatedAt, 10), "validSince": strconv.FormatInt(a.ValidSince, 10),
	}
	optional := map[string]string{
		"email": a.Email, "displayName": a.Name, "photoUrl": a.Photo, "customAttributes": a.Claims,
	}
	for k, v := range optional {
		if v != "" {
			out[k] = v
		}
	}
	if len(a.Factors) > 0 {
		out["mfaInfo"] = factorInfos(a)
	}
	if a.LoginAt > 0 {
		out["lastLoginAt"] = strconv.FormatInt(a.LoginAt, 10)
	}
	if a.RefreshAt > 0 {
		out["lastRefreshAt"] = time.UnixMilli(a.RefreshAt).UTC().Format(time.RFC3339Nano)
	}
	if a.Password != "" {
		out["passwordUpdatedAt"] = a.PasswordAt
		out["passwordHash"] = "UkVEQUNURUQ=" // "REDACTED", as production answers callers that may not see hashes
	}
	if a.Email != "" {
		provider := map[string]string{
			"providerId": "password", "federatedId": a.Email, "email": a.Email, "rawId": a.Email,
		}
		if a.Name != "" {
			provider["displayName"] = a.Name
		}
		out["providerUserInfo"] = []any{provider}
	}
	return out
}
