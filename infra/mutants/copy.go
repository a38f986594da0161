package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// skipped are folders that the copy does not have. Dependencies of the client are linked.
var skipped = []string{".git", ".cache", "node_modules", "dist", "test-results", "playwright-report"}

// copyTree makes to a copy of the repository, and returns the digests of its files by path. It keeps files that are
// equal, so that builds in the copy stay cached.
func copyTree(root, to string) (digests map[string]string, err error) {
	digests = map[string]string{}
	have := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		have[target] = true
		switch {
		case d.IsDir() && slices.Contains(skipped, d.Name()):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil // .git of a worktree, and links
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		digests[filepath.ToSlash(rel)] = digest(string(text))
		if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, text) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	})
	if err != nil {
		return nil, err
	}
	// Files that the repository does not have any more.
	err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case have[path] || path == to:
			return nil
		case d.IsDir():
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".ts") || strings.HasSuffix(path, ".lua"):
			return os.Remove(path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	modules := filepath.Join(to, "web", "node_modules")
	if _, err := os.Lstat(modules); errors.Is(err, fs.ErrNotExist) {
		if err := os.Symlink(filepath.Join(root, "web", "node_modules"), modules); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

// digest identifies a text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:16]
}

// codeOf returns a digest of the files that the tests of p depend on. Other files may change without making a result
// invalid, so that a new test does not repeat the patches of every package.
func (r *runner) codeOf(ctx context.Context, p *patch) (string, error) {
	var all strings.Builder
	for _, t := range p.tests {
		known, ok := r.code[t.group()]
		if !ok {
			uses, err := r.uses(ctx, t)
			if err != nil {
				return "", err
			}
			var files strings.Builder
			for _, path := range slices.Sorted(maps.Keys(r.files)) {
				if uses(path) {
					fmt.Fprintln(&files, path, r.files[path])
				}
			}
			known = digest(files.String())
			r.code[t.group()] = known
		}
		fmt.Fprintln(&all, known)
	}
	return digest(all.String()), nil
}

// uses returns a function that reports whether a command depends on a file. A Go test depends on its package and those
// that it imports, with the files below their folders, but not on the tests of the latter. A web test depends on the
// folder web, and a fault run on everything.
func (r *runner) uses(ctx context.Context, t test) (func(path string) bool, error) {
	relevant := func(path string) bool {
		return !strings.HasPrefix(path, "infra/mutants/") && !strings.HasSuffix(path, ".md")
	}
	switch t.kind {
	case "web":
		return func(path string) bool { return relevant(path) && strings.HasPrefix(path, "web/") }, nil
	case "fault":
		return relevant, nil
	}
	tested := path.Clean(strings.Fields(t.args)[0])
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "-f", "{{if not .Standard}}{{.Dir}}{{end}}",
		"./"+tested)
	cmd.Dir = r.copy
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list what %s imports: %w", t, err)
	}
	imported := map[string]bool{}
	for line := range strings.Lines(string(output)) {
		if rel, err := filepath.Rel(r.copy, strings.TrimSpace(line)); err == nil {
			imported[filepath.ToSlash(rel)] = true
		}
	}
	packages := map[string]bool{}
	for file := range r.files {
		if strings.HasSuffix(file, ".go") && !strings.Contains(file, "/testdata/") {
			packages[path.Dir(file)] = true
		}
	}
	return func(file string) bool {
		if file == "go.mod" || file == "go.sum" {
			return true
		}
		// A folder without Go files, such as one with scripts, belongs to the package above it.
		dir := path.Dir(file)
		for !packages[dir] && dir != "." {
			dir = path.Dir(dir)
		}
		return relevant(file) && imported[dir] && (dir == tested || !strings.HasSuffix(file, "_test.go"))
	}, nil
}
