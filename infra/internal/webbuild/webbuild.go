// Package webbuild brings the built web client up to date: it installs the
// npm packages when they are not those of the lock file, and builds when the
// sources are not those that the last build saw. When both are, it does nothing, and Node.js is not needed.
package webbuild

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

// Least version of Node.js, which Vite sets.
const minMajor, minMinor = 20, 19

// Reasons for which the client cannot be built, each a sentence for people.
var (
	ErrNoNode = fmt.Errorf("Node.js is missing. Install version %d.%d or later (nodejs.org); the client is built with it", minMajor, minMinor)
	ErrNoNPM  = errors.New("npm is missing beside Node.js. Install it (Debian: apt-get install npm); the client is built with it")
)

// stamp, in the folder of the built client, holds the hash of the sources that it was built from. Vite empties the folder
// before it builds, so that the stamp is there only after a build of ours.
const stamp = ".sources"

// Ensure makes dir/dist the client built from the sources in dir (the folder
// web of the repository). It tells say what takes time before it begins. When
// ctx ends, npm and all that it started are ended too. Two processes take turns.
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
	say("Building the client (npm run build)")
	if err := npm(ctx, dir, "run", "build"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "dist", stamp), []byte(sum), 0o644)
}

// Install makes dir/node_modules what the lock file says.
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

// outside are the entries of the folder that no build reads.
var outside = []string{"node_modules", "node_modules.lock", "dist", "e2e", "test-results", "playwright-report", "coverage",
	"playwright.config.ts", "vitest.config.ts", ".gitignore"}

// sources returns a hash over names and contents of what a build reads.
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
	return hex.EncodeToString(h.Sum(nil)), err
}

// lockFile is what package-lock.json and npm's own note of what it installed say.
type lockFile struct {
	Packages map[string]struct {
		Version   string `json:"version"`
		Integrity string `json:"integrity"`
		Optional  bool   `json:"optional"` // may be left out, as those for other systems are
	} `json:"packages"`
}

// installed reports whether node_modules holds what the lock file names. npm
// writes node_modules/.package-lock.json last, so an installation that broke off has none.
func installed(dir string) (bool, error) {
	var want, got lockFile
	if err := readJSON(filepath.Join(dir, "package-lock.json"), &want); err != nil {
		return false, fmt.Errorf("the client's lock file: %w", err)
	}
	if err := readJSON(filepath.Join(dir, "node_modules", ".package-lock.json"), &got); err != nil {
		return false, nil // whatever is wrong with it, installing mends it
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

// CheckNode returns nil when node and npm are there and new enough, else what to do, as a sentence for people.
func CheckNode(ctx context.Context) error {
	node, err := exec.LookPath("node")
	if err != nil {
		return ErrNoNode
	}
	out, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return fmt.Errorf("node --version failed: %w", err)
	}
	v := versionForm.FindStringSubmatch(string(out))
	if v == nil {
		return fmt.Errorf("node --version says %.40q, which is no version", out)
	}
	major, _ := strconv.Atoi(v[1]) // digits, by the form
	minor, _ := strconv.Atoi(v[2])
	if major < minMajor || (major == minMajor && minor < minMinor) {
		return fmt.Errorf("Node.js %s is too old. Install version %d.%d or later (nodejs.org); the client is built with it",
			strings.TrimSpace(string(out)), minMajor, minMinor)
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return ErrNoNPM
	}
	return nil
}

// npm runs npm in dir. The error quotes the end of what it wrote.
func npm(ctx context.Context, dir string, args ...string) error {
	cmd := exec.Command("npm", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "FORCE_COLOR=0") // its words are quoted in errors
	name := "npm " + strings.Join(args, " ")
	c, err := child.Start(name, cmd)
	if err != nil {
		return err
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Stop(time.Second)
		return context.Cause(ctx)
	}
	if e := c.Ended(); !e.Clean {
		return fmt.Errorf("%w in %s; its last words:\n%s", e, dir, e.Output)
	}
	return nil
}
