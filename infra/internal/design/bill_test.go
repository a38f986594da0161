package design

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/functions/api"
	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/infra/cost"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
)

// The list prices are those of the costs in the runbook.
const (
	leastMessage = 1 << 10 // bytes that a Pub/Sub message is billed for at least
	callSeconds  = 0.01    // of an instance that a call occupies, since others run at the same time
)

// mostOfAMinute is what one hostile user may cost in a minute, in dollars.
const mostOfAMinute = 0.01

// item is one line of the bill.
type item struct {
	what                   string
	reads, writes, deletes float64
	bytes                  float64 // of Pub/Sub messages
	calls, seconds         float64 // of functions, and of their instances beyond callSeconds
}

func (i item) dollars() float64 {
	return i.reads*cost.ReadDollars + i.writes*cost.WriteDollars + i.deletes*cost.DeleteDollars +
		2*i.bytes*cost.ByteDollars + i.calls*(cost.CallDollars+callSeconds*cost.InstanceSecond) +
		i.seconds*cost.InstanceSecond
}

// TestBill adds up what one hostile user can make us pay in the worst minute. All windows begin in it, limits that an
// instance keeps are used on every instance that Terraform allows by default, and accomplices acknowledge everything
// that the user sends.
//
// Calls that are refused are not in the sum, because they need no account. Neither is traffic.
func TestBill(t *testing.T) {
	realtimes := float64(terraformDefault(t, "realtime_max_instances"))
	functions := float64(terraformDefault(t, "function_max_instances"))
	perMinute := func(r session.Rate) float64 { return float64(r.Burst) + 60*r.PerSecond }
	limits, rates := inbox.Limits{}.WithDefaults(), session.Limits{}.WithDefaults()

	sends := float64(limits.SendsPerMinute)
	marks := perMinute(rates.UserReads) * realtimes
	flushes := min(marks, realtimes*60/2) // receipts alone are gathered for 2 s
	unknown := perMinute(rates.UnknownUIDs) * realtimes
	watched := float64(terraformDefault(t, "watched_hourly")) * realtimes
	asked := float64(parse(t, "realtime/inbox").number(t, "asksPerMinute")) * realtimes

	notified := min(sends, realtimes*(away.SenderBurst+time.Minute.Seconds()/away.SenderEvery.Seconds()))

	bill := []item{
		{what: "sends: a message and a conversation each, alone in a batch", writes: 2 * sends, bytes: sends * inbox.MaxEvent,
			calls: sends},
		{what: "sends: read and deleted later", reads: sends, deletes: sends},
		{what: "notifications: an event each", reads: 4 * notified, calls: notified, bytes: notified * leastMessage},
		{what: "read marks: a conversation each", writes: marks, bytes: flushes * leastMessage, calls: flushes},
		{what: "gates of unknown and of watched users", reads: unknown + watched},
		{what: "the archive, before strangers are refused", reads: asked},
		{what: "uses of sign-ins: of sockets, each alone in a batch, and of calls", reads: signins.MaxDue + store.MaxDevices,
			writes: signins.MaxDue + store.MaxDevices, calls: signins.MaxDue, bytes: signins.MaxDue * leastMessage},
	}
	bill = append(bill, callsOfUser(functions)...)
	sum := 0.0
	for _, i := range bill {
		sum += i.dollars()
		t.Logf("$%.5f  %s", i.dollars(), i.what)
	}
	t.Logf("$%.6f  in all", sum)
	if sum > mostOfAMinute {
		t.Errorf("one user can cost $%.5f in a minute, want at most $%.2f", sum, mostOfAMinute)
	}
}

// callsOfUser returns the lines of the HTTP budgets, with the cheapest way to use up each of them.
func callsOfUser(each float64) (bill []item) {
	shared := map[string]bool{}
	for _, b := range api.Budgets() {
		instances := each
		switch b.Segment {
		case "admin":
			instances = min(5, each) // infra/terraform/admin.tf
		case "": // users, conversations, messages, me and admin
			instances = 4*each + min(5, each)
		}
		units := float64(b.Free) * instances
		i := item{what: "calls: " + b.Name + " " + b.Segment, reads: instances} // a lease of nothing on each
		if !shared[b.Name] {
			shared[b.Name] = true
			units += float64(b.Shared)
			leases := float64(b.Shared)/float64(b.Chunk) + 1
			i.reads, i.writes = i.reads+leases, leases
		}
		i.reads, i.writes = i.reads+units*float64(b.Reads), i.writes+units*float64(b.Writes)
		switch {
		case b.Name == "sign-in", b.Name == "people": // their calls use another budget, too
		case b.Name == "export-read":
			i.reads += units
			i.seconds = time.Minute.Seconds() // an export occupies its instance while it waits
		case b.Calls:
			if b.Reads > 0 { // otherwise, the calls use another budget, too
				i.calls = units
			}
		default: // calls that read nothing but the caller
			calls := units / (api.CallUnits + 1)
			i.reads, i.calls = i.reads+calls, i.calls+calls
		}
		bill = append(bill, i)
	}
	return bill
}

// terraformDefault returns the default of a variable of the root module.
func terraformDefault(t *testing.T, name string) int64 {
	t.Helper()
	data, err := os.ReadFile(inRepo(t, "infra/terraform/variables.tf"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)variable "` + name + `" \{.*?default\s*=\s*(\d+)`).FindSubmatch(data)
	if m == nil {
		t.Fatalf("variables.tf has no default of %s", name)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
