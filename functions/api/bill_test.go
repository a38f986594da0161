package api_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
)

// List prices in dollars.
const (
	perRead     = 0.03 / 100_000
	perWrite    = 0.09 / 100_000
	perCall     = 0.40 / 1_000_000
	perSecond   = 0.000024 + 0.5*0.0000025 // of an instance with one vCPU and 512 MiB
	callSeconds = 0.01                     // of an instance that a call occupies, since others run at the same time
)

// terraformDefault reads the default of a variable.
func terraformDefault(t *testing.T, name string) int64 {
	t.Helper()
	file, err := os.ReadFile("../../infra/terraform/variables.tf")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)variable "` + name + `" \{.*?default\s*=\s*(\d+)`).FindSubmatch(file)
	if m == nil {
		t.Fatalf("variables.tf has no default of %s", name)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The answered HTTP calls of one hostile user cost less than half a cent in the worst minute: all windows begin in it,
// and the calls reach every instance that Terraform allows. The sum does not include refused calls. Each costs its
// invocation, like a call without an account.
func TestBillOfOneUser(t *testing.T) {
	const most = 0.01 / 2
	each := terraformDefault(t, "function_max_instances")
	total := 0.0
	shared := map[string]bool{}
	for _, b := range api.Budgets() {
		instances := each
		switch b.Segment {
		case "admin":
			instances = min(5, each) // admin.tf
		case "": // users, conversations, messages, me and admin
			instances = 4*each + min(5, each)
		}
		units := b.Free * instances
		cost := float64(instances) * perRead // each instance asks once more, and learns that nothing is left
		if !shared[b.Name] {
			shared[b.Name] = true
			units += b.Shared
			cost += (float64(b.Shared)/float64(b.Chunk) + 1) * (perRead + perWrite)
		}
		documents := float64(b.Reads)*perRead + float64(b.Writes)*perWrite
		switch {
		case b.Name == "sign-in":
			cost += float64(units) * documents // the calls are charged to other budgets, too
		case b.Name == "export-read":
			cost += float64(units) * perRead
			// An export occupies its instance while it waits. An export on another instance does not begin, or ends.
			cost += time.Minute.Seconds() * perSecond
		case b.Calls && b.Reads > 0:
			cost += float64(units) * (perCall + callSeconds*perSecond + documents)
		case b.Calls, b.Name == "people":
			// Their calls are charged to another budget, too.
		default:
			// The cheapest way to use up units are calls that read one document.
			calls := float64(units) / (api.CallUnits + 1)
			cost += calls * (perCall + callSeconds*perSecond + perRead)
		}
		t.Logf("%-14s %-14s %6d units  $%.5f", b.Name, b.Segment, units, cost)
		total += cost
	}
	// The use of each listed device is recorded once, in a transaction.
	total += store.MaxDevices * (perRead + perWrite)
	t.Logf("in total $%.6f a minute", total)
	if total > most {
		t.Errorf("one user can cost $%.5f a minute, want at most $%.5f", total, most)
	}
}

// The free allowance of a route covers one call with the default limit, so that ordinary use leases nothing.
func TestFreeAllowance(t *testing.T) {
	for _, b := range api.Budgets() {
		if b.Name == "read" && b.Free < 2*(api.CallUnits+1) {
			t.Errorf("%s: the free allowance is %d", b.Segment, b.Free)
		}
		if b.Name != "people" && b.Chunk > b.Shared {
			t.Errorf("%s: a chunk of %d is more than the budget of %d", b.Name, b.Chunk, b.Shared)
		}
	}
}
