# A Cloud Run function and its service account. The grants of the account are where the module is used.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
  }
}

variable "name" {
  description = "Name of the function, which is also the first segment of its path."
  type        = string
  nullable    = false
}

variable "entry_point" {
  description = "Name under which the code registers the function with functions-framework."
  type        = string
  nullable    = false
}

variable "description" {
  description = "Purpose of the function, in a few words."
  type        = string
  nullable    = false
}

variable "shared" {
  description = "Settings that all functions share (functions.tf of the root module)."
  nullable    = false
  type = object({
    region     = string
    runtime    = string
    bucket     = string
    object     = string
    build      = string
    repository = string
    max        = number
    settings   = map(string)
    grant      = bool
    ingress    = string
  })
}

variable "public" {
  description = "Whether everyone on the internet may call it. If so, the function checks ID tokens itself."
  type        = bool
  nullable    = false
}

variable "timeout" {
  description = "Timeout of a call in seconds."
  type        = number
  default     = 30
  nullable    = false
}

variable "concurrency" {
  description = "Maximum number of concurrent calls of an instance."
  type        = number
  default     = 80
  nullable    = false
}

variable "memory" {
  description = "Memory of an instance."
  type        = string
  default     = "512Mi"
  nullable    = false
}

variable "max_instances" {
  description = "Maximum number of instances. If null, it is that of the other functions."
  type        = number
  default     = null
}

resource "google_service_account" "this" {
  account_id   = "chat-${var.name}"
  display_name = "Chat: function ${var.name}"
}

resource "google_cloudfunctions2_function" "this" {
  name        = var.name
  location    = var.shared.region
  description = var.description

  build_config {
    runtime           = var.shared.runtime
    entry_point       = var.entry_point
    service_account   = var.shared.build
    docker_repository = var.shared.repository

    source {
      storage_source {
        bucket = var.shared.bucket
        object = var.shared.object
      }
    }

    # Google applies security patches of the runtime without a deploy.
    automatic_update_policy {}
  }

  service_config {
    service_account_email            = google_service_account.this.email
    environment_variables            = var.shared.settings
    timeout_seconds                  = var.timeout
    max_instance_request_concurrency = var.concurrency
    max_instance_count               = var.max_instances == null ? var.shared.max : var.max_instances
    min_instance_count               = 0
    all_traffic_on_latest_revision   = true

    # An instance with less than one CPU handles only one call at a time.
    available_cpu    = "1"
    available_memory = var.memory

    # A function that is not public is called only by Pub/Sub, whose requests count as internal.
    ingress_settings = var.public ? var.shared.ingress : "ALLOW_INTERNAL_ONLY"
  }
}

# A function is a Cloud Run service, so the right to call it is granted on that service.
resource "google_cloud_run_v2_service_iam_member" "public" {
  count = var.public && var.shared.grant ? 1 : 0

  name     = google_cloudfunctions2_function.this.name
  location = var.shared.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

output "uri" {
  description = "Address of the function's Cloud Run service."
  value       = google_cloudfunctions2_function.this.service_config[0].uri
}

output "account" {
  description = "E-mail address of the function's service account."
  value       = google_service_account.this.email
}

output "member" {
  description = "The service account as a member of an IAM binding."
  value       = google_service_account.this.member
}

output "public_grants" {
  description = "Number of grants to allUsers."
  value       = length(google_cloud_run_v2_service_iam_member.public)
}

output "name" {
  description = "Name of the function and of its Cloud Run service."
  value       = google_cloudfunctions2_function.this.name
}

output "settings" {
  description = "Environment variables of the function."
  value       = google_cloudfunctions2_function.this.service_config[0].environment_variables
  sensitive   = true
}
