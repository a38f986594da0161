package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/internal/repo"
)

// allPatches returns the root of the repository and its patches.
func allPatches(t *testing.T) (root string, list []*patch) {
	t.Helper()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	list, err = loadPatches(filepath.Join(root, "infra", "mutants", "patches"))
	if err != nil {
		t.Fatal(err)
	}
	return root, list
}

// A patch whose lines have changed tests nothing. Adapt it together with these lines.
func TestEveryPatchApplies(t *testing.T) {
	root, list := allPatches(t)
	if err := checkAll(root, list); err != nil {
		t.Error(err)
	}
	if len(list) < 40 {
		t.Errorf("there are %d patches, want at least 40", len(list))
	}
}

// Every Lua script has a patch, because mutation tools for Go do not see them.
func TestEveryScriptHasAPatch(t *testing.T) {
	root, list := allPatches(t)
	patched := map[string]bool{}
	for _, p := range list {
		for _, e := range p.edits {
			patched[e.file] = true
		}
	}
	scripts, err := filepath.Glob(filepath.Join(root, "realtime", "*", "lua", "*.lua"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for _, script := range scripts {
		rel, err := filepath.Rel(root, script)
		if err != nil {
			t.Fatal(err)
		}
		if rel = filepath.ToSlash(rel); !patched[rel] {
			t.Errorf("%s has no patch", rel)
		}
	}
}

// RESULTS.md has a row for each patch, no patch survived, and its summary counts the rows.
func TestResultsListEveryPatch(t *testing.T) {
	root, list := allPatches(t)
	text, err := os.ReadFile(filepath.Join(root, "infra", "mutants", "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	updated, err := updateTable(string(text), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if updated != string(text) {
		t.Error("RESULTS.md differs from the patches; -check -write adds what is missing")
	}
	_, _, rows, err := splitTable(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.outcome != noticed && r.outcome != equivalent && r.outcome != notRun {
			t.Errorf("%s: %s", r.name, r.outcome)
		}
	}
}

func TestUpdateTable(t *testing.T) {
	list := []*patch{{name: "a", why: "new a"}, {name: "b", why: "b"}, {name: "c", why: "c"}}
	text := "Intro.\n\nOf 7 patches, all are old.\n\n" + tableHead +
		"| a | old a | noticed | ./x TestA \\| more |\n| c | c | noticed | ./x TestC |\n| a | a | not run |  |\n" +
		"| gone | x | not run |  |\n\nEnd.\n"
	want := "Intro.\n\nOf 3 patches, 1 are noticed, 0 are equivalent, 1 survived, 0 could not be tried, and 1 were not " +
		"run.\n\n" + tableHead + "| a | new a | noticed | ./x TestA \\| more |\n| b | b | not run |  |\n" +
		"| c | c | SURVIVED |  |\n\nEnd.\n"
	got, err := updateTable(text, list, []result{{Name: "c", Why: "c", Outcome: survived}})
	if err != nil || got != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
	for name, bad := range map[string]string{
		"no table": "Of 7 patches, all are old.\n", "no summary": tableHead,
	} {
		if _, err := updateTable(bad, list, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

const sample = "why: it matters\ntest: go ./x TestA\n--- a.txt\ntwo\n+++\n2\n"

func TestParsePatch(t *testing.T) {
	p, err := parsePatch("sample", sample)
	if err != nil {
		t.Fatal(err)
	}
	if p.why != "it matters" || len(p.tests) != 1 || p.tests[0] != (test{"go", "./x TestA"}) ||
		len(p.edits) != 1 || p.edits[0] != (edit{"a.txt", "two\n", "2\n"}) {
		t.Errorf("parsed %+v", p)
	}
	for name, text := range map[string]string{
		"no reason":   strings.Replace(sample, "why: it matters\n", "", 1),
		"no test":     strings.Replace(sample, "test: go ./x TestA\n", "", 1),
		"no edit":     "why: it matters\ntest: go ./x TestA\n",
		"no change":   strings.Replace(sample, "\n2\n", "\ntwo\n", 1),
		"unknown key": "what: it matters\n" + sample,
	} {
		if _, err := parsePatch(name, text); err == nil {
			t.Errorf("%s: the patch was accepted", name)
		}
	}
}

func TestApply(t *testing.T) {
	p, err := parsePatch("sample", sample)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"one\ntwo\nthree\n": "one\n2\nthree\n",
		"two\n":             "2\n",
		"one\nthree\n":      "",
		"two\none\ntwo\n":   "",
		"one and two\n":     "",
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files, err := p.mutated(root)
		if (err != nil) != (want == "") || files["a.txt"] != want {
			t.Errorf("%q becomes %q, %v; want %q", text, files["a.txt"], err, want)
		}
	}
}
