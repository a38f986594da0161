package cost

import (
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// update makes TestRunbookCosts write the table and the unit prices into the runbook:
//
//	go test ./infra/cost -run TestRunbookCosts -update
var update = flag.Bool("update", false, "write the costs into infra/RUNBOOK.md")

const runbookFile = "../RUNBOOK.md"

func readFile(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRunbookCosts holds the table and the unit prices in the runbook to the computation.
func TestRunbookCosts(t *testing.T) {
	page := readFile(t, runbookFile)
	for what, part := range map[string]struct {
		pattern *regexp.Regexp
		want    string
	}{
		"the table":       {regexp.MustCompile(`(?m)^\| \| nobody connected(.*\n\|)*.*\n`), Table()},
		"the unit prices": {regexp.MustCompile(`(?m)^- Cloud Run: (.*\n(- |  ))*.*\n`), UnitPrices()},
	} {
		found := part.pattern.FindAllString(page, -1)
		if len(found) != 1 {
			t.Fatalf("the runbook has %d times %s", len(found), what)
		}
		if found[0] != part.want && !*update {
			t.Errorf("%s in the runbook must be this (run the test with -update):\n%s", what, part.want)
		}
		page = strings.Replace(page, found[0], part.want, 1)
	}
	if *update {
		if err := os.WriteFile(runbookFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSizes checks that no column would trip an alert of the product, or needs more than the settings that it names.
func TestSizes(t *testing.T) {
	variables := readFile(t, "../terraform/variables.tf")
	alerts := readFile(t, "../terraform/alerts.tf")
	threshold := regexp.MustCompile(`(?s)"Redis memory" = \{.*?threshold = ([\d.]+)`).FindStringSubmatch(alerts)
	if threshold == nil || threshold[1] != fmt.Sprint(MaxRedisUse) {
		t.Errorf("the alert \"Redis memory\" fires at %v, and the costs assume %v", threshold, MaxRedisUse)
	}
	standard := func(name string) int {
		t.Helper()
		m := regexp.MustCompile(`(?s)variable "` + name + `" \{.*?default += (\d+)`).FindStringSubmatch(variables)
		if m == nil {
			t.Fatalf("%s has no default", name)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := standard("prober_minutes"); float64(n) != probeMinutes {
		t.Errorf("the prober runs every %d minutes by default, and the bill has %.0f", n, float64(probeMinutes))
	}
	for _, s := range Sizes {
		if s.RedisUse() > MaxRedisUse {
			t.Errorf("%s: Redis is %.0f %% full, so its alert fires from the first day", s.Name, 100*s.RedisUse())
		}
		most, shards := standard("realtime_max_instances"), standard("redis_shards")
		node := nano.terraformKey
		for _, line := range s.Settings {
			name, value, _ := strings.Cut(line, " = ")
			if !strings.Contains(variables, `variable "`+name+`"`) {
				t.Errorf("%s: %s is not a variable", s.Name, name)
			}
			switch n, _ := strconv.Atoi(value); name { // only these two are numbers
			case "realtime_max_instances":
				most = n
			case "redis_shards":
				shards = n
			case "redis_node_type":
				node = strings.Trim(value, `"`)
			}
		}
		if s.MaxInstances != 0 && (most != s.MaxInstances || s.PeakInstances() > most) {
			t.Errorf("%s: %d instances at the peak, and its settings allow %d", s.Name, s.PeakInstances(), most)
		}
		if s.MaxInstances == 0 && s.PeakInstances() <= 100 {
			t.Errorf("%s: a subnet has room for %d instances, so name the variable", s.Name, s.PeakInstances())
		}
		if shards != s.shards || node != s.node.terraformKey {
			t.Errorf("%s: the settings give %d shards of %s, and the bill has %d of %s", s.Name, shards, node, s.shards,
				s.node.terraformKey)
		}
	}
	for _, n := range []redisNode{nano, medium, xlarge} {
		if size := fmt.Sprintf("%s (%.1f GB", n.terraformKey, n.keyBytes/1e9); !strings.Contains(variables, size) {
			t.Errorf("variables.tf does not say %q", size)
		}
	}
}

// TestConfigurationIsBilled checks that the bill is computed with what the configuration keeps, and for how long.
func TestConfigurationIsBilled(t *testing.T) {
	for what, c := range map[string]struct {
		file, pattern string
		unit, want    float64
	}{
		"weekly backups": {"firestore.tf", `retention = "(\d+)s" # 8 weeks`, 7 * 24 * 3600, backupsKept},
		"days of the topic": {"pubsub.tf", `(?s)"delivery_acks" \{.*?message_retention_duration = "(\d+)s"`, 24 * 3600,
			retentionDays},
		"days of the audit log's bucket": {"variables.tf", `(?s)"audit_log_days" \{.*?default +=  *(\d+)`, 1,
			365 * auditLogYears},
	} {
		m := regexp.MustCompile(c.pattern).FindStringSubmatch(readFile(t, "../terraform/"+c.file))
		if m == nil {
			t.Errorf("%s has no %s", c.file, what)
			continue
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil || math.Abs(n/c.unit-c.want) > 1e-9 {
			t.Errorf("%s: %v in %s, and the bill has %v", what, n/c.unit, c.file, c.want)
		}
	}
}

// TestBillByHand compares lines of the bill with a computation by hand.
func TestBillByHand(t *testing.T) {
	lines := map[string]Line{}
	for _, l := range Sizes[2].Bill() { // 100,000 users a day
		lines[l.Name] = l
	}
	for name, want := range map[string]float64{
		"Redis":              2 * 0.22 * 730,
		"realtime":           12 * 0.0954 * 730,                               // 8,333 users on average
		"Identity Platform":  50_000*0.0055 + 100_000*0.0046,                  // of 200,000 in a month
		"alerts and metrics": 16*1.5 + 16*0.0864*0.35,                         // 90 MiB of metrics are free
		"prober":             2920*(60*0.000019+(100+4300)*3e-7+8*9e-7) + 0.1, // counts 4.3 million index entries
		"Pub/Sub":            (2*108e9-10*1073741824)/1099511627776*40 + 6.34, // 120 million messages of 900 bytes
		// 24 million pushes of half a second: 4.6 at once, so that an instance is billed for 99 % of the time
		"notify": 22*0.4 + 0.99*2_628_000*2.525e-5 + 96*0.3 + 48e9/1099511627776*40,
		// 280.8 million writes and 180 million reads; 600,000 and 1.5 million are free
		"Firestore, operations": 280.2*0.9 + 178.5*0.3,
	} {
		if got := lines[name].Dollars; math.Abs(got-want) > 0.01*want {
			t.Errorf("%s: %.2f, want %.2f", name, got, want)
		}
	}
	if got := lines["Firestore, storage and backups"].Growth; math.Abs(got-167.6*0.54) > 1 { // 180 GB, eight backups
		t.Errorf("storage grows by %.2f a month, want %.2f", got, 167.6*0.54)
	}
	// 500,000 entries in a month for 10 million users: 0.466 GiB, and 6.13 GiB in the log bucket after 400 days.
	if got, want := Sizes[3].audit(), 0.45+0.466*0.5+6.13*0.01; math.Abs(got.Dollars-want) > 0.01 ||
		math.Abs(got.Growth-0.466*0.54) > 0.01 {
		t.Errorf("the audit log costs %.2f and %.2f more each month, want %.2f", got.Dollars, got.Growth, want)
	}
	// 120 million messages of 2.5 KB, and 30 million requests of each kind with 30 KB a day.
	domain := 0.025*730 + 2*5 + 4*1 + 279.4*0.008 + 30*0.75 + 3000*0.0075 + 83.8*0.09
	if got := Sizes[2].Domain().Dollars; math.Abs(got-domain) > 0.1 {
		t.Errorf("an own domain costs %.2f, want %.2f", got, domain)
	}
	for users, want := range map[float64]float64{50_000: 0, 100_000: 275, 20e6: 275 + 4140 + 28_800 + 25_000} {
		if got := identityDollars(users); math.Abs(got-want) > 0.01 {
			t.Errorf("%.0f users in a month cost %.2f, want %.2f", users, got, want)
		}
	}
	for dollars, want := range map[float64]string{0.4: "0", 22.4: "22", 99.6: "100", 735: "740", 2642: "2,640",
		58_215: "58,200", 198_800: "199,000"} {
		if got := rounded(dollars); got != want {
			t.Errorf("%v is rounded to %s, want %s", dollars, got, want)
		}
	}
}

// TestResultsAreBilled checks that RESULTS.md and the bill have the same numbers.
func TestResultsAreBilled(t *testing.T) {
	results := readFile(t, "RESULTS.md")
	for what, n := range map[string]float64{"Firestore writes": MeasuredWrites, "Pub/Sub publishes": MeasuredPublished} {
		if !regexp.MustCompile(`\| ` + what + `[^|]*\|[^|]*\| ` + fmt.Sprintf("%.2f", n) + ` \|`).MatchString(results) {
			t.Errorf("RESULTS.md does not say that %s are %.2f", what, n)
		}
	}
}
