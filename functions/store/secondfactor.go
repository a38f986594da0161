package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// RecoveryHash returns what is stored of a recovery code. A code is random and has 120 bits, so a hash without a salt,
// and one that is fast, does not help anybody to find it.
func RecoveryHash(code string) string {
	sum := sha256.Sum256([]byte("recovery " + code))
	return hex.EncodeToString(sum[:])
}

// ErrRecoveryCode refuses a recovery code that is not one of the user's, or was used before.
var ErrRecoveryCode = &problem.Error{Kind: problem.Invalid, Code: "recovery_code_wrong",
	Message: "This recovery code is wrong, or was used before.",
	Fields:  map[string]string{"code": "Enter a recovery code that you have not used yet."}}

// SetRecoveryCodes replaces the recovery codes of u, who has a second factor, by those with the given hashes, made at a
// time. If the factor was not recorded yet, all sign-ins but keep end: they may be those of somebody who has only the
// password. Their devices keep their data.
func (u *User) SetRecoveryCodes(hashes []string, at, keep chat.Micros) {
	if !u.SecondFactor {
		u.endOthers(keep)
	}
	u.SecondFactor, u.Recovery, u.RecoveryAt = true, hashes, at
}

// UseRecoveryCode forgets the recovery code with a hash, and records that sign-ins of u do not need a second factor.
// The error is ErrRecoveryCode.
func (u *User) UseRecoveryCode(hash string) error {
	i := slices.Index(u.Recovery, hash)
	if i < 0 {
		return ErrRecoveryCode
	}
	u.Recovery = slices.Delete(slices.Clone(u.Recovery), i, i+1)
	if len(u.Recovery) == 0 {
		u.Recovery = nil
	}
	u.SecondFactor = false
	return nil
}

// SecondFactors records who has a second factor. The sign-in system has the factor itself and asks for it. The first
// use of a sign-in records it, too; see Seen. An unknown user is problem.ErrNotFound.
type SecondFactors interface {
	// RemoveSecondFactor records that the user has no second factor anymore.
	RemoveSecondFactor(ctx context.Context, uid string) (User, error)

	// SetRecoveryCodes replaces the recovery codes of a user who has a second factor; see the method of User.
	SetRecoveryCodes(ctx context.Context, uid string, hashes []string, at, keep chat.Micros) (User, error)

	// UseRecoveryCode uses a recovery code; see the method of User. ErrRecoveryCode. Of concurrent calls with one code,
	// one succeeds.
	UseRecoveryCode(ctx context.Context, uid, hash string) (User, error)
}
