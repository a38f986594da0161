package terraform

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile are files that an operator commits or creates beside the configuration, as the runbook says. Terraform loads
// each of them by itself.
var hostile = map[string]string{
	"production.auto.tfvars": "keep_code = true\nregion = \"europe-west4\"\n",
	"other.auto.tfvars.json": `{"keep_code": true}`,
	"terraform.tfvars":       "keep_code = true\n",
	"backend.tf":             "terraform {\n  backend \"gcs\" {}\n}\n",
	"backend_override.tf":    "terraform {\n  backend \"gcs\" {\n    bucket = \"acme\"\n  }\n}\n",
	"terraform.tfstate":      "{}",
}

// hostileCopy returns a copy of the configuration with the hostile files, and a copy of that one.
func hostileCopy(t *testing.T) (operators, tests string) {
	t.Helper()
	operators, err := copyOf(".", filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range hostile {
		if err := os.WriteFile(filepath.Join(operators, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests, err = copyOf(operators, filepath.Join(t.TempDir(), "b"))
	if err != nil {
		t.Fatal(err)
	}
	return operators, tests
}

// TestCopyHasNoSettings checks that the copy in which the tests run has the configuration, but not the operator's
// files.
func TestCopyHasNoSettings(t *testing.T) {
	operators, tests := hostileCopy(t)
	before, err := os.ReadDir(operators)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, e := range before {
		_, unwanted := hostile[e.Name()]
		_, err := os.Stat(filepath.Join(tests, e.Name()))
		if there := err == nil; there == unwanted {
			t.Errorf("%s is in the copy: %t", e.Name(), there)
		} else if there {
			kept++
		}
	}
	if kept < 40 {
		t.Errorf("the copy has only %d files", kept)
	}
	for _, path := range []string{"go.mod", "functions", "realtime", "web/src", "infra/pipeline/submit"} {
		if _, err := os.Stat(filepath.Join(tests, "../..", path)); err != nil {
			t.Error(err)
		}
	}
}

// TestSettingsDoNotChangeTests checks with Terraform itself that the operator's settings have no effect on the tests,
// and that they would have one without the copy.
func TestSettingsDoNotChangeTests(t *testing.T) {
	if os.Getenv("TERRAFORM") == "" {
		t.Skip("TERRAFORM is not set; it names a Terraform program with the providers or their schemas")
	}
	operators, tests := hostileCopy(t)
	// The program cannot reach a remote state. So that it loads the settings, this copy has no backend.
	for _, name := range []string{"backend.tf", "backend_override.tf", "terraform.tfstate"} {
		if err := os.Remove(filepath.Join(operators, name)); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{operators: "europe-west4", tests: "europe-west1"} {
		if _, err := terraformIn(dir, nil, "init", "-backend=false", "-input=false", "-no-color"); err != nil {
			t.Fatal(err)
		}
		out, err := terraformIn(dir, strings.NewReader("var.region\n"), "console", "-var", "project=acme-chat")
		if got := strings.TrimSpace(string(out)); err != nil || got != fmt.Sprintf("%q", want) {
			t.Errorf("the region in %s is %s, want %q: %v", dir, got, want, err)
		}
	}
}
