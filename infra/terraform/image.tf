# The image of realtime and of the prober: its repository, and its build during an apply.
#
# Cloud Build runs infra/image, the same Go program as on a developer's machine, with the files that are hashed here.
# The tag is that hash, so another apply with the same files finds the image. The service uses the image by digest.
# The pipeline (cloudbuild.yaml) builds the image itself and passes its digest as var.image.

locals {
  root = "${path.module}/../.."

  # With a pipeline, an apply by hand deploys no code that was not tested.
  keep_code = coalesce(var.keep_code, var.pipeline)

  # Only the files that the image is built from, so that changing a test or this file does not cause another build
  # (sources_test.go builds from exactly these files).
  image_sources = sort([for f in flatten([for pattern in [
    "go.{mod,sum}", "realtime/**", "infra/image/**", "infra/pipeline/smoke/**", "infra/client/**",
    "web/{index.html,package.json,package-lock.json,.npmrc,vite.config.ts}", "web/tsconfig*.json",
    "web/build/**", "web/public/**", "web/src/**", "functions/password/common.txt",
  ] : tolist(fileset(local.root, pattern))]) : f if !can(regex("_test\\.go$|\\.test\\.ts$|/(testdata|testing)/", f))])
  image_hash = substr(sha256(join("\n", [for f in local.image_sources : "${f} ${filesha256("${local.root}/${f}")}"])), 0, 40)

  image_name = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}/realtime"

  # The image to deploy: the given one, the deployed one, or the one that is built from the local files.
  image = (var.image != "" ? var.image :
  local.keep_code ? data.google_cloud_run_v2_service.deployed[0].template[0].containers[0].image : module.build[0].image)

  # Official images of Node.js and Go.
  node_builder = "node:22-bookworm-slim"
  go_builder   = "golang:1.26-bookworm"
}

resource "google_artifact_registry_repository" "this" {
  repository_id = "chat"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of realtime and of the functions."

  # The last ten of each are kept for rolling back.
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

  # The sources of realtime's image and of the pipeline's builds are read only once.
  lifecycle_rule {
    condition {
      age            = 7
      matches_prefix = ["realtime/", "pipeline/"]
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [time_sleep.apis]
}

# The service account of all builds, which reads sources and writes images and logs. The functions' builds use it too.
# The default service account would have the role Editor in older projects.
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

# Cloud Functions copies each archive into its own bucket before it builds.
resource "google_project_iam_member" "build_sources" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title       = "sources only"
    description = "Our bucket of sources and that of Cloud Functions."
    expression = join(" || ", [for bucket in [google_storage_bucket.source.name, "gcf-v2-sources-${local.number}-${var.region}"] :
    "resource.name == \"projects/_/buckets/${bucket}\" || resource.name.startsWith(\"projects/_/buckets/${bucket}/\")"])
  }
}

# Grants take up to two minutes to take effect, and a build that starts earlier fails. Builds read the account's name
# from this resource, so they wait for it.
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

# The realtime that is deployed, whose image stays with keep_code.
data "google_cloud_run_v2_service" "deployed" {
  count = var.image == "" && local.keep_code ? 1 : 0

  name     = local.realtime_name
  location = var.region
}

module "build" {
  source = "./modules/build"
  count  = var.image == "" && !local.keep_code ? 1 : 0

  project    = var.project
  repository = google_artifact_registry_repository.this
  bucket     = google_storage_bucket.source.name
  account    = time_sleep.build_grants.triggers["account"]
  root       = local.root
  sources    = local.image_sources
  hash       = local.image_hash
  token      = ephemeral.google_client_config.this.access_token

  steps = [
    {
      id         = "client"
      name       = local.node_builder
      dir        = "web"
      entrypoint = "sh"
      args       = ["-c", "npm ci --no-audit --no-fund && npm run build"]
      env        = ["PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1"] # only tests need a browser
    },
    {
      id   = "image"
      name = local.go_builder
      args = ["go", "run", "./infra/image", "-client", "web/dist", "-push", "${local.image_name}:src-${local.image_hash}"]
    },
  ]
}

output "image" {
  description = "Digest of the deployed image of realtime. To deploy the same image again, pass it as -var image=…."
  value       = local.image
}

output "image_repository" {
  description = "Name under which images of realtime are pushed."
  value       = local.image_name
}
