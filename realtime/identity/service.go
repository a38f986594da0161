package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Service verifies the ID tokens that Google signs for service accounts, for calls between our own services.
type Service struct {
	audience string
	accounts []string
	keys     KeySource
	now      func() time.Time
}

var _ ServiceVerifier = (*Service)(nil)

// NewService returns a verifier of tokens that were issued for audience (the URL of the called service) to one of the
// accounts (email addresses of service accounts), and signed with keys (in production RemoteKeys with GoogleKeysURL).
// now is the clock; nil means time.Now.
func NewService(audience string, accounts []string, keys KeySource, now func() time.Time) (*Service, error) {
	if audience == "" || len(accounts) == 0 || slices.Contains(accounts, "") || keys == nil {
		return nil, errors.New("identity: audience, accounts and keys are required")
	}
	if now == nil {
		now = time.Now
	}
	return &Service{audience, slices.Clone(accounts), keys, now}, nil
}

// VerifyService implements ServiceVerifier.
func (v *Service) VerifyService(ctx context.Context, token string) (string, error) {
	var c struct {
		registered
		Email         string `json:"email"`
		EmailVerified bool   `json:"email_verified"`
	}
	if err := parseRS256(ctx, token, &c, v.keys); err != nil {
		return "", err
	}
	if err := c.checkAudience(v.audience); err != nil {
		return "", err
	}
	// Google uses both forms. https://cloud.google.com/docs/authentication/token-types#id
	if c.Issuer != "https://accounts.google.com" && c.Issuer != "accounts.google.com" {
		return "", refuse("issuer %.100q is not Google's", c.Issuer)
	}
	if err := c.checkTimes(v.now()); err != nil {
		return "", err
	}
	if !c.EmailVerified {
		return "", refuse("the email address is not verified")
	}
	if !slices.Contains(v.accounts, c.Email) {
		return "", problem.ErrForbidden.WithCause(fmt.Errorf("account %.200q may not call", c.Email))
	}
	return c.Email, nil
}
