package webbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

const lock = `{"packages": {"": {"version": "1.0.0"},
	"node_modules/a": {"version": "1.0.0", "integrity": "x"},
	"node_modules/other-system": {"version": "1.0.0", "integrity": "y", "optional": true}}}`

// project creates a folder with sources, and sets PATH to a folder with scripts named node and npm. The npm script
// records its calls, which the function calls returns and clears, and simulates them.
func project(t *testing.T, nodeVersion string) (dir string, calls func() string) {
	t.Helper()
	dir, bin := filepath.Join(t.TempDir(), "web"), t.TempDir()
	write(t, filepath.Join(dir, "package-lock.json"), lock)
	write(t, filepath.Join(dir, "src", "main.ts"), "one")
	write(t, filepath.Join(bin, "node"), "#!/bin/sh\necho "+nodeVersion+"\n")
	write(t, filepath.Join(bin, "npm"), `#!/bin/sh
echo "$*" >> "`+bin+`/calls"
if [ -e fail ]; then echo "it broke"; exit 1; fi
case "$1" in
ci)
	mkdir -p node_modules
	echo '{"packages": {"node_modules/a": {"version": "1.0.0", "integrity": "x"}}}' > node_modules/.package-lock.json;;
run) rm -rf dist; mkdir dist; cp src/main.ts dist/index.html;;
esac
`)
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	return dir, func() string {
		b, _ := os.ReadFile(filepath.Join(bin, "calls")) // the file is missing if npm was not called
		os.Remove(filepath.Join(bin, "calls"))
		return strings.Join(strings.Fields(strings.ReplaceAll(string(b), "\n", ";")), " ")
	}
}

func TestOnlyNecessaryStepsRun(t *testing.T) {
	dir, calls := project(t, "v22.1.0")
	ensure := func(want string) {
		t.Helper()
		if err := Ensure(t.Context(), dir, func(string) {}); err != nil {
			t.Fatal(err)
		}
		if got := calls(); got != want {
			t.Errorf("npm was called %q, want %q", got, want)
		}
	}
	ensure("ci --no-audit --no-fund;run build;")
	ensure("")
	write(t, filepath.Join(dir, "src", "main.ts"), "two")
	ensure("run build;")
	if b, err := os.ReadFile(filepath.Join(dir, "dist", "index.html")); err != nil || string(b) != "two" {
		t.Errorf("built %q, %v", b, err)
	}
	write(t, filepath.Join(dir, "src", "main.test.ts"), "a test")
	write(t, filepath.Join(dir, "e2e", "chat.spec.ts"), "a test")
	ensure("")
	write(t, filepath.Join(dir, filepath.FromSlash(passwords)), "password")
	ensure("run build;")
	os.RemoveAll(filepath.Join(dir, "dist"))
	ensure("run build;")
	write(t, filepath.Join(dir, "package-lock.json"), strings.Replace(lock, `"x"`, `"changed"`, 1))
	ensure("ci --no-audit --no-fund;run build;")
}

// TestAssetsOfTheLastBuildStay shows that pages of the build before still find their code, but not those of the build
// before that, and that source maps and files of the new build are left alone.
func TestAssetsOfTheLastBuildStay(t *testing.T) {
	dir, _ := project(t, "v22.1.0")
	bin, _, _ := strings.Cut(os.Getenv("PATH"), ":")
	script, err := os.ReadFile(filepath.Join(bin, "npm"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(bin, "npm"), strings.Replace(string(script), "cp src/main.ts dist/index.html;;",
		"cp src/main.ts dist/index.html; mkdir dist/assets; n=$(cat src/main.ts)\n"+
			"echo $n > dist/assets/Lazy-$n.js; echo $n > dist/assets/Lazy-$n.js.map; echo $n > dist/assets/same.css;;", 1))
	for n, want := range []string{
		1: "Lazy-1.js Lazy-1.js.map same.css",
		2: "Lazy-1.js Lazy-2.js Lazy-2.js.map same.css",
		3: "Lazy-2.js Lazy-3.js Lazy-3.js.map same.css",
	} {
		if want == "" {
			continue
		}
		write(t, filepath.Join(dir, "src", "main.ts"), strconv.Itoa(n))
		if err := Ensure(t.Context(), dir, func(string) {}); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, "dist", "assets"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("after build %d the assets are %q, want %q", n, got, want)
		}
		b, err := os.ReadFile(filepath.Join(dir, "dist", "assets", "same.css"))
		if err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(n) {
			t.Errorf("build %d has the style %q of an earlier one", n, b)
		}
	}
}

func TestAFailedBuildIsQuotedAndRunsAgain(t *testing.T) {
	dir, calls := project(t, "v20.19.0")
	write(t, filepath.Join(dir, "fail"), "")
	err := Ensure(t.Context(), dir, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "npm ci --no-audit --no-fund ended: exit status 1") ||
		!strings.Contains(err.Error(), "it broke") {
		t.Errorf("error %v", err)
	}
	os.Remove(filepath.Join(dir, "fail"))
	calls()
	if err := Ensure(t.Context(), dir, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

func TestNodeIsCheckedOnlyForABuild(t *testing.T) {
	dir, _ := project(t, "v20.18.3")
	err := Ensure(t.Context(), dir, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "Node.js v20.18.3 is too old") {
		t.Errorf("with an old Node.js: %v", err)
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	if err := Ensure(t.Context(), dir, func(string) {}); !errors.Is(err, ErrNoNode) {
		t.Errorf("without Node.js: %v", err)
	}
	t.Setenv("PATH", path)
	bin, _, _ := strings.Cut(path, ":")
	write(t, filepath.Join(bin, "node"), "#!/bin/sh\necho v24.0.0\n")
	if err := Ensure(t.Context(), dir, func(string) {}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := Ensure(t.Context(), dir, func(string) {}); err != nil {
		t.Errorf("without Node.js, but with a built client: %v", err)
	}
}

func TestInterruptingEndsNPM(t *testing.T) {
	dir, _ := project(t, "v22.0.0")
	bin, _, _ := strings.Cut(os.Getenv("PATH"), ":")
	write(t, filepath.Join(bin, "npm"), "#!/bin/sh\nsleep 600\n")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("interrupted"))
	defer cancel()
	if err := Ensure(ctx, dir, func(string) {}); err == nil || err.Error() != "interrupted" {
		t.Errorf("error %v", err)
	}
}

func TestBuildsTakeTurns(t *testing.T) {
	dir, calls := project(t, "v22.0.0")
	other := flock.New(filepath.Join(dir, "node_modules.lock"))
	if locked, err := other.TryLock(); !locked {
		t.Fatalf("lock: %v", err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("interrupted"))
	defer cancel()
	if err := Ensure(ctx, dir, func(string) {}); err == nil || err.Error() != "interrupted" || calls() != "" {
		t.Errorf("while another process builds: error %v, want interrupted and no call of npm", err)
	}
	built := make(chan error, 1)
	go func() { built <- Ensure(t.Context(), dir, func(string) {}) }()
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-built; err != nil {
		t.Errorf("after the other process: %v", err)
	}
}

func TestAFolderThatCannotBeLocked(t *testing.T) {
	dir, _ := project(t, "v22.0.0")
	if err := os.Mkdir(filepath.Join(dir, "node_modules.lock"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := Ensure(t.Context(), dir, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "lock the client's folder") {
		t.Errorf("error %v", err)
	}
}
