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

// mostOfAMinute is what one hostile user may cost in a minute, in dollars; half of it for calls.
const mostOfAMinute = 0.012

// The answered HTTP calls of one hostile user cost less than that in the worst minute: all windows begin in it, and the
// calls reach every instance that Terraform allows. The sum does not include refused calls. Each costs its invocation,
// like a call without an account.
func TestBillOfOneUser(t *testing.T) {
	instances := terraformDefault(t, "function_max_instances")
	total := 0.0
	shared := map[string]bool{}
	for _, b := range api.Budgets() {
		n := instances
		if b.Segment == "admin" {
			n = min(5, instances) // admin.tf
		}
		units := b.Free * n
		leases := float64(n) // each instance asks once more, and learns that nothing is left
		if !shared[b.Name] {
			shared[b.Name] = true
			units += b.Shared
			leases += float64(b.Shared)/float64(b.Chunk) + 1
		}
		cost := leases * (perRead + perWrite)
		switch {
		case b.Name == "people", b.Name == "export", b.Name == "display-name":
			// Their calls are charged to another budget, too.
		case b.Name == "export-read":
			cost += float64(units) * perRead
			// An export occupies its instance while it waits. An export on another instance does not begin, or ends.
			cost += time.Minute.Seconds() * perSecond
		case b.Name == "profile":
			// Registering a device for push reads the caller, the user, the devices, the owner of the endpoint and their record
			// and devices, and for the gates the user once and the owner twice. It writes the user, the devices and the
			// endpoint, and so does the removal that may follow. (Taking the endpoint from its owner writes less.) A change of
			// the username reads the caller, the user and the name, and writes the user and two names. One of the picture
			// reads less: it writes the user and the picture, and deletes the old one.
			cost += float64(units) * (perCall + callSeconds*perSecond + 9*perRead + 6*perWrite)
		case b.Name == "safety":
			// Blocking reads the caller, the other person and the user, writes the user, and reads it again for the gate.
			cost += float64(units) * (perCall + callSeconds*perSecond + 4*perRead + perWrite)
		case b.Calls:
			// The call is refused after the caller is read, or counted in another budget. (An account is deleted once.)
			cost += float64(units) * (perCall + callSeconds*perSecond + perRead)
		default:
			// The cheapest way to use up units are calls that read one document.
			calls := float64(units) / (api.CallUnits + 1)
			cost += calls * (perCall + callSeconds*perSecond + perRead)
		}
		t.Logf("%-14s %-14s %6d units  $%.5f", b.Name, b.Segment, units, cost)
		total += cost
	}
	// Each of the listed devices is recorded once, in a transaction. (A new sign-in is limited by the sign-in system.)
	total += store.MaxDevices * (perRead + perWrite)
	t.Logf("in total $%.6f a minute", total)
	if total > mostOfAMinute/2 {
		t.Errorf("one user can cost $%.5f a minute, want at most half of $%.3f", total, mostOfAMinute)
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
