# The APIs of the project, and the addresses that are computed from its number.

locals {
  apis = toset([
    "apikeys.googleapis.com",
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "firebaserules.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "identitytoolkit.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "networkconnectivity.googleapis.com",
    "pubsub.googleapis.com",
    "redis.googleapis.com",
    "run.googleapis.com",
    "securetoken.googleapis.com",
    "serviceconsumermanagement.googleapis.com",
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
  ])
}

resource "google_project_service" "this" {
  for_each = local.apis

  project = var.project
  service = each.key

  # Other parts of the project may need them.
  disable_on_destroy = false
}

# For up to a minute after it was enabled, an API answers "has not been used in project".
resource "time_sleep" "apis" {
  create_duration = "60s"

  triggers = {
    apis = join(",", sort(tolist(local.apis)))
  }

  depends_on = [google_project_service.this]
}

data "google_project" "this" {
  project_id = var.project

  # In a new project the API that returns the number is not enabled yet.
  depends_on = [time_sleep.apis]
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
  next_url      = "https://next---${local.run_host}"
  hosted_host   = var.domain == "" ? local.run_host : var.domain
  hosted_url    = "https://${local.hosted_host}"
  socket_url    = "wss://${local.hosted_host}/ws"
  auth_domain   = "${var.project}.firebaseapp.com"
  http_api_base = "https://${var.region}-${var.project}.cloudfunctions.net"

  # Value of all deletion_policy arguments.
  deletion_policy = var.protect ? "PREVENT" : "DELETE"
}
