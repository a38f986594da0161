package users

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// RecoveryCodes is the number of recovery codes that a user gets at once.
const RecoveryCodes = 10

// recoveryBytes are the random bytes of a recovery code: 120 bits, which are 24 characters of base32.
const recoveryBytes = 15

// Errors of second factors, beside store.ErrRecoveryCode.
var (
	ErrNoSecondFactor = problem.New(problem.Conflict, "no_second_factor",
		"This account has no second factor. Sign in with the password.")
	ErrWrongPassword = problem.New(problem.Forbidden, "wrong_password", "The email address or the password is wrong.")
)

// newRecoveryCode returns a code of six groups of four characters.
func newRecoveryCode() string {
	b := make([]byte, recoveryBytes)
	rand.Read(b)
	var groups []string
	for group := range slices.Chunk([]byte(base32.StdEncoding.EncodeToString(b)), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, "-")
}

// plainCode returns a recovery code as a user enters it without spaces and hyphens, in upper case. It reports whether
// it can be one.
func plainCode(code string) (string, bool) {
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, strings.ToUpper(code))
	b, err := base32.StdEncoding.DecodeString(code)
	return code, err == nil && len(b) == recoveryBytes
}

// CheckRecoveryCode returns store.ErrRecoveryCode if a text cannot be a recovery code.
func CheckRecoveryCode(code string) error {
	if _, ok := plainCode(code); !ok {
		return store.ErrRecoveryCode
	}
	return nil
}

// NewRecoveryCodes replaces the recovery codes of a user who has a second factor, and returns the new ones, which are
// not stored. If the factor was not recorded yet, all sign-ins but the one at authTime end. ErrNoSecondFactor. After
// another error, repeat the call: the sockets of those sign-ins may still be open, and nobody knows the codes.
func (s *Service) NewRecoveryCodes(ctx context.Context, u store.User, authTime time.Time) ([]string, error) {
	account, err := s.deps.Accounts.Get(ctx, u.UID)
	if err != nil {
		return nil, err
	}
	if !account.SecondFactor {
		return nil, ErrNoSecondFactor
	}
	codes, hashes := make([]string, RecoveryCodes), make([]string, RecoveryCodes)
	for i := range codes {
		codes[i] = newRecoveryCode()
		plain, _ := plainCode(codes[i])
		hashes[i] = store.RecoveryHash(plain)
	}
	u, err = s.deps.Store.SetRecoveryCodes(ctx, u.UID, hashes, s.now(), store.SignInTime(authTime))
	if err != nil {
		return nil, err
	}
	// Also if the factor was recorded before: an earlier call may have failed here.
	if err := s.endSubscriptions(ctx, u); err != nil {
		return nil, err
	}
	s.announceOwn(ctx, u.UID)
	return codes, nil
}

// RemoveSecondFactor makes the password alone sign a user in again. It ends no sign-in.
func (s *Service) RemoveSecondFactor(ctx context.Context, uid string) (store.User, error) {
	if err := s.deps.Accounts.RemoveSecondFactors(ctx, uid); err != nil {
		return store.User{}, err
	}
	u, err := s.deps.Store.RemoveSecondFactor(ctx, uid)
	if err == nil {
		s.announceOwn(ctx, uid)
	}
	return u, err
}

// ResetSecondFactor removes the second factor of a user who has lost it, and ends all sign-ins.
func (s *Service) ResetSecondFactor(ctx context.Context, uid string) error {
	_, err := s.RemoveSecondFactor(ctx, uid)
	if err == nil {
		_, err = s.SignOut(ctx, uid)
	}
	return err
}

// CheckPassword returns the uid of the account with an address and a password. ErrWrongPassword,
// accounts.ErrTooManyTries.
func (s *Service) CheckPassword(ctx context.Context, email, password string) (uid string, err error) {
	// As the client uses them at every sign-in.
	uid, right, err := s.deps.Accounts.CheckPassword(ctx, strings.TrimSpace(email), norm.NFC.String(password))
	if err == nil && !right {
		err = ErrWrongPassword
	}
	return uid, err
}

// Recover removes the second factor of a user who has proved the password, with a recovery code, which it uses up. It
// ends all sign-ins. store.ErrRecoveryCode, ErrNoSecondFactor. If it is interrupted, repeating the call finishes it.
func (s *Service) Recover(ctx context.Context, uid, code string) error {
	plain, ok := plainCode(code)
	if !ok {
		return store.ErrRecoveryCode
	}
	u, err := s.deps.Store.User(ctx, uid)
	if errors.Is(err, problem.ErrNotFound) { // deleted meanwhile
		return ErrWrongPassword.WithCause(err)
	}
	if err != nil {
		return err
	}
	hash := store.RecoveryHash(plain)
	if !slices.Contains(u.Recovery, hash) {
		return store.ErrRecoveryCode
	}
	account, err := s.deps.Accounts.Get(ctx, uid)
	if err != nil {
		return err
	}
	if !account.SecondFactor && !u.SecondFactor {
		return ErrNoSecondFactor
	}
	if err := s.deps.Accounts.RemoveSecondFactors(ctx, uid); err != nil {
		return err
	}
	if _, err := s.SignOut(ctx, uid); err != nil {
		return err
	}
	// The code is used up last, so that the user can repeat the call until then.
	_, err = s.deps.Store.UseRecoveryCode(ctx, uid, hash)
	return err
}
