# What all functions share: the archive that Google builds them from, their
# settings, and how much of everything each may take. Each has a file of its own beside this one.

locals {
  # Google's build wants go.mod and one package in the root, which registers the
  # functions; the repository keeps its root free of Go, so it is made here. The framework's
  # package is imported for the program that Google generates, which needs it
  # and takes its version from our go.mod.
  functions_module = regex("(?m)^module (\\S+)$", file("${local.root}/go.mod"))[0]
  functions_root   = <<-EOT
    // Package function is what Google's build of Go functions expects in the root of
    // its source. Made by Terraform (infra/terraform/functions.tf).
    package function

    import (
    	_ "github.com/GoogleCloudPlatform/functions-framework-go/functions"

    	_ "${local.functions_module}/functions"
    )
  EOT

  # Functions import packages of realtime/, never the reverse. All of it is text.
  functions_sources = [for f in flatten([for pattern in ["go.{mod,sum}", "functions/**", "realtime/**"] :
    tolist(fileset(local.root, pattern))]) : f if !can(regex("_test\\.go$|/testdata/|^(functions|realtime)/cmd/", f))
  ]
}

module "archive" {
  source = "./modules/archive"

  root    = local.root
  sources = local.functions_sources
  made    = { "function.go" = local.functions_root }
  path    = "${path.module}/.terraform/functions.zip"
}

resource "google_storage_bucket_object" "functions" {
  bucket = google_storage_bucket.source.name
  name   = "functions/${module.archive.sha256}.zip"
  source = module.archive.path

  # The new one is there before the functions move to it.
  lifecycle {
    create_before_destroy = true
  }
}

locals {
  functions = {
    region     = var.region
    runtime    = "go126"
    bucket     = google_storage_bucket.source.name
    object     = google_storage_bucket_object.functions.name
    build      = time_sleep.build_grants.triggers["account"]
    repository = google_artifact_registry_repository.this.id
    max        = var.function_max_instances
    settings   = local.function_settings
  }
}

output "http_api_base" {
  description = "Address below which the HTTP functions hang, as the browser client is told in /config.json."
  value       = local.http_api_base
}

locals {
  # Every setting that the functions read (settings_test.go). They are one program to Google's
  # build, and read them all; each uses what it needs, and may do what its own file says.
  function_settings = { for name, value in {
    PROJECT_ID               = var.project
    FIRESTORE_DATABASE       = google_firestore_database.this.name
    HOSTED_URL               = local.hosted_url
    EXTRA_ORIGINS            = join(",", var.extra_origins)
    FIREBASE_API_KEY         = google_apikeys_key.web.key_string
    INTERNAL_URL             = local.run_url
    INTERNAL_AUDIENCE        = local.run_url
    TOPIC                    = google_pubsub_topic.delivery_acks.name
    DEAD_LETTER_TOPIC        = google_pubsub_topic.dead_letters.name
    DEAD_LETTER_SUBSCRIPTION = google_pubsub_subscription.dead_letters.name
    SIGNUPS_HOURLY           = tostring(var.signups_hourly)
    PROXIES                  = "1" # Cloud Run's own front end
    LOG_LEVEL                = var.log_level
  } : name => value if value != "" }
}
