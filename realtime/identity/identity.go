// Package identity says who sent a token: people with the ID tokens of Firebase
// Auth, our own services with the ID tokens that Google signs for service
// accounts. Both services of Phoenix Chat use it.
//
// Tokens are verified here, without a call per token: the signature against
// Google's published keys, which are fetched when first needed, cached for as
// long as their Cache-Control allows, and used on while the key server is
// unreachable ([RemoteKeys]). The Firebase Admin SDK would do the first half,
// but its key source cannot be given a URL, forgets its keys when a fetch fails after
// their time, and its emulator mode asks the emulator about every token; so the
// SDK stays where accounts are changed, and golang-jwt reads the tokens.
//
// Whether a session was revoked is not in a token. It is in the user's gate:
// realtime/ asks gate.Gate.Admit, the functions their store, with Claims.AuthTime.
package identity

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Claims is what a verified ID token says of a person. Times have a
// resolution of one second.
type Claims struct {
	UID           string // never empty, chat.ValidUID holds
	Email         string // "" if the account has none
	EmailVerified bool
	Admin         bool      // the custom claim "admin" is true
	IssuedAt      time.Time // when this token was made
	AuthTime      time.Time // when the person last signed in with a password; all tokens refreshed since have the same
	Expires       time.Time
}

// Verifier verifies the ID tokens of people. Implementations are safe for
// use by many goroutines at once.
type Verifier interface {
	// Verify returns what token says. The error is
	//   - problem.ErrTokenEnded for a token that was good and has expired,
	//   - problem.ErrUnauthenticated for any other that must not be believed,
	//   - problem.ErrUnavailable, to be tried again, where the keys to judge it
	//     cannot be had.
	// Causes say what is wrong and never hold the token. Verify blocks for at
	// most the time of one key fetch (5 s), mostly not at all.
	Verify(ctx context.Context, token string) (Claims, error)
}

// ServiceVerifier verifies the ID tokens of our own services. Implementations
// are safe for use by many goroutines at once.
type ServiceVerifier interface {
	// VerifyService returns the e-mail address of the service account that
	// token was made for. The errors are those of Verifier, and
	// problem.ErrForbidden for an account that may not call.
	VerifyService(ctx context.Context, token string) (account string, err error)
}

// maxSkew is how far a token's times may lie in the future: clocks differ.
const maxSkew = 10 * time.Second

// Firebase verifies ID tokens of one Firebase project.
type Firebase struct {
	project string
	keys    KeySource
	now     func() time.Time
}

var _ Verifier = (*Firebase)(nil)

// NewFirebase returns a verifier for the tokens of project, signed with keys
// (in production RemoteKeys of FirebaseKeysURL). now is the clock; nil means time.Now.
func NewFirebase(project string, keys KeySource, now func() time.Time) (*Firebase, error) {
	if project == "" || keys == nil {
		return nil, errors.New("identity: project and keys must be given")
	}
	if now == nil {
		now = time.Now
	}
	return &Firebase{project, keys, now}, nil
}

// Verify implements Verifier.
func (v *Firebase) Verify(ctx context.Context, token string) (Claims, error) {
	var c firebaseClaims
	if err := parseRS256(ctx, token, &c, v.keys); err != nil {
		return Claims{}, err
	}
	return c.check(v.project, v.now())
}

// firebaseClaims is the payload of a Firebase ID token.
// https://firebase.google.com/docs/auth/admin/verify-id-tokens
type firebaseClaims struct {
	registered
	AuthTime      *jwt.NumericDate `json:"auth_time"`
	Email         string           `json:"email"`
	EmailVerified bool             `json:"email_verified"`
	Admin         any              `json:"admin"` // true, or anything else that is not
}

// registered are the claims that every ID token has.
type registered struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience jwt.ClaimStrings `json:"aud"`
	Expires  *jwt.NumericDate `json:"exp"`
	IssuedAt *jwt.NumericDate `json:"iat"`
}

// Getters that jwt.Claims wants; the checks are ours, see checkTimes.
func (r *registered) GetExpirationTime() (*jwt.NumericDate, error) { return r.Expires, nil }
func (r *registered) GetIssuedAt() (*jwt.NumericDate, error)       { return r.IssuedAt, nil }
func (r *registered) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (r *registered) GetIssuer() (string, error)                   { return r.Issuer, nil }
func (r *registered) GetSubject() (string, error)                  { return r.Subject, nil }
func (r *registered) GetAudience() (jwt.ClaimStrings, error)       { return r.Audience, nil }

// check holds the claims of a token with a good signature to their rules.
// Expiry comes last: token_ended tells a client to refresh, which would not
// help a token that is wrong in other ways.
func (c *firebaseClaims) check(project string, now time.Time) (Claims, error) {
	if err := c.checkAudience(project); err != nil {
		return Claims{}, err
	}
	if want := "https://securetoken.google.com/" + project; c.Issuer != want {
		return Claims{}, refuse("issuer %.100q is not %q", c.Issuer, want)
	}
	if !chat.ValidUID(c.Subject) {
		return Claims{}, refuse("subject %.140q is no user id", c.Subject)
	}
	if c.AuthTime == nil {
		return Claims{}, refuse("no auth_time")
	}
	if c.AuthTime.After(now.Add(maxSkew)) {
		return Claims{}, refuse("auth_time %v is in the future", c.AuthTime.UTC())
	}
	if err := c.checkTimes(now); err != nil {
		return Claims{}, err
	}
	admin, _ := c.Admin.(bool)
	return Claims{UID: c.Subject, Email: c.Email, EmailVerified: c.EmailVerified, Admin: admin,
		IssuedAt: c.IssuedAt.Time, AuthTime: c.AuthTime.Time, Expires: c.Expires.Time}, nil
}

func (r *registered) checkAudience(want string) error {
	if len(r.Audience) != 1 || r.Audience[0] != want {
		return refuse("audience %.200q is not %q", []string(r.Audience), want)
	}
	return nil
}

func (r *registered) checkTimes(now time.Time) error {
	if r.IssuedAt == nil || r.Expires == nil {
		return refuse("no iat or exp")
	}
	if r.IssuedAt.After(now.Add(maxSkew)) {
		return refuse("issued in the future, at %v", r.IssuedAt.UTC())
	}
	if !r.Expires.After(now) {
		return problem.ErrTokenEnded.WithCause(fmt.Errorf("token expired at %v", r.Expires.UTC()))
	}
	return nil
}

// parseRS256 reads token into claims and verifies its RS256 signature, nothing
// else. Other algorithms are refused before a key is looked for: an HMAC made
// with our public key, or none, must never be asked to prove itself.
func parseRS256(ctx context.Context, token string, claims jwt.Claims, keys KeySource) error {
	var keyErr error
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if kid == "" {
			return nil, errors.New("no kid in the header")
		}
		var key *rsa.PublicKey
		key, keyErr = keys.Key(ctx, kid)
		return key, keyErr
	})
	switch {
	case keyErr != nil:
		return keyErr
	case err != nil:
		return problem.ErrUnauthenticated.WithCause(fmt.Errorf("token: %w", err))
	}
	return nil
}

// refuse returns problem.ErrUnauthenticated with a cause.
func refuse(format string, args ...any) error {
	return problem.ErrUnauthenticated.WithCause(fmt.Errorf("token: "+format, args...))
}
