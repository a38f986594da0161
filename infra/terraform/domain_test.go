package terraform

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/cost"
)

// TestRevisionHeader checks that the smoke test sends the header by which the load balancer chooses the newest
// revision. With another name, it would test the revision that already serves.
func TestRevisionHeader(t *testing.T) {
	header := func(file, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(read(t, file))
		if m == nil {
			t.Fatalf("%s has no header", file)
		}
		return m[1]
	}
	sent := header("../pipeline/smoke/main.go", `revisionHeader = "([^"]+)"`)
	if chosen := header("domain.tf", `revision_header = "([^"]+)"`); chosen != sent {
		t.Errorf("the load balancer reads %s, and the smoke test sends %s", chosen, sent)
	}
	if page, _ := runbook(t); !strings.Contains(page, "`"+sent+": next`") {
		t.Errorf("the runbook does not name the header %s", sent)
	}
}

// TestNothingReadsThePlace checks what the runbook says about a client that sends a place of its own. Only the load
// balancer replaces these headers, so a program that reads them would believe every client of a chat without a domain.
func TestNothingReadsThePlace(t *testing.T) {
	headers := regexp.MustCompile(`header_name +=  *"([^"]+)"`).FindAllStringSubmatch(read(t, "domain.tf"), -1)
	if len(headers) != 2 {
		t.Fatalf("the load balancer adds the headers %v", headers)
	}
	for _, root := range []string{"../../realtime", "../../functions"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			for _, h := range headers {
				if strings.Contains(strings.ToLower(read(t, path)), strings.ToLower(h[1])) {
					t.Errorf("%s reads %s, which a client without a load balancer can forge", path, h[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDomainIsBilled checks that the costs are computed with the policies and rules of the load balancer.
func TestDomainIsBilled(t *testing.T) {
	text := read(t, "domain.tf")
	limits := regexp.MustCompile(`(?ms)^  address_limits = \{(.*?)^  \}`).FindString(text)
	policies := len(regexp.MustCompile(`(?m)^    \w+ = \{`).FindAllString(limits, -1))
	rules := policies * len(regexp.MustCompile(`(?m)^  rule \{`).FindAllString(text, -1))
	if policies != cost.DomainPolicies || rules != cost.DomainRules {
		t.Errorf("%d policies with %d rules, but the costs are computed with %d and %d (infra/cost/domain.go)", policies,
			rules, cost.DomainPolicies, cost.DomainRules)
	}
	if n := strings.Count(text, `resource "google_compute_global_forwarding_rule"`); n > 5 {
		t.Errorf("%d forwarding rules, but five are paid for", n)
	}
}
