package terraform

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reserved lists the resources whose name Google keeps reserved after they are deleted: the argument with the name,
// the resource that makes the name, and how long a name is reserved.
var reserved = map[string]struct{ argument, random, days string }{
	"google_apikeys_key.web":                     {"name", "random_id.web_key", "30"},
	"google_project_iam_custom_role.accounts":    {"role_id", "random_id.accounts_role", "37"},
	"google_project_iam_custom_role.own_account": {"role_id", "random_id.own_account_role", "37"},
	"google_project_iam_custom_role.audit":       {"role_id", "random_id.audit_role", "37"},
	"google_project_iam_custom_role.deploy[0]":   {"role_id", "random_id.pipeline_roles[0]", "37"},
	"google_project_iam_custom_role.plan[0]":     {"role_id", "random_id.pipeline_roles[0]", "37"},
	"google_logging_project_bucket_config.audit": {"bucket_id", "random_id.audit_bucket", "7"},
}

// TestReservedNames checks that the names of such resources have a random part. Without it, an apply after a destroy,
// or a replacement, fails until the name is free.
func TestReservedNames(t *testing.T) {
	s := applied(t)
	for address, r := range reserved {
		name, part := text(s.one(t, address), r.argument), text(s.one(t, r.random), "hex")
		if part == "" || !strings.HasSuffix(name, part) {
			t.Errorf("%s is called %q, without the random part %q of %s, and Google reserves the name for %s days",
				address, name, part, r.random, r.days)
		}
	}
	for _, kind := range []string{"google_apikeys_key", "google_project_iam_custom_role",
		"google_logging_project_bucket_config"} {
		for _, r := range s.of(kind) {
			if reserved[r.Address].random == "" {
				t.Errorf("%s is not in the list, although Google reserves the names of its type", r.Address)
			}
		}
	}
}

// TestReplacementsGetNewNames checks that the runbook replaces the random part of such a name, and not the resource.
func TestReplacementsGetNewNames(t *testing.T) {
	runbook, _ := runbook(t)
	n := 0
	for _, m := range regexp.MustCompile(`-replace=([\w.]+)`).FindAllStringSubmatch(runbook, -1) {
		n++
		if r, ok := reserved[m[1]]; ok {
			t.Errorf("the runbook says -replace=%s, which fails because the name is reserved; say -replace=%s", m[1], r.random)
		}
	}
	if n == 0 {
		t.Error("the runbook replaces nothing")
	}
}

// imports lists the resources that exist in some projects before the first apply, with the id under which the
// provider imports them, and the variable that asks for it.
var imports = map[string][2]string{
	"google_identity_platform_config.this": {"projects/${var.project}/config", "var.adopt_identity_platform"},
	"google_firebaserules_release.firestore": {
		"projects/${var.project}/releases/cloud.firestore", "var.adopt_firebase_rules"},
}

func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.tf")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)^import \{\n +for_each = (\S+) .*\n +to +=  *(\S+)\n +id +=  *"(\S+)"\n\}$`)
	found := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(data), -1) {
			found[m[2]] = true
			if want := imports[m[2]]; want != [2]string{m[3], m[1]} {
				t.Errorf("%s: %s is imported as %s if %s, want %q", file, m[2], m[3], m[1], want)
			}
		}
	}
	for address := range imports {
		if !found[address] {
			t.Errorf("%s cannot be imported", address)
		}
	}
}

// TestProvidersAreExact checks that an apply without the lock file cannot take another version of a provider than the
// one that was tested.
func TestProvidersAreExact(t *testing.T) {
	file, err := os.ReadFile("versions.tf")
	if err != nil {
		t.Fatal(err)
	}
	sources := regexp.MustCompile(`source\s*=\s*"hashicorp/`).FindAll(file, -1)
	exact := regexp.MustCompile(`\sversion\s*=\s*"\d+\.\d+\.\d+"`).FindAll(file, -1)
	if len(sources) == 0 || len(exact) != len(sources) {
		t.Errorf("versions.tf has %d providers, %d of them with an exact version", len(sources), len(exact))
	}
}
