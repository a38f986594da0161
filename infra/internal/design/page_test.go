package design

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

const pagePath = "realtime/DESIGN.md"

// root is the repository's folder.
var root = sync.OnceValues(repo.Root)

// inRepo returns the path of a file of the repository.
func inRepo(t testing.TB, path string) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.FromSlash(path))
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(inRepo(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section is one `## n. Title` of the page.
type section struct {
	title, text string
}

// table is one table of a section. Cells keep their Markdown.
type table struct {
	header []string
	rows   [][]string
}

var heading = regexp.MustCompile(`(?m)^## (\d+)\. (.+)$`)

// sections returns the sections of a page by number.
func sections(text string) map[int]section {
	all := map[int]section{}
	found := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		n, _ := strconv.Atoi(text[m[2]:m[3]]) // the expression has only digits
		all[n] = section{title: text[m[4]:m[5]], text: text[m[1]:end]}
	}
	return all
}

// pageSection returns one section of the design page.
func pageSection(t testing.TB, n int) section {
	t.Helper()
	s, ok := sections(readFile(t, pagePath))[n]
	if !ok {
		t.Fatalf("%s has no section %d", pagePath, n)
	}
	return s
}

// table returns the table of the section whose first column has the given header.
func (s section) table(t testing.TB, first string) table {
	t.Helper()
	all := s.tables(first)
	if len(all) != 1 {
		t.Fatalf("section %q has %d tables with the first column %q, want 1", s.title, len(all), first)
	}
	return all[0]
}

// tables returns all tables of the section whose first column has the given header.
func (s section) tables(first string) []table {
	var all []table
	var open *table
	for line := range strings.Lines(s.text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			open = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case open == nil:
			all = append(all, table{header: cells})
			open = &all[len(all)-1]
		case strings.HasPrefix(line, "|---"):
		default:
			open.rows = append(open.rows, cells)
		}
	}
	return slices.DeleteFunc(all, func(t table) bool { return t.header[0] != first })
}

var (
	code   = regexp.MustCompile("`([^`]+)`")
	parens = regexp.MustCompile(`\([^()]*\)`)
)

// words returns what a cell has in backticks.
func words(cell string) []string {
	var all []string
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// field is one field that a table row names: `name`, `name?`, `name {a, b}` or `name: [{a, b}]`.
type field struct {
	optional bool
	nested   []string
}

var fieldForm = regexp.MustCompile(`^([a-z_]+(?::<uid>)?)(\??)(?:(?:: \[)?\s*\{([a-z_, ]+)\}\]?)?$`)

// fields returns the fields that a cell names outside of parentheses.
func fields(cell string) map[string]field {
	all := map[string]field{}
	for _, w := range words(parens.ReplaceAllString(cell, "")) {
		m := fieldForm.FindStringSubmatch(w)
		if m == nil {
			continue
		}
		f := field{optional: m[2] != ""}
		if m[3] != "" {
			f.nested = strings.Split(strings.ReplaceAll(m[3], " ", ""), ",")
		}
		all[m[1]] = f
	}
	return all
}

// within returns what a cell has in backticks in the parentheses behind a word: `word` (`a`, `b`).
func within(cell, word string) []string {
	_, in, _ := strings.Cut(cell, "`"+word+"` (")
	in, _, _ = strings.Cut(in, ")")
	return words(in)
}

// same reports every difference between what the page says and what the code has.
func same[V any, W any](t *testing.T, what string, page map[string]V, code map[string]W) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if _, ok := page[name]; !ok {
			t.Errorf("%s: the code has %q, and %s does not name it", what, name, pagePath)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(page)) {
		if _, ok := code[name]; !ok {
			t.Errorf("%s: %s names %q, and the code does not have it", what, pagePath, name)
		}
	}
}

func setOf(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, n := range names {
		set[n] = true
	}
	return set
}

// thousands writes n as the page does: 10,000.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// flat returns text with every run of white space as one space, so that a phrase is found across lines.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestPageForm(t *testing.T) {
	text := readFile(t, pagePath)
	all := sections(text)
	for n := 1; n <= len(all); n++ {
		if _, ok := all[n]; !ok {
			t.Errorf("%s has %d sections, and none has the number %d", pagePath, len(all), n)
		}
	}
	if len(all) < 10 {
		t.Errorf("%s has %d sections, want at least 10", pagePath, len(all))
	}
	for i, line := range strings.Split(text, "\n") {
		if n := len([]rune(line)); n > 120 && !strings.HasPrefix(line, "|") {
			t.Errorf("%s:%d has %d columns, want at most 120", pagePath, i+1, n)
		}
	}
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)|<img [^>]*src="([^"]+)"`)
	anchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks checks the links of every Markdown page to files, and to the sections of the design page.
func TestLinks(t *testing.T) {
	anchors := map[string]bool{}
	for n, s := range sections(readFile(t, pagePath)) {
		title := strings.ToLower(fmt.Sprintf("%d. %s", n, s.title))
		anchors[strings.ReplaceAll(anchor.ReplaceAllString(title, ""), " ", "-")] = true
	}
	toSections := map[string]bool{} // that the design page links to
	for _, page := range trackedFiles(t) {
		if filepath.Ext(page) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(readFile(t, page), -1) {
			target := m[1] + m[2]
			if strings.HasPrefix(target, "https://") {
				continue
			}
			file, section, _ := strings.Cut(target, "#")
			path := filepath.Join(filepath.Dir(inRepo(t, page)), filepath.FromSlash(file))
			if file == "" {
				path = inRepo(t, page)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s: %v", page, target, err)
			}
			if section != "" && path == inRepo(t, pagePath) {
				if !anchors[section] {
					t.Errorf("%s links to %s, which is not the anchor of a section", page, target)
				}
				toSections[section] = toSections[section] || path == inRepo(t, page)
			}
		}
	}
	for section := range anchors {
		if !toSections[section] {
			t.Errorf("%s has no link to its section %s", pagePath, section)
		}
	}
}

// TestReadme holds the README to the size that a newcomer reads.
func TestReadme(t *testing.T) {
	text := readFile(t, "README.md")
	if lines, words := strings.Count(text, "\n"), len(strings.Fields(text)); lines > 120 || words > 1300 {
		t.Errorf("README.md has %d lines and %d words, want at most 120 and 1,300", lines, words)
	}
}
