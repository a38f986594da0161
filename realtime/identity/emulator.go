package identity

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Emulator accepts the unsigned tokens (alg "none") that the Firebase Auth emulator and infra/authstub issue. Apart
// from the signature it makes the same checks as Firebase.
type Emulator struct {
	project string
	now     func() time.Time
}

var _ Verifier = (*Emulator)(nil)

// NewEmulator returns a verifier of the unsigned tokens of project. getenv is os.Getenv, or a replacement if several
// systems run in one process. NewEmulator fails if FIREBASE_AUTH_EMULATOR_HOST is not set, and on Cloud Run (K_SERVICE
// is set), because anybody can forge an unsigned token. now is the clock; nil means time.Now.
func NewEmulator(project string, getenv func(string) string, now func() time.Time) (*Emulator, error) {
	switch {
	case project == "":
		return nil, errors.New("identity: project is required")
	case getenv("K_SERVICE") != "":
		return nil, errors.New("identity: unsigned tokens are refused on Cloud Run (K_SERVICE is set)")
	case getenv("FIREBASE_AUTH_EMULATOR_HOST") == "":
		return nil, errors.New("identity: unsigned tokens are accepted only if FIREBASE_AUTH_EMULATOR_HOST is set")
	}
	if now == nil {
		now = time.Now
	}
	return &Emulator{project, now}, nil
}

// Verify implements Verifier. It never blocks.
func (v *Emulator) Verify(_ context.Context, token string) (Claims, error) {
	var c firebaseClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"none"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) {
		return jwt.UnsafeAllowNoneSignatureType, nil
	})
	if err != nil {
		return Claims{}, problem.ErrUnauthenticated.WithCause(err)
	}
	return c.check(v.project, v.now())
}
