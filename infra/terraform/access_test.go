package terraform

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grants is the complete list of the grants in this configuration: member → role on resource. Review every change of
// it, because it changes permissions.
const grants = `
allUsers → roles/run.invoker on service admin
allUsers → roles/run.invoker on service conversations
allUsers → roles/run.invoker on service me
allUsers → roles/run.invoker on service messages
allUsers → roles/run.invoker on service signup
allUsers → roles/run.invoker on service users
chat-admin → chatAccounts on the project
chat-admin → chatAudit on the project, the audit log's database
chat-admin → roles/datastore.user on the project, the chat's database
chat-admin → roles/iam.serviceAccountTokenCreator on account chat-admin
chat-admin → roles/pubsub.publisher on topic delivery-acks
chat-admin → roles/pubsub.subscriber on subscription dead-letters
chat-build → roles/artifactregistry.writer on repository chat
chat-build → roles/logging.logWriter on the project
chat-build → roles/storage.objectViewer on the project, sources only
chat-conversations → roles/datastore.user on the project, the chat's database
chat-deploy → chatDeploy on the project
chat-deploy → roles/artifactregistry.admin on the project
chat-deploy → roles/cloudbuild.builds.editor on the project
chat-deploy → roles/cloudfunctions.admin on the project
chat-deploy → roles/cloudscheduler.admin on the project
chat-deploy → roles/compute.networkAdmin on the project
chat-deploy → roles/datastore.backupSchedulesViewer on the project
chat-deploy → roles/datastore.indexAdmin on the project
chat-deploy → roles/firebaserules.admin on the project
chat-deploy → roles/iam.roleViewer on the project
chat-deploy → roles/iam.serviceAccountUser on account chat-admin
chat-deploy → roles/iam.serviceAccountUser on account chat-build
chat-deploy → roles/iam.serviceAccountUser on account chat-conversations
chat-deploy → roles/iam.serviceAccountUser on account chat-me
chat-deploy → roles/iam.serviceAccountUser on account chat-messages
chat-deploy → roles/iam.serviceAccountUser on account chat-notify
chat-deploy → roles/iam.serviceAccountUser on account chat-persist
chat-deploy → roles/iam.serviceAccountUser on account chat-prober
chat-deploy → roles/iam.serviceAccountUser on account chat-push
chat-deploy → roles/iam.serviceAccountUser on account chat-realtime
chat-deploy → roles/iam.serviceAccountUser on account chat-scheduler
chat-deploy → roles/iam.serviceAccountUser on account chat-signup
chat-deploy → roles/iam.serviceAccountUser on account chat-test
chat-deploy → roles/iam.serviceAccountUser on account chat-users
chat-deploy → roles/identityplatform.admin on the project
chat-deploy → roles/logging.logWriter on the project
chat-deploy → roles/logging.viewer on the project
chat-deploy → roles/monitoring.admin on the project
chat-deploy → roles/networkconnectivity.consumerNetworkAdmin on the project
chat-deploy → roles/pubsub.admin on the project
chat-deploy → roles/redis.admin on the project
chat-deploy → roles/resourcemanager.projectIamAdmin on the project, roles of the chat only
chat-deploy → roles/run.admin on the project
chat-deploy → roles/serviceusage.apiKeysAdmin on the project
chat-deploy → roles/serviceusage.serviceUsageAdmin on the project
chat-deploy → roles/storage.admin on the project
chat-me → chatOwnAccount on the project
chat-me → roles/datastore.user on the project, the chat's database
chat-me → roles/secretmanager.secretAccessor on secret chat-push-key
chat-me → roles/secretmanager.secretVersionAdder on secret chat-push-key
chat-messages → roles/datastore.user on the project, the chat's database
chat-notify → roles/datastore.user on the project, the chat's database
chat-notify → roles/pubsub.publisher on topic notify
chat-notify → roles/secretmanager.secretAccessor on secret chat-push-key
chat-persist → roles/datastore.user on the project, the chat's database
chat-persist → roles/pubsub.publisher on topic dead-letters
chat-plan → chatPlan on the project
chat-plan → roles/artifactregistry.reader on the project
chat-plan → roles/cloudfunctions.viewer on the project
chat-plan → roles/cloudscheduler.viewer on the project
chat-plan → roles/compute.viewer on the project
chat-plan → roles/datastore.backupSchedulesViewer on the project
chat-plan → roles/firebaserules.viewer on the project
chat-plan → roles/iam.roleViewer on the project
chat-plan → roles/iam.securityReviewer on the project
chat-plan → roles/iam.serviceAccountViewer on the project
chat-plan → roles/monitoring.viewer on the project
chat-plan → roles/pubsub.viewer on the project
chat-plan → roles/redis.viewer on the project
chat-plan → roles/run.viewer on the project
chat-plan → roles/serviceusage.apiKeysViewer on the project
chat-plan → roles/serviceusage.serviceUsageConsumer on the project
chat-plan → roles/storage.objectViewer on bucket acme-chat-chat-source
chat-push → roles/run.invoker on service notify
chat-push → roles/run.invoker on service persist
chat-realtime → roles/datastore.viewer on the project, the chat's database
chat-realtime → roles/pubsub.publisher on topic delivery-acks
chat-realtime → roles/pubsub.publisher on topic notify
chat-realtime → roles/redis.dbConnectionUser on the project
chat-scheduler → roles/run.invoker on job prober
chat-signup → chatAccounts on the project
chat-signup → roles/datastore.user on the project, the chat's database
chat-test → roles/logging.logWriter on the project
chat-test → roles/storage.objectViewer on bucket acme-chat-chat-source
chat-users → roles/datastore.user on the project, the chat's database
pubsub's agent → roles/iam.serviceAccountTokenCreator on account chat-push
pubsub's agent → roles/pubsub.publisher on topic dead-letters
pubsub's agent → roles/pubsub.subscriber on subscription persist
`

func TestGrants(t *testing.T) {
	var got []string
	for _, r := range applied(t).resources {
		if strings.HasSuffix(r.Type, "_iam_binding") || strings.HasSuffix(r.Type, "_iam_policy") {
			t.Errorf("%s would remove grants that are not in this configuration, such as those of Google's agents; "+
				"use _iam_member", r.Address)
		}
		if strings.HasSuffix(r.Type, "_iam_member") {
			got = append(got, grant(r))
		}
	}
	slices.Sort(got)
	want := strings.Split(strings.TrimSpace(grants), "\n")
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("unexpected grant: %s", g)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing grant: %s", w)
		}
	}
	if compact := slices.Compact(slices.Clone(got)); len(compact) != len(got) {
		t.Errorf("granted twice:\n%s", strings.Join(got, "\n"))
	}
}

// grant formats an _iam_member resource as a line of grants.
func grant(r resource) string {
	who := strings.TrimPrefix(text(r, "member"), "serviceAccount:")
	if strings.HasSuffix(who, "@gcp-sa-pubsub.iam.gserviceaccount.com") {
		who = "pubsub's agent"
	}
	who, _, _ = strings.Cut(who, "@")
	role := text(r, "role")
	if name, ok := strings.CutPrefix(role, "projects/acme-chat/roles/"); ok { // a custom role, with a random part
		role, _, _ = strings.Cut(name, "_")
	}
	on := "the project"
	switch r.Type {
	case "google_cloud_run_v2_service_iam_member":
		on = "service " + text(r, "name")
	case "google_cloud_run_v2_job_iam_member":
		on = "job " + text(r, "name")
	case "google_secret_manager_secret_iam_member":
		on = "secret " + text(r, "secret_id")
	case "google_pubsub_topic_iam_member":
		on = "topic " + text(r, "topic")
	case "google_pubsub_subscription_iam_member":
		on = "subscription " + text(r, "subscription")
	case "google_artifact_registry_repository_iam_member":
		on = "repository " + text(r, "repository")
	case "google_service_account_iam_member":
		account, _, _ := strings.Cut(text(r, "service_account_id"), "@")
		on = "account " + account[strings.LastIndex(account, "/")+1:]
	case "google_storage_bucket_iam_member":
		on = "bucket " + text(r, "bucket")
	case "google_project_iam_member":
	default:
		on = r.Type + " (unknown to this test)"
	}
	line := who + " → " + role + " on " + on
	if title := text(r, "condition", 0, "title"); title != "" {
		line += ", " + title
	}
	return line
}

// TestDeployGrantsOnlyWhatIsNeeded checks that the account that deploys may grant the roles that the services have on
// the project, and no others.
func TestDeployGrantsOnlyWhatIsNeeded(t *testing.T) {
	s := applied(t)
	condition := text(s.one(t, "google_project_iam_member.deploy_grants[0]"), "condition", 0, "expression")
	var may []string
	for _, m := range regexp.MustCompile(`'((?:projects|roles)/?[^']*)'`).FindAllStringSubmatch(condition, -1) {
		may = append(may, m[1])
	}
	needed := map[string]bool{}
	for _, r := range s.of("google_project_iam_member") {
		if who := text(r, "member"); !strings.Contains(who, "chat-deploy@") && !strings.Contains(who, "chat-plan@") {
			needed[text(r, "role")] = true
		}
	}
	for role := range needed {
		if strings.HasPrefix(role, "roles/") && !slices.Contains(may, role) {
			t.Errorf("the account cannot grant %s: %s", role, condition)
		}
	}
	for _, role := range may {
		if strings.HasPrefix(role, "roles/") && !needed[role] {
			t.Errorf("the account may grant %s, which no service has", role)
		}
	}
	for _, role := range []string{"chatAccounts_", "chatOwnAccount_", "chatAudit_"} {
		if !strings.Contains(condition, "'projects/acme-chat/roles/"+role) {
			t.Errorf("the account cannot grant the custom role %s…: %s", role, condition)
		}
	}
	if len(may) < 5 || !strings.Contains(condition, "modifiedGrantsByRole', []).hasOnly([") {
		t.Errorf("the condition is %s", condition)
	}
}

// forbidden are roles that no account of the pipeline may have on the project. With each of them it could become
// another account, such as Google's default one for Compute, which is often Editor, change its own rights, read
// messages, or change the log bucket of the audit log.
var forbidden = regexp.MustCompile(`^roles/(owner|editor|viewer|logging\.(admin|configWriter|viewAccessor)|` +
	`datastore\.(owner|user|viewer)|iam\.(securityAdmin|roleAdmin|serviceAccountAdmin|serviceAccountKeyAdmin|` +
	`serviceAccountTokenCreator|serviceAccountOpenIdTokenCreator|serviceAccountUser|workloadIdentityUser|` +
	`workloadIdentityPoolAdmin)|resourcemanager\.projectIamAdmin)$`)

// forbiddenPermissions are those that a custom role of the pipeline must not have, for the same reasons.
var forbiddenPermissions = regexp.MustCompile(`[sS]etIamPolicy$|^iam\.serviceAccounts\.(actAs|getAccessToken|` +
	`getOpenIdToken|implicitDelegation|sign)|^iam\.(roles|serviceAccountKeys)\.|^datastore\.entities\.|` +
	`^firebaseauth\.users\.|^logging\.(buckets|sinks|views|logs|logEntries)\.(create|update|delete|list|access|move)`)

// TestPipelineCannotEscape checks that the accounts of the pipeline cannot get rights that they were not given.
func TestPipelineCannotEscape(t *testing.T) {
	s := applied(t)
	n := 0
	for _, r := range s.of("google_project_iam_member") {
		account, _, _ := strings.Cut(strings.TrimPrefix(text(r, "member"), "serviceAccount:"), "@")
		if !slices.Contains([]string{"chat-deploy", "chat-test", "chat-plan", "chat-build"}, account) {
			continue
		}
		n++
		limited := strings.Contains(text(r, "condition", 0, "expression"), "modifiedGrantsByRole")
		if role := text(r, "role"); forbidden.MatchString(role) && !limited {
			t.Errorf("%s has %s", account, role)
		}
		if role := text(r, "role"); account == "chat-plan" && strings.HasPrefix(role, "roles/") &&
			!regexp.MustCompile(`(?i)(viewer|reader|reviewer|serviceUsageConsumer)$`).MatchString(role) {
			t.Errorf("chat-plan has %s, which may not only read", role)
		}
	}
	if n < 30 {
		t.Errorf("found only %d grants", n)
	}
	for _, role := range []string{"deploy[0]", "plan[0]"} {
		address := "google_project_iam_custom_role." + role
		permissions, _ := at(s.one(t, address).Values, "permissions").([]any)
		if len(permissions) < 10 {
			t.Errorf("%s has the permissions %v", address, permissions)
		}
		for _, p := range permissions {
			name, _ := p.(string)
			if forbiddenPermissions.MatchString(name) {
				t.Errorf("%s has %s", address, name)
			}
			if role == "plan[0]" && !regexp.MustCompile(`\.(get|getMetadata|list)$`).MatchString(name) {
				t.Errorf("%s has %s, which does not only read", address, name)
			}
		}
	}
}

// TestConditionsNameWholeBuckets checks that no condition also matches a bucket whose name begins like ours, which
// anybody can create.
func TestConditionsNameWholeBuckets(t *testing.T) {
	prefix := regexp.MustCompile(`startsWith\("([^"]*)"\)`)
	n := 0
	for _, r := range applied(t).of("google_project_iam_member") {
		for _, m := range prefix.FindAllStringSubmatch(text(r, "condition", 0, "expression"), -1) {
			n++
			if !regexp.MustCompile(`/buckets/[a-z0-9-]+/`).MatchString(m[1]) {
				t.Errorf("%s also matches other buckets: %s", r.Address, m[1])
			}
		}
	}
	if n < 2 {
		t.Errorf("found only %d prefixes", n)
	}
}

// TestCustomRoles checks that two custom roles of the services are limited to accounts, and that the third can only
// read and append. TestPipelineCannotEscape checks those of the pipeline.
func TestCustomRoles(t *testing.T) {
	s := applied(t)
	if n := len(s.of("google_project_iam_custom_role")); n != 5 {
		t.Errorf("%d custom roles, want three of the services and two of the pipeline", n)
	}
	for address, allowed := range map[string]*regexp.Regexp{
		"google_project_iam_custom_role.accounts": regexp.MustCompile(`^firebaseauth\.users\.`),
		"google_project_iam_custom_role.own_account": regexp.MustCompile(
			`^firebaseauth\.users\.(delete|get|update)$`),
		"google_project_iam_custom_role.audit": regexp.MustCompile(
			`^datastore\.(databases\.get|entities\.(create|get|list))$`),
	} {
		permissions, _ := at(s.one(t, address).Values, "permissions").([]any)
		for _, p := range permissions {
			if name, _ := p.(string); !allowed.MatchString(name) {
				t.Errorf("%s has %v", address, p)
			}
		}
		if len(permissions) == 0 {
			t.Errorf("%s has no permissions", address)
		}
	}
}

// TestAuditLogIsSeparate checks that no account has a role for Firestore that also applies to the audit log's database,
// except the appending role of admin.
func TestAuditLogIsSeparate(t *testing.T) {
	const audit = `resource.name == "projects/acme-chat/databases/audit"`
	var appends []string
	n := 0
	for _, r := range applied(t).of("google_project_iam_member") {
		role, condition := text(r, "role"), text(r, "condition", 0, "expression")
		switch {
		case condition == audit:
			appends = append(appends, r.Address)
		case role == "roles/datastore.user" || role == "roles/datastore.viewer" || role == "roles/datastore.owner":
			n++
			if condition != `resource.name == "projects/acme-chat/databases/(default)"` {
				t.Errorf("%s also applies to the audit log: %q", r.Address, condition)
			}
		}
	}
	if !slices.Equal(appends, []string{"google_project_iam_member.admin_audit"}) || n != 9 {
		t.Errorf("%v may append, and %d accounts have access to the chat's database", appends, n)
	}
}

// TestNoKeysNoSecrets checks that the configuration has no content of a secret. Service accounts use tokens,
// and Redis uses IAM.
func TestNoKeysNoSecrets(t *testing.T) {
	for _, r := range applied(t).resources {
		switch r.Type {
		case "google_service_account_key", "google_secret_manager_secret_version", "random_password", "tls_private_key":
			t.Errorf("%s is a secret, which the state would contain", r.Address)
		case "google_client_config":
			t.Errorf("%s puts the access token of the person who applies into the state; use the ephemeral resource", r.Address)
		case "google_compute_firewall":
			t.Errorf("%s allows traffic into the network, which needs none", r.Address)
		}
	}
}

func TestEveryServiceHasItsOwnAccount(t *testing.T) {
	s := applied(t)
	users := map[string]string{}
	record := func(r resource, account string) {
		if account == "" || users[account] != "" {
			t.Errorf("%s runs as %q, like %q", r.Address, account, users[account])
		}
		users[account] = r.Address
	}
	for _, r := range s.of("google_cloudfunctions2_function") {
		record(r, text(r, "service_config", 0, "service_account_email"))
	}
	for _, r := range s.of("google_cloud_run_v2_service") {
		record(r, text(r, "template", 0, "service_account"))
	}
	if len(users) != 9 {
		t.Errorf("%d services, want eight functions and realtime", len(users))
	}
}

func TestFunctions(t *testing.T) {
	for _, r := range applied(t).of("google_cloudfunctions2_function") {
		name := text(r, "name")
		number := func(of string) float64 { n, _ := at(r.Values, "service_config", 0, of).(float64); return n }
		ingress := "ALLOW_ALL"
		if name == "persist" || name == "notify" {
			ingress = "ALLOW_INTERNAL_ONLY"
			// The deadline of the subscription is 60 s. Pub/Sub would repeat a longer call while it runs.
			if number("timeout_seconds") >= 60 {
				t.Errorf("%s has a timeout of %v s, want less than 60 s", name, number("timeout_seconds"))
			}
		}
		if got := text(r, "service_config", 0, "ingress_settings"); got != ingress {
			t.Errorf("%s has ingress %s, want %s", name, got, ingress)
		}
		if number("max_instance_request_concurrency") > 1 && text(r, "service_config", 0, "available_cpu") != "1" {
			t.Errorf("%s handles concurrent calls, which requires a whole CPU", name)
		}
		if n := number("max_instance_count"); n < 1 || n > 20 {
			t.Errorf("%s may have %v instances", name, n)
		}
		if n := number("min_instance_count"); n != 0 {
			t.Errorf("%s keeps %v instances without calls, want 0", name, n)
		}
		if text(r, "build_config", 0, "runtime") != "go126" || text(r, "build_config", 0, "entry_point") == "" {
			t.Errorf("%s: runtime %q, entry point %q", name,
				text(r, "build_config", 0, "runtime"), text(r, "build_config", 0, "entry_point"))
		}
	}
}
