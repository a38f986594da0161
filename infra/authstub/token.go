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
	AuthTime int64  `json:"auth_time"` // seconds; time of the sign-in
	Issued   int64  `json:"issued"`    // nanoseconds
}

// idToken returns an unsigned ID token for a, with the same claims as those of Firebase.
func (s *Server) idToken(a *account, authTime int64) (string, error) {
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
	claims["auth_time"] = authTime
	claims["user_id"], claims["sub"] = a.UID, a.UID
	claims["iat"], claims["exp"] = now.Unix(), now.Add(tokenLifetime).Unix()
	claims["iss"], claims["aud"] = "https://securetoken.google.com/"+s.project, s.project
	claims["firebase"] = map[string]any{"identities": identities, "sign_in_provider": "password"}
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

// refreshToken returns a token for a new session. It is valid until it is revoked.
func (s *Server) refreshToken(uid string, authTime int64) (string, error) {
	body, err := json.Marshal(session{UID: uid, AuthTime: authTime, Issued: s.now().UnixNano()})
	if err != nil {
		return "", err
	}
	return b64url.EncodeToString(body) + "." + b64url.EncodeToString(s.sign(body)), nil
}

// parseRefreshToken returns the session of a token that refreshToken made.
func (s *Server) parseRefreshToken(token string) (session, error) {
	var out session
	body64, sum64, _ := strings.Cut(token, ".")
	body, err1 := b64url.DecodeString(body64)
	sum, err2 := b64url.DecodeString(sum64)
	if err1 != nil || err2 != nil || !hmac.Equal(sum, s.sign(body)) || json.Unmarshal(body, &out) != nil {
		return out, badRequest("INVALID_REFRESH_TOKEN")
	}
	return out, nil
}

func (s *Server) sign(body []byte) []byte {
	h := hmac.New(sha256.New, s.secret)
	h.Write(body)
	return h.Sum(nil)
}
