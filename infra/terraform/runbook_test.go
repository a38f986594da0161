package terraform

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/cost"
)

// runbook returns infra/RUNBOOK.md and its headings.
func runbook(t *testing.T) (text string, headings []string) {
	t.Helper()
	data, err := os.ReadFile("../RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^#{2,3} (.+)$`).FindAllStringSubmatch(string(data), -1) {
		headings = append(headings, m[1])
	}
	return string(data), headings
}

// TestEveryAlertHasASection checks that every alert has a section in the runbook and a minimum duration, and that
// every section about an alert has an alert.
func TestEveryAlertHasASection(t *testing.T) {
	_, headings := runbook(t)
	var alerts []string
	for _, r := range applied(t).of("google_monitoring_alert_policy") {
		name, ok := strings.CutPrefix(text(r, "display_name"), "Chat: ")
		if !ok {
			t.Errorf("%s is called %q", r.Address, text(r, "display_name"))
		}
		alerts = append(alerts, "Alert: "+name)
		if !slices.Contains(headings, "Alert: "+name) {
			t.Errorf("the runbook has no section %q", "Alert: "+name)
		}
		if content := text(r, "documentation", 0, "content"); !strings.Contains(content, `section "Alert: `+name+`"`) {
			t.Errorf("%s does not name its section: %s", r.Address, content)
		}
		conditions, _ := at(r.Values, "conditions").([]any)
		if len(conditions) != 1 {
			t.Errorf("%s has %d conditions", r.Address, len(conditions))
		}
		window := ""
		for _, kind := range []string{"condition_threshold", "condition_absent", "condition_prometheus_query_language"} {
			window += text(r, "conditions", 0, kind, 0, "duration")
		}
		if !regexp.MustCompile(`^[1-9]\d+s$`).MatchString(window) {
			t.Errorf("%s fires after %q, so one bad moment would wake the operator", r.Address, window)
		}
		if n, _ := at(r.Values, "notification_channels").([]any); len(n) != 1 {
			t.Errorf("%s notifies %d addresses, want 1", r.Address, len(n))
		}
	}
	for _, h := range headings {
		if strings.HasPrefix(h, "Alert: ") && !slices.Contains(alerts, h) {
			t.Errorf("the runbook explains %q, which does not exist", h)
		}
	}
	if len(alerts) != cost.AlertConditions {
		t.Errorf("%d alerts, but the costs are computed with %d (infra/cost/bill.go)", len(alerts), cost.AlertConditions)
	}
}

// TestRunbookIsTrue checks that the variables, outputs, links and files in the runbook exist.
func TestRunbookIsTrue(t *testing.T) {
	text, headings := runbook(t)
	variables, outputs := map[string]bool{}, map[string]bool{}
	for _, b := range blocks(t) {
		switch {
		case b.file == "variables.tf":
			variables[b.name] = true
		case b.kind == "output" && !strings.Contains(b.file, "/"):
			outputs[b.name] = true
		}
	}
	for _, m := range regexp.MustCompile("-var (\\w+)=|`(\\w+) = ").FindAllStringSubmatch(text, -1) {
		if name := m[1] + m[2]; !variables[name] {
			t.Errorf("the runbook sets %q, which is not a variable", name)
		}
	}
	for _, m := range regexp.MustCompile(`output -raw (\w+)`).FindAllStringSubmatch(text, -1) {
		if !outputs[m[1]] {
			t.Errorf("the runbook reads %q, which is not an output", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc(headings, func(h string) bool {
			words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h), "")
			return strings.ReplaceAll(words, " ", "-") == m[1]
		}) {
			t.Errorf("the runbook links to #%s, which does not exist", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Errorf("the runbook links to %s: %v", m[1], err)
		}
	}
	path := regexp.MustCompile("(?:go run \\./|`)((?:functions|infra)/[\\w./-]+\\w)")
	for _, m := range path.FindAllStringSubmatch(text, -1) {
		if m[1] == "infra/terraform/production.auto.tfvars" || m[1] == "infra/terraform/backend.tf" { // made by the operator
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", m[1])); err != nil {
			t.Errorf("the runbook names %s: %v", m[1], err)
		}
	}
}

// TestSettingsOfRealtimeNeedARevision checks that each section that sets a variable of realtime, or replaces what
// realtime reads its settings from, links the section that says how users get the new revision. After a run of the
// pipeline, an apply alone makes a revision without traffic.
func TestSettingsOfRealtimeNeedARevision(t *testing.T) {
	page, _ := runbook(t)
	names := []string{"domain", "keep_run_app", "realtime_max_instances"}
	for _, m := range regexp.MustCompile(`var\.(\w+)`).FindAllStringSubmatch(read(t, "realtime.tf"), -1) {
		if !slices.Contains([]string{"project", "region", "protect", "image"}, m[1]) {
			names = append(names, m[1])
		}
	}
	sets := regexp.MustCompile("`(" + strings.Join(names, "|") + ")( = [^`]*)?`|(?m)^(" + strings.Join(names, "|") +
		") += |-replace=(random_id\\.web_key|google_redis_cluster\\.this)")
	n := 0
	for _, section := range regexp.MustCompile(`(?m)^#{2,3} `).Split(page, -1) {
		heading, text, _ := strings.Cut(section, "\n")
		if heading == "Change a setting" || !sets.MatchString(text) {
			continue
		}
		n++
		if !strings.Contains(strings.Join(strings.Fields(text), " "), "[Change a setting](#change-a-setting)") {
			t.Errorf("%q sets %s, but does not link \"Change a setting\"", heading, sets.FindString(text))
		}
	}
	if n < 7 {
		t.Errorf("found only %d sections that change a setting of realtime", n)
	}
}

// TestRestoreCanBeRepeated checks that each restore has a bucket and a database of its own. With a fixed name, a second
// one would fail, or mix two moments.
func TestRestoreCanBeRepeated(t *testing.T) {
	page, _ := runbook(t)
	_, section, _ := strings.Cut(page, "\n## Restore Firestore\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, name := range []string{`export B="$P-restore-`, `export D="restored-`} {
		if !strings.Contains(section, name+`$(date -u +%Y%m%d-%H%M%S)"`) {
			t.Errorf("the restore does not say %s…", name)
		}
	}
	if n := strings.Count(section, `"gs://$B`); n < 4 || strings.Count(section, "gs://") != n {
		t.Errorf("the restore uses a bucket other than gs://$B, or only %d times this one", n)
	}
}

// TestSectionsThatAreReferredTo checks that the sections to which scripts and configuration files refer exist.
func TestSectionsThatAreReferredTo(t *testing.T) {
	_, headings := runbook(t)
	reference := regexp.MustCompile(`infra/RUNBOOK\.md, (?:section )?\\?"([^"\\$]+)\\?"`)
	n := 0
	checkFile := func(path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllStringSubmatch(string(data), -1) {
			n++
			if !slices.Contains(headings, m[1]) {
				t.Errorf("%s refers to the section %q, which the runbook does not have", path, m[1])
			}
		}
	}
	checkFile("../../cloudbuild.yaml")
	for _, dir := range []string{".", "../pipeline"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == ".terraform" {
				return fs.SkipDir
			}
			if !d.IsDir() && !strings.HasSuffix(path, "_test.go") {
				checkFile(path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 6 {
		t.Errorf("found only %d references", n)
	}
}
