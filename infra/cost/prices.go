package cost

// After a change of a price, update the costs in infra/RUNBOOK.md:
//
//	go test ./infra/cost -run TestRunbookCosts -update

import (
	"fmt"
	"strings"
)

// Price is the list price of a unit, in dollars. The prices are those of europe-west1 or close to it.
type Price struct {
	Dollars float64
	Unit    string
	What    string
	Assumed bool // no list price was at hand, and the number is an estimate
}

// The unit prices. Months have 730 hours.
var (
	vCPUSecond   = Price{0.000024, "vCPU-second", "Cloud Run", false}
	memorySecond = Price{0.0000025, "GiB-second", "Cloud Run, memory", false}
	jobCPUSecond = Price{0.000018, "vCPU-second, and a minute at least", "Cloud Run, jobs", false}

	jobMemorySecond = Price{0.000002, "GiB-second", "Cloud Run, jobs, memory", false}

	scheduler = Price{0.10, "schedule and month", "Cloud Scheduler", false}
	request   = Price{0.40, "million requests", "Cloud Run, requests", false}

	redisNano   = Price{0.03, "hour", "a Redis node, shared-core-nano", false}
	redisMedium = Price{0.22, "hour", "a Redis node, highmem-medium", false}
	redisXlarge = Price{0.95, "hour", "a Redis node, highmem-xlarge", false}
	redisAOF    = Price{0.10, "GiB of a node and month", "Redis, append-only file", true}

	write   = Price{0.09, "100,000", "Firestore, writes", false}
	read    = Price{0.03, "100,000", "Firestore, reads", false}
	remove  = Price{0.01, "100,000", "Firestore, deletions", false}
	stored  = Price{0.15, "GiB and month", "Firestore, storage", false}
	history = Price{0.15, "GiB and month", "Firestore, point-in-time recovery", false}
	backup  = Price{0.03, "GiB and month", "Firestore, one weekly backup of eight that are kept", true}
	restore = Price{0.20, "GiB", "Firestore, restoring a backup", true}

	throughput = Price{40, "TiB", "Pub/Sub, publishing and delivering", false}
	retained   = Price{0.27, "GiB and month", "Pub/Sub, messages that the topic keeps for 7 days", true}

	condition = Price{1.50, "condition and month", "Cloud Monitoring, alerts", false}
	series    = Price{0.35, "million time series", "Cloud Monitoring, evaluations of alerts", false}

	metrics = Price{0.258, "MiB beyond 150 MiB", "Cloud Monitoring, metrics of log lines", false}

	traffic = Price{0.09, "GiB", "traffic to the internet", false}
	logs    = Price{0.50, "GiB beyond 50 GiB", "logs", false}
	kept    = Price{0.01, "GiB and month", "logs that are kept for more than 30 days", false}
	images  = Price{1, "month", "images, sources and Terraform's state", true}
)

// listed are the unit prices in the order of the runbook.
var listed = []Price{vCPUSecond, memorySecond, request, jobCPUSecond, jobMemorySecond, scheduler,
	redisNano, redisMedium, redisXlarge, redisAOF, write, read,
	remove, stored, history, backup, restore, throughput, retained, condition, series, metrics, traffic,
	logs, kept, images, forwarding, balanced, policy, policyRule, policed, cached}

// identityTiers are the prices of Identity Platform for each user of a month, up to a number of users.
var identityTiers = []struct {
	upTo, dollars float64
}{{50_000, 0}, {100_000, 0.0055}, {1_000_000, 0.0046}, {10_000_000, 0.0032}, {1e12, 0.0025}}

// identityDollars returns the price of the users of a month.
func identityDollars(users float64) (dollars float64) {
	from := 0.0
	for _, t := range identityTiers {
		dollars += max(0, min(users, t.upTo)-from) * t.dollars
		from = t.upTo
	}
	return dollars
}

// Unit prices in dollars, which the bill of one hostile user is made of (infra/internal/design).
var (
	ReadDollars    = read.Dollars / 100_000
	WriteDollars   = write.Dollars / 100_000
	DeleteDollars  = remove.Dollars / 100_000
	ByteDollars    = throughput.Dollars / (1 << 40) // of Pub/Sub; publishing and delivering are billed
	CallDollars    = request.Dollars / 1e6
	InstanceSecond = vCPUSecond.Dollars + 0.5*memorySecond.Dollars      // with one vCPU and 512 MiB
	InstanceHour   = 3600 * (vCPUSecond.Dollars + memorySecond.Dollars) // of realtime
)

// Prices of what infra/cost/day counts, if there are enough of them that no instance of a function is idle.
var (
	// PushDollars is the price of a push: its event, the call of notify, and the documents that notify reads.
	PushDollars = CallDollars + pushSeconds/callsAtOnce*InstanceSecond + pushReads*ReadDollars + 2*1000*ByteDollars

	// VisitDollars is the price of a background visit beyond its socket: it has a flush of its own, so that its acks are
	// published and saved alone.
	VisitDollars = CallDollars + saveSeconds/callsAtOnce*InstanceSecond + 2*1000*ByteDollars
)

// UnitPrices returns the list of unit prices for the runbook, as Markdown.
func UnitPrices() string {
	var b strings.Builder
	for _, p := range listed {
		amount := fmt.Sprintf("$%.2f", p.Dollars)
		if p.Dollars < 0.01 {
			amount = "$" + strings.TrimRight(fmt.Sprintf("%.7f", p.Dollars), "0")
		}
		fmt.Fprintf(&b, "- %s: %s per %s", p.What, amount, p.Unit)
		if p.Assumed {
			b.WriteString(" (assumed)")
		}
		b.WriteString("\n")
	}
	b.WriteString("- Identity Platform, per user and month: 50,000 users are free, then $0.0055, falling to $0.0025\n")
	return b.String()
}
