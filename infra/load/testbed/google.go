package testbed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
)

const (
	project = "load-project"
	keyID   = "load"
)

// Google issues the ID tokens of users, and stands in for the address at which Google publishes the keys of these
// tokens. Instances reach it through a proxy. So they verify tokens exactly as in production.
type Google struct {
	key   *rsa.PrivateKey
	proxy net.Listener
	ca    string // path of the certificate that instances must trust
	web   *http.Server
	hops  *http.Server

	mu     sync.Mutex
	tokens map[string]string // by uid; guarded by mu
}

// NewGoogle starts a Google whose certificate is written to dir.
func NewGoogle(dir string) (g *Google, err error) {
	address, err := url.Parse(identity.FirebaseKeysURL)
	if err != nil {
		return nil, err
	}
	g = &Google{tokens: map[string]string{}, ca: filepath.Join(dir, "ca.pem")}
	if g.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	certificate, err := newCertificate(address.Hostname(), g.ca)
	if err != nil {
		return nil, err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if g.proxy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		secure.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+address.Path, g.serveKeys)
	g.web = &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	g.hops = &http.Server{Handler: tunnel(secure.Addr().String())}
	go func() { _ = g.web.ServeTLS(secure, "", "") }() // Close ends both
	go func() { _ = g.hops.Serve(g.proxy) }()
	return g, nil
}

// Close stops the servers.
func (g *Google) Close() {
	g.web.Close()
	g.hops.Close()
}

// env returns the environment with which a program reaches g in the place of Google.
func (g *Google) env() []string {
	return []string{"HTTPS_PROXY=http://" + g.proxy.Addr().String(), "NO_PROXY=127.0.0.1", "SSL_CERT_FILE=" + g.ca}
}

// serveKeys serves the key set (RFC 7517).
func (g *Google) serveKeys(w http.ResponseWriter, _ *http.Request) {
	encode := base64.RawURLEncoding.EncodeToString
	w.Header().Set("Cache-Control", "max-age=21600")
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{ // an error: the caller has disconnected
		"kid": keyID, "kty": "RSA", "use": "sig", "alg": "RS256",
		"n": encode(g.key.N.Bytes()), "e": encode(big.NewInt(int64(g.key.E)).Bytes()),
	}}})
}

// tunnel connects callers to addr, whatever address they ask for.
func tunnel(addr string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT is supported", http.StatusMethodNotAllowed)
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(to, buffered)
			to.Close()
		}()
		_, _ = io.Copy(from, to)
	}
}

// newCertificate returns a certificate for host that signs itself, and writes it to the file.
func newCertificate(host, file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "load test"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Sign makes the tokens of users before a measurement, because each takes about a millisecond of CPU time.
func (g *Google) Sign(ctx context.Context, uids []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, uid := range uids {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			_, err := g.Token(uid)
			return err
		})
	}
	return group.Wait()
}

// Token returns the ID token of a user, with the claims that Firebase Auth puts into it.
func (g *Google) Token(uid string) (string, error) {
	g.mu.Lock()
	token := g.tokens[uid]
	g.mu.Unlock()
	if token != "" {
		return token, nil
	}
	now, email := time.Now(), uid+"@example.org"
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": uid, "user_id": uid, "name": uid,
		"email": email, "email_verified": true,
		"auth_time": now.Unix(), "iat": now.Unix(), "exp": now.Add(8 * time.Hour).Unix(),
		"firebase": map[string]any{"sign_in_provider": "password", "identities": map[string]any{"email": []string{email}}},
	})
	t.Header["kid"] = keyID
	token, err := t.SignedString(g.key)
	if err != nil {
		return "", errors.Join(fmt.Errorf("sign the token of %s", uid), err)
	}
	g.mu.Lock()
	g.tokens[uid] = token
	g.mu.Unlock()
	return token, nil
}
