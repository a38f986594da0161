package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A package that Google's libraries import starts it.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

func TestWithoutATag(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "--quiet"},
		{"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--allow-empty", "-m", "first"}} {
		if out, err := git(t.Context(), dir, args...); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	if err := run(t.Context(), dir, "", io.Discard); !errors.Is(err, errNoRelease) {
		t.Errorf("without a tag: %v", err)
	}
	err := run(t.Context(), dir, "nothing", io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no commit nothing") {
		t.Errorf("with an unknown commit: %v", err)
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	good, bad := result{step: steps[0]}, result{step: steps[1], browser: errors.New("it stays empty")}
	if err := report(&out, []result{good}); err != nil {
		t.Errorf("all chats worked: %v", err)
	}
	if err := report(&out, []result{good, bad}); err == nil || err.Error() != "1 of 6 chats failed." {
		t.Errorf("one chat failed: %v", err)
	}
	if !strings.Contains(out.String(), "it stays empty") {
		t.Errorf("the report does not say why:\n%s", &out)
	}
}

// The person who opens the front gets the chosen client, and the server sees its own origin.
func TestFront(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/config.json" {
			fmt.Fprintf(w, `{"realtime_url":"ws://%s/ws"}`, r.Host)
			return
		}
		fmt.Fprintf(w, "%s from %s", r.URL.Path, r.Header.Get("Origin"))
	}))
	defer server.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFront()
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	dist := t.TempDir()
	for name, text := range map[string]string{"index.html": "the page", "app.js": "the app"} {
		if err := os.WriteFile(filepath.Join(dist, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.use(dist, to)
	for _, test := range []struct{ path, dest, want string }{
		{"/", "document", "the page"},
		{"/c/ben", "document", "the page"},
		{"/app.js", "script", "the app"},
		{"/api/me", "empty", "/api/me from " + server.URL},
		{"/config.json", "empty", `{"realtime_url":"ws` + strings.TrimPrefix(f.url, "http") + `/ws"}`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Dest", test.dest)
		r.Header.Set("Origin", f.url)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != test.want {
			t.Errorf("%s: %q, %v; want %q", test.path, b, err, test.want)
		}
	}
}
