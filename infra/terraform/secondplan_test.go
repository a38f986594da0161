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

// TestSecondPlan applies all that the configuration can create with the real provider, against Google's APIs as
// google_test.go has them, plans again, and destroys it. The second plan must be empty. Recorded schemas cannot show
// what a provider reads back; without the real provider, TestReadBack checks the arguments for which it matters.
//
//	PHOENIX_TEST_SECOND_PLAN=1 TERRAFORM=terraform go test ./infra/terraform -run TestSecondPlan
func TestSecondPlan(t *testing.T) {
	if os.Getenv("PHOENIX_TEST_SECOND_PLAN") == "" {
		t.Skip("PHOENIX_TEST_SECOND_PLAN is not set; this takes five minutes and needs the real provider")
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
	if i := slices.IndexFunc(plans, func(p secondPlan) bool { return p.run == "second" }); i >= 0 {
		for _, change := range plans[i].changes {
			t.Errorf("the second plan is not empty: %s", change)
		}
	} else {
		t.Error("there is no second plan")
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
}

// changed returns what each plan would change.
func changed(t *testing.T, out []byte) (plans []secondPlan) {
	t.Helper()
	for _, line := range testPlans(t, out) {
		p := secondPlan{run: line.Run}
		for _, c := range line.Plan.Changes {
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
