# The APIs of the project, and the addresses that are computed from its number.

locals {
  apis = toset([
    "apikeys.googleapis.com",
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "compute.googleapis.com",
    "firebaserules.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "identitytoolkit.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "networkconnectivity.googleapis.com",
    "pubsub.googleapis.com",
    "redis.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "securetoken.googleapis.com",
    "serviceconsumermanagement.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
  ])
}

# The provider reads the project through Cloud Resource Manager whenever it enables an API, so that API must be enabled
# before the first apply (infra/RUNBOOK.md, "Deploy"). This call finds out before anything is created, and its error
# names the command. The provider's own data sources fail without naming it.
module "resource_manager" {
  source = "./modules/call"

  method  = "GET"
  url     = "https://cloudresourcemanager.googleapis.com/v1/projects/${var.project}"
  project = var.project
  token   = ephemeral.google_client_config.this.access_token
  after   = var.project
}

# The token of the person who applies, for the calls that no resource makes. Neither the state nor a plan file contains
# an ephemeral value.
ephemeral "google_client_config" "this" {
  provider = google.caller
}

resource "google_project_service" "this" {
  for_each = local.apis

  project = var.project
  service = each.key

  # Other parts of the project may need them.
  disable_on_destroy = false

  depends_on = [module.resource_manager]
}

# For up to a minute after it was enabled, an API answers "has not been used in project".
resource "time_sleep" "apis" {
  create_duration = "60s"

  triggers = {
    apis = join(",", sort(tolist(local.apis)))
  }

  depends_on = [google_project_service.this]
}

# It does not depend on the other APIs. Otherwise the number would be unknown in the plan of an upgrade that needs one
# more API, and the plan would replace resources that do not change.
data "google_project" "this" {
  project_id = var.project

  depends_on = [module.resource_manager]
}

locals {
  number = data.google_project.this.number

  # Realtime and the functions refer to each other, so neither address can be read from the other's resource. Cloud
  # Run gives every service this address besides a random one. On cloudfunctions.net the first path segment is the
  # name of the function, as api_base requires (DESIGN §8).
  # https://cloud.google.com/run/docs/triggering/https-request#deterministic
  realtime_name = "chat"
  run_host      = "${local.realtime_name}-${local.number}.${var.region}.run.app"
  run_url       = "https://${local.run_host}"
  hosted_host   = local.domain_serves ? var.domain : local.run_host
  hosted_url    = "https://${local.hosted_host}"
  socket_url    = "wss://${local.hosted_host}/ws"
  auth_domain   = "${var.project}.firebaseapp.com"
  http_api_base = local.domain_serves ? "${local.hosted_url}/api" : "https://${var.region}-${var.project}.cloudfunctions.net"

  # Where the newest revision answers. Behind the load balancer it has no address of its own: a header chooses it
  # (domain.tf).
  next_url = local.domain_serves ? local.hosted_url : "https://next---${local.run_host}"

  # Value of all deletion_policy arguments.
  deletion_policy = var.protect ? "PREVENT" : "DELETE"
}
