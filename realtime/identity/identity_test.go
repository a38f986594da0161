package identity_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Keys are generated once, because that is slow.
var (
	ourKey, otherKey = sync.OnceValue(newKey), sync.OnceValue(newKey)
	start            = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func newKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

const project = "demo-chat"

// change overrides claims of a valid token; nil removes a claim.
type change = map[string]any

// claims returns the claims of a valid token of project with the given change.
func claims(with change) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + project, "aud": project,
		"sub": "aliceUid0001", "user_id": "aliceUid0001", "auth_time": start.Add(-time.Hour).Unix(),
		"iat": start.Add(-time.Minute).Unix(), "exp": start.Add(59 * time.Minute).Unix(),
		"email": "alice@example.org", "email_verified": true,
		"firebase": map[string]any{"sign_in_provider": "password", "identities": map[string]any{}},
	}
	maps.Copy(c, with)
	for k, v := range c {
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rs256(t *testing.T, with change) string {
	return sign(t, jwt.SigningMethodRS256, "k1", ourKey(), claims(with))
}

func firebase(t *testing.T) *identity.Firebase {
	t.Helper()
	keys := identity.StaticKeys{"k1": &ourKey().PublicKey}
	v, err := identity.NewFirebase(project, keys, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFirebaseAcceptsAValidToken(t *testing.T) {
	got, err := firebase(t).Verify(context.Background(), rs256(t, change{"admin": true}))
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Claims{UID: "aliceUid0001", Email: "alice@example.org", EmailVerified: true, Admin: true,
		IssuedAt: start.Add(-time.Minute), AuthTime: start.Add(-time.Hour), Expires: start.Add(59 * time.Minute)}
	if !got.IssuedAt.Equal(want.IssuedAt) || !got.AuthTime.Equal(want.AuthTime) || !got.Expires.Equal(want.Expires) {
		t.Errorf("times %v, want %v", got, want)
	}
	got.IssuedAt, got.AuthTime, got.Expires = want.IssuedAt, want.AuthTime, want.Expires
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAdminIsOnlyTheBooleanTrue(t *testing.T) {
	for _, v := range []any{nil, false, "true", 1, map[string]any{"is": true}} {
		got, err := firebase(t).Verify(context.Background(), rs256(t, change{"admin": v}))
		if err != nil || got.Admin {
			t.Errorf("admin %v: %v, %v", v, got.Admin, err)
		}
	}
}

func TestASecondFactorIsInTheToken(t *testing.T) {
	for want, provider := range map[bool]any{
		true:  change{"sign_in_provider": "password", "sign_in_second_factor": "totp", "second_factor_identifier": "f"},
		false: change{"sign_in_provider": "password"},
	} {
		got, err := firebase(t).Verify(context.Background(), rs256(t, change{"firebase": provider}))
		if err != nil || got.SecondFactor != want {
			t.Errorf("%v: second factor %v, %v", provider, got.SecondFactor, err)
		}
	}
	got, err := firebase(t).Verify(context.Background(), rs256(t, change{"firebase": nil}))
	if err != nil || got.SecondFactor {
		t.Errorf("without the claim: second factor %v, %v", got.SecondFactor, err)
	}
}

// hs256 signs with the public key as if it was a shared secret. A verifier that lets the token choose the algorithm
// would accept the signature.
func hs256(t *testing.T, c jwt.MapClaims) string {
	der, err := x509.MarshalPKIXPublicKey(&ourKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	enc := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	head := enc(map[string]any{"alg": "HS256", "typ": "JWT", "kid": "k1"}) + "." + enc(c)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(head))
	return head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestFirebaseRefuses(t *testing.T) {
	good := rs256(t, nil)
	parts := strings.Split(good, ".")
	otherBody := strings.Split(rs256(t, change{"sub": "bobUid0002"}), ".")[1]
	bad, ended := problem.ErrUnauthenticated, problem.ErrTokenEnded
	expired := change{"exp": start.Add(-time.Second).Unix()}
	unsigned := sign(t, jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, claims(nil))
	for name, tc := range map[string]struct {
		token string
		want  *problem.Error
	}{
		"empty":                     {"", bad},
		"not a JWT":                 {"sesame", bad},
		"two parts":                 {parts[0] + "." + parts[1], bad},
		"no signature":              {parts[0] + "." + parts[1] + ".", bad},
		"signed by another key":     {sign(t, jwt.SigningMethodRS256, "k1", otherKey(), claims(nil)), bad},
		"body of another token":     {parts[0] + "." + otherBody + "." + parts[2], bad},
		"alg none":                  {unsigned, bad},
		"HS256 with the public key": {hs256(t, claims(nil)), bad},
		"RS512":                     {sign(t, jwt.SigningMethodRS512, "k1", ourKey(), claims(nil)), bad},
		"PS256":                     {sign(t, jwt.SigningMethodPS256, "k1", ourKey(), claims(nil)), bad},
		"unknown key":               {sign(t, jwt.SigningMethodRS256, "k9", ourKey(), claims(nil)), bad},
		"no key id":                 {sign(t, jwt.SigningMethodRS256, "", ourKey(), claims(nil)), bad},
		"of another project": {
			rs256(t, change{"aud": "other", "iss": "https://securetoken.google.com/other"}), bad,
		},
		"wrong audience": {rs256(t, change{"aud": "other"}), bad},
		"two audiences":  {rs256(t, change{"aud": []string{project, "other"}}), bad},
		"no audience":    {rs256(t, change{"aud": nil}), bad},
		"wrong issuer":   {rs256(t, change{"iss": "https://accounts.google.com"}), bad},
		"longer issuer": {
			rs256(t, change{"iss": "https://securetoken.google.com/" + project + "/x"}), bad,
		},
		"no subject":               {rs256(t, change{"sub": nil}), bad},
		"empty subject":            {rs256(t, change{"sub": ""}), bad},
		"subject with a tilde":     {rs256(t, change{"sub": "a~b"}), bad},
		"subject that is too long": {rs256(t, change{"sub": strings.Repeat("u", 129)}), bad},
		"no iat":                   {rs256(t, change{"iat": nil}), bad},
		"no exp":                   {rs256(t, change{"exp": nil}), bad},
		"exp of the wrong type":    {rs256(t, change{"exp": "never"}), bad},
		"no auth_time":             {rs256(t, change{"auth_time": nil}), bad},
		"issued in the future": {
			rs256(t, change{"iat": start.Add(11 * time.Second).Unix()}), bad,
		},
		"auth_time in the future": {
			rs256(t, change{"auth_time": start.Add(11 * time.Second).Unix()}), bad,
		},
		"expired":     {rs256(t, expired), ended},
		"expires now": {rs256(t, change{"exp": start.Unix()}), ended},
		"expired, wrong audience": {
			rs256(t, change{"exp": start.Add(-time.Second).Unix(), "aud": "other"}), bad,
		},
		"expired, another key": {sign(t, jwt.SigningMethodRS256, "k1", otherKey(), claims(expired)), bad},
		"a service's token": {
			rs256(t, change{"iss": "https://accounts.google.com", "aud": "https://realtime"}), bad,
		},
		"8 KB of nonsense": {strings.Repeat("a.", 4096), bad},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := firebase(t).Verify(context.Background(), tc.token)
			if !errors.Is(err, tc.want) {
				t.Fatalf("Verify: %+v, %v; want %s", c, err, tc.want.Code)
			}
			if c != (identity.Claims{}) {
				t.Errorf("claims with an error: %+v", c)
			}
			if tc.token != "" && len(tc.token) > 20 && strings.Contains(err.Error(), tc.token) {
				t.Error("the error contains the token")
			}
		})
	}
}

func TestSmallClockSkewIsAccepted(t *testing.T) {
	soon := start.Add(9 * time.Second).Unix()
	token := rs256(t, change{"iat": soon, "auth_time": soon})
	if _, err := firebase(t).Verify(context.Background(), token); err != nil {
		t.Error(err)
	}
}

// A token does not show that it was revoked. The gate checks its auth_time.
func TestGateRefusesRevokedToken(t *testing.T) {
	c, err := firebase(t).Verify(context.Background(), rs256(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	g := gate.Gate{Exists: true, ValidAfter: start.Add(-time.Minute)}
	if err := g.Admit(c.AuthTime); !errors.Is(err, problem.ErrTokenEnded) {
		t.Errorf("signed in an hour ago, sessions ended a minute ago: %v, want token_ended", err)
	}
	token := rs256(t, change{"auth_time": start.Add(-time.Second).Unix()})
	again, err := firebase(t).Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Admit(again.AuthTime); err != nil {
		t.Errorf("signed in again since: %v", err)
	}
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestEmulatorIsRefusedElsewhere(t *testing.T) {
	for name, vars := range map[string]map[string]string{
		"nothing set":            {},
		"on Cloud Run":           {"K_SERVICE": "realtime"},
		"on Cloud Run, emulator": {"K_SERVICE": "realtime", "FIREBASE_AUTH_EMULATOR_HOST": "localhost:9099"},
	} {
		if _, err := identity.NewEmulator(project, env(vars), nil); err == nil {
			t.Errorf("%s: unsigned tokens would be accepted", name)
		}
	}
}

func TestEmulator(t *testing.T) {
	getenv := env(map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "localhost:9099"})
	v, err := identity.NewEmulator(project, getenv, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	none := func(with change) string {
		return sign(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, claims(with))
	}
	if c, err := v.Verify(context.Background(), none(nil)); err != nil || c.UID != "aliceUid0001" {
		t.Errorf("a valid token: %+v, %v", c, err)
	}
	for name, tc := range map[string]struct {
		token string
		want  *problem.Error
	}{
		"signed":             {rs256(t, nil), problem.ErrUnauthenticated},
		"of another project": {none(change{"aud": "other"}), problem.ErrUnauthenticated},
		"wrong issuer":       {none(change{"iss": "x"}), problem.ErrUnauthenticated},
		"expired":            {none(change{"exp": start.Add(-time.Second).Unix()}), problem.ErrTokenEnded},
		"from the future":    {none(change{"iat": start.Add(time.Minute).Unix()}), problem.ErrUnauthenticated},
		"with a signature":   {none(nil) + "c2ln", problem.ErrUnauthenticated},
	} {
		if _, err := v.Verify(context.Background(), tc.token); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want.Code)
		}
	}
}

func TestService(t *testing.T) {
	const audience, account = "https://realtime.example.org", "chat-admin@demo-chat.iam.gserviceaccount.com"
	v, err := identity.NewService(audience, []string{"chat-me@demo-chat.iam.gserviceaccount.com", account},
		identity.StaticKeys{"k1": &ourKey().PublicKey}, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	token := func(with change) string {
		c := jwt.MapClaims{"iss": "https://accounts.google.com", "aud": audience, "sub": "1234",
			"email": account, "email_verified": true, "iat": start.Unix(), "exp": start.Add(time.Hour).Unix()}
		maps.Copy(c, with)
		return sign(t, jwt.SigningMethodRS256, "k1", ourKey(), c)
	}
	for _, with := range []change{nil, {"iss": "accounts.google.com"}} {
		if got, err := v.VerifyService(context.Background(), token(with)); err != nil || got != account {
			t.Errorf("a valid token: %q, %v", got, err)
		}
	}
	for name, tc := range map[string]struct {
		token string
		want  *problem.Error
	}{
		"another audience":   {token(change{"aud": "https://other.example.org"}), problem.ErrUnauthenticated},
		"another account":    {token(change{"email": "someone@example.org"}), problem.ErrForbidden},
		"no account":         {token(change{"email": ""}), problem.ErrForbidden},
		"email not verified": {token(change{"email_verified": false}), problem.ErrUnauthenticated},
		"another issuer":     {token(change{"iss": "https://securetoken.google.com/demo-chat"}), problem.ErrUnauthenticated},
		"a user's token":     {rs256(t, nil), problem.ErrUnauthenticated},
		"expired":            {token(change{"exp": start.Unix()}), problem.ErrTokenEnded},
		"from the future":    {token(change{"iat": start.Add(time.Minute).Unix()}), problem.ErrUnauthenticated},
		"another key": {
			sign(t, jwt.SigningMethodRS256, "k1", otherKey(), jwt.MapClaims{"aud": audience}),
			problem.ErrUnauthenticated,
		},
		"unsigned": {
			sign(t, jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"aud": audience}),
			problem.ErrUnauthenticated,
		},
	} {
		if _, err := v.VerifyService(context.Background(), tc.token); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want.Code)
		}
	}
}
