# State is kept in this folder unless a backend is named. To share it, put these three lines
# into backend.tf, and name the bucket to init (infra/RUNBOOK.md, "Remote state"):
#
#   terraform {
#     backend "gcs" {}
#   }

terraform {
  # 1.11: cross-variable validation, import blocks with for_each, mocks that
  # take part in a plan.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
    # Only for google_project_service_identity, which google does not have: on a new
    # project Pub/Sub's own account must exist before it can be granted anything.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "~> 7.45"
    }
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.8"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.9"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.14"
    }
  }
}

# API keys, Identity Platform and budgets are refused unless the calls are
# counted on a project that has their API enabled: this one.
provider "google" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}

provider "google-beta" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}
