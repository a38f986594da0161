# The image of realtime/: where it is kept, and how one apply gets it made.
#
# Cloud Build runs the same Go program as everybody else (infra/image) over the files
# that are hashed here. Its tag is that hash, so that an apply repeated over the same
# files finds the image made, and what runs is taken by digest. The pipeline
# (cloudbuild.yaml) makes the image itself and gives its digest as var.image.

locals {
  root = "${path.module}/../.."

  # Everything that the image is made of, and nothing else: changing a test or this file does
  # not make another (sources_test.go builds from exactly these).
  image_sources = sort([for f in flatten([for pattern in [
    "go.{mod,sum}", "realtime/**", "infra/image/**",
    "web/{index.html,package.json,package-lock.json,.npmrc,vite.config.ts}", "web/tsconfig*.json",
    "web/build/**", "web/public/**", "web/src/**",
  ] : tolist(fileset(local.root, pattern))]) : f if !can(regex("_test\\.go$|\\.test\\.ts$|/(testdata|testing)/", f))])
  image_hash = substr(sha256(join("\n", [for f in local.image_sources : "${f} ${filesha256("${local.root}/${f}")}"])), 0, 40)

  image_name = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}/realtime"
  image      = var.image == "" ? module.build[0].image : var.image

  # Both are images of the tools' own makers.
  node_builder = "node:22-bookworm-slim"
  go_builder   = "golang:1.26-bookworm"
}

resource "google_artifact_registry_repository" "this" {
  repository_id = "chat"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of realtime and of the functions."

  # The last ten of each can be rolled back to.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }

  deletion_policy = local.deletion_policy

  depends_on = [time_sleep.apis]
}

resource "google_storage_bucket" "source" {
  name                        = "${var.project}-chat-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protect

  # Sources of realtime's image are read once.
  lifecycle_rule {
    condition {
      age            = 7
      matches_prefix = ["realtime/"]
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [time_sleep.apis]
}

# Who builds: reads sources, writes images and logs. Functions' builds use it too, instead of the
# default account, which in older projects may edit everything.
resource "google_service_account" "build" {
  account_id   = "chat-build"
  display_name = "Chat: builds of realtime and of the functions"

  depends_on = [time_sleep.apis]
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.this.repository_id
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_project_iam_member" "build_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

# Cloud Functions copies each archive into a bucket of its own before it builds.
resource "google_project_iam_member" "build_sources" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title       = "sources only"
    description = "Our bucket of sources, and that of Cloud Functions."
    expression  = <<-EOT
      resource.name.startsWith("projects/_/buckets/${google_storage_bucket.source.name}") ||
      resource.name.startsWith("projects/_/buckets/gcf-v2-sources-${local.number}-${var.region}")
    EOT
  }
}

# Grants take up to two minutes to be known everywhere; a build that starts before fails.
# Whoever builds takes the account's name from here, and so waits.
resource "time_sleep" "build_grants" {
  create_duration = "90s"

  triggers = {
    account = google_service_account.build.id
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_sources,
  ]
}

module "build" {
  source = "./modules/build"
  count  = var.image == "" ? 1 : 0

  project    = var.project
  repository = google_artifact_registry_repository.this
  bucket     = google_storage_bucket.source.name
  account    = time_sleep.build_grants.triggers["account"]
  root       = local.root
  sources    = local.image_sources
  hash       = local.image_hash
  token      = data.google_client_config.this.access_token

  steps = [
    {
      id         = "client"
      name       = local.node_builder
      dir        = "web"
      entrypoint = "sh"
      args       = ["-c", "npm ci --no-audit --no-fund && npm run build"]
      env        = ["PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1"] # a tests' browser is of no use here
    },
    {
      id   = "image"
      name = local.go_builder
      args = ["go", "run", "./infra/image", "-client", "web/dist", "-push", "${local.image_name}:src-${local.image_hash}"]
    },
  ]
}

output "image" {
  description = "Image of realtime that is deployed, by digest. Give it as -var image=… to deploy exactly this one again."
  value       = local.image
}

output "image_repository" {
  description = "Where images of realtime are pushed to."
  value       = local.image_name
}
