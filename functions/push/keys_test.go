package push_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/api/option"

	"github.com/phoenixchat/phoenixchat/functions/push"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// secrets stands in for Secret Manager with one secret.
type secrets struct {
	mu       sync.Mutex
	versions []string       // the payload of each
	reached  chan struct{}  // if not nil, gets an entry for each call that finds no version
	wait     chan struct{}  // if not nil, such a call is answered when it is closed
	fail     map[string]int // by the end of the path: the status to answer with
	calls    int
}

func (s *secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const secret = "/v1/projects/p/secrets/key"
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for end, status := range s.fail {
		if strings.HasSuffix(r.URL.Path, end) {
			http.Error(w, "{}", status)
			return
		}
	}
	switch r.Method + " " + r.URL.Path {
	case "GET " + secret + "/versions/1:access":
		if len(s.versions) == 0 {
			if s.wait != nil {
				s.mu.Unlock()
				s.reached <- struct{}{}
				<-s.wait
				s.mu.Lock()
			}
			http.Error(w, `{"error": {"code": 404}}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"payload": {"data": %q}}`, s.versions[0])
	case "POST " + secret + ":addVersion":
		var in struct{ Payload struct{ Data string } }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.versions = append(s.versions, in.Payload.Data)
		fmt.Fprintf(w, `{"name": "%s/versions/%d"}`, secret, len(s.versions))
	default:
		http.NotFound(w, r)
	}
}

// open returns the keys of another instance.
func (s *secrets) open(t *testing.T) *push.SecretKeys {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	k, err := push.NewSecretKeys(t.Context(), "p", "key", option.WithEndpoint(server.URL), option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pairOf(t *testing.T, k push.Keys) push.Pair {
	t.Helper()
	p, err := k.Pair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSecretKeys(t *testing.T) {
	s := &secrets{}
	one := s.open(t)
	p := pairOf(t, one)
	calls := s.calls
	if pairOf(t, one) != p || s.calls != calls {
		t.Error("the pair is not kept")
	}
	if pairOf(t, s.open(t)) != p || len(s.versions) != 1 {
		t.Errorf("another instance has another pair; %d versions", len(s.versions))
	}
	if text := fmt.Sprint(slog.AnyValue(p).Resolve()); strings.Contains(text, p.Private) {
		t.Error("a log has the private key")
	}
}

// Instances that all find no pair end with the same one.
func TestSecretKeysAtOnce(t *testing.T) {
	const n = 4
	s := &secrets{reached: make(chan struct{}, n), wait: make(chan struct{})}
	pairs := make([]push.Pair, n)
	var wg sync.WaitGroup
	for i := range n {
		k := s.open(t)
		wg.Go(func() {
			var err error
			if pairs[i], err = k.Pair(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for range n {
		<-s.reached
	}
	close(s.wait)
	wg.Wait()
	if len(s.versions) != n {
		t.Errorf("%d instances added a version, want %d", len(s.versions), n)
	}
	for _, p := range pairs {
		if p != pairs[0] || p == (push.Pair{}) {
			t.Errorf("the pairs differ: %v", pairs)
		}
	}
}

// A failure is not kept: the next call tries again.
func TestSecretKeysFail(t *testing.T) {
	for _, end := range []string{":access", ":addVersion"} {
		s := &secrets{fail: map[string]int{end: http.StatusForbidden}}
		k := s.open(t)
		if _, err := k.Pair(t.Context()); !errors.Is(err, problem.ErrUnavailable) {
			t.Errorf("if %s fails: %v", end, err)
		}
		s.fail = nil
		pairOf(t, k)
	}
	s := &secrets{versions: []string{"bm90IGEga2V5"}}
	if _, err := s.open(t).Pair(t.Context()); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("with a damaged pair: %v", err)
	}
}

func TestFileKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "push.json")
	pairs := make([]push.Pair, 8)
	var wg sync.WaitGroup
	for i := range pairs {
		wg.Go(func() {
			var err error
			if pairs[i], err = push.NewFileKeys(path).Pair(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range pairs {
		if p != pairs[0] || p == (push.Pair{}) {
			t.Errorf("the pairs differ: %v", pairs)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v (%v)", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("files in the folder: %v (%v)", files, err)
	}
	// A file that is damaged is not replaced, because that would end all subscriptions.
	if err := os.WriteFile(path, []byte(`{"public": "x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := push.NewFileKeys(path).Pair(t.Context()); !errors.Is(err, problem.ErrUnavailable) {
		t.Errorf("with a damaged file: %v", err)
	}
}
