package pipeline

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// call is a request that the server of a test received.
type call struct{ method, url, token, project, contentType, body string }

// google takes the place of Google's APIs. It records the calls and returns the answers in order.
type google struct {
	*httptest.Server
	mu      sync.Mutex
	calls   []call
	answers []answer
}

type answer struct {
	status int
	body   string
}

func newGoogle(t *testing.T, answers ...answer) *google {
	g := &google{answers: answers}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.calls = append(g.calls, call{r.Method, r.URL.String(), r.Header.Get("Authorization"),
			r.Header.Get("X-Goog-User-Project"), r.Header.Get("Content-Type"), string(body)})
		if len(g.answers) == 0 {
			t.Errorf("an unexpected call: %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		a := g.answers[0]
		g.answers = g.answers[1:]
		w.WriteHeader(a.status)
		fmt.Fprintln(w, a.body)
	}))
	t.Cleanup(g.Close)
	return g
}

// script runs a script with bash and returns its output and its exit code.
func script(t *testing.T, name string, env ...string) (out string, code int) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed; the scripts need it")
	}
	cmd := exec.Command("bash", name)
	cmd.Env = append(os.Environ(), "TOKEN=a-token", "PROJECT=acme-chat", "FIRST_PAUSE=0", "POLL_SECONDS=1")
	cmd.Env = append(cmd.Env, env...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestRest(t *testing.T) {
	for name, c := range map[string]struct {
		answers []answer
		code    int
		want    string
	}{
		"ok":        {[]answer{{200, `{"name":"config"}`}}, 0, `{"name":"config"}`},
		"not found": {[]answer{{404, "{}"}}, 3, ""},
		"transient": {[]answer{{503, "{}"}, {429, "{}"}, {200, "done"}}, 0, "done"},
		"down": {slices.Repeat([]answer{{500, "internal words"}}, 5), 1,
			"was answered with 500:\ninternal words"},
		"refused": {[]answer{{403, `{"error":{"message":"Permission denied on identitytoolkit"}}`}}, 1,
			"Permission denied on identitytoolkit"},
		"API not enabled": {[]answer{{403, disabled}}, 1, "Run this command, wait a minute, and run the same terraform " +
			"apply again:\n  gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com " +
			"--project=acme-chat\n"},
		"token expired": {[]answer{{401, "{}"}}, 1, "Run the same terraform apply again"},
		"bad request":   {[]answer{{400, "Invalid value at passwordPolicyConfig"}}, 1, "Invalid value"},
		"accepted":      {[]answer{{400, `{"message":"NOT_ALLOWED_HERE"}`}}, 0, "Google refuses this setting"},
		"not a refusal": {[]answer{{403, `{"message":"NOT_ALLOWED_HERE"}`}}, 1, "answered with 403"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGoogle(t, c.answers...)
			const path = "/admin/v2/projects/acme-chat/config?updateMask=a,b"
			out, code := script(t, "rest", "METHOD=PATCH", "URL="+g.URL+path, `BODY={"a":1}`, "ACCEPT=NOT_ALLOWED_HERE")
			if code != c.code || !strings.Contains(out, c.want) {
				t.Errorf("ended with %d, want %d: %s; want %q", code, c.code, out, c.want)
			}
			if strings.Contains(out, "a-token") {
				t.Errorf("the output contains the token: %s", out)
			}
			if len(g.answers) > 0 {
				t.Errorf("%d answers were not used", len(g.answers))
			}
			for _, got := range g.calls {
				want := call{"PATCH", path, "Bearer a-token", "acme-chat", "application/json", `{"a":1}`}
				if got != want {
					t.Errorf("called %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

// disabled is Google's answer if Cloud Resource Manager is not enabled in the project to which a call is billed.
const disabled = `{
  "error": {
    "code": 403,
    "message": "Cloud Resource Manager API has not been used in project acme-chat before or it is disabled.",
    "status": "PERMISSION_DENIED",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {
          "service": "cloudresourcemanager.googleapis.com",
          "consumer": "projects/acme-chat"
        }
      }
    ]
  }
}`

func TestRestWithoutAConnection(t *testing.T) {
	out, code := script(t, "rest", "METHOD=GET", "URL=http://127.0.0.1:1/")
	if code != 1 || !strings.Contains(out, "answered with 000") {
		t.Errorf("ended with %d: %s", code, out)
	}
}

const buildID = "0b8c5a52-1d2e-4f3a-9b4c-5d6e7f809102"

// started is Cloud Build's answer to a new build. Its steps have ids too.
const started = `{
  "name": "operations/build/acme-chat/MGI4YzVhNTI=",
  "metadata": {
    "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata",
    "build": {
      "steps": [ { "id": "client", "name": "node:22" } ],
      "id": "` + buildID + `",
      "status": "QUEUED"
    }
  }
}`

// submit runs the script submit with two source files.
func submit(t *testing.T, g *google) (string, int) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module x\n", "web/a file.ts": "export {}\n", "other": "not sent\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return script(t, "submit", "STORAGE_API="+g.URL, "CLOUDBUILD_API="+g.URL, "MADE="+g.URL+"/v1/tags/src-1",
		"BUCKET=acme-chat-source", "OBJECT=realtime/1.tar.gz", "ROOT="+root, "SOURCES=go.mod\nweb/a file.ts",
		`BUILD={"steps":[{"id":"client"}]}`)
}

func TestSubmit(t *testing.T) {
	g := newGoogle(t, answer{404, "{}"}, answer{200, `{"name":"realtime/1.tar.gz"}`}, answer{200, started},
		answer{200, `{ "status": "WORKING" }`}, answer{200, `{ "status": "SUCCESS" }`})
	out, code := submit(t, g)
	if code != 0 || !strings.Contains(out, "The image is built") ||
		!strings.Contains(out, "/cloud-build/builds/"+buildID+"?project=acme-chat") {
		t.Fatalf("ended with %d: %s", code, out)
	}
	var urls []string
	for _, c := range g.calls {
		if c.token != "Bearer a-token" || c.project != "acme-chat" {
			t.Errorf("%s %s was called with %q for %q", c.method, c.url, c.token, c.project)
		}
		urls = append(urls, c.method+" "+c.url)
	}
	want := []string{
		"GET /v1/tags/src-1",
		"POST /upload/storage/v1/b/acme-chat-source/o?uploadType=media&name=realtime%2F1.tar.gz",
		"POST /v1/projects/acme-chat/builds",
		"GET /v1/projects/acme-chat/builds/" + buildID + "?fields=status,statusDetail",
		"GET /v1/projects/acme-chat/builds/" + buildID + "?fields=status,statusDetail",
	}
	if !slices.Equal(urls, want) {
		t.Errorf("called\n%s\nwant\n%s", strings.Join(urls, "\n"), strings.Join(want, "\n"))
	}
	if got := filesIn(t, g.calls[1].body); !slices.Equal(got, []string{"go.mod", "web/a file.ts"}) {
		t.Errorf("the archive has %q", got)
	}
	if !json.Valid([]byte(g.calls[2].body)) || g.calls[2].body != `{"steps":[{"id":"client"}]}` {
		t.Errorf("the build is %s", g.calls[2].body)
	}
}

// filesIn lists a compressed archive.
func filesIn(t *testing.T, archive string) (names []string) {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestSubmitFindsTheImage(t *testing.T) {
	g := newGoogle(t, answer{200, "{}"})
	if out, code := submit(t, g); code != 0 || !strings.Contains(out, "already exists") {
		t.Errorf("ended with %d: %s", code, out)
	}
}

func TestSubmitReportsErrors(t *testing.T) {
	for name, c := range map[string]struct {
		answers []answer
		want    string
	}{
		"registry": {[]answer{{403, "Permission artifactregistry.tags.get denied"}}, "artifactregistry.tags.get denied"},
		"bucket":   {[]answer{{404, ""}, {403, "storage.objects.create denied"}}, "storage.objects.create denied"},
		"billing":  {[]answer{{404, ""}, {200, "{}"}, {403, "billing is not enabled"}}, "billing is not enabled"},
		"failure": {
			[]answer{{404, ""}, {200, "{}"}, {200, started},
				{200, `{"status":"FAILURE","statusDetail":"step 0 exited with 1"}`}},
			"ended with FAILURE. step 0 exited with 1\nIts log: gcloud builds log " + buildID,
		},
		"timeout": {
			[]answer{{404, ""}, {200, "{}"}, {200, started}, {200, `{"status": "TIMEOUT"}`}},
			"ended with TIMEOUT",
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := submit(t, newGoogle(t, c.answers...))
			if code != 1 || !strings.Contains(out, c.want) {
				t.Errorf("ended with %d: %s; want %q", code, out, c.want)
			}
		})
	}
}

// TestScripts checks the syntax of every script, and that each ends at the first failure.
func TestScripts(t *testing.T) {
	names := []string{"rest", "submit", "run-tests", "../terraform/check", "../terraform/copy"}
	steps, err := filepath.Glob("steps/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, steps...) {
		if out, err := exec.Command("bash", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("\nset -euo pipefail\n")) && !bytes.Contains(text, []byte(`/env"`)) {
			t.Errorf("%s does not end at the first failure", name)
		}
	}
}
