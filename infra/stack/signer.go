package stack

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
)

// signer issues the ID tokens with which the functions call the internal routes, as Google does in production. The
// tokens have the same format. The key is generated at each start and never leaves the process.
type signer struct {
	key      *rsa.PrivateKey
	verifier *identity.Service
}

const (
	signerKey     = "local"
	signerAccount = "functions@local.iam.gserviceaccount.com"
)

func newSigner(audience string) (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("generate the service key: %w", err)
	}
	v, err := identity.NewService(audience, []string{signerAccount}, identity.StaticKeys{signerKey: &key.PublicKey}, nil)
	if err != nil {
		return nil, err
	}
	return &signer{key: key, verifier: v}, nil
}

// Token implements internalapi.TokenSource.
func (s *signer) Token(_ context.Context, audience string) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "https://accounts.google.com", "aud": audience, "sub": signerAccount, "azp": signerAccount,
		"email": signerAccount, "email_verified": true, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	t.Header["kid"] = signerKey
	return t.SignedString(s.key)
}
