package authstub

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// recentLogin is the maximum age of a sign-in with which the password or the address may be changed.
const recentLogin = 5 * time.Minute

// refuse handles the calls that production's identity configuration does not allow for browsers.
func (s *Server) refuse(*http.Request) (any, error) { return nil, badRequest("ADMIN_ONLY_OPERATION") }

// signIn handles signInWithEmailAndPassword. An unknown address and a wrong password get the same answer after about
// the same time.
func (s *Server) signIn(r *http.Request) (any, error) {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	email := strings.ToLower(in.Email)
	switch {
	case in.Email == "":
		return nil, badRequest("MISSING_EMAIL")
	case !validEmail(email):
		return nil, badRequest("INVALID_EMAIL")
	case in.Password == "":
		return nil, badRequest("MISSING_PASSWORD")
	case len(in.Password) > 4096:
		return nil, badRequest("INVALID_LOGIN_CREDENTIALS")
	case s.attempts.locked(email):
		return nil, badRequest("TOO_MANY_ATTEMPTS_TRY_LATER : Too many wrong passwords for this address. " +
			"Try again in a few minutes, or reset the password.")
	}
	a, err := s.findAccount(accountByEmail, email)
	if err != nil {
		return nil, err
	}
	hash := ""
	if a != nil {
		hash = a.Password
	}
	if !s.passwordMatches(hash, in.Password) {
		s.attempts.fail(email)
		return nil, badRequest("INVALID_LOGIN_CREDENTIALS")
	}
	s.attempts.succeed(email)
	out, err := s.answerPassword(a)
	if err != nil {
		return nil, err
	}
	out["kind"] = "identitytoolkit#VerifyPasswordResponse"
	out["localId"], out["email"], out["displayName"], out["registered"] = a.UID, a.Email, a.Name, true
	return out, nil
}

// answerPassword returns the tokens of a new sign-in or, if the account has a second factor, what asks for its code.
func (s *Server) answerPassword(a *account) (map[string]any, error) {
	if len(a.Factors) > 0 {
		return s.askForCode(a)
	}
	return s.begin(a)
}

// begin records a sign-in of an account without a second factor, and returns its tokens.
func (s *Server) begin(a *account) (map[string]any, error) {
	if a.Disabled {
		return nil, badRequest("USER_DISABLED")
	}
	now := s.now()
	a, err := s.updateAccount(a.UID, func(_ *bolt.Tx, a *account) error {
		a.LoginAt, a.RefreshAt = now.UnixMilli(), now.UnixMilli()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.tokens(a, session{UID: a.UID, AuthTime: now.Unix()})
}

// signInWithToken handles signInWithCustomToken. As with the official emulator, the token has no signature. Unlike
// production, the stand-in does not create an account that does not exist.
func (s *Server) signInWithToken(r *http.Request) (any, error) {
	var in struct {
		Token string `json:"token"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	var claims struct {
		UID string `json:"uid"`
		Exp int64  `json:"exp"`
	}
	parts := strings.Split(in.Token, ".")
	if len(parts) != 3 {
		return nil, badRequest("INVALID_CUSTOM_TOKEN")
	}
	body, err := b64url.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &claims) != nil || claims.UID == "" || claims.Exp <= s.now().Unix() {
		return nil, badRequest("INVALID_CUSTOM_TOKEN")
	}
	a, err := s.findAccount(accountByUID, claims.UID)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, badRequest("USER_NOT_FOUND")
	}
	out, err := s.answerPassword(a)
	if err != nil {
		return nil, err
	}
	out["kind"], out["isNewUser"] = "identitytoolkit#VerifyCustomTokenResponse", false
	return out, nil
}

// tokens returns a new pair of tokens for a sign-in of an account.
func (s *Server) tokens(a *account, in session) (map[string]any, error) {
	id, err := s.idToken(a, in)
	if err != nil {
		return nil, err
	}
	refresh, err := s.refreshToken(in)
	if err != nil {
		return nil, err
	}
	return map[string]any{"idToken": id, "refreshToken": refresh,
		"expiresIn": strconv.Itoa(int(tokenLifetime.Seconds()))}, nil
}

// refresh exchanges a refresh token for a new ID token. The body of the request is a form.
func (s *Server) refresh(r *http.Request) (any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("INVALID_ARGUMENT : the body is not a form")
	}
	switch {
	case r.PostForm.Get("grant_type") != "refresh_token":
		return nil, badRequest("INVALID_GRANT_TYPE")
	case r.PostForm.Get("refresh_token") == "":
		return nil, badRequest("MISSING_REFRESH_TOKEN")
	}
	was, err := s.parseRefreshToken(r.PostForm.Get("refresh_token"))
	if err != nil {
		return nil, err
	}
	a, err := s.updateAccount(was.UID, func(_ *bolt.Tx, a *account) error {
		switch {
		case a.Disabled:
			return badRequest("USER_DISABLED")
		case was.Issued < a.RevokedAt:
			return badRequest("TOKEN_EXPIRED")
		}
		a.RefreshAt = s.now().UnixMilli()
		return nil
	})
	if err != nil {
		return nil, err
	}
	id, err := s.idToken(a, was)
	if err != nil {
		return nil, err
	}
	return map[string]any{"id_token": id, "access_token": id, "refresh_token": r.PostForm.Get("refresh_token"),
		"expires_in": strconv.Itoa(int(tokenLifetime.Seconds())), "token_type": "Bearer",
		"user_id": a.UID, "project_id": s.project}, nil
}

// lookupOwn returns the account of the holder of an ID token.
func (s *Server) lookupOwn(r *http.Request) (any, error) {
	var in struct {
		IDToken string `json:"idToken"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	a, _, err := s.verifyIDToken(in.IDToken)
	if err != nil {
		return nil, err
	}
	return map[string]any{"kind": "identitytoolkit#GetAccountInfoResponse", "users": []any{userInfo(a)}}, nil
}

// errTooOld refuses a change that needs a recent sign-in.
var errTooOld = badRequest("CREDENTIAL_TOO_OLD_LOGIN_AGAIN")

// isRecent reports whether the sign-in of a token was recent.
func (s *Server) isRecent(c ownClaims) bool {
	return s.now().Unix()-c.AuthTime <= int64(recentLogin.Seconds())
}

// updateOwn handles updatePassword, updateProfile, unlink and applyActionCode, and refuses updateEmail: the new address
// must be verified first.
func (s *Server) updateOwn(r *http.Request) (any, error) {
	var in struct {
		IDToken           string   `json:"idToken"`
		OobCode           string   `json:"oobCode"`
		ReturnSecureToken bool     `json:"returnSecureToken"`
		Email             *string  `json:"email"`
		Password          *string  `json:"password"`
		DisplayName       *string  `json:"displayName"`
		PhotoURL          *string  `json:"photoUrl"`
		DeleteAttribute   []string `json:"deleteAttribute"`
		DeleteProvider    []string `json:"deleteProvider"`
	}
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.OobCode != "" {
		return s.applyCode(in.OobCode, r.Host)
	}
	a, claims, err := s.verifyIDToken(in.IDToken)
	if err != nil {
		return nil, err
	}
	if (in.Password != nil || in.Email != nil) && !s.isRecent(claims) {
		return nil, errTooOld
	}
	f := fields{Email: in.Email, Password: in.Password, DisplayName: in.DisplayName, PhotoURL: in.PhotoURL,
		DeleteAttribute: in.DeleteAttribute, DeleteProvider: in.DeleteProvider}
	if err := s.prepareFields(&f); err != nil {
		return nil, err
	}
	if f.Email != nil && *f.Email != a.Email {
		return nil, badRequest("OPERATION_NOT_ALLOWED : Please verify the new email before changing email.")
	}
	a, err = s.updateAccount(a.UID, func(tx *bolt.Tx, a *account) error { return s.applyFields(tx, a, &f) })
	if err != nil {
		return nil, err
	}
	out := userInfo(a)
	if in.ReturnSecureToken {
		t, err := s.tokens(a, claims.session())
		if err != nil {
			return nil, err
		}
		for k, v := range t {
			out[k] = v
		}
	}
	out["kind"] = "identitytoolkit#SetAccountInfoResponse"
	return out, nil
}
