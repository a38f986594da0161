package terraform

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promises lists values on which the runbook or another service relies, and which no other test reads.
var promises = []struct {
	address string
	path    []any
	value   any
	reason  string
}{
	{"google_firestore_backup_schedule.weekly", []any{"retention"}, "4838400s",
		"the runbook promises 8 weeks, and the bill has eight backups"},
	{"google_firestore_backup_schedule.audit", []any{"retention"}, "4838400s", "as the other database"},
	{"google_pubsub_topic.delivery_acks", []any{"message_retention_duration"}, "604800s",
		"after a restore, the messages of 7 days are delivered again"},
	{"google_pubsub_subscription.persist", []any{"message_retention_duration"}, "604800s",
		"an outage of days must lose nothing"},
	{"google_pubsub_topic.dead_letters", []any{"message_retention_duration"}, "2678400s", "the runbook promises 31 days"},
	{"google_pubsub_topic.delivery_acks", []any{"message_storage_policy", 0, "allowed_persistence_regions", 0},
		"europe-west1", "messages must stay in the region"},
	{"google_pubsub_topic.dead_letters", []any{"message_storage_policy", 0, "allowed_persistence_regions", 0},
		"europe-west1", "messages must stay in the region"},
	{"google_pubsub_topic.notify", []any{"message_retention_duration"}, nil,
		"the text of messages that were not delivered must not be kept"},
	{"google_pubsub_subscription.notify", []any{"message_retention_duration"}, "600s", "notify drops what is older"},
	{"google_pubsub_subscription.notify", []any{"dead_letter_policy", 0}, nil, "a dead letter would keep the text"},
	{"google_pubsub_topic.notify", []any{"message_storage_policy", 0, "allowed_persistence_regions", 0},
		"europe-west1", "messages must stay in the region"},
	{"google_redis_cluster.this", []any{"persistence_config", 0, "aof_config", 0, "append_fsync"}, "EVERYSEC",
		"a node that fails may lose a second"},
	{"google_compute_network.this", []any{"auto_create_subnetworks"}, false, "only Redis and realtime are in the network"},
	{"google_storage_bucket.source", []any{"public_access_prevention"}, "enforced", "the sources are not public"},
	{"google_storage_bucket.source", []any{"uniform_bucket_level_access"}, true, "the sources are not public"},
	{"google_storage_bucket.source", []any{"lifecycle_rule", 0, "condition", 0, "age"}, float64(7),
		"the pipeline uploads all sources in each run"},
	{"google_monitoring_uptime_check_config.ready", []any{"http_check", 0, "validate_ssl"}, true,
		"the runbook says that it notices a certificate that has expired"},
	{"google_monitoring_uptime_check_config.ready", []any{"period"}, "300s", "the runbook says every 5 minutes"},
	{"google_monitoring_alert_policy.prober_silent[0]", []any{"alert_strategy", 0, "auto_close"}, "604800s",
		"an incident without data closes after this time, and a silent prober sends none"},
	{`google_monitoring_notification_channel.email["ops@example.org"]`, []any{"force_delete"}, true,
		"Google refuses to delete an address that alerts use, and Terraform deletes it before it changes them"},
	{"google_cloud_scheduler_job.prober[0]", []any{"http_target", 0, "oauth_token", 0, "scope"},
		"https://www.googleapis.com/auth/cloud-platform", "Cloud Run needs it to start a job"},
	{"google_cloud_run_v2_job.prober", []any{"template", 0, "template", 0, "max_retries"}, float64(0),
		"a repeated run would hide a failure"},
	{"google_billing_budget.this[0]", []any{"threshold_rules", 0, "threshold_percent"}, 0.5,
		"monthly_budget promises mails at 50 %"},
	{"google_billing_budget.this[0]", []any{"threshold_rules", 1, "threshold_percent"}, 0.9,
		"monthly_budget promises mails at 90 %"},
	{"google_billing_budget.this[0]", []any{"threshold_rules", 3, "spend_basis"}, "FORECASTED_SPEND",
		"monthly_budget promises a mail about the forecast"},
}

func TestPromises(t *testing.T) {
	s := applied(t)
	for _, p := range promises {
		if got := at(s.one(t, p.address).Values, p.path...); got != p.value {
			t.Errorf("%s: %v is %v, want %v: %s", p.address, p.path, got, p.value, p.reason)
		}
	}
	for _, r := range s.of("google_project_service") {
		if at(r.Values, "disable_on_destroy") != false {
			t.Errorf("%s: destroy would disable an API that something else in the project may need", r.Address)
		}
	}
	for _, r := range s.of("google_cloudfunctions2_function") {
		if at(r.Values, "service_config", 0, "all_traffic_on_latest_revision") != true {
			t.Errorf("%s: a new revision would get no traffic", r.Address)
		}
		if at(r.Values, "build_config", 0, "automatic_update_policy", 0) == nil {
			t.Errorf("%s gets no security patches of its runtime", r.Address)
		}
	}
	policies, _ := at(s.one(t, "google_artifact_registry_repository.this").Values, "cleanup_policies").([]any)
	for _, policy := range policies {
		if n := at(policy, "most_recent_versions", 0, "keep_count"); at(policy, "id") == "keep-newest" && n != float64(10) {
			t.Errorf("the runbook promises the newest ten images, and %v are kept", n)
		}
		if age := at(policy, "condition", 0, "older_than"); at(policy, "id") == "delete-old" && age != "2592000s" {
			t.Errorf("the runbook promises the images of 30 days, and they are deleted after %v", age)
		}
	}
	prober := text(s.one(t, "google_cloud_run_v2_job.prober"), "name")
	filter := text(s.one(t, `google_logging_metric.outcome["probes"]`), "filter")
	if !strings.Contains(filter, `resource.labels.job_name="`+prober+`" AND jsonPayload.message="probe"`) {
		t.Errorf("the metric of the probes selects %s", filter)
	}
}

// lifecycles lists the lifecycle arguments, without which an apply fails or undoes what somebody did with gcloud.
var lifecycles = map[string]struct{ arguments, reason string }{
	"google_apikeys_key.web": {"create_before_destroy = true", "nobody could sign in while the key is rotated"},
	"google_firebaserules_ruleset.firestore": {"create_before_destroy = true",
		"Google refuses to delete rules that a release uses"},
	"google_storage_bucket_object.functions": {
		"create_before_destroy = true; ignore_changes = [source, detect_md5hash]",
		"functions could lose their archive; and with keep_code, the archive of the local files would replace it"},
	"google_compute_managed_ssl_certificate.domain": {"create_before_destroy = true",
		"Google refuses to delete a certificate that the load balancer uses"},
	"google_monitoring_uptime_check_config.ready": {"create_before_destroy = true",
		"Google refuses to delete a check that an alert uses"},
	"google_cloud_run_v2_service.realtime": {"ignore_changes = [traffic, client, client_version]",
		"an apply would undo a rollback, or no plan would be empty after one"},
}

func TestLifecycles(t *testing.T) {
	files, err := filepath.Glob("*.tf")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?ms)^  lifecycle \{\n(.*?)^  \}`)
	found := map[string]bool{}
	for _, file := range files {
		for _, m := range resourceBlock.FindAllStringSubmatch(read(t, file), -1) {
			address := m[1] + "." + m[2]
			var arguments []string
			if b := block.FindStringSubmatch(m[3]); b != nil {
				for line := range strings.Lines(b[1]) {
					if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
						arguments = append(arguments, line)
					}
				}
			}
			found[address] = true
			if got, want := strings.Join(arguments, "; "), lifecycles[address]; got != want.arguments {
				t.Errorf("%s: the lifecycle is %q, want %q: %s", address, got, want.arguments, want.reason)
			}
		}
	}
	for address := range lifecycles {
		if !found[address] {
			t.Errorf("there is no %s", address)
		}
	}
}

// TestCallsAreAttributed checks that calls of the APIs are counted on the project. With the login of a person, the APIs
// for keys, accounts and budgets refuse others. It also checks that the first call of an apply asks for the project
// through Cloud Resource Manager, whose answer names the command if it is not enabled (infra/pipeline/rest).
func TestCallsAreAttributed(t *testing.T) {
	n := 0
	providers := regexp.MustCompile(`(?ms)^provider "([^"]+)" \{\n(.*?)^\}`)
	for _, m := range providers.FindAllStringSubmatch(read(t, "versions.tf"), -1) {
		if strings.Contains(m[2], `alias   = "caller"`) {
			continue
		}
		n++
		for _, want := range []string{"project               = var.project\n", "user_project_override = true\n",
			"billing_project       = var.project\n"} {
			if !strings.Contains(m[2], want) {
				t.Errorf("the provider %s lacks %s", m[1], want)
			}
		}
	}
	if n != 2 {
		t.Errorf("found %d providers, want google and google-beta", n)
	}
	call := regexp.MustCompile(`(?ms)^module "resource_manager" \{.*?^\}`).FindString(read(t, "project.tf"))
	for _, want := range []string{`"GET"`, `"https://cloudresourcemanager.googleapis.com/v1/projects/${var.project}"`,
		"project = var.project", "ephemeral.google_client_config.this.access_token"} {
		if !strings.Contains(call, want) {
			t.Errorf("the first call lacks %s: %s", want, call)
		}
	}
}

// TestAlertsAreAsDescribed checks that the section of an alert has its threshold and its duration.
func TestAlertsAreAsDescribed(t *testing.T) {
	s := applied(t)
	page, _ := runbook(t)
	words := strings.Join(strings.Fields(page), " ")
	for _, a := range []struct {
		name, address string
		duration      string   // of the condition
		parts         []string // of the condition
		says          []string // the beginning of its section
	}{
		{"Queue age", `threshold["Queue age"]`, "300s", []string{"threshold 600\n"},
			[]string{"For 5 minutes", "more than 10 minutes"}},
		{"Dead letters", `threshold["Dead letters"]`, "60s", []string{"threshold 0\n"}, []string{"There are dead letters"}},
		{"Redis memory", `threshold["Redis memory"]`, "300s", []string{"threshold 0.8\n"},
			[]string{"For 5 minutes", "more than 80 %"}},
		{"Redis CPU", `threshold["Redis CPU"]`, "600s", []string{"threshold 0.7\n"},
			[]string{"For 10 minutes", "more than 70 %"}},
		{"Sockets near the limit", `threshold["Sockets near the limit"]`, "300s", []string{"threshold 760\n"},
			[]string{"For 5 minutes", "more than 760 of at most 950 sockets"}},
		{"Unreachable", `threshold["Unreachable"]`, "300s", []string{"threshold 1\n"},
			[]string{"For 5 minutes", "at least two"}},
		{"Redis silent", "redis_silent", "600s", nil, []string{"for 10 minutes"}},
		{"Prober silent", "prober_silent[0]", "600s", []string{"[45m]"}, []string{"45 minutes by default"}},
		{"Realtime errors", `errors["Realtime errors"]`, "300s", []string{"[10m]", "> 0.05\n", "> 5\n"},
			[]string{"For 5 minutes", "more than 5 %", "of the last 10 minutes", "more than five"}},
		{"Function errors", `errors["Function errors"]`, "300s", []string{"[10m]", "> 0.05\n", "> 5\n"},
			[]string{"The same condition"}},
		{"Refused requests", `errors["Refused requests"]`, "300s", []string{"[10m]", "> 0.05\n", "> 50\n"},
			[]string{"For 5 minutes", "more than 5 %", "more than fifty"}},
		{"Error budget burns fast", `burn["Error budget burns fast"]`, "60s",
			[]string{"[1h]", "[30m]", "> 14.4 * 0.01\n", "> 1.5\n"},
			[]string{"the last hour", "the last 30 minutes", "more than 14 %", "at least two cases"}},
		{"Error budget burns slowly", `burn["Error budget burns slowly"]`, "60s",
			[]string{"[6h]", "[30m]", "> 6 * 0.01\n", "> 3.5\n"},
			[]string{"the last six hours", "the last 30 minutes", "more than 6 %", "at least four cases"}},
	} {
		conditions := s.one(t, "google_monitoring_alert_policy."+a.address).Values["conditions"]
		condition := ""
		for _, kind := range []string{"condition_threshold", "condition_absent", "condition_prometheus_query_language"} {
			if c := at(conditions, 0, kind, 0); c != nil {
				condition = fmt.Sprintf("threshold %v\n%v\n", at(c, "threshold_value"), at(c, "query"))
				if at(c, "duration") != a.duration {
					t.Errorf("%s fires after %v, want %s as the runbook says", a.name, at(c, "duration"), a.duration)
				}
			}
		}
		for _, part := range a.parts {
			if !strings.Contains(condition, part) {
				t.Errorf("%s: the condition lacks %q: %s", a.name, part, condition)
			}
		}
		_, section, _ := strings.Cut(words, "### Alert: "+a.name+" *")
		summary, _, _ := strings.Cut(section, "* ")
		for _, want := range a.says {
			if !strings.Contains(summary, want) {
				t.Errorf("the section of %s does not say %q: %s", a.name, want, summary)
			}
		}
	}
}

// permissions are those of the custom roles of the pipeline. Review every change of them.
const permissions = `
chatDeploy iam.serviceAccounts.create
chatDeploy iam.serviceAccounts.delete
chatDeploy iam.serviceAccounts.get
chatDeploy iam.serviceAccounts.getIamPolicy
chatDeploy iam.serviceAccounts.list
chatDeploy iam.serviceAccounts.update
chatDeploy logging.logMetrics.create
chatDeploy logging.logMetrics.delete
chatDeploy logging.logMetrics.update
chatDeploy secretmanager.secrets.create
chatDeploy secretmanager.secrets.delete
chatDeploy secretmanager.secrets.getIamPolicy
chatDeploy secretmanager.secrets.update
chatPlan datastore.databases.getMetadata
chatPlan datastore.databases.list
chatPlan datastore.indexes.get
chatPlan datastore.indexes.list
chatPlan firebaseauth.configs.get
chatPlan logging.buckets.get
chatPlan logging.logMetrics.get
chatPlan logging.logMetrics.list
chatPlan logging.sinks.get
chatPlan networkconnectivity.serviceConnectionPolicies.get
chatPlan resourcemanager.projects.get
chatPlan secretmanager.secrets.get
chatPlan storage.buckets.get
`

// TestPermissions checks the custom roles of the pipeline. That of the deploying account also has all of the other.
func TestPermissions(t *testing.T) {
	s := applied(t)
	var plan, deploy []string
	for line := range strings.Lines(strings.TrimSpace(permissions)) {
		role, permission, _ := strings.Cut(strings.TrimSpace(line), " ")
		if deploy = append(deploy, permission); role == "chatPlan" {
			plan = append(plan, permission)
		}
	}
	for address, want := range map[string][]string{"deploy[0]": deploy, "plan[0]": plan} {
		var got []string
		list, _ := at(s.one(t, "google_project_iam_custom_role."+address).Values, "permissions").([]any)
		for _, p := range list {
			got = append(got, fmt.Sprint(p))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", address, got, want)
		}
	}
}
