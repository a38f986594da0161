package design

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const asvsPath = "realtime/ASVS.md"

// asvsNumbers has the numbers of OWASP ASVS 5.0.0 by level: "1.2.1-5,7" is 1.2.1 to 1.2.5 and 1.2.7. They were read
// from the JSON file of that release.
var asvsNumbers = map[int]string{
	1: `1.2.1-5 1.3.1-2 1.5.1 2.1.1 2.2.1-2 2.3.1 3.2.1-2 3.3.1 3.4.1-2 3.5.1-3 4.1.1 4.4.1 5.2.1-2 5.3.1-2 6.1.1
		6.2.1-8 6.3.1-2 6.4.1-2 7.2.1-4 7.4.1-2 8.1.1 8.2.1-2 8.3.1 9.1.1-3 9.2.1 10.4.1-5 11.3.1-2 11.4.1 12.1.1
		12.2.1-2 13.4.1 14.2.1 14.3.1 15.1.1 15.2.1 15.3.1`,
	2: `1.1.1-2 1.2.6-9 1.3.3-11 1.4.1-3 1.5.2 2.1.2-3 2.2.3 2.3.2-4 2.4.1 3.3.2-4 3.4.3-6 3.5.4-5 3.7.1-2 4.1.2-3
		4.2.1 4.3.1-2 4.4.2-4 5.1.1 5.2.3 5.4.1-3 6.1.2-3 6.2.9-12 6.3.3-4 6.4.3-4 6.5.1-5 6.6.1-3 6.8.1-4 7.1.1-3
		7.3.1-2 7.4.3-5 7.5.1-2 7.6.1-2 8.1.2 8.2.3 8.4.1 9.2.2-4 10.1.1-2 10.2.1-2 10.3.1-4 10.4.6-11 10.5.1-5
		10.6.1-2 10.7.1-3 11.1.1-2 11.2.1-3 11.3.3 11.4.2-4 11.5.1 11.6.1 12.1.2-3 12.3.1-4 13.1.1 13.2.1-5 13.3.1-2
		13.4.2-5 14.1.1-2 14.2.2-4 14.3.2-3 15.1.2-3 15.2.2-3 15.3.2-7 16.1.1 16.2.1-5 16.3.1-4 16.4.1-3 16.5.1-3
		17.1.1 17.2.1-4 17.3.1-2`,
}

// asvsNumber is the number of a requirement: chapter, section, item.
type asvsNumber [3]int

func (n asvsNumber) String() string { return fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2]) }

func compareNumbers(a, b asvsNumber) int { return slices.Compare(a[:], b[:]) }

func parseNumber(t *testing.T, s string) asvsNumber {
	t.Helper()
	var n asvsNumber
	parts := strings.Split(s, ".")
	for i, part := range parts {
		v, err := strconv.Atoi(part)
		if err != nil || len(parts) != len(n) {
			t.Fatalf("%q is not the number of a requirement", s)
		}
		n[i] = v
	}
	return n
}

// requirements returns the level of each requirement.
func requirements(t *testing.T) map[asvsNumber]int {
	t.Helper()
	levels := map[asvsNumber]int{}
	for level, text := range asvsNumbers {
		for _, word := range strings.Fields(text) {
			section, items, _ := cutLast(word, ".")
			for item := range strings.SplitSeq(items, ",") {
				from, to, _ := strings.Cut(item, "-")
				first, last := parseNumber(t, section+"."+from), parseNumber(t, section+"."+cmp.Or(to, from))
				for ; first[2] <= last[2]; first[2]++ {
					if levels[first] != 0 {
						t.Fatalf("%v is listed twice", first)
					}
					levels[first] = level
				}
			}
		}
	}
	return levels
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

var (
	asvsItem  = regexp.MustCompile(`^([\d.]+)(?:–([\d.]+))? \((levels? [12](?: and 2)?)\)$`)
	goTest    = regexp.MustCompile(`^([a-z][\w/]*)\.((?:Test|Fuzz)\w+)$`)
	testWord  = regexp.MustCompile("attack `([^`]+)`|`([^`]+)`(?: \"([^\"]+)\")?")
	emphasis  = regexp.MustCompile(`\*([A-Z][^*]+)\*`)
	asvsCount = regexp.MustCompile(
		`(\d+) requirements, of which (\d+) are met, (\d+) partly, (\d+) not, and (\d+) do not apply`)
	asvsStates = []string{"met", "partly", "not met", "n.a."} // in the order of asvsCount
)

// TestASVS checks the form of the page: each requirement once, in order and with its level, one of the four states, a
// reason, and a test or why there is none.
func TestASVS(t *testing.T) {
	page := readFile(t, asvsPath)
	levels := requirements(t)
	numbers := make([]asvsNumber, 0, len(levels))
	for n := range levels {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, compareNumbers)

	var seen []asvsNumber
	count := map[string]int{}
	for _, row := range asvsRows(t, page) {
		item, asks, state, reason, test := row[0], row[1], row[2], row[3], row[4]
		m := asvsItem.FindStringSubmatch(item)
		if m == nil {
			t.Errorf("%q is not the number and the level of a requirement", item)
			continue
		}
		first, last := parseNumber(t, m[1]), parseNumber(t, cmp.Or(m[2], m[1]))
		of := map[int]bool{}
		for _, n := range numbers {
			if compareNumbers(first, n) <= 0 && compareNumbers(n, last) <= 0 {
				seen = append(seen, n)
				of[levels[n]] = true
				count[state]++
			}
		}
		want := map[string]map[int]bool{"level 1": {1: true}, "level 2": {2: true}, "levels 1 and 2": {1: true, 2: true}}
		if fmt.Sprint(want[m[3]]) != fmt.Sprint(of) || levels[first] == 0 || levels[last] == 0 {
			t.Errorf("%s: the requirements have the levels %v", item, of)
		}
		if !slices.Contains(asvsStates, state) {
			t.Errorf("%s: the state is %q, want one of %q", item, state, asvsStates)
		}
		if len(asks) < 5 || len(reason) < 5 {
			t.Errorf("%s: asks for %q, reason %q", item, asks, reason)
		}
		if _, why, ok := strings.Cut(test, "review: "); ok {
			if len(why) < 5 {
				t.Errorf("%s: a review without a reason", item)
			}
		} else if !testWord.MatchString(test) {
			t.Errorf("%s: neither a test nor a review: %q", item, test)
		}
	}
	if !slices.Equal(seen, numbers) {
		for i, n := range seen {
			if i > 0 && compareNumbers(seen[i-1], n) >= 0 {
				t.Errorf("%v comes after %v, or twice", n, seen[i-1])
			}
		}
		for _, n := range numbers {
			if !slices.Contains(seen, n) {
				t.Errorf("%v has no row", n)
			}
		}
	}

	m := asvsCount.FindStringSubmatch(flat(page))
	if m == nil {
		t.Fatalf("%s does not say how many requirements are met", asvsPath)
	}
	for i, want := range append([]int{len(numbers)}, count[asvsStates[0]], count[asvsStates[1]], count[asvsStates[2]],
		count[asvsStates[3]]) {
		if m[i+1] != strconv.Itoa(want) {
			t.Errorf("%q: number %d should be %d", m[0], i+1, want)
		}
	}
	for i, line := range strings.Split(page, "\n") {
		if n := len([]rune(line)); n > 120 && !strings.HasPrefix(line, "|") {
			t.Errorf("%s:%d has %d columns, want at most 120", asvsPath, i+1, n)
		}
	}
}

// asvsRows returns the rows of all tables, each of which is below the heading of its chapter.
func asvsRows(t *testing.T, page string) [][]string {
	t.Helper()
	var rows [][]string
	for chapter, s := range sections(page) {
		for _, row := range s.table(t, "item").rows {
			if len(row) != 5 {
				t.Fatalf("a row has %d cells, want 5: %q", len(row), row)
			}
			if !strings.HasPrefix(row[0], strconv.Itoa(chapter)+".") {
				t.Errorf("%s is in chapter %d", row[0], chapter)
			}
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b []string) int {
		first := func(row []string) int {
			chapter, _, _ := strings.Cut(row[0], ".")
			n, _ := strconv.Atoi(chapter)
			return n
		}
		return cmp.Compare(first(a), first(b))
	})
	return rows
}

// TestASVSEvidence checks that the page names tests, titles, attacks, files and sections that exist.
func TestASVSEvidence(t *testing.T) {
	files, folders := map[string]bool{}, map[string]bool{}
	for _, p := range trackedFiles(t) {
		p = filepath.ToSlash(p)
		files[p] = true
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	attacks := readFile(t, "infra/attack/attacks.go")
	texts := readFile(t, pagePath) + readFile(t, "infra/RUNBOOK.md")
	tests := map[string]map[string]bool{} // names of test functions by folder
	found := 0
	for _, row := range asvsRows(t, readFile(t, asvsPath)) {
		for _, m := range testWord.FindAllStringSubmatch(strings.Join(row, " "), -1) {
			attack, word, title := m[1], m[2], m[3]
			test := goTest.FindStringSubmatch(word)
			switch {
			case attack != "":
				found++
				if !strings.Contains(attacks, fmt.Sprintf("{name: %q,", attack)) {
					t.Errorf("%s: there is no attack %q", row[0], attack)
				}
			case test != nil:
				found++
				if tests[test[1]] == nil {
					tests[test[1]] = testsOf(t, test[1])
				}
				if !tests[test[1]][test[2]] {
					t.Errorf("%s: %s has no %s", row[0], test[1], test[2])
				}
			case title != "":
				found++
				if !files[word] || !strings.Contains(readFile(t, word), title) {
					t.Errorf("%s: %s has no %q", row[0], word, title)
				}
			case strings.Contains(word, "/") && folders[strings.Split(word, "/")[0]]:
				if !files[word] && !folders[word] {
					t.Errorf("%s: there is no %s", row[0], word)
				}
			}
		}
		for _, m := range emphasis.FindAllStringSubmatch(row[3]+" "+row[4], -1) {
			if !strings.Contains(texts, "**"+m[1]) && !strings.Contains(texts, "\n### "+m[1]+"\n") {
				t.Errorf("%s: neither page has %q", row[0], m[1])
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d tests are named", found)
	}
}

// testsOf returns the test functions of the package in a folder.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(inRepo(t, dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range paths {
		src, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}
