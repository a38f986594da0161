package design

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var (
	// lineBreak joins a comment that is broken between "DESIGN" and its section, or inside of a quoted word.
	lineBreak = regexp.MustCompile(`[ \t]*\n[ \t]*(?://+|\*|#+|--)?[ \t]*`)
	// reference is "DESIGN §4", "DESIGN.md §5 and §6", `DESIGN §5, "ack"`.
	reference = regexp.MustCompile(`DESIGN(?:\.md)?,? (§\d+(?:(?:, | and |–|-)§\d+)*)(?:,? "([^"]{1,60})")?`)
	number    = regexp.MustCompile(`§(\d+)`)
)

// trackedFiles returns the paths of the repository's files, relative to its root.
func trackedFiles(t *testing.T) []string {
	t.Helper()
	dir := inRepo(t, ".")
	if out, err := exec.Command("git", "-C", dir, "ls-files", "-z").Output(); err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	// An exported tree without a git folder.
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (d.Name() == "node_modules" || d.Name() == "dist" || d.Name()[0] == '.'):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		paths = append(paths, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestReferences(t *testing.T) {
	all := sections(readFile(t, pagePath))
	found := 0
	for _, path := range trackedFiles(t) {
		data, err := os.ReadFile(inRepo(t, path))
		if os.IsNotExist(err) || len(data) > 1<<20 || bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
			continue // removed in the working tree, a lock file, or not text
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if path == filepath.FromSlash("infra/internal/design/references_test.go") {
			continue // the examples above
		}
		text := lineBreak.ReplaceAllString(string(data), " ")
		if path == filepath.FromSlash(pagePath) {
			text = number.ReplaceAllString(text, "DESIGN §$1")
		}
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			found++
			for _, n := range number.FindAllStringSubmatch(m[1], -1) {
				i, err := strconv.Atoi(n[1])
				s, ok := all[i]
				if err != nil || !ok {
					t.Errorf("%s: %q names a section that %s does not have", path, m[0], pagePath)
					continue
				}
				if word := strings.ToLower(m[2]); !strings.Contains(strings.ToLower(flat(s.title+" "+s.text)), word) {
					t.Errorf("%s: %q quotes what section %d does not say", path, m[0], i)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d references to sections, so the search does not work", found)
	}
}
