package terraform

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plansFile lists what the first plan of a project creates, for the profiles in tests/plans.tftest.hcl. Operators read
// it before their first apply. After a change of the configuration, write it again and read the difference:
//
//	go test ./infra/terraform -run TestPlans -update
const plansFile = "testdata/plans.txt"

// plan is a plan of tests/plans.tftest.hcl: the planned values of each resource, by address.
type plan struct {
	name      string
	resources map[string]map[string]any
}

func TestPlans(t *testing.T) {
	applied(t) // runs init too
	out, err := terraform(nil, "test", "-json", "-verbose", "-filter=tests/plans.tftest.hcl")
	if err != nil {
		t.Fatal(err)
	}
	plans := readPlans(t, out)
	var names []string
	for _, p := range plans {
		names = append(names, p.name)
	}
	if !slices.Equal(names, []string{"default", "durable", "own_domain"}) {
		t.Fatalf("the plans are %v", names)
	}
	var b strings.Builder
	b.WriteString("What the first plan of a project creates (plans_test.go).\n")
	for i, p := range plans {
		if len(p.resources) < 100 {
			t.Errorf("the plan %s has only %d resources", p.name, len(p.resources))
		}
		fmt.Fprintf(&b, "\n%s: %d resources\n", p.name, len(p.resources))
		if i == 0 {
			write(&b, "", slices.Collect(maps.Keys(p.resources)))
			continue
		}
		b.WriteString(differences(plans[0], p))
	}
	if *update {
		if err := os.WriteFile(plansFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, plansFile); b.String() != want {
		t.Errorf("%s is out of date; run this test with -update. The plans are now:\n%s", plansFile, b.String())
	}
}

// testPlan is a plan in the output of `terraform test -json -verbose`.
type testPlan struct {
	Type string `json:"type"`
	Run  string `json:"@testrun"`
	Plan struct {
		Changes []struct {
			Address string `json:"address"`
			Mode    string `json:"mode"`
			Change  struct {
				Actions []string `json:"actions"`
				Before  any      `json:"before"`
				After   any      `json:"after"`
			} `json:"change"`
		} `json:"resource_changes"`
	} `json:"test_plan"`
}

// testPlans returns the plans in the output of `terraform test -json -verbose`.
func testPlans(t *testing.T, out []byte) (plans []testPlan) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line testPlan
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Type == "test_plan" {
			plans = append(plans, line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return plans
}

// readPlans returns what each plan creates.
func readPlans(t *testing.T, out []byte) (plans []plan) {
	t.Helper()
	for _, line := range testPlans(t, out) {
		p := plan{name: line.Run, resources: map[string]map[string]any{}}
		for _, c := range line.Plan.Changes {
			if after, ok := c.Change.After.(map[string]any); ok && c.Mode == "managed" &&
				slices.Equal(c.Change.Actions, []string{"create"}) {
				p.resources[c.Address] = after
			}
		}
		plans = append(plans, p)
	}
	return plans
}

// madeUp matches the values that a mock generates for what only Google knows. They differ in each plan.
var madeUp = regexp.MustCompile(`^[0-9a-z]{8}$`)

func isMadeUp(v any) bool {
	text, ok := v.(string)
	return ok && madeUp.MatchString(text)
}

var instanceKey = regexp.MustCompile(`\["?[^\]]*\]`)

// write writes addresses in order. Instances of the same resource are counted on one line.
func write(b *strings.Builder, prefix string, addresses []string) {
	count := map[string]int{}
	for _, a := range addresses {
		count[instanceKey.ReplaceAllString(a, "")]++
	}
	for _, a := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(b, "  %s%s", prefix, a)
		if count[a] > 1 {
			fmt.Fprintf(b, " × %d", count[a])
		}
		b.WriteString("\n")
	}
}

// differences describes what a plan has beside the base, and which arguments differ.
func differences(base, p plan) string {
	var b strings.Builder
	var added, missing []string
	for a := range p.resources {
		if base.resources[a] == nil {
			added = append(added, a)
		}
	}
	for a := range base.resources {
		if p.resources[a] == nil {
			missing = append(missing, a)
		}
	}
	write(&b, "+ ", added)
	write(&b, "- ", missing)
	for _, a := range slices.Sorted(maps.Keys(p.resources)) {
		if before := base.resources[a]; before != nil {
			for _, change := range changes("", before, p.resources[a]) {
				fmt.Fprintf(&b, "  ~ %s: %s\n", a, change)
			}
		}
	}
	return b.String()
}

// changes lists the values that differ between two values, with their path. Lists of named settings, such as the
// environment of a container, are compared by name.
func changes(path string, a, b any) (all []string) {
	am, aok := named(a)
	bm, bok := named(b)
	if !aok || !bok {
		if !reflect.DeepEqual(a, b) && !(isMadeUp(a) && isMadeUp(b)) {
			all = append(all, fmt.Sprintf("%s = %s, not %s", strings.TrimPrefix(path, "."), encoded(b), encoded(a)))
		}
		return all
	}
	keys := maps.Clone(am)
	maps.Copy(keys, bm)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, changes(path+"."+k, am[k], bm[k])...)
	}
	return all
}

// named returns an object, or a list whose elements are objects, as a map.
func named(v any) (map[string]any, bool) {
	if m, ok := v.(map[string]any); ok {
		return m, true
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, false
	}
	m := map[string]any{}
	for i, e := range list {
		o, ok := e.(map[string]any)
		if !ok {
			return nil, false
		}
		key := fmt.Sprint(i)
		if name, ok := o["name"].(string); ok && !isMadeUp(name) {
			key = name
		}
		m[key] = o
	}
	return m, true
}

func encoded(v any) string {
	if v == nil {
		return "unset"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
