package pushstub

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func decoded(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 8291, section 5, which another implementation has encrypted.
func TestReceiverDecryptsTheExample(t *testing.T) {
	private, err := ecdh.P256().NewPrivateKey(decoded(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{private: private, secret: decoded(t, "BTBZMqHH6r4Tts7J_aSIgg")}
	if p256dh, _ := r.Keys(); p256dh !=
		"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" {
		t.Errorf("public key: %s", p256dh)
	}
	body := decoded(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"+
		"AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	got, err := r.Decrypt(body)
	if err != nil || string(got) != "When I grow up, I want to be a watermelon" {
		t.Errorf("%q, %v", got, err)
	}
	for i := range body {
		changed := bytes.Clone(body)
		changed[i] ^= 1
		if got, err := r.Decrypt(changed); err == nil && !(i >= saltSize && i < saltSize+4) { // the record size is not signed
			t.Errorf("with byte %d changed: %q", i, got)
		}
		if _, err := r.Decrypt(body[:i]); err == nil {
			t.Errorf("the first %d bytes are accepted", i)
		}
	}
}

// signed returns the header Authorization of a sender with a new key.
func signed(t *testing.T, audience, subject string, valid time.Duration) (header, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := private.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"aud": audience, "sub": subject,
		"exp": time.Now().Add(valid).Unix()}).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	key = base64.RawURLEncoding.EncodeToString(public.Bytes())
	return "vapid t=" + token + ", k=" + key, key
}

func TestServerRefuses(t *testing.T) {
	s := New()
	const origin, mail = "http://push.example", "mailto:ops@example.org"
	good, key := signed(t, origin, mail, time.Hour)
	restricted, free := s.Subscribe(key), s.Subscribe("")
	post := func(path string, change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", origin+path, strings.NewReader("x"))
		for name, value := range map[string]string{"TTL": "60", "Urgency": "high", "Topic": "t",
			"Content-Encoding": "aes128gcm", "Authorization": good} {
			r.Header.Set(name, value)
		}
		change(r)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	with := func(audience, subject string, valid time.Duration) func(*http.Request) {
		header, _ := signed(t, audience, subject, valid)
		return set("Authorization", header)
	}
	for name, c := range map[string]struct {
		path   string
		change func(*http.Request)
		want   int
	}{
		"good":                 {restricted, func(*http.Request) {}, 201},
		"no subscription":      {"/push/x", func(*http.Request) {}, 404},
		"another method":       {restricted, func(r *http.Request) { r.Method = "GET" }, 405},
		"no TTL":               {restricted, set("TTL", ""), 400},
		"a long topic":         {restricted, set("Topic", strings.Repeat("t", 33)), 400},
		"a topic of signs":     {restricted, set("Topic", "a b"), 400},
		"an unknown urgency":   {restricted, set("Urgency", "now"), 400},
		"not encrypted":        {restricted, set("Content-Encoding", ""), 400},
		"not signed":           {restricted, set("Authorization", ""), 401},
		"a broken key":         {free, set("Authorization", strings.Replace(good, "k=", "k=x", 1)), 401},
		"another key":          {restricted, with(origin, mail, time.Hour), 403},
		"any key":              {free, with(origin, mail, time.Hour), 201},
		"another service":      {free, with("http://other.example", mail, time.Hour), 403},
		"expired":              {free, with(origin, mail, -time.Hour), 403},
		"valid for days":       {free, with(origin, mail, 25*time.Hour), 403},
		"without a contact":    {free, with(origin, "", time.Hour), 403},
		"another key's signed": {free, set("Authorization", good[:len(good)-len(key)]+otherKey(t)), 403},
	} {
		if w := post(c.path, c.change); w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
		}
	}
	s.Unsubscribe(free)
	if w := post(free, func(*http.Request) {}); w.Code != 410 {
		t.Errorf("after it was ended: %d", w.Code)
	}
	list, calls := s.Pushes(restricted)
	if len(list) != 1 || calls < 8 {
		t.Errorf("%d pushes are kept of %d calls", len(list), calls)
	}
}

func otherKey(t *testing.T) string {
	_, key := signed(t, "", "", time.Hour)
	return key
}

func TestWaiting(t *testing.T) {
	got := Waiting([]Push{{Topic: "a", Body: []byte("1")}, {Topic: "b"}, {}, {Topic: "a", Body: []byte("2")}, {}})
	var topics []string
	for _, p := range got {
		topics = append(topics, p.Topic+string(p.Body))
	}
	if !slices.Equal(topics, []string{"b", "", "a2", ""}) {
		t.Errorf("%q", topics)
	}
}
