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

// Where Google publishes the keys that its tokens are signed with.
const (
	FirebaseKeysURL = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
	GoogleKeysURL   = "https://www.googleapis.com/oauth2/v3/certs"
)

// KeySource finds the public key that a token names.
type KeySource interface {
	// Key returns the key named kid. The error is problem.ErrUnauthenticated
	// where there is none of that name, problem.ErrUnavailable where that
	// cannot be known now.
	Key(ctx context.Context, kid string) (*rsa.PublicKey, error)
}

// StaticKeys is a KeySource that never changes.
type StaticKeys map[string]*rsa.PublicKey

// Key implements KeySource.
func (s StaticKeys) Key(_ context.Context, kid string) (*rsa.PublicKey, error) {
	if key := s[kid]; key != nil {
		return key, nil
	}
	return nil, refuse("no key is named %.60q", kid)
}

// Bounds of RemoteKeys.
const (
	fetchTimeout   = 5 * time.Second
	maxKeysBody    = 1 << 20
	minLife        = time.Minute      // keys are kept this long whatever the answer says
	maxLife        = 24 * time.Hour   // and no longer than this without a look
	defaultLife    = time.Hour        // for an answer without max-age
	staleFor       = 24 * time.Hour   // keys past their life are used on this long while the server is unreachable
	unknownKidWait = 30 * time.Second // between fetches for the sake of unknown names
	failedWait     = 2 * time.Second  // between fetches while they fail
)

// RemoteKeys is a KeySource that fetches keys over HTTP, as a JWK set or as
// Google's older map of X.509 certificates, and keeps them for as long as the
// answer's Cache-Control says. One fetch is under way at a time, whoever asks.
// While fetches fail, known keys are used for a further 24 hours. Tokens with
// unknown names cause one fetch per 30 s at most. Create it with NewRemoteKeys.
type RemoteKeys struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	keys     map[string]*rsa.PublicKey
	expires  time.Time     // end of the life that Cache-Control gave the keys; zero before they came
	tried    time.Time     // when the last fetch began
	lastErr  error         // why the last fetch failed; nil if it did not
	fetching chan struct{} // closed when the fetch under way ends; nil without one
}

var _ KeySource = (*RemoteKeys)(nil)

// NewRemoteKeys returns the keys published at url. A nil client means
// http.DefaultClient, a nil now time.Now. Nothing is fetched yet.
func NewRemoteKeys(url string, client *http.Client, now func() time.Time) *RemoteKeys {
	if client == nil {
		client = http.DefaultClient
	}
	if now == nil {
		now = time.Now
	}
	return &RemoteKeys{url: url, client: client, now: now}
}

// Key implements KeySource. It blocks only while a fetch is needed.
func (r *RemoteKeys) Key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	key, fetched := r.look(ctx, kid)
	if fetched != nil {
		select {
		case <-fetched:
		case <-ctx.Done():
			return nil, problem.ErrUnavailable.WithCause(fmt.Errorf("waiting for signing keys: %w", ctx.Err()))
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

// look returns the key if it may be used, and a channel to wait for where a
// fetch is due or under way for its sake.
func (r *RemoteKeys) look(ctx context.Context, kid string) (*rsa.PublicKey, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, now := r.usable(kid), r.now()
	alive := now.Before(r.expires)
	if alive && key != nil {
		return key, nil
	}
	wait := failedWait
	if alive {
		wait = unknownKidWait
	}
	if r.fetching == nil && now.Sub(r.tried) >= wait {
		r.tried = now
		r.fetching = make(chan struct{})
		// The fetch outlives a caller that goes away, since others wait for it
		// too, and ends by itself.
		go r.fetch(context.WithoutCancel(ctx), r.fetching)
	}
	if r.fetching == nil {
		return key, nil
	}
	return key, r.fetching
}

// usable returns the key named kid if it may be used now. r.mu is held.
func (r *RemoteKeys) usable(kid string) *rsa.PublicKey {
	if r.now().Before(r.expires.Add(staleFor)) {
		return r.keys[kid]
	}
	return nil
}

// absent says why there is no key named kid.
func (r *RemoteKeys) absent(kid string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lastErr != nil {
		return problem.ErrUnavailable.WithCause(fmt.Errorf("signing keys: %w", r.lastErr))
	}
	return refuse("no key is named %.60q", kid)
}

// fetch asks the server once, notes what came of it and closes done.
func (r *RemoteKeys) fetch(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, life, err := r.get(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastErr = err
	if err == nil {
		r.keys, r.expires = keys, r.now().Add(life)
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
	return keys, cacheLife(resp.Header), nil
}

// cacheLife reads how long an answer may be kept: max-age less the Age that
// caches on the way have used up.
func cacheLife(h http.Header) time.Duration {
	life := defaultLife
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if s, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && s >= 0 {
			life = time.Duration(min(s, int(maxLife/time.Second))) * time.Second
			if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 {
				life -= time.Duration(min(age, s)) * time.Second
			}
		}
	}
	return min(max(life, minLife), maxLife)
}

// parseKeys reads a JWK set (RFC 7517) or a JSON object of PEM certificates by
// name. What is not an RSA key for signatures is left out; no key at all is an error.
func parseKeys(body []byte) (map[string]*rsa.PublicKey, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("keys are no JSON object: %w", err)
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
		return nil, errors.New("no PEM block")
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
