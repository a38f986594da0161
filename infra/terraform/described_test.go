package terraform

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a variable or output block of a configuration file.
type block struct{ file, kind, name, body string }

var blockStart = regexp.MustCompile(`(?m)^(variable|output) "([^"]+)" \{\n`)

// blocks returns the variable and output blocks of all modules.
func blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".tf") || strings.HasPrefix(path, ".terraform") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range blockStart.FindAllSubmatchIndex(text, -1) {
			body, _, ok := strings.Cut(string(text[m[1]:]), "\n}\n")
			if !ok {
				t.Errorf("%s: the block %s has no end", path, text[m[4]:m[5]])
			}
			all = append(all, block{path, string(text[m[2]:m[3]]), string(text[m[4]:m[5]]), body})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEverythingIsDescribed(t *testing.T) {
	sentence := regexp.MustCompile(`(?m)^  description = "[^"].{10,}"$`)
	n := 0
	for _, b := range blocks(t) {
		n++
		if !sentence.MatchString(b.body) {
			t.Errorf("%s: %s %q has no description", b.file, b.kind, b.name)
		}
		if b.kind == "variable" && !regexp.MustCompile(`(?m)^  type +=`).MatchString(b.body) {
			t.Errorf("%s: variable %q has no type", b.file, b.name)
		}
		// Every variable that an operator sets can be wrong, except a boolean.
		if b.kind == "variable" && b.file == "variables.tf" && !strings.Contains(b.body, "= bool") &&
			!strings.Contains(b.body, "validation {") {
			t.Errorf("variable %q is not validated", b.name)
		}
	}
	if n < 30 {
		t.Errorf("found only %d variables and outputs", n)
	}
}

// TestHostedURLComesFirst checks that hosted_url is the first output, because operators need it most. Terraform
// prints outputs in the order of their names.
func TestHostedURLComesFirst(t *testing.T) {
	var names []string
	for _, b := range blocks(t) {
		if b.kind == "output" && !strings.Contains(b.file, "/") {
			names = append(names, b.name)
		}
	}
	if first := slices.Min(names); first != "hosted_url" {
		t.Errorf("the first output is %q", first)
	}
}

// TestEveryRefusalIsTried checks that every validation has a test, because without one it may never fail.
func TestEveryRefusalIsTried(t *testing.T) {
	tests, err := os.ReadFile("tests/refusals.tftest.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks(t) {
		if b.kind != "variable" || b.file != "variables.tf" {
			continue
		}
		want := strings.Count(b.body, "validation {")
		if got := len(regexp.MustCompile(`\bvar\.`+b.name+`\b`).FindAll(tests, -1)); got < want {
			t.Errorf("variable %q has %d validations and %d refusals in tests/refusals.tftest.hcl", b.name, want, got)
		}
	}
}
