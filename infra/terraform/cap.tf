# The cost cap, off by default: if the costs of a month reach cost_cap_percent of the budget, the function cap switches
# off all services that people call (functions/costcap). What it does not stop, and how to switch the chat on again, is
# in infra/RUNBOOK.md, "Cost cap".

locals {
  cost_cap = var.cost_cap_percent > 0

  # The services that the cap switches off, with their accounts. persist saves what was acknowledged (settings_test.go
  # compares the list with the code).
  capped = local.cost_cap ? merge({ (local.realtime_name) = google_service_account.realtime.email }, {
    for f in [module.signup, module.users, module.conversations, module.messages, module.me, module.admin] : f.name => f.account
  }) : {}
}

# Cloud Billing publishes here several times a day. It gets the right to do so when the budget is created.
resource "google_pubsub_topic" "budget" {
  count = local.cost_cap ? 1 : 0

  name            = "budget"
  deletion_policy = "DELETE"

  depends_on = [time_sleep.apis]
}

module "cap" {
  source = "./modules/function"
  count  = local.cost_cap ? 1 : 0

  name          = "cap"
  entry_point   = "cap"
  description   = "Switches the chat off when it has cost too much."
  shared        = local.functions
  public        = false
  timeout       = 55
  max_instances = 1

  depends_on = [time_sleep.apis]
}

resource "google_cloud_run_v2_service_iam_member" "cap_push" {
  count = local.cost_cap ? 1 : 0

  name     = module.cap[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_pubsub_subscription" "cap" {
  count = local.cost_cap ? 1 : 0

  name                       = "cap"
  topic                      = google_pubsub_topic.budget[0].id
  ack_deadline_seconds       = 60
  message_retention_duration = "86400s" # the next notification has newer costs

  push_config {
    push_endpoint = "${module.cap[0].uri}/${google_pubsub_topic.budget[0].id}"

    attributes = {
      x-goog-version = "v1" # as Google answers if it is not set, which the provider takes for a change
    }

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = module.cap[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }

  deletion_policy = "DELETE"

  depends_on = [google_cloud_run_v2_service_iam_member.cap_push]
}

# It may change these services, and no other.
resource "google_cloud_run_v2_service_iam_member" "cap" {
  for_each = local.capped

  name     = each.key
  location = var.region
  role     = "roles/run.developer"
  member   = module.cap[0].member

  depends_on = [google_cloud_run_v2_service.realtime]
}

# Cloud Run demands this right from everybody who changes a service.
resource "google_service_account_iam_member" "cap" {
  for_each = local.capped

  service_account_id = "projects/${var.project}/serviceAccounts/${each.value}"
  role               = "roles/iam.serviceAccountUser"
  member             = module.cap[0].member
}
