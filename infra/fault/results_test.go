package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/fault/inject"
	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

// RESULTS.md has a row for each fault, with the right sum, and names only tests that exist.
func TestResults(t *testing.T) {
	b, err := os.ReadFile("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	checkFaultTable(t, page)
	checkTestNames(t, page)
}

func checkFaultTable(t *testing.T, page string) {
	sum := 0
	names := []string{"mixed"}
	for _, f := range inject.Faults {
		names = append(names, f.Name)
	}
	for _, name := range names {
		// lost, doubled, out of order, saved early, late live, by history, other
		pattern := `(?m)^\| ` + regexp.QuoteMeta(name) + ` \| ([\d,]+) \| 0 \| 0 \| 0 \| 0 \| 0 \| [\d,]+ \| 0 \|`
		row := regexp.MustCompile(pattern).FindStringSubmatch(page)
		if row == nil {
			t.Errorf("the run %s has no row", name)
			continue
		}
		sum += number(t, row[1])
	}
	total := regexp.MustCompile(`\*\*all (\d+), and mixed\*\* \| \*\*([\d,]+)\*\*`).FindStringSubmatch(page)
	if total == nil {
		t.Fatal("the table has no total")
	}
	if number(t, total[1]) != len(inject.Faults) || number(t, total[2]) != sum {
		t.Errorf("the total is %s messages in %s runs, want %d in %d", total[2], total[1], sum, len(inject.Faults))
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func checkTestNames(t *testing.T, page string) {
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	inGo := regexp.MustCompile("`([a-z/]+)` `(Test\\w+)`").FindAllStringSubmatch(page, -1)
	inWeb := regexp.MustCompile("`(web/[\\w/.]+\\.ts)` \"([^\"]+)\"").FindAllStringSubmatch(page, -1)
	if len(inGo) < 15 || len(inWeb) == 0 {
		t.Fatalf("the page names %d Go tests and %d tests of the client; has its format changed?", len(inGo), len(inWeb))
	}
	for _, ref := range inGo {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(ref[1]), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !anyContains(t, files, "func "+ref[2]+"(") {
			t.Errorf("the page names %s in %s, which does not exist", ref[2], ref[1])
		}
	}
	for _, ref := range inWeb {
		if !anyContains(t, []string{filepath.Join(root, filepath.FromSlash(ref[1]))}, `("`+ref[2]+`"`) {
			t.Errorf("the page names %q in %s, which does not exist", ref[2], ref[1])
		}
	}
}

func anyContains(t *testing.T, files []string, text string) bool {
	t.Helper()
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), text) {
			return true
		}
	}
	return false
}
