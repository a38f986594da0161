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

// Keys are made once: they are slow to make.
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

// claims returns those of a good token of project, changed by the given ones;
// nil takes one away.
func claims(change map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": "aliceUid0001", "user_id": "aliceUid0001",
		"iat": start.Add(-time.Minute).Unix(), "exp": start.Add(59 * time.Minute).Unix(), "auth_time": start.Add(-time.Hour).Unix(),
		"email": "alice@example.org", "email_verified": true,
		"firebase": map[string]any{"sign_in_provider": "password", "identities": map[string]any{}},
	}
	maps.Copy(c, change)
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

func rs256(t *testing.T, change map[string]any) string {
	return sign(t, jwt.SigningMethodRS256, "k1", ourKey(), claims(change))
}

func firebase(t *testing.T) *identity.Firebase {
	t.Helper()
	v, err := identity.NewFirebase(project, identity.StaticKeys{"k1": &ourKey().PublicKey}, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFirebaseTakesAGoodToken(t *testing.T) {
	got, err := firebase(t).Verify(context.Background(), rs256(t, map[string]any{"admin": true}))
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
		got, err := firebase(t).Verify(context.Background(), rs256(t, map[string]any{"admin": v}))
		if err != nil || got.Admin {
			t.Errorf("admin %v: %v, %v", v, got.Admin, err)
		}
	}
}

// hs256 signs with the public key as if it were a shared secret, which a
// verifier falls for that lets the token choose the algorithm.
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
	otherBody := strings.Split(rs256(t, map[string]any{"sub": "bobUid0002"}), ".")[1]
	for name, tc := range map[string]struct {
		token string
		want  *problem.Error
	}{
		"empty":                        {"", problem.ErrUnauthenticated},
		"no JWT":                       {"sesame", problem.ErrUnauthenticated},
		"two parts":                    {parts[0] + "." + parts[1], problem.ErrUnauthenticated},
		"signature cut off":            {parts[0] + "." + parts[1] + ".", problem.ErrUnauthenticated},
		"signed by another key":        {sign(t, jwt.SigningMethodRS256, "k1", otherKey(), claims(nil)), problem.ErrUnauthenticated},
		"body of another token":        {parts[0] + "." + otherBody + "." + parts[2], problem.ErrUnauthenticated},
		"alg none":                     {sign(t, jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, claims(nil)), problem.ErrUnauthenticated},
		"HS256 with the public key":    {hs256(t, claims(nil)), problem.ErrUnauthenticated},
		"RS512":                        {sign(t, jwt.SigningMethodRS512, "k1", ourKey(), claims(nil)), problem.ErrUnauthenticated},
		"PS256":                        {sign(t, jwt.SigningMethodPS256, "k1", ourKey(), claims(nil)), problem.ErrUnauthenticated},
		"unknown key":                  {sign(t, jwt.SigningMethodRS256, "k9", ourKey(), claims(nil)), problem.ErrUnauthenticated},
		"no key named":                 {sign(t, jwt.SigningMethodRS256, "", ourKey(), claims(nil)), problem.ErrUnauthenticated},
		"of another project":           {rs256(t, map[string]any{"aud": "other", "iss": "https://securetoken.google.com/other"}), problem.ErrUnauthenticated},
		"wrong audience":               {rs256(t, map[string]any{"aud": "other"}), problem.ErrUnauthenticated},
		"two audiences":                {rs256(t, map[string]any{"aud": []string{project, "other"}}), problem.ErrUnauthenticated},
		"no audience":                  {rs256(t, map[string]any{"aud": nil}), problem.ErrUnauthenticated},
		"wrong issuer":                 {rs256(t, map[string]any{"iss": "https://accounts.google.com"}), problem.ErrUnauthenticated},
		"issuer that only begins so":   {rs256(t, map[string]any{"iss": "https://securetoken.google.com/" + project + "/x"}), problem.ErrUnauthenticated},
		"no subject":                   {rs256(t, map[string]any{"sub": nil}), problem.ErrUnauthenticated},
		"empty subject":                {rs256(t, map[string]any{"sub": ""}), problem.ErrUnauthenticated},
		"subject with a joiner":        {rs256(t, map[string]any{"sub": "a~b"}), problem.ErrUnauthenticated},
		"subject that is too long":     {rs256(t, map[string]any{"sub": strings.Repeat("u", 129)}), problem.ErrUnauthenticated},
		"no iat":                       {rs256(t, map[string]any{"iat": nil}), problem.ErrUnauthenticated},
		"no exp":                       {rs256(t, map[string]any{"exp": nil}), problem.ErrUnauthenticated},
		"exp of the wrong type":        {rs256(t, map[string]any{"exp": "never"}), problem.ErrUnauthenticated},
		"no auth_time":                 {rs256(t, map[string]any{"auth_time": nil}), problem.ErrUnauthenticated},
		"issued in the future":         {rs256(t, map[string]any{"iat": start.Add(11 * time.Second).Unix()}), problem.ErrUnauthenticated},
		"signed in in the future":      {rs256(t, map[string]any{"auth_time": start.Add(11 * time.Second).Unix()}), problem.ErrUnauthenticated},
		"expired":                      {rs256(t, map[string]any{"exp": start.Add(-time.Second).Unix()}), problem.ErrTokenEnded},
		"expired this moment":          {rs256(t, map[string]any{"exp": start.Unix()}), problem.ErrTokenEnded},
		"expired and of another one":   {rs256(t, map[string]any{"exp": start.Add(-time.Second).Unix(), "aud": "other"}), problem.ErrUnauthenticated},
		"expired, signed by another":   {sign(t, jwt.SigningMethodRS256, "k1", otherKey(), claims(map[string]any{"exp": start.Add(-time.Hour).Unix()})), problem.ErrUnauthenticated},
		"a service's token":            {rs256(t, map[string]any{"iss": "https://accounts.google.com", "aud": "https://realtime"}), problem.ErrUnauthenticated},
		"eight kilobytes of something": {strings.Repeat("a.", 4096), problem.ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := firebase(t).Verify(context.Background(), tc.token)
			if !errors.Is(err, tc.want) {
				t.Fatalf("Verify: %+v, %v; want %s", c, err, tc.want.Code)
			}
			if c != (identity.Claims{}) {
				t.Errorf("claims beside an error: %+v", c)
			}
			if tc.token != "" && len(tc.token) > 20 && strings.Contains(err.Error(), tc.token) {
				t.Error("the error holds the token")
			}
		})
	}
}

func TestSmallSkewIsNoFuture(t *testing.T) {
	token := rs256(t, map[string]any{"iat": start.Add(9 * time.Second).Unix(), "auth_time": start.Add(9 * time.Second).Unix()})
	if _, err := firebase(t).Verify(context.Background(), token); err != nil {
		t.Error(err)
	}
}

// Revocation is not in the token: the gate judges its auth_time.
func TestRevokedTokenIsHeldByTheGate(t *testing.T) {
	c, err := firebase(t).Verify(context.Background(), rs256(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	g := gate.Gate{Exists: true, ValidAfter: start.Add(-time.Minute)}
	if err := g.Admit(c.AuthTime); !errors.Is(err, problem.ErrTokenEnded) {
		t.Errorf("signed in an hour ago, sessions ended a minute ago: %v, want token_ended", err)
	}
	again, err := firebase(t).Verify(context.Background(), rs256(t, map[string]any{"auth_time": start.Add(-time.Second).Unix()}))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Admit(again.AuthTime); err != nil {
		t.Errorf("signed in since: %v", err)
	}
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestEmulatorIsOnlyBelievedWhereItIs(t *testing.T) {
	for name, vars := range map[string]map[string]string{
		"nothing set":            {},
		"on Cloud Run":           {"K_SERVICE": "realtime"},
		"on Cloud Run, emulator": {"K_SERVICE": "realtime", "FIREBASE_AUTH_EMULATOR_HOST": "localhost:9099"},
	} {
		if _, err := identity.NewEmulator(project, env(vars), nil); err == nil {
			t.Errorf("%s: unsigned tokens would be believed", name)
		}
	}
}

func TestEmulator(t *testing.T) {
	v, err := identity.NewEmulator(project, env(map[string]string{"FIREBASE_AUTH_EMULATOR_HOST": "localhost:9099"}), func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	none := func(change map[string]any) string {
		return sign(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, claims(change))
	}
	if c, err := v.Verify(context.Background(), none(nil)); err != nil || c.UID != "aliceUid0001" {
		t.Errorf("a good token: %+v, %v", c, err)
	}
	for name, tc := range map[string]struct {
		token string
		want  *problem.Error
	}{
		"signed":             {rs256(t, nil), problem.ErrUnauthenticated},
		"of another project": {none(map[string]any{"aud": "other"}), problem.ErrUnauthenticated},
		"wrong issuer":       {none(map[string]any{"iss": "x"}), problem.ErrUnauthenticated},
		"expired":            {none(map[string]any{"exp": start.Add(-time.Second).Unix()}), problem.ErrTokenEnded},
		"from the future":    {none(map[string]any{"iat": start.Add(time.Minute).Unix()}), problem.ErrUnauthenticated},
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
	token := func(change map[string]any) string {
		c := jwt.MapClaims{"iss": "https://accounts.google.com", "aud": audience, "sub": "1234", "email": account, "email_verified": true,
			"iat": start.Unix(), "exp": start.Add(time.Hour).Unix()}
		maps.Copy(c, change)
		return sign(t, jwt.SigningMethodRS256, "k1", ourKey(), c)
	}
	for _, change := range []map[string]any{nil, {"iss": "accounts.google.com"}} {
		if got, err := v.VerifyService(context.Background(), token(change)); err != nil || got != account {
			t.Errorf("a good token: %q, %v", got, err)
		}
	}
	for name, tc := range map[string]struct {
		token string
		want  *problem.Error
	}{
		"another audience":    {token(map[string]any{"aud": "https://other.example.org"}), problem.ErrUnauthenticated},
		"another account":     {token(map[string]any{"email": "someone@example.org"}), problem.ErrForbidden},
		"no account":          {token(map[string]any{"email": ""}), problem.ErrForbidden},
		"account not checked": {token(map[string]any{"email_verified": false}), problem.ErrUnauthenticated},
		"another issuer":      {token(map[string]any{"iss": "https://securetoken.google.com/demo-chat"}), problem.ErrUnauthenticated},
		"a person's token":    {rs256(t, nil), problem.ErrUnauthenticated},
		"expired":             {token(map[string]any{"exp": start.Unix()}), problem.ErrTokenEnded},
		"from the future":     {token(map[string]any{"iat": start.Add(time.Minute).Unix()}), problem.ErrUnauthenticated},
		"another key":         {sign(t, jwt.SigningMethodRS256, "k1", otherKey(), jwt.MapClaims{"aud": audience}), problem.ErrUnauthenticated},
		"unsigned":            {sign(t, jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"aud": audience}), problem.ErrUnauthenticated},
	} {
		if _, err := v.VerifyService(context.Background(), tc.token); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want.Code)
		}
	}
}
