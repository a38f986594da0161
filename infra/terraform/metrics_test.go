package terraform

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phoenixchat/phoenixchat/infra/cost"
	"github.com/phoenixchat/phoenixchat/realtime/away"
	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
	"github.com/phoenixchat/phoenixchat/realtime/signins"
)

// exported returns the counters that realtime logs, as part.name.
func exported() map[string]bool {
	names := map[string]bool{}
	for _, m := range counter.Walk(server.AllCounters{Session: new(session.Counters), Inbox: new(inbox.Counters),
		Settle: new(settle.Counters), Gate: new(gate.Counters), Presence: new(presence.Counters),
		Redissub: new(redissub.Counters), SignIns: new(signins.Counters),
		Away: new(away.Counters)}) {
		names[m.Part+"."+m.Name] = true
	}
	return names
}

// TestObjectives checks that every step of the prober has an objective, and that a burn rate is computed for it.
func TestObjectives(t *testing.T) {
	source, err := os.ReadFile("../pipeline/smoke/trial.go")
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]bool{"live": true}
	for _, m := range regexp.MustCompile(`t\.step\("(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		steps[m[1]] = true
	}
	s, have := applied(t), map[string]bool{}
	for _, r := range s.of("google_monitoring_slo") {
		good := text(r, "request_based_sli", 0, "good_total_ratio", 0, "good_service_filter")
		total := text(r, "request_based_sli", 0, "good_total_ratio", 0, "total_service_filter")
		m := regexp.MustCompile(`^metric\.type="logging\.googleapis\.com/user/(\w+)" .*metric\.labels\.step="(\w+)"$`).
			FindStringSubmatch(total)
		if m == nil || good != total+` metric.labels.outcome="good"` {
			t.Errorf("%s: good are %s, of %s", r.Address, good, total)
			continue
		}
		have[m[2]] = true
		if !slices.ContainsFunc(s.of("google_logging_metric"), func(l resource) bool { return text(l, "name") == m[1] }) {
			t.Errorf("%s reads %s, which is not a metric", r.Address, m[1])
		}
	}
	if !maps.Equal(steps, have) {
		t.Errorf("steps %v, objectives for %v", slices.Sorted(maps.Keys(steps)), slices.Sorted(maps.Keys(have)))
	}
}

// TestProberFitsWindows checks that the shortest window of an alert on the error budget has two runs of the prober. A
// window without a run would never fire.
func TestProberFitsWindows(t *testing.T) {
	s := applied(t)
	schedule := text(s.one(t, "google_cloud_scheduler_job.prober[0]"), "schedule")
	minutes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(schedule, "*/"), " * * * *"))
	if err != nil {
		t.Fatalf("the prober's schedule is %q", schedule)
	}
	windows := 0
	for _, r := range s.of("google_monitoring_alert_policy") {
		query := text(r, "conditions", 0, "condition_prometheus_query_language", 0, "query")
		if !strings.Contains(query, "user_chat_probes") {
			continue
		}
		for _, m := range regexp.MustCompile(`\[(\d+[mh])\]`).FindAllStringSubmatch(query, -1) {
			windows++
			if window, err := time.ParseDuration(m[1]); err != nil || window < 2*time.Duration(minutes)*time.Minute {
				t.Errorf("%s has a window of %s, but the prober runs every %d minutes", r.Address, m[1], minutes)
			}
		}
	}
	if windows < 4 {
		t.Errorf("found only %d windows", windows)
	}
}

// TestFigures checks that the function admin logs the figures of which metrics are made.
func TestFigures(t *testing.T) {
	source, err := os.ReadFile("../../functions/api/probe.go")
	if err != nil {
		t.Fatal(err)
	}
	logged := map[string]bool{}
	for _, m := range regexp.MustCompile(`count\("(\w+)",`).FindAllStringSubmatch(string(source), -1) {
		logged[m[1]] = true
	}
	for _, r := range applied(t).of("google_logging_metric") {
		name, ok := strings.CutPrefix(text(r, "name"), "chat_figure_")
		if !ok {
			continue
		}
		if !logged[name] || text(r, "value_extractor") != "EXTRACT(jsonPayload.figures."+name+")" {
			t.Errorf("%s reads %s, which is not logged", r.Address, text(r, "value_extractor"))
		}
		delete(logged, name)
	}
	if len(logged) > 0 {
		t.Errorf("figures without a metric: %v", slices.Sorted(maps.Keys(logged)))
	}
}

// TestMetricsExist checks that each metric reads a counter that realtime logs, and that charts and alerts read metrics
// that exist. A metric without lines is always empty, and no alert on it ever fires.
func TestMetricsExist(t *testing.T) {
	s, counters, metrics := applied(t), exported(), map[string]bool{}
	for _, r := range s.of("google_logging_metric") {
		metrics[text(r, "name")] = true
		value := text(r, "value_extractor")
		if path, ok := strings.CutPrefix(value, "EXTRACT(jsonPayload.counters."); ok {
			name := strings.TrimSuffix(path, ")")
			if !counters[name] {
				t.Errorf("%s reads the counter %q, which realtime does not have", r.Address, name)
			}
			if !strings.Contains(text(r, "filter"), "jsonPayload.counters."+name+">0") {
				t.Errorf("%s selects other lines than those with %s: %s", r.Address, name, text(r, "filter"))
			}
		}
	}
	if len(metrics) != cost.LogMetrics {
		t.Errorf("%d metrics, but the costs are computed with %d (infra/cost/bill.go)", len(metrics), cost.LogMetrics)
	}
	used := map[string]bool{}
	reads := regexp.MustCompile(`logging_googleapis_com:user_(\w+?)(?:_sum|_count)?\{`)
	find := func(where, query string) {
		for _, m := range reads.FindAllStringSubmatch(query, -1) {
			if used[m[1]] = true; !metrics[m[1]] {
				t.Errorf("%s reads %s, which is not a metric", where, m[1])
			}
		}
	}
	find("the dashboard", text(s.one(t, "google_monitoring_dashboard.this"), "dashboard_json"))
	for _, r := range s.of("google_monitoring_alert_policy") {
		find(r.Address, text(r, "conditions", 0, "condition_prometheus_query_language", 0, "query"))
	}
	for name := range metrics {
		if !used[name] {
			t.Errorf("no chart and no alert reads %s", name)
		}
	}
}
