# One Cloud Run function with the account that it runs as. What the account may do
# stands where the module is used.

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
  description = "What the function is for, in a few words."
  type        = string
  nullable    = false
}

variable "shared" {
  description = "What all functions have in common (functions.tf of the root module)."
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
  })
}

variable "public" {
  description = "Whether anyone on the internet may call it. Then it checks ID tokens itself."
  type        = bool
  nullable    = false
}

variable "timeout" {
  description = "Seconds that a call may take."
  type        = number
  default     = 30
  nullable    = false
}

variable "concurrency" {
  description = "Calls that one instance works on at a time."
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
  description = "Most instances at a time. Null: as many as the other functions."
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

    # Google puts security patches of the runtime in without a deploy.
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

    # Below one CPU an instance takes one call at a time.
    available_cpu    = "1"
    available_memory = var.memory

    # What is not public is called by Pub/Sub only, which counts as internal.
    ingress_settings = var.public ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
  }
}

# A function is a Cloud Run service, and it is there that calling is granted.
resource "google_cloud_run_v2_service_iam_member" "public" {
  count = var.public ? 1 : 0

  name     = google_cloudfunctions2_function.this.name
  location = var.shared.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

output "uri" {
  description = "Address of the function's own service."
  value       = google_cloudfunctions2_function.this.service_config[0].uri
}

output "account" {
  description = "E-mail address of the account that the function runs as."
  value       = google_service_account.this.email
}

output "member" {
  description = "The same as a member of an IAM binding."
  value       = google_service_account.this.member
}

output "name" {
  description = "Name of the function and of its Cloud Run service."
  value       = google_cloudfunctions2_function.this.name
}
