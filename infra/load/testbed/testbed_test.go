package testbed

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/phoenixchat/phoenixchat/realtime/identity"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// Instances accept the tokens, and find their keys at Google's address through the proxy.
func TestGoogle(t *testing.T) {
	g, err := NewGoogle(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Sign(t.Context(), []string{"ann", "ben"}); err != nil {
		t.Fatal(err)
	}
	client, err := g.client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	v, err := identity.NewFirebase(project, identity.NewRemoteKeys(identity.FirebaseKeysURL, client, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{"ann", "ben"} {
		token, err := g.Token(uid)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := v.Verify(t.Context(), token); err != nil || c.UID != uid {
			t.Errorf("the token of %s: %+v, %v", uid, c, err)
		}
	}
}

// client returns an HTTP client that reaches g in the place of Google, like a program with env.
func (g *Google) client() (*http.Client, error) {
	text, err := os.ReadFile(g.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	proxy := &url.URL{Scheme: "http", Host: g.proxy.Addr().String()}
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy),
		TLSClientConfig: &tls.Config{RootCAs: roots}}}, nil
}

// The overlay adds the probe to a checkout that does not have it.
func TestOverlay(t *testing.T) {
	old, root, dir := t.TempDir(), t.TempDir(), t.TempDir()
	read := func(checkout string) map[string]string {
		t.Helper()
		path, err := writeOverlay(checkout, root, dir)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var o struct{ Replace map[string]string }
		if err := json.Unmarshal(text, &o); err != nil {
			t.Fatal(err)
		}
		return o.Replace
	}
	hook := filepath.Join("realtime", "cmd", "realtime", "probe_hook.go")
	probe := filepath.Join("infra", "load", "probe", "probe.go")
	if got := read(old); len(got) != 2 || got[filepath.Join(old, hook)] == "" ||
		got[filepath.Join(old, probe)] != filepath.Join(root, probe) {
		t.Errorf("an older checkout: %v", got)
	}
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(probe)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, probe), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := read(root); len(got) != 1 || got[filepath.Join(root, hook)] == "" {
		t.Errorf("this checkout: %v", got)
	}
}

func TestNewBuild(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBuild(t.Context(), "x", program, "", "")
	if err != nil || b.Program != program || b.Probed || b.Bare() {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := NewBuild(t.Context(), "x", "/nonexistent", "", ""); err == nil {
		t.Error("a missing program is a build")
	}
	if !BareRelay.Bare() {
		t.Error("the bare relay is not bare")
	}
}

func TestReadProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	p, err := readProcess(os.Getpid())
	if err != nil || p.rss < 1<<20 || p.cpu < 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
