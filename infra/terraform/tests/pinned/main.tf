# The service realtime after a revision was pinned with gcloud. The run "pinned" of tests/split.tftest.hcl puts it into
# the state of the next run.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
  }
}

variable "project" {
  description = "Project of the service."
  type        = string
  nullable    = false
}

resource "google_cloud_run_v2_service" "realtime" {
  name     = "chat"
  location = "europe-west1"
  project  = var.project

  client         = "gcloud"
  client_version = "528.0.0"

  template {
    containers {
      image = "europe-west1-docker.pkg.dev/acme-chat/chat/realtime@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    }
  }

  traffic {
    type     = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    revision = "chat-00001-old"
    percent  = 100
  }
  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 0
    tag     = "next"
  }
}
