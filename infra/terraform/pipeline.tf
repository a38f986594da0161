# The service accounts of the pipeline (cloudbuild.yaml). Only a person with the role Owner can change what they may do.

locals {
  # Roles of the account that deploys. None of them lets it read messages, change custom roles, or change the log bucket
  # of the audit log.
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
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/identityplatform.admin",
    "roles/logging.configWriter",
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
