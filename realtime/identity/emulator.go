package identity

import (
	"context"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// Emulator believes the unsigned tokens (alg "none") that the Firebase Auth
// emulator and our stand-in for it make. All checks but the signature are
// those of Firebase.
type Emulator struct {
	project string
	now     func() time.Time
}

var _ Verifier = (*Emulator)(nil)

// NewEmulator returns a verifier for the unsigned tokens of project. getenv is
// os.Getenv, or speaks for it where several systems live in one process. It
// fails where FIREBASE_AUTH_EMULATOR_HOST is not set, and on Cloud Run
// (K_SERVICE is set): nobody there may believe what anybody can write. now is
// the clock; nil means time.Now.
func NewEmulator(project string, getenv func(string) string, now func() time.Time) (*Emulator, error) {
	switch {
	case project == "":
		return nil, errors.New("identity: project must be given")
	case getenv("K_SERVICE") != "":
		return nil, errors.New("identity: unsigned tokens are refused on Cloud Run (K_SERVICE is set)")
	case getenv("FIREBASE_AUTH_EMULATOR_HOST") == "":
		return nil, errors.New("identity: unsigned tokens are believed only with FIREBASE_AUTH_EMULATOR_HOST")
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
