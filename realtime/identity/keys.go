package identity

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// URLs of the public keys with which Google signs tokens.
const (
	FirebaseKeysURL = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
	GoogleKeysURL   = "https://www.googleapis.com/oauth2/v3/certs"
)

// KeySource finds the public key with which a token was signed.
type KeySource interface {
	// Key returns the key with the id kid. The error is problem.ErrUnauthenticated if there is no such key, and
	// problem.ErrUnavailable if the keys are not available.
	Key(ctx context.Context, kid string) (*rsa.PublicKey, error)
}

// StaticKeys is a KeySource that never changes.
type StaticKeys map[string]*rsa.PublicKey

// Key implements KeySource.
func (s StaticKeys) Key(_ context.Context, kid string) (*rsa.PublicKey, error) {
	if key := s[kid]; key != nil {
		return key, nil
	}
	return nil, refuse("there is no key with the id %.60q", kid)
}

// Limits of RemoteKeys.
const (
	fetchTimeout   = 5 * time.Second
	maxKeysBody    = 1 << 20
	minTTL         = time.Minute      // keys are kept for at least this long, whatever the response says
	maxTTL         = 24 * time.Hour   // keys are fetched again after at most this long
	defaultTTL     = time.Hour        // for a response without max-age
	staleFor       = 24 * time.Hour   // expired keys are used for this long while the server is unreachable
	unknownKidWait = 30 * time.Second // between fetches because of unknown ids
	failedWait     = 2 * time.Second  // between fetches while they fail
)

// RemoteKeys is a KeySource that fetches keys over HTTP, as a JWK set or as Google's older map of X.509 certificates.
// It keeps them for as long as the Cache-Control of the response says. Concurrent callers share one fetch. While
// fetches fail, known keys are used for another 24 hours. Tokens with unknown key ids cause at most one fetch per 30 s.
// Create it with NewRemoteKeys. It is safe for concurrent use.
type RemoteKeys struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	keys     map[string]*rsa.PublicKey
	expires  time.Time     // when the keys expire according to Cache-Control; zero before the first fetch
	tried    time.Time     // when the last fetch started
	lastErr  error         // the error of the last fetch, or nil
	fetching chan struct{} // closed when the current fetch ends; nil without one
}

var _ KeySource = (*RemoteKeys)(nil)

// NewRemoteKeys returns the keys that are published at url. It does not fetch them yet. A nil client means one
// that follows no redirect, so that the keys come from url and nowhere else; a nil now means time.Now.
func NewRemoteKeys(url string, client *http.Client, now func() time.Time) *RemoteKeys {
	if client == nil {
		client = &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if now == nil {
		now = time.Now
	}
	return &RemoteKeys{url: url, client: client, now: now}
}

// Key implements KeySource. It blocks only if a fetch is needed.
func (r *RemoteKeys) Key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	key, fetched := r.cached(ctx, kid)
	if fetched != nil {
		select {
		case <-fetched:
		case <-ctx.Done():
			return nil, problem.ErrUnavailable.WithCause(fmt.Errorf("wait for signing keys: %w", ctx.Err()))
		}
		r.mu.Lock()
		key = r.usable(kid)
		r.mu.Unlock()
	}
	if key == nil {
		return nil, r.absent(kid)
	}
	return key, nil
}

// cached returns the key if it may be used, and a channel to wait for if a fetch for it has to end first. It starts
// that fetch if necessary.
func (r *RemoteKeys) cached(ctx context.Context, kid string) (*rsa.PublicKey, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, now := r.usable(kid), r.now()
	fresh := now.Before(r.expires)
	if fresh && key != nil {
		return key, nil
	}
	wait := failedWait
	if fresh {
		wait = unknownKidWait
	}
	if r.fetching == nil && now.Sub(r.tried) >= wait {
		r.tried = now
		r.fetching = make(chan struct{})
		// The fetch continues if its caller goes away, because others may wait for it. It has its own timeout.
		go r.fetch(context.WithoutCancel(ctx), r.fetching)
	}
	if r.fetching == nil {
		return key, nil
	}
	return key, r.fetching
}

// usable returns the key with the id kid if it may be used now. The caller holds r.mu.
func (r *RemoteKeys) usable(kid string) *rsa.PublicKey {
	if r.now().Before(r.expires.Add(staleFor)) {
		return r.keys[kid]
	}
	return nil
}

// absent returns the reason why there is no key with the id kid.
func (r *RemoteKeys) absent(kid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lastErr != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("signing keys: %w", r.lastErr))
	}
	return refuse("there is no key with the id %.60q", kid)
}

// fetch asks the server once, stores the result and closes done.
func (r *RemoteKeys) fetch(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, ttl, err := r.get(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastErr = err
	if err == nil {
		r.keys, r.expires = keys, r.now().Add(ttl)
	}
	r.fetching = nil
	close(done)
}

func (r *RemoteKeys) get(ctx context.Context) (map[string]*rsa.PublicKey, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("GET %s: %s", r.url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysBody))
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", r.url, err)
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", r.url, err)
	}
	return keys, cacheTTL(resp.Header), nil
}

// cacheTTL returns how long a response may be kept: its max-age, minus the Age that it has spent in other caches.
func cacheTTL(h http.Header) time.Duration {
	ttl := defaultTTL
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if s, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && s >= 0 {
			ttl = time.Duration(min(s, int(maxTTL/time.Second))) * time.Second
			if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 {
				ttl -= time.Duration(min(age, s)) * time.Second
			}
		}
	}
	return min(max(ttl, minTTL), maxTTL)
}

// parseKeys parses a JWK set (RFC 7517), or a JSON object of PEM certificates by key id. It leaves out keys that are
// not RSA keys for signatures. It returns an error if no key remains.
func parseKeys(body []byte) (map[string]*rsa.PublicKey, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("keys are not a JSON object: %w", err)
	}
	out := map[string]*rsa.PublicKey{}
	var errs []error
	if set, ok := fields["keys"]; ok {
		var jwks []struct{ Kid, Kty, Use, N, E string }
		if err := json.Unmarshal(set, &jwks); err != nil {
			return nil, fmt.Errorf("JWK set: %w", err)
		}
		for _, j := range jwks {
			if j.Kty != "RSA" || j.Kid == "" || (j.Use != "" && j.Use != "sig") {
				continue
			}
			key, err := rsaKey(j.N, j.E)
			if err != nil {
				errs = append(errs, fmt.Errorf("key %.60q: %w", j.Kid, err))
				continue
			}
			out[j.Kid] = key
		}
	} else {
		for kid, value := range fields {
			key, err := certificateKey(value)
			if err != nil {
				errs = append(errs, fmt.Errorf("certificate %.60q: %w", kid, err))
				continue
			}
			out[kid] = key
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(append(errs, errors.New("no usable key"))...)
	}
	return out, nil
}

func rsaKey(n, e string) (*rsa.PublicKey, error) {
	modulus, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		return nil, err
	}
	exponent, err := base64.RawURLEncoding.DecodeString(e)
	if err != nil {
		return nil, err
	}
	exp := new(big.Int).SetBytes(exponent)
	if len(modulus) < 256 || !exp.IsInt64() || exp.Int64() < 3 || exp.Int64() > 1<<31-1 {
		return nil, errors.New("not an RSA key of at least 2048 bits")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(exp.Int64())}, nil
}

func certificateKey(value json.RawMessage) (*rsa.PublicKey, error) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("not a PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return key, nil
}
