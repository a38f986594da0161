package authstub

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	bolt "go.etcd.io/bbolt"
)

// Rules of the codes of authenticator apps (RFC 6238), the same as in production with the settings in
// infra/terraform/identity.tf.
const (
	codePeriod = 30 * time.Second
	codeSkew   = 1 // periods before and after the present one whose codes are accepted, because clocks differ

	secretBytes = 20 // 160 bits, as RFC 4226 recommends
)

// factorTime is how long a person has to enroll a factor after the secret was shown, or to enter a code after the
// password.
const factorTime = 10 * time.Minute

// factor is an authenticator app that an account has enrolled.
type factor struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Secret   string `json:"secret"`    // base32 without padding
	At       int64  `json:"at"`        // milliseconds; when it was enrolled
	LastStep int64  `json:"last_step"` // period of the newest code that was used; it and earlier ones do not work again
}

var (
	errCode      = badRequest("INVALID_CODE")
	errFactor    = badRequest("MFA_ENROLLMENT_NOT_FOUND")
	errCodeTries = badRequest("TOO_MANY_ATTEMPTS_TRY_LATER : Too many wrong codes. Try again in a few minutes.")
)

// encodedSecret returns a secret as authenticator apps and mfaEnrollment:start have it.
func encodedSecret(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// CodeAt returns the code that an authenticator app with this secret shows at a time.
func CodeAt(secret string, at time.Time) (string, error) {
	return totp.GenerateCodeCustom(secret, at, totp.ValidateOpts{
		Period: uint(codePeriod / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

// unused returns a code of f that no sign-in has used: the present one, or that of a later period.
func (f *factor) unused(now time.Time) (string, error) {
	step := max(now.Unix()/int64(codePeriod/time.Second), f.LastStep+1)
	return CodeAt(f.Secret, time.Unix(step*int64(codePeriod/time.Second), 0))
}

// use accepts a code once: f must then be stored. A code of the period of the newest one that was used, or of an
// earlier period, is refused.
func (f *factor) use(code string, now time.Time) error {
	step := now.Unix() / int64(codePeriod/time.Second)
	for s := step - codeSkew; s <= step+codeSkew; s++ {
		want, err := CodeAt(f.Secret, time.Unix(s*int64(codePeriod/time.Second), 0))
		if err != nil {
			return err
		}
		if s > f.LastStep && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			f.LastStep = s
			return nil
		}
	}
	return errCode
}

// factorInfos returns the factors of an account in the format of Identity Toolkit, without their secrets.
func factorInfos(a *account) []any {
	list := make([]any, len(a.Factors))
	for i, f := range a.Factors {
		list[i] = map[string]any{"mfaEnrollmentId": f.ID, "displayName": f.Name, "totpInfo": map[string]any{},
			"enrolledAt": time.UnixMilli(f.At).UTC().Format(time.RFC3339Nano)}
	}
	return list
}

// enrollment is the content of the session info of an enrollment.
type enrollment struct {
	UID     string `json:"uid"`
	Secret  string `json:"secret"`
	Expires int64  `json:"expires"` // seconds
}

// pending is the content of the proof that the password was right.
type pending struct {
	UID        string `json:"uid"`
	PasswordAt int64  `json:"password_at"` // of the account
	Expires    int64  `json:"expires"`     // seconds
}

// startEnrollment handles TotpMultiFactorGenerator.generateSecret.
func (s *Server) startEnrollment(r *http.Request) (any, error) {
	var in struct {
		IDToken string           `json:"idToken"`
		TOTP    *json.RawMessage `json:"totpEnrollmentInfo"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.TOTP == nil {
		return nil, badRequest("OPERATION_NOT_ALLOWED : the stand-in supports only authenticator apps (TOTP)")
	}
	a, err := s.forEnrollment(in.IDToken)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	expires := s.now().Add(factorTime)
	e := enrollment{UID: a.UID, Secret: encodedSecret(secret), Expires: expires.Unix()}
	session, err := s.seal(sealEnroll, e)
	if err != nil {
		return nil, err
	}
	if err := s.showCode(a, &factor{Secret: e.Secret}); err != nil {
		return nil, err
	}
	return map[string]any{"totpSessionInfo": map[string]any{
		"sharedSecretKey": e.Secret, "verificationCodeLength": int(otp.DigitsSix), "hashingAlgorithm": "SHA1",
		"periodSec": int(codePeriod.Seconds()), "sessionInfo": session,
		"finalizeEnrollmentTime": expires.UTC().Format(time.RFC3339)}}, nil
}

// forEnrollment returns the account of an ID token with which a factor may be enrolled.
func (s *Server) forEnrollment(token string) (*account, error) {
	a, claims, err := s.verifyIDToken(token)
	switch {
	case err != nil:
		return nil, err
	case !a.EmailVerified:
		return nil, badRequest("UNVERIFIED_EMAIL : Need to verify email first before enrolling second factors.")
	case len(a.Factors) > 0:
		return nil, badRequest("SECOND_FACTOR_EXISTS")
	case !s.isRecent(claims):
		return nil, errTooOld
	}
	return a, nil
}

// finishEnrollment handles multiFactor(user).enroll. It ends all sign-ins, and returns the tokens of a new one.
func (s *Server) finishEnrollment(r *http.Request) (any, error) {
	var in struct {
		IDToken     string `json:"idToken"`
		DisplayName string `json:"displayName"`
		TOTP        struct {
			SessionInfo string `json:"sessionInfo"`
			Code        string `json:"verificationCode"`
		} `json:"totpVerificationInfo"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if len(in.DisplayName) > 256 {
		return nil, badRequest("INVALID_ARGUMENT : the name of the factor is too long")
	}
	a, err := s.forEnrollment(in.IDToken)
	if err != nil {
		return nil, err
	}
	var e enrollment
	if !s.open(sealEnroll, in.TOTP.SessionInfo, &e) || e.UID != a.UID {
		return nil, badRequest("INVALID_SESSION_INFO")
	}
	if s.now().Unix() > e.Expires {
		return nil, badRequest("SESSION_EXPIRED")
	}
	f := factor{ID: newUID(), Name: in.DisplayName, Secret: e.Secret, At: s.now().UnixMilli()}
	if err := s.tryCode(a.UID, func() error { return f.use(in.TOTP.Code, s.now()) }); err != nil {
		return nil, err
	}
	return s.withTokens(a.UID, f.ID, func(a *account) error {
		if len(a.Factors) > 0 {
			return badRequest("SECOND_FACTOR_EXISTS")
		}
		a.Factors = []factor{f}
		a.revoke(s.now())
		return nil
	})
}

// withdrawFactor handles multiFactor(user).unenroll. It ends all sign-ins, and returns the tokens of a new one.
func (s *Server) withdrawFactor(r *http.Request) (any, error) {
	var in struct {
		IDToken string `json:"idToken"`
		ID      string `json:"mfaEnrollmentId"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	a, claims, err := s.verifyIDToken(in.IDToken)
	if err != nil {
		return nil, err
	}
	if !s.isRecent(claims) {
		return nil, errTooOld
	}
	return s.withTokens(a.UID, "", func(a *account) error {
		n := len(a.Factors)
		a.Factors = slices.DeleteFunc(a.Factors, func(f factor) bool { return f.ID == in.ID })
		if len(a.Factors) == n {
			return errFactor
		}
		a.revoke(s.now())
		return nil
	})
}

// askForCode returns the answer to a right password of an account with a factor.
func (s *Server) askForCode(a *account) (map[string]any, error) {
	if a.Disabled {
		return nil, badRequest("USER_DISABLED")
	}
	for _, f := range a.Factors {
		if err := s.showCode(a, &f); err != nil {
			return nil, err
		}
	}
	credential, err := s.seal(sealPending,
		pending{UID: a.UID, PasswordAt: a.PasswordAt, Expires: s.now().Add(factorTime).Unix()})
	return map[string]any{"mfaPendingCredential": credential, "mfaInfo": factorInfos(a)}, err
}

// showCode calls Options.Code with a code that the app shows now, or next if it was used.
func (s *Server) showCode(a *account, f *factor) error {
	if s.code == nil {
		return nil
	}
	code, err := f.unused(s.now())
	if err == nil {
		s.code(a.Email, code)
	}
	return err
}

// finishSignIn handles MultiFactorResolver.resolveSignIn.
func (s *Server) finishSignIn(r *http.Request) (any, error) {
	var in struct {
		Pending string `json:"mfaPendingCredential"`
		ID      string `json:"mfaEnrollmentId"`
		TOTP    struct {
			Code string `json:"verificationCode"`
		} `json:"totpVerificationInfo"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.ID == "" {
		return nil, badRequest("MISSING_MFA_ENROLLMENT_ID")
	}
	var p pending
	if !s.open(sealPending, in.Pending, &p) || s.now().Unix() > p.Expires {
		return nil, badRequest("INVALID_MFA_PENDING_CREDENTIAL")
	}
	return s.withTokens(p.UID, in.ID, func(a *account) error {
		i := slices.IndexFunc(a.Factors, func(f factor) bool { return f.ID == in.ID })
		switch {
		case a.Disabled:
			return badRequest("USER_DISABLED")
		case a.PasswordAt != p.PasswordAt:
			return badRequest("INVALID_MFA_PENDING_CREDENTIAL")
		case i < 0:
			return errFactor
		}
		return s.tryCode(a.UID, func() error { return a.Factors[i].use(in.TOTP.Code, s.now()) })
	})
}

// tryCode calls use, which checks a code of an account, unless too many were wrong lately.
func (s *Server) tryCode(uid string, use func() error) error {
	if s.codeTries.locked(uid) {
		return errCodeTries
	}
	if err := use(); err != nil {
		s.codeTries.fail(uid)
		return err
	}
	s.codeTries.succeed(uid)
	return nil
}

// withTokens changes an account, and returns the tokens of a new sign-in with a factor; "": without one.
func (s *Server) withTokens(uid, factorID string, change func(*account) error) (any, error) {
	now := s.now()
	a, err := s.updateAccount(uid, func(_ *bolt.Tx, a *account) error {
		if err := change(a); err != nil {
			return err
		}
		a.LoginAt, a.RefreshAt = now.UnixMilli(), now.UnixMilli()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.tokens(a, session{UID: uid, AuthTime: now.Unix(), Factor: factorID})
}

// adminFactors is the field mfa of an update by an administrator, who can only remove factors.
type adminFactors struct {
	Enrollments []struct {
		ID string `json:"mfaEnrollmentId"`
	} `json:"enrollments"`
}

// keepFactors removes the factors of an account that are not among those that an administrator has sent.
func (a *account) keepFactors(sent adminFactors) error {
	kept := slices.DeleteFunc(slices.Clone(a.Factors), func(f factor) bool {
		for _, e := range sent.Enrollments {
			if e.ID == f.ID {
				return false
			}
		}
		return true
	})
	if len(kept) != len(sent.Enrollments) {
		return badRequest("OPERATION_NOT_ALLOWED : administrators can only remove the factors of an account here")
	}
	a.Factors = kept
	return nil
}
