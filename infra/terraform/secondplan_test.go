package terraform

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSecondPlan applies the default settings with the real provider, against Google's APIs as google_test.go has them,
// then all that the configuration can create, and destroys it. A plan after each apply must be empty, and the change of
// the settings must keep everything that exists. Recorded schemas cannot show what a provider reads back; without the
// real provider, TestReadBack checks the arguments for which it matters.
//
//	PHOENIX_TEST_SECOND_PLAN=1 TERRAFORM=terraform go test ./infra/terraform -run TestSecondPlan
func TestSecondPlan(t *testing.T) {
	if os.Getenv("PHOENIX_TEST_SECOND_PLAN") == "" {
		t.Skip("PHOENIX_TEST_SECOND_PLAN is not set; this takes ten minutes and needs the real provider")
	}
	if err := initialized(); err != nil {
		t.Fatal(err)
	}
	if !realProvider(t) {
		t.Fatal("TERRAFORM has recorded schemas in place of the provider google")
	}
	apis := newGoogleAPIs()
	server := httptest.NewServer(apis)
	defer server.Close()
	dir, err := copied()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(), "test", "-json", "-verbose", "-test-directory=testdata/secondplan")
	cmd.Dir = dir
	cmd.Env = append(environment(), apis.endpoints(server.URL)...)
	cmd.Env = append(cmd.Env, "GOOGLE_OAUTH_ACCESS_TOKEN=a-token")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("terraform test: %v\nnot found: %s\n%s", err, strings.Join(apis.unknown, "\n"), problems(out))
	}
	plans := changed(t, out)
	for _, run := range []string{"default_again", "change", "everything_again"} {
		i := slices.IndexFunc(plans, func(p secondPlan) bool { return p.run == run })
		if i < 0 {
			t.Errorf("there is no plan %q", run)
			continue
		}
		for _, change := range plans[i].changes {
			if run != "change" {
				t.Errorf("the plan %q is not empty: %s", run, change)
			}
		}
		for _, address := range plans[i].deletes {
			t.Errorf("the plan %q deletes or replaces %s", run, address)
		}
	}
}

// realProvider reports whether Terraform has installed the provider google itself. It is many times larger than a
// program that serves its schema.
func realProvider(t *testing.T) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scratch, "data/providers/registry.terraform.io/hashicorp/google/*/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 40<<20
	})
}

// secondPlan is a plan, and what it would change.
type secondPlan struct {
	run     string
	changes []string
	deletes []string // addresses of what is deleted before or without creating another one
}

// changed returns what each plan would change.
func changed(t *testing.T, out []byte) (plans []secondPlan) {
	t.Helper()
	for _, line := range testPlans(t, out) {
		p := secondPlan{run: line.Run}
		for _, c := range line.Plan.Changes {
			if slices.Contains(c.Change.Actions, "delete") && c.Change.Actions[0] != "create" {
				p.deletes = append(p.deletes, c.Address)
			}
			if !slices.Equal(c.Change.Actions, []string{"no-op"}) {
				p.changes = append(p.changes, c.Address+": "+strings.Join(changes("", c.Change.Before, c.Change.After), "; "))
			}
		}
		plans = append(plans, p)
	}
	return plans
}

// problems returns the errors in the output of `terraform test -json`.
func problems(out []byte) string {
	var b strings.Builder
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte(`"@level":"error"`)) || !bytes.HasPrefix(line, []byte("{")) {
			b.Write(line[:min(len(line), 2000)])
		}
	}
	return b.String()
}
