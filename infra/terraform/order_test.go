package terraform

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// creationOrder lists what must exist before something else is created, beside what the arguments say. Without the
// first, creating or using the second fails on the first apply, or a message is lost.
var creationOrder = []struct{ first, then, reason string }{
	{"google_project_service.this", "time_sleep.apis", "an API does not work in the first minute"},
	{"google_project_service.budgets", "time_sleep.budgets", "an API does not work in the first minute"},
	{"google_network_connectivity_service_connection_policy.redis", "google_redis_cluster.this",
		"the cluster would have no endpoint"},
	{"google_firestore_database.this", "google_firebaserules_ruleset.firestore", "rules need Firestore"},
	{"google_project_iam_member.realtime_redis", "google_cloud_run_v2_service.realtime", "it could not start"},
	{"google_project_iam_member.realtime_firestore", "google_cloud_run_v2_service.realtime", "it could not read gates"},
	{"google_pubsub_topic_iam_member.realtime_acks", "google_cloud_run_v2_service.realtime", "it could not publish"},
	{"google_pubsub_topic_iam_member.realtime_notify", "google_cloud_run_v2_service.realtime", "it could not publish"},
	{"google_cloud_run_v2_service_iam_member.push", "google_pubsub_subscription.persist",
		"the first push would be refused"},
	{"google_cloud_run_v2_service_iam_member.notify_push", "google_pubsub_subscription.notify",
		"the first push would be refused"},
	{"google_cloud_run_v2_service_iam_member.cap_push", "google_pubsub_subscription.cap",
		"the first push would be refused"},
	{"google_pubsub_topic_iam_member.dead_lettering", "google_pubsub_subscription.persist",
		"a dead letter would be refused"},
	{"google_pubsub_subscription.dead_letters", "google_pubsub_subscription.persist",
		"a topic without a subscription loses its messages"},
	{"google_project_iam_member.build_logs", "time_sleep.build_grants", "a grant does not work at once"},
	{"google_project_iam_member.build_sources", "time_sleep.build_grants", "a grant does not work at once"},
	{"google_artifact_registry_repository_iam_member.build", "time_sleep.build_grants", "a grant does not work at once"},
	{"time_sleep.build_grants", "module.build.terraform_data.this", "the build would fail"},
	{"time_sleep.build_grants", "module.signup.google_cloudfunctions2_function.this", "the build would fail"},
	{"google_cloud_run_v2_service.realtime", "google_monitoring_uptime_check_config.ready",
		"the check would fail at once"},
	{"google_cloud_run_v2_service.realtime", "google_cloud_run_v2_job.prober", "the first run would fail"},
	{"google_cloud_run_v2_job_iam_member.scheduler", "google_cloud_scheduler_job.prober", "the first run would fail"},
	{"google_logging_metric.outcome", "time_sleep.metrics", "a metric cannot be used at once"},
	{"time_sleep.metrics", "google_monitoring_slo.this", "an objective needs its metrics"},
	{"google_identity_platform_config.this", "module.identity_extras.terraform_data.this",
		"the call changes what Identity Platform has"},
	{"module.identity_extras.terraform_data.this", "module.identity_mail.terraform_data.this",
		"one of two changes of the same object at once may be lost"},
}

// dependencies returns what each resource needs, directly or not, by address without an index.
func dependencies(t *testing.T) map[string]map[string]bool {
	t.Helper()
	applied(t) // runs init too
	out, err := terraform(nil, "graph")
	if err != nil {
		t.Fatal(err)
	}
	direct, all := map[string][]string{}, map[string]map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ *"([^"]+)" \[label=`).FindAllStringSubmatch(string(out), -1) {
		all[m[1]] = map[string]bool{}
	}
	for _, m := range regexp.MustCompile(`(?m)^ *"([^"]+)" -> "([^"]+)";$`).FindAllStringSubmatch(string(out), -1) {
		direct[m[1]] = append(direct[m[1]], m[2])
	}
	for address := range all {
		for next := direct[address]; len(next) > 0; next = next[1:] {
			if !all[address][next[0]] {
				all[address][next[0]] = true
				next = append(next, direct[next[0]]...)
			}
		}
	}
	return all
}

// TestOrder checks that the first apply in an empty project creates everything in an order that works: nothing is
// enabled before Cloud Resource Manager answers, and no API is called before it is enabled.
func TestOrder(t *testing.T) {
	needs := dependencies(t)
	if len(needs) < 100 {
		t.Fatalf("found only %d resources", len(needs))
	}
	const manager = "module.resource_manager.terraform_data.this"
	for _, address := range slices.Sorted(maps.Keys(needs)) {
		parts := strings.Split(address, ".")
		kind := parts[len(parts)-2]
		first := "time_sleep.apis"
		switch {
		case kind == "google_project_service", address == "data.google_project.this":
			first = manager
		case kind == "google_billing_budget":
			first = "time_sleep.budgets"
		case !strings.HasPrefix(kind, "google_"), slices.Contains(parts, "ephemeral"):
			continue
		case slices.Contains(parts, "data") && parts[len(parts)-1] == "deployed":
			continue // read only where something is deployed
		}
		if !needs[address][first] {
			t.Errorf("%s does not wait for %s, so the first apply in an empty project fails", address, first)
		}
	}
	for needed := range needs[manager] {
		if strings.HasPrefix(needed, "google_") {
			t.Errorf("Cloud Resource Manager is called only after %s", needed)
		}
	}
	for _, o := range creationOrder {
		if _, ok := needs[o.then]; !ok || !needs[o.then][o.first] {
			t.Errorf("%s does not wait for %s: %s", o.then, o.first, o.reason)
		}
	}
}

// TestPauses checks that the apply waits as long as Google needs until APIs, grants and metrics work.
func TestPauses(t *testing.T) {
	s := applied(t)
	for address, least := range map[string]int{"time_sleep.apis": 60, "time_sleep.budgets[0]": 60,
		"time_sleep.build_grants": 90, "time_sleep.metrics": 300} {
		pause := text(s.one(t, address), "create_duration")
		if n, err := strconv.Atoi(strings.TrimSuffix(pause, "s")); err != nil || n < least {
			t.Errorf("%s waits for %q, want at least %d s", address, pause, least)
		}
	}
}
