package authstub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// tokenLifetime is how long an ID token is valid. It is the same in production.
const tokenLifetime = time.Hour

var b64url = base64.RawURLEncoding

// session is the content of a refresh token.
type session struct {
	UID      string `json:"uid"`
	AuthTime int64  `json:"auth_time"`        // seconds; time of the sign-in
	Factor   string `json:"factor,omitempty"` // id of the second factor that confirmed the sign-in; "": none
	Issued   int64  `json:"issued"`           // nanoseconds
}

// idToken returns an unsigned ID token for a sign-in of a, with the same claims as those of Firebase.
func (s *Server) idToken(a *account, in session) (string, error) {
	claims := map[string]any{}
	if a.Claims != "" {
		if err := json.Unmarshal([]byte(a.Claims), &claims); err != nil {
			return "", err
		}
	}
	now := s.now()
	identities := map[string]any{}
	if a.Email != "" {
		claims["email"] = a.Email
		identities["email"] = []string{a.Email}
	}
	if a.Name != "" {
		claims["name"] = a.Name
	}
	if a.Photo != "" {
		claims["picture"] = a.Photo
	}
	claims["email_verified"] = a.EmailVerified
	claims["auth_time"] = in.AuthTime
	claims["user_id"], claims["sub"] = a.UID, a.UID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(tokenLifetime).Unix()
	claims["iss"], claims["aud"] = "https://securetoken.google.com/"+s.project, s.project
	provider := map[string]any{"identities": identities, "sign_in_provider": "password"}
	if in.Factor != "" {
		provider["sign_in_second_factor"], provider["second_factor_identifier"] = "totp", in.Factor
	}
	claims["firebase"] = provider
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return b64url.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64url.EncodeToString(body) + ".", nil
}

// ownClaims are the claims of an ID token that the stand-in reads.
type ownClaims struct {
	Sub      string `json:"sub"`
	Aud      string `json:"aud"`
	Iat      int64  `json:"iat"`
	Exp      int64  `json:"exp"`
	AuthTime int64  `json:"auth_time"`
	Firebase struct {
		Factor string `json:"second_factor_identifier"`
	} `json:"firebase"`
}

// session returns the session that a token with these claims belongs to.
func (c ownClaims) session() session {
	return session{UID: c.Sub, AuthTime: c.AuthTime, Factor: c.Firebase.Factor}
}

// verifyIDToken checks an ID token and returns the current state of its account. As with the official emulator, the
// token has no signature, so its origin is not verified.
func (s *Server) verifyIDToken(token string) (*account, ownClaims, error) {
	var c ownClaims
	if token == "" {
		return nil, c, badRequest("MISSING_ID_TOKEN")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, c, badRequest("INVALID_ID_TOKEN")
	}
	body, err := b64url.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil || c.Aud != s.project {
		return nil, c, badRequest("INVALID_ID_TOKEN")
	}
	a, err := s.findAccount(accountByUID, c.Sub)
	switch {
	case err != nil:
		return nil, c, err
	case a == nil:
		return nil, c, badRequest("USER_NOT_FOUND")
	case a.Disabled:
		return nil, c, badRequest("USER_DISABLED")
	case s.now().Unix() >= c.Exp, c.Iat < a.ValidSince:
		return nil, c, badRequest("TOKEN_EXPIRED")
	}
	return a, c, nil
}

// refreshToken returns a token of a sign-in. It is valid until it is revoked.
func (s *Server) refreshToken(in session) (string, error) {
	in.Issued = s.now().UnixNano()
	return s.seal(sealRefresh, in)
}

// parseRefreshToken returns the session of a token that refreshToken made.
func (s *Server) parseRefreshToken(token string) (out session, err error) {
	if !s.open(sealRefresh, token, &out) {
		return out, badRequest("INVALID_REFRESH_TOKEN")
	}
	return out, nil
}

// Kinds of signed texts. None can be used as one of another kind.
const (
	sealRefresh = "refresh"
	sealEnroll  = "enroll"
	sealPending = "pending"
)

// seal returns v as a signed text of a kind. Its holder can read it, but not change it.
func (s *Server) seal(kind string, v any) (string, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return b64url.EncodeToString(body) + "." + b64url.EncodeToString(s.sign(kind, body)), nil
}

// open reads a text that seal made of the same kind, and reports whether it is one.
func (s *Server) open(kind, text string, v any) bool {
	body64, sum64, _ := strings.Cut(text, ".")
	body, err1 := b64url.DecodeString(body64)
	sum, err2 := b64url.DecodeString(sum64)
	return err1 == nil && err2 == nil && hmac.Equal(sum, s.sign(kind, body)) && json.Unmarshal(body, v) == nil
}

func (s *Server) sign(kind string, body []byte) []byte {
	h := hmac.New(sha256.New, s.secret)
	h.Write([]byte(kind + "."))
	h.Write(body)
	return h.Sum(nil)
}
