package design

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// forbidden lists what the services and the client do without. realtime/ASVS.md names these rules.
var forbidden = []struct {
	name    string
	ext     string // of the files: "go", or "web" for TypeScript, Svelte and HTML
	pattern *regexp.Regexp
	allowed map[string]string // files that may have it, and why
}{
	{name: "cookies", ext: "go", pattern: regexp.MustCompile(`(?i)set-cookie|http\.(set)?cookie\b`)},
	{name: "cookies", ext: "web", pattern: regexp.MustCompile(`document\.cookie|cookieStore`)},
	{name: "HTML from text", ext: "web", pattern: regexp.MustCompile(`\{@html|(inner|outer)HTML|insertAdjacentHTML|` +
		`document\.write|DOMParser|createContextualFragment|srcdoc|HTMLUnsafe`)},
	{name: "code from text", ext: "web", pattern: regexp.MustCompile(
		"\\beval\\(|\\bnew Function\\(|set(Timeout|Interval)\\(\\s*[\"'`]")},
	{name: "other documents", ext: "web", pattern: regexp.MustCompile(`<(iframe|object|embed|applet)\b|` +
		`\bwindow\.(opener|parent|open\()|(window|globalThis)\.(addEventListener\("message"|onmessage)`)},
	{name: "refused pastes", ext: "web", pattern: regexp.MustCompile(
		`(?i)onpaste|addEventListener\("paste"|insertFromPaste`)},
	{name: "patterns from text", ext: "web", pattern: regexp.MustCompile(`\bRegExp\(`), allowed: map[string]string{
		"web/src/text/folding.ts":             "a constant",
		"web/src/protocol/chat.ts":            "a constant",
		"web/src/view/conversation/links.ts":  "constants",
		"web/src/view/conversation/markup.ts": "constants",
	}},
	{name: "patterns from text", ext: "go", pattern: regexp.MustCompile(
		`regexp\.(Must)?Compile(POSIX)?\([^"` + "`" + `]`)},
	{name: "programs", ext: "go", pattern: regexp.MustCompile(`"(os/exec|plugin)"|syscall\.(Exec|ForkExec)`)},
	{name: "memory without types", ext: "go", pattern: regexp.MustCompile(`"unsafe"|import "C"`)},
	{name: "interpreters", ext: "go", pattern: regexp.MustCompile(
		`"(text/template|html/template|encoding/xml|encoding/gob|database/sql|net/smtp|net/rpc)"|/ldap`)},
	{name: "debugging", ext: "go", pattern: regexp.MustCompile(`"(net/http/pprof|expvar)"`)},
	{name: "listings of folders", ext: "go", pattern: regexp.MustCompile(`http\.(FileServer(FS)?|Dir)\(`)},
	{name: "weak algorithms", ext: "go", pattern: regexp.MustCompile(`"crypto/(md5|sha1|des|rc4|dsa)"`),
		allowed: map[string]string{"realtime/script/script.go": "Redis names its scripts by SHA-1"}},
	{name: "unchecked certificates", ext: "go", pattern: regexp.MustCompile(`InsecureSkipVerify`)},
	{name: "random numbers that can be guessed", ext: "go", pattern: regexp.MustCompile(`"math/rand`),
		allowed: map[string]string{
			"realtime/server/server.go":                 "pauses",
			"realtime/redissub/redissub.go":             "pauses",
			"realtime/settle/settle.go":                 "pauses",
			"realtime/presence/presence.go":             "pauses",
			"realtime/session/sessions.go":              "pauses",
			"functions/store/storefirestore/records.go": "pauses",
		}},
	{name: "random numbers that can be guessed", ext: "web", pattern: regexp.MustCompile(`Math\.random`),
		allowed: map[string]string{"web/src/platform/runtime.ts": "pauses"}},
}

// notServed matches test code below the folders of the services and the client.
var notServed = regexp.MustCompile(
	`_test\.go$|\.test\.ts$|/testing/|/testdata/|^realtime/redistest/|/(servertest|storetest|accountstest)/`)

// TestForbiddenCode reads what is deployed: the services without their tests, and the sources of the client.
func TestForbiddenCode(t *testing.T) {
	read, used := map[string]int{}, map[string]bool{}
	for _, path := range trackedFiles(t) {
		path = filepath.ToSlash(path)
		ext := ""
		switch {
		case notServed.MatchString(path):
		case strings.HasPrefix(path, "realtime/") || strings.HasPrefix(path, "functions/"):
			if filepath.Ext(path) == ".go" {
				ext = "go"
			}
		case strings.HasPrefix(path, "web/src/") || path == "web/index.html" || strings.HasPrefix(path, "web/public/"):
			switch filepath.Ext(path) {
			case ".ts", ".svelte", ".html", ".js":
				ext = "web"
			}
		}
		if ext == "" {
			continue
		}
		read[ext]++
		text := readFile(t, path)
		for _, f := range forbidden {
			if f.ext != ext {
				continue
			}
			found := f.pattern.FindString(text)
			switch _, ok := f.allowed[path]; {
			case found != "" && ok:
				used[f.name+path] = true
			case found != "":
				t.Errorf("%s has %q (%s)", path, found, f.name)
			}
		}
	}
	if read["go"] < 100 || read["web"] < 100 {
		t.Errorf("only %v files were read", read)
	}
	for _, f := range forbidden {
		for path := range f.allowed {
			if !used[f.name+path] {
				t.Errorf("%s need not be allowed: %s", path, f.name)
			}
		}
	}
}
