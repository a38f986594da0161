package terraform

import (
	"regexp"
	"strings"
	"testing"

	"github.com/phoenixchat/phoenixchat/infra/cost"
	"github.com/phoenixchat/phoenixchat/realtime/counter"
	"github.com/phoenixchat/phoenixchat/realtime/gate"
	"github.com/phoenixchat/phoenixchat/realtime/inbox"
	"github.com/phoenixchat/phoenixchat/realtime/presence"
	"github.com/phoenixchat/phoenixchat/realtime/redissub"
	"github.com/phoenixchat/phoenixchat/realtime/server"
	"github.com/phoenixchat/phoenixchat/realtime/session"
	"github.com/phoenixchat/phoenixchat/realtime/settle"
)

// exported returns the counters that realtime logs, as part.name.
func exported() map[string]bool {
	names := map[string]bool{}
	for _, m := range counter.Walk(server.AllCounters{Session: new(session.Counters), Inbox: new(inbox.Counters),
		Settle: new(settle.Counters), Gate: new(gate.Counters), Presence: new(presence.Counters),
		Redissub: new(redissub.Counters)}) {
		names[m.Part+"."+m.Name] = true
	}
	return names
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
	reads := regexp.MustCompile(`logging_googleapis_com:user_(\w+?)(?:_sum)?\{`)
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
