// Package webbuild keeps the built web client up to date. It installs the npm packages if they differ from the lock
// file, and builds the client if the sources have changed since the last build. Otherwise it does nothing and does
// not need Node.js.
package webbuild

//lint:file-ignore ST1005 These errors are sentences for the person at the terminal.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/phoenixchat/phoenixchat/infra/internal/child"
)

// Vite's minimum version of Node.js.
const minMajor, minMinor = 20, 19

// Errors for missing programs. Their texts are sentences for the person at the terminal.
var (
	ErrNoNode = fmt.Errorf("Node.js is missing. Install version %d.%d or later (nodejs.org) to build the client",
		minMajor, minMinor)
	ErrNoNPM = errors.New("npm is missing. Install it (Debian: apt-get install npm) to build the client")
)

// stamp is a file in the folder of the built client with the hash of the sources that it was built from. Vite empties
// the folder before it builds, so the file exists only after Ensure has finished a build.
const stamp = ".sources"

// Ensure brings dir/dist up to date with the sources in dir, the folder web of the repository. It calls say before
// each step that takes time. When ctx ends, npm and all processes that it started are ended too. Only one process
// builds at a time; others wait.
func Ensure(ctx context.Context, dir string, say func(string)) error {
	sum, err := sources(dir)
	if err != nil {
		return fmt.Errorf("read the client's sources: %w", err)
	}
	if built(dir, sum) {
		return nil
	}
	lock := flock.New(filepath.Join(dir, "node_modules.lock"), flock.SetFlag(os.O_RDWR|os.O_CREATE))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("lock the client's folder: %w", err)
	}
	defer lock.Unlock()
	if built(dir, sum) { // by the process that held the lock
		return nil
	}
	if err := Install(ctx, dir, say); err != nil {
		return err
	}
	earlier, err := ownAssets(dir)
	if err != nil {
		return fmt.Errorf("read the earlier build of the client: %w", err)
	}
	say("Building the client (npm run build)")
	if err := npm(ctx, dir, "run", "build"); err != nil {
		return err
	}
	if err := carry(dir, earlier); err != nil {
		return fmt.Errorf("keep the assets of the earlier build of the client: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "dist", stamp), []byte(sum), 0o644)
}

// Install brings dir/node_modules up to date with the lock file.
func Install(ctx context.Context, dir string, say func(string)) error {
	if err := CheckNode(ctx); err != nil {
		return err
	}
	same, err := installed(dir)
	if err != nil {
		return err
	}
	if same {
		return nil
	}
	say("Installing the client's packages (npm ci)")
	return npm(ctx, dir, "ci", "--no-audit", "--no-fund")
}

func built(dir, sum string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "dist", stamp))
	return err == nil && string(b) == sum
}

// outside lists the entries of the folder that a build does not read.
var outside = []string{"node_modules", "node_modules.lock", "dist", "e2e", "fault", "mutation", "test-results",
	"playwright-report", "coverage", "playwright.config.ts", "vitest.config.ts", ".gitignore"}

// passwords is the one file outside of the folder that a build reads: the list that functions/password shares with it.
const passwords = "../functions/password/common.txt"

// sources returns a hash of the names and contents of the files that a build reads.
func sources(dir string) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(outside, path):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir(), strings.HasSuffix(path, ".test.ts"):
			return nil
		}
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			return err
		}
		defer f.Close()
		one := sha256.New()
		if _, err := io.Copy(one, f); err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %x\n", path, one.Sum(nil))
		return nil
	})
	if err != nil {
		return "", err
	}
	list, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(passwords)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // an earlier release has no such file
		return "", err
	}
	h.Write(list)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lockFile is the format of package-lock.json, and of the list that npm writes of the packages it installed.
type lockFile struct {
	Packages map[string]struct {
		Version   string `json:"version"`
		Integrity string `json:"integrity"`
		Optional  bool   `json:"optional"` // may be missing, like packages for other systems
	} `json:"packages"`
}

// installed reports whether node_modules contains the packages of the lock file. npm writes
// node_modules/.package-lock.json last, so it is missing after an interrupted installation.
func installed(dir string) (bool, error) {
	var want, got lockFile
	if err := readJSON(filepath.Join(dir, "package-lock.json"), &want); err != nil {
		return false, fmt.Errorf("the client's lock file: %w", err)
	}
	if err := readJSON(filepath.Join(dir, "node_modules", ".package-lock.json"), &got); err != nil {
		return false, nil // installing repairs it
	}
	for path, w := range want.Packages {
		g, ok := got.Packages[path]
		if path != "" && ((!ok && !w.Optional) || (ok && (g.Version != w.Version || g.Integrity != w.Integrity))) {
			return false, nil
		}
	}
	for path := range got.Packages {
		if _, ok := want.Packages[path]; !ok {
			return false, nil
		}
	}
	return true, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

var versionForm = regexp.MustCompile(`^v(\d+)\.(\d+)\.`)

// CheckNode returns nil if node and npm are installed and new enough. Otherwise the text of its error is a sentence
// that says what to do.
func CheckNode(ctx context.Context) error {
	node, err := exec.LookPath("node")
	if err != nil {
		return ErrNoNode
	}
	out, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("node --version failed: %w", err)
	}
	v := versionForm.FindStringSubmatch(string(out))
	if v == nil {
		return fmt.Errorf("node --version printed %.40q, which is not a version", out)
	}
	major, _ := strconv.Atoi(v[1]) // matched digits only
	minor, _ := strconv.Atoi(v[2])
	if major < minMajor || (major == minMajor && minor < minMinor) {
		return fmt.Errorf("Node.js %s is too old. Install version %d.%d or later (nodejs.org) to build the client",
			strings.TrimSpace(string(out)), minMajor, minMinor)
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return ErrNoNPM
	}
	return nil
}

// npm runs npm in dir. The error quotes the end of its output.
func npm(ctx context.Context, dir string, args ...string) error {
	cmd := exec.Command("npm", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "FORCE_COLOR=0") // errors quote its output
	err := child.Run(ctx, "npm "+strings.Join(args, " "), cmd)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("in %s: %w", dir, err)
	}
	return err
}
