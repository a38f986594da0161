# The service accounts of the pipeline (cloudbuild.yaml). Only a person with the role Owner can change what they may do.

locals {
  # Roles of the account that deploys. It deploys the code that reads messages, so whoever controls the main branch can
  # read them. But it cannot become an account other than those of the chat, change custom roles, or change the log
  # bucket of the audit log (access_test.go has the roles that it must not get).
  deploy_roles = toset(var.pipeline ? concat([
    "roles/artifactregistry.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/compute.networkAdmin",
    "roles/datastore.backupSchedulesViewer",
    "roles/datastore.indexAdmin",
    "roles/firebaserules.admin",
    "roles/iam.roleViewer",
    "roles/identityplatform.admin",
    "roles/logging.logWriter",
    "roles/logging.viewer",
    "roles/monitoring.admin",
    "roles/networkconnectivity.consumerNetworkAdmin",
    "roles/pubsub.admin",
    "roles/redis.admin",
    "roles/run.admin",
    "roles/serviceusage.apiKeysAdmin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
    ],
    # For the load balancer: its certificate, and the policies with rate limits.
    var.domain == "" ? [] : ["roles/compute.loadBalancerAdmin", "roles/compute.securityAdmin"],
  ) : [])

  # For what no predefined role gives without more: an account's policy, for example, decides who may become it.
  deploy_permissions = [
    "iam.serviceAccounts.create",
    "iam.serviceAccounts.delete",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "iam.serviceAccounts.list",
    "iam.serviceAccounts.update",
    "logging.logMetrics.create",
    "logging.logMetrics.delete",
    "logging.logMetrics.update",
    "secretmanager.secrets.create",
    "secretmanager.secrets.delete",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.secrets.update",
  ]

  # The accounts that the services, the jobs and the builds run as, and which the deploying account must be allowed to
  # hand to them.
  run_accounts = merge({
    realtime  = google_service_account.realtime.email
    prober    = google_service_account.prober.email
    scheduler = google_service_account.scheduler.email
    push      = google_service_account.push.email
    build     = google_service_account.build.email
    persist   = module.persist.account
    notify    = module.notify.account
    },
    { for name, function in {
      signup        = module.signup
      users         = module.users
      conversations = module.conversations
      messages      = module.messages
      me            = module.me
      admin         = module.admin
    } : name => function.account },
    local.cost_cap ? { cap = module.cap[0].account } : {},
    var.pipeline ? { test = google_service_account.test[0].email } : {},
  )

  # Roles of the account that plans. They correspond to deploy_roles, but only read, and none reads messages, the
  # accounts of users, or logs.
  plan_roles = toset(var.pipeline ? [
    "roles/artifactregistry.reader",
    "roles/cloudfunctions.viewer",
    "roles/cloudscheduler.viewer",
    "roles/compute.viewer",
    "roles/datastore.backupSchedulesViewer",
    "roles/firebaserules.viewer",
    "roles/iam.roleViewer",
    "roles/iam.securityReviewer",
    "roles/iam.serviceAccountViewer",
    "roles/monitoring.viewer",
    "roles/pubsub.viewer",
    "roles/redis.viewer",
    "roles/run.viewer",
    "roles/serviceusage.apiKeysViewer",
    "roles/serviceusage.serviceUsageConsumer",
  ] : [])

  # What a plan also reads, and the viewer's role either does not exist or shows more, such as users or documents.
  plan_permissions = [
    "datastore.databases.getMetadata",
    "datastore.databases.list",
    "datastore.indexes.get",
    "datastore.indexes.list",
    "firebaseauth.configs.get",
    "logging.buckets.get",
    "logging.logMetrics.get",
    "logging.logMetrics.list",
    "logging.sinks.get",
    "networkconnectivity.serviceConnectionPolicies.get",
    "resourcemanager.projects.get",
    "secretmanager.secrets.get",
    "storage.buckets.get",
  ]

  # The roles that the configuration grants on the project (access_test.go), which are all that the deploying account may
  # grant.
  granted_roles = [
    "roles/datastore.user",
    "roles/datastore.viewer",
    "roles/logging.logWriter",
    "roles/redis.dbConnectionUser",
    "roles/storage.objectViewer",
  ]

  granted_custom_roles = [
    google_project_iam_custom_role.accounts.id,
    google_project_iam_custom_role.own_account.id,
    google_project_iam_custom_role.audit.id,
  ]
}

resource "google_service_account" "deploy" {
  count = var.pipeline ? 1 : 0

  account_id   = "chat-deploy"
  display_name = "Chat: the pipeline's deploys"

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "deploy" {
  for_each = local.deploy_roles

  project = var.project
  role    = each.key
  member  = google_service_account.deploy[0].member
}

# A deleted role keeps its name, see random_id.accounts_role.
resource "random_id" "pipeline_roles" {
  count = var.pipeline ? 1 : 0

  byte_length = 4
}

resource "google_project_iam_custom_role" "deploy" {
  count = var.pipeline ? 1 : 0

  role_id     = "chatDeploy_${random_id.pipeline_roles[0].hex}"
  title       = "Chat: deploy"
  description = "Manage accounts and metrics of logs, but not who may become an account or where logs are kept."
  permissions = concat(local.deploy_permissions, local.plan_permissions)

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "deploy_custom" {
  count = var.pipeline ? 1 : 0

  project = var.project
  role    = google_project_iam_custom_role.deploy[0].id
  member  = google_service_account.deploy[0].member
}

resource "google_service_account_iam_member" "deploy_acts_as" {
  for_each = { for name, account in local.run_accounts : name => account if var.pipeline }

  service_account_id = "projects/${var.project}/serviceAccounts/${each.value}"
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deploy[0].member
}

resource "google_project_iam_member" "deploy_grants" {
  count = var.pipeline ? 1 : 0

  project = var.project
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.deploy[0].member

  condition {
    title       = "roles of the chat only"
    description = "The account may grant only what the services need, so it cannot make itself Owner."
    expression = join("", ["api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([",
    join(", ", [for role in concat(local.granted_roles, local.granted_custom_roles) : "'${role}'"]), "])"])
  }
}

# Tests run code of dependencies, such as install scripts, so their account can only read the sources and write logs.
resource "google_service_account" "test" {
  count = var.pipeline ? 1 : 0

  account_id   = "chat-test"
  display_name = "Chat: the pipeline's tests"

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "test_logs" {
  count = var.pipeline ? 1 : 0

  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.test[0].member
}

resource "google_storage_bucket_iam_member" "test_sources" {
  count = var.pipeline ? 1 : 0

  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.test[0].member
}

# Plans of pull requests run code that nobody has reviewed, so their account can only read. The state shows the same
# settings.
resource "google_service_account" "plan" {
  count = var.pipeline ? 1 : 0

  account_id   = "chat-plan"
  display_name = "Chat: plans of pull requests"

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "plan" {
  for_each = local.plan_roles

  project = var.project
  role    = each.key
  member  = google_service_account.plan[0].member
}

resource "google_project_iam_custom_role" "plan" {
  count = var.pipeline ? 1 : 0

  role_id     = "chatPlan_${random_id.pipeline_roles[0].hex}"
  title       = "Chat: plan"
  description = "Read the settings that no predefined role shows without more."
  permissions = local.plan_permissions

  depends_on = [time_sleep.apis]
}

resource "google_project_iam_member" "plan_custom" {
  count = var.pipeline ? 1 : 0

  project = var.project
  role    = google_project_iam_custom_role.plan[0].id
  member  = google_service_account.plan[0].member
}

# The archive of the functions is an object, which a plan reads.
resource "google_storage_bucket_iam_member" "plan_sources" {
  count = var.pipeline ? 1 : 0

  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.plan[0].member
}
