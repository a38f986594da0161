package terraform

import (
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
