package identity_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
	"github.com/phoenixchat/phoenixchat/realtime/testwait"
)

// keyServer is an http.RoundTripper that publishes keys, or fails.
type keyServer struct {
	mu      sync.Mutex
	body    string
	header  http.Header
	err     error
	delay   time.Duration
	fetches int
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches++
	body, header, err, delay := s.body, s.header, s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: header, Request: r,
		Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (s *keyServer) set(change func(*keyServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

func jwks(keys map[string]*rsa.PrivateKey) string {
	type jwk map[string]string
	var list []jwk
	for kid, k := range keys {
		list = append(list, jwk{"kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": "AQAB"})
	}
	list = append(list, jwk{"kid": "elliptic", "kty": "EC", "crv": "P-256"})
	b, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func newKeyServer(keys map[string]*rsa.PrivateKey) (*keyServer, *identity.RemoteKeys) {
	s := &keyServer{body: jwks(keys), delay: 10 * time.Millisecond,
		header: http.Header{"Cache-Control": {"public, max-age=19000, must-revalidate"}}}
	return s, identity.NewRemoteKeys("https://keys.example.org/", &http.Client{Transport: s}, nil)
}

func wantKey(t *testing.T, keys *identity.RemoteKeys, kid string, want *rsa.PrivateKey) {
	t.Helper()
	got, err := keys.Key(context.Background(), kid)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(&want.PublicKey) {
		t.Fatal("got a different key")
	}
}

func wantNoKey(t *testing.T, keys *identity.RemoteKeys, kid string, want *problem.Error) {
	t.Helper()
	if _, err := keys.Key(context.Background(), kid); !errors.Is(err, want) {
		t.Fatalf("key %q: %v, want %s", kid, err, want.Code)
	}
}

func wantFetches(t *testing.T, s *keyServer, want int) {
	t.Helper()
	if got := s.count(); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}

func TestKeysAreCachedUntilTheyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
		for range 3 {
			wantKey(t, keys, "k1", ourKey())
		}
		testwait.Advance(18999 * time.Second)
		wantKey(t, keys, "k1", ourKey())
		wantFetches(t, s, 1)
		testwait.Advance(2 * time.Second)
		wantKey(t, keys, "k1", ourKey())
		wantFetches(t, s, 2)
	})
}

func TestConcurrentCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantKey(t, keys, "k1", ourKey()) })
		}
		wg.Wait()
		wantFetches(t, s, 1)
	})
}

// A rotated key is found immediately. Key ids that do not exist cause one fetch per 30 s, no matter how many tokens
// have them.
func TestUnknownKeyIDsCauseFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
		wantKey(t, keys, "k1", ourKey())
		testwait.Advance(time.Hour)
		s.set(func(s *keyServer) { s.body = jwks(map[string]*rsa.PrivateKey{"k2": otherKey()}) })
		wantKey(t, keys, "k2", otherKey())
		wantFetches(t, s, 2)
		for i := range 1000 {
			wantNoKey(t, keys, fmt.Sprintf("forged-%d", i), problem.ErrUnauthenticated)
		}
		wantFetches(t, s, 2)
		testwait.Advance(30 * time.Second)
		for i := range 1000 {
			wantNoKey(t, keys, fmt.Sprintf("forged-%d", i), problem.ErrUnauthenticated)
		}
		wantFetches(t, s, 3)
	})
}

func TestExpiredKeysAreUsedForADayWhileTheServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
		wantKey(t, keys, "k1", ourKey())
		s.set(func(s *keyServer) { s.err = errors.New("no route to host") })
		testwait.Advance(19000*time.Second + 23*time.Hour)
		for range 100 {
			wantKey(t, keys, "k1", ourKey())
		}
		wantFetches(t, s, 2)
		wantNoKey(t, keys, "k2", problem.ErrUnavailable)
		testwait.Advance(2 * time.Hour)
		wantNoKey(t, keys, "k1", problem.ErrUnavailable)
		s.set(func(s *keyServer) { s.err = nil })
		testwait.Advance(2 * time.Second)
		wantKey(t, keys, "k1", ourKey())
	})
}

func TestSlowServerDelaysCallersForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
		s.set(func(s *keyServer) { s.delay = time.Hour })
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { wantNoKey(t, keys, "k1", problem.ErrUnavailable) })
		}
		wg.Wait()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("a slow server delayed callers for %v, want 5 s", took)
		}
		wantFetches(t, s, 1)
		s.set(func(s *keyServer) { s.delay = 0 })
		wantKey(t, keys, "k1", ourKey())
	})
}

func TestCanceledCallerDoesNotEndTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
		s.set(func(s *keyServer) { s.delay = time.Second })
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if _, err := keys.Key(ctx, "k1"); !errors.Is(err, problem.ErrUnavailable) {
			t.Fatalf("after the end of its context: %v, want unavailable", err)
		}
		wantKey(t, keys, "k1", ourKey())
		wantFetches(t, s, 1)
	})
}

// Keys that another server publishes are not ours, although ours refers to it.
func TestRedirectsToOtherKeysAreNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer srv.Close()
	_, err := identity.NewRemoteKeys(srv.URL, nil, nil).Key(t.Context(), "k1")
	if !errors.Is(err, problem.ErrUnavailable) || reached {
		t.Errorf("%v, the other server was reached: %v", err, reached)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections() // for the leak check
}

func TestInvalidKeySetsAreRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("this version of Go does not generate weak keys: %v", err)
	}
	for name, body := range map[string]string{
		"not JSON":    "<html>",
		"no keys":     `{"keys":[]}`,
		"an array":    `[]`,
		"weak":        jwks(map[string]*rsa.PrivateKey{"k1": small}),
		"not PEM":     `{"k1":"certificate"}`,
		"bad modulus": `{"keys":[{"kid":"k1","kty":"RSA","n":"!","e":"AQAB"}]}`,
		"exponent of 1": `{"keys":[{"kid":"k1","kty":"RSA","n":"` +
			base64.RawURLEncoding.EncodeToString(ourKey().N.Bytes()) + `","e":"AQ"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, keys := newKeyServer(nil)
				s.set(func(s *keyServer) { s.body = body })
				wantNoKey(t, keys, "k1", problem.ErrUnavailable)
			})
		})
	}
}

// Google's older format: certificates by key id.
func TestCertificates(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "securetoken"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ourKey().PublicKey, ourKey())
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	body, err := json.Marshal(map[string]string{"k1": string(cert)})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, keys := newKeyServer(nil)
		s.set(func(s *keyServer) { s.body = string(body) })
		wantKey(t, keys, "k1", ourKey())
	})
}

func TestCacheControl(t *testing.T) {
	for _, tc := range []struct {
		cacheControl, age string
		want              time.Duration
	}{
		{"public, max-age=3600", "", time.Hour},
		{"max-age=3600", "600", 50 * time.Minute},
		{"Max-Age=\"120\"", "", 2 * time.Minute},
		{"no-store", "", time.Hour},
		{"", "", time.Hour},
		{"max-age=0", "", time.Minute},
		{"max-age=60", "7200", time.Minute},
		{"max-age=99999999999", "", 24 * time.Hour},
		{"max-age=soon", "", time.Hour},
	} {
		t.Run(tc.cacheControl+" age "+tc.age, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, keys := newKeyServer(map[string]*rsa.PrivateKey{"k1": ourKey()})
				s.set(func(s *keyServer) {
					s.delay = 0
					s.header = http.Header{"Cache-Control": {tc.cacheControl}}
					if tc.age != "" {
						s.header.Set("Age", tc.age)
					}
				})
				wantKey(t, keys, "k1", ourKey())
				testwait.Advance(tc.want - time.Second)
				wantKey(t, keys, "k1", ourKey())
				wantFetches(t, s, 1)
				testwait.Advance(2 * time.Second)
				wantKey(t, keys, "k1", ourKey())
				wantFetches(t, s, 2)
			})
		})
	}
}
