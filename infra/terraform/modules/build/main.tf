# Builds the image of realtime with Cloud Build and reads its digest. It is a module, so that tests can leave it out.

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
  description = "Project of the build."
  type        = string
  nullable    = false
}

variable "repository" {
  description = "Artifact Registry repository of the image."
  nullable    = false
  type        = object({ id = string, repository_id = string, location = string })
}

variable "bucket" {
  description = "Bucket to which the sources are uploaded."
  type        = string
  nullable    = false
}

variable "account" {
  description = "Id of the service account of the build."
  type        = string
  nullable    = false
}

variable "root" {
  description = "Folder of the sources."
  type        = string
  nullable    = false
}

variable "sources" {
  description = "Files in the folder root that the image is built from."
  type        = list(string)
  nullable    = false
}

variable "hash" {
  description = "Hash of the names and contents of the sources; part of the image's tag."
  type        = string
  nullable    = false
}

variable "steps" {
  description = "Steps of the build in the format of the Cloud Build API."
  type        = any
  nullable    = false
}

variable "token" {
  description = "Access token of the person who applies. It is ephemeral, so neither the state nor a plan file contains it."
  type        = string
  nullable    = false
  ephemeral   = true
}

locals {
  object = "realtime/${var.hash}.tar.gz"
  tag    = "src-${var.hash}"
}

resource "terraform_data" "this" {
  triggers_replace = [var.repository.id, local.tag]

  provisioner "local-exec" {
    interpreter = ["bash"]
    command     = "${path.module}/../../../pipeline/submit"
    environment = {
      PROJECT = var.project
      BUCKET  = var.bucket
      OBJECT  = local.object
      ROOT    = var.root
      SOURCES = join("\n", var.sources)
      MADE    = "https://artifactregistry.googleapis.com/v1/${var.repository.id}/packages/realtime/tags/${local.tag}"
      TOKEN   = var.token
      BUILD = jsonencode({
        source         = { storageSource = { bucket = var.bucket, object = local.object } }
        steps          = var.steps
        timeout        = "1200s"
        serviceAccount = var.account
        options        = { logging = "CLOUD_LOGGING_ONLY" }
      })
    }
  }
}

# The image to which the tag refers.
data "google_artifact_registry_docker_image" "this" {
  location      = var.repository.location
  repository_id = var.repository.repository_id
  image_name    = "realtime:${local.tag}"

  depends_on = [terraform_data.this]
}

output "image" {
  description = "Name of the image with its digest."
  value       = data.google_artifact_registry_docker_image.this.self_link
}
