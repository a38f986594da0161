# The state is kept in this folder unless a backend is configured. To share it, put these three lines into backend.tf,
# and pass the bucket to terraform init (infra/RUNBOOK.md, "Remote state"):
#
#   terraform {
#     backend "gcs" {}
#   }

terraform {
  # 1.11 has validation across variables, import blocks with for_each, and mocks that apply during a plan.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "7.45.0"
    }
    # Only for google_project_service_identity, which the provider google does not have. In a new project, Pub/Sub's
    # service agent must exist before it can be granted a role.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "7.45.0"
    }
    archive = {
      source  = "hashicorp/archive"
      version = "2.8.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "3.9.0"
    }
    time = {
      source  = "hashicorp/time"
      version = "0.14.0"
    }
  }
}

# The APIs for API keys, Identity Platform and budgets refuse calls that are not attributed to a project in which the
# API is enabled. This attributes them to var.project.
provider "google" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}

# For the access token of the person who applies (project.tf). It is a provider of its own because mocks of a provider
# have no ephemeral resources, so the tests mock only the other one.
provider "google" {
  alias   = "caller"
  project = var.project
}

provider "google-beta" {
  project               = var.project
  region                = var.region
  user_project_override = true
  billing_project       = var.project
}
