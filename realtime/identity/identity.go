// Package identity verifies ID tokens: those of users, which Firebase Auth issues, and those of our own services, which
// Google signs for service accounts. Both services of Phoenix Chat use it.
//
// Verification does not need a call per token. Signatures are checked against Google's published keys, which are
// fetched when they are first needed, cached for as long as their Cache-Control allows, and still used while the key
// server is unreachable ([RemoteKeys]). The Firebase Admin SDK is not used for this, for three reasons: its key source
// has a fixed URL, it forgets expired keys when a fetch fails, and in emulator mode it asks the emulator about every
// token. So the SDK only manages accounts, and golang-jwt parses the tokens.
//
// A token does not show whether its session was revoked. The user's gate does: realtime calls gate.Gate.Admit, and the
// functions check their store, both with Claims.AuthTime.
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

// Claims are the claims of a user's verified ID token. Times have a resolution of one second.
type Claims struct {
	UID           string // never empty; chat.ValidUID is true
	Email         string // "" if the account has none
	EmailVerified bool
	Admin         bool      // the custom claim "admin" is true
	SecondFactor  bool      // the sign-in was confirmed with a second factor
	IssuedAt      time.Time // when this token was issued
	AuthTime      time.Time // when the user last signed in with a password; refreshed tokens keep it
	Expires       time.Time
}

// Verifier verifies the ID tokens of users. Implementations are safe for concurrent use.
type Verifier interface {
	// Verify returns the claims of token. The error is
	//   - problem.ErrTokenEnded if the token was valid and has expired,
	//   - problem.ErrUnauthenticated if the token is invalid in any other way,
	//   - problem.ErrUnavailable if the signing keys are not available; the caller may try again.
	//
	// The cause of an error never contains the token. Verify usually does not block, and blocks for at most one key fetch
	// (5 s).
	Verify(ctx context.Context, token string) (Claims, error)
}

// ServiceVerifier verifies the ID tokens of our own services. Implementations are safe for concurrent use.
type ServiceVerifier interface {
	// VerifyService returns the email address of the service account that token was issued to. The errors are those of
	// Verifier, and problem.ErrForbidden if the account may not call.
	VerifyService(ctx context.Context, token string) (account string, err error)
}

// maxSkew is how far the times of a token may be in the future, because clocks differ.
const maxSkew = 10 * time.Second

// Firebase verifies ID tokens of one Firebase project.
type Firebase struct {
	project string
	keys    KeySource
	now     func() time.Time
}

var _ Verifier = (*Firebase)(nil)

// NewFirebase returns a verifier of the tokens of project, which are signed with keys (in production RemoteKeys with
// FirebaseKeysURL). now is the clock; nil means time.Now.
func NewFirebase(project string, keys KeySource, now func() time.Time) (*Firebase, error) {
	if project == "" || keys == nil {
		return nil, errors.New("identity: project and keys are required")
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
	Admin         any              `json:"admin"` // only the boolean true makes an admin
	Firebase      struct {
		SecondFactor string `json:"sign_in_second_factor"` // its kind, such as "totp"
	} `json:"firebase"`
}

// registered holds the claims that every ID token has.
type registered struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub"`
	Audience jwt.ClaimStrings `json:"aud"`
	Expires  *jwt.NumericDate `json:"exp"`
	IssuedAt *jwt.NumericDate `json:"iat"`
}

// Methods of jwt.Claims. The claims are checked by check and checkTimes, not by the library.
func (r *registered) GetExpirationTime() (*jwt.NumericDate, error) { return r.Expires, nil }
func (r *registered) GetIssuedAt() (*jwt.NumericDate, error)       { return r.IssuedAt, nil }
func (r *registered) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (r *registered) GetIssuer() (string, error)                   { return r.Issuer, nil }
func (r *registered) GetSubject() (string, error)                  { return r.Subject, nil }
func (r *registered) GetAudience() (jwt.ClaimStrings, error)       { return r.Audience, nil }

// check checks the claims of a token with a valid signature. It checks the expiry last: token_ended makes a client
// refresh its token, which does not help if the token is invalid in another way.
func (c *firebaseClaims) check(project string, now time.Time) (Claims, error) {
	if err := c.checkAudience(project); err != nil {
		return Claims{}, err
	}
	if want := "https://securetoken.google.com/" + project; c.Issuer != want {
		return Claims{}, refuse("issuer %.100q is not %q", c.Issuer, want)
	}
	if !chat.ValidUID(c.Subject) {
		return Claims{}, refuse("subject %.140q is not a user id", c.Subject)
	}
	if c.AuthTime == nil {
		return Claims{}, refuse("auth_time is missing")
	}
	if c.AuthTime.After(now.Add(maxSkew)) {
		return Claims{}, refuse("auth_time %v is in the future", c.AuthTime.UTC())
	}
	if err := c.checkTimes(now); err != nil {
		return Claims{}, err
	}
	admin, _ := c.Admin.(bool)
	return Claims{UID: c.Subject, Email: c.Email, EmailVerified: c.EmailVerified, Admin: admin,
		SecondFactor: c.Firebase.SecondFactor != "",
		IssuedAt:     c.IssuedAt.Time, AuthTime: c.AuthTime.Time, Expires: c.Expires.Time}, nil
}

func (r *registered) checkAudience(want string) error {
	if len(r.Audience) != 1 || r.Audience[0] != want {
		return refuse("audience %.200q is not %q", []string(r.Audience), want)
	}
	return nil
}

func (r *registered) checkTimes(now time.Time) error {
	if r.IssuedAt == nil || r.Expires == nil {
		return refuse("iat or exp is missing")
	}
	if r.IssuedAt.After(now.Add(maxSkew)) {
		return refuse("issued in the future, at %v", r.IssuedAt.UTC())
	}
	if !r.Expires.After(now) {
		return problem.ErrTokenEnded.WithCause(fmt.Errorf("token expired at %v", r.Expires.UTC()))
	}
	return nil
}

// parseRS256 parses token into claims and verifies its RS256 signature, nothing else. It refuses every other algorithm
// before it looks for a key, so that neither an unsigned token nor an HMAC made with our public key is ever accepted.
func parseRS256(ctx context.Context, token string, claims jwt.Claims, keys KeySource) error {
	var keyErr error
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if kid == "" {
			return nil, errors.New("the header has no kid")
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
