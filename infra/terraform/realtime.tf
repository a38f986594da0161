# Realtime: the service that keeps the WebSockets and serves the page.

resource "google_service_account" "realtime" {
  account_id   = "chat-realtime"
  display_name = "Chat: realtime"

  depends_on = [time_sleep.apis]
}

# Connects to Redis with a token of its account instead of a password.
resource "google_project_iam_member" "realtime_redis" {
  project = var.project
  role    = "roles/redis.dbConnectionUser"
  member  = google_service_account.realtime.member
}

# Reads a person's gate where Redis has none.
resource "google_project_iam_member" "realtime_firestore" {
  project = var.project
  role    = "roles/datastore.viewer"
  member  = google_service_account.realtime.member
}

# Publishes what was delivered, for persist.
resource "google_pubsub_topic_iam_member" "realtime_acks" {
  topic  = google_pubsub_topic.delivery_acks.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.realtime.member
}

locals {
  # Cloud Run's limits for requests of one instance, and for how long one may take. A
  # socket is a request.
  requests_per_instance = 1000
  request_minutes       = 60

  # The page and the functions' calls need some of the requests, too.
  sockets_per_instance = local.requests_per_instance - 50

  # Every setting that realtime/cmd/realtime reads (settings_test.go), but for those that
  # the image or Cloud Run sets.
  realtime_settings = {
    PROJECT_ID           = var.project
    HOSTED_URL           = local.hosted_url
    EXTRA_ORIGINS        = join(",", var.extra_origins)
    REALTIME_URL         = local.socket_url
    API_BASE             = local.http_api_base
    FIREBASE_API_KEY     = google_apikeys_key.web.key_string
    FIREBASE_AUTH_DOMAIN = local.auth_domain
    REDIS_ADDR           = local.redis_address
    REDIS_CA             = local.redis_ca
    REDIS_CLUSTER        = "true"
    REDIS_IAM            = "true"
    TOPIC                = google_pubsub_topic.delivery_acks.name
    INTERNAL_CALLERS     = join(",", [module.me.account, module.admin.account])
    INTERNAL_AUDIENCE    = local.run_url
    LOG_LEVEL            = var.log_level
    MAX_SOCKETS          = tostring(local.sockets_per_instance)

    # Clients move before Cloud Run ends their socket, and not all at once.
    SOCKET_AGE_MIN = "${local.request_minutes - 15}m"
    SOCKET_AGE_MAX = "${local.request_minutes - 5}m"
  }
}

resource "google_cloud_run_v2_service" "realtime" {
  name        = local.realtime_name
  location    = var.region
  description = "WebSockets of the chat, and its page."
  ingress     = "INGRESS_TRAFFIC_ALL"

  deletion_protection = var.protect
  deletion_policy     = local.deletion_policy

  template {
    service_account = google_service_account.realtime.email

    timeout = "${local.request_minutes * 60}s"

    # The default is 80, at which the same sockets would cost twelve times as much.
    max_instance_request_concurrency = local.requests_per_instance

    scaling {
      min_instance_count = var.realtime_min_instances
      max_instance_count = var.realtime_max_instances
    }

    vpc_access {
      # Only Redis is in the network; Google's APIs are reached past it.
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = google_compute_network.this.name
        subnetwork = google_compute_subnetwork.realtime.name
      }
    }

    containers {
      image = local.image

      resources {
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
        # CPU only while a socket is open, which is what is paid for.
        cpu_idle          = true
        startup_cpu_boost = true
      }

      ports {
        container_port = 8080
      }

      # Realtime listens at once and is ready when Redis answers, or 10 s after its
      # start: then it serves the page, and tells hello that Redis is unavailable.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/health/ready"
        }
      }

      # Never asks Redis: an instance is not restarted, and its sockets not cut,
      # for what a restart does not mend.
      liveness_probe {
        period_seconds    = 15
        timeout_seconds   = 5
        failure_threshold = 4
        http_get {
          path = "/health/live"
        }
      }

      dynamic "env" {
        for_each = { for name, value in local.realtime_settings : name => value if value != "" }
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  # All to the newest; or, while the pipeline tries it, all to the one before, and the
  # newest only under a name of its own.
  dynamic "traffic" {
    for_each = var.serving_revision == "" ? [] : [var.serving_revision]
    content {
      type     = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
      revision = traffic.value
      percent  = 100
    }
  }
  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = var.serving_revision == "" ? 100 : 0
    tag     = "next"
  }

  depends_on = [
    google_project_iam_member.realtime_redis,
    google_project_iam_member.realtime_firestore,
    google_pubsub_topic_iam_member.realtime_acks,
  ]
}

# People's browsers have no Google identity: realtime checks their ID tokens itself, and those
# of the functions on its internal routes.
resource "google_cloud_run_v2_service_iam_member" "realtime_public" {
  name     = google_cloud_run_v2_service.realtime.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

output "hosted_url" {
  description = "Where the chat is: open this in a browser."
  value       = local.hosted_url

  # The address was computed (project.tf): say so if Cloud Run gave another.
  precondition {
    condition     = contains(google_cloud_run_v2_service.realtime.urls, local.run_url)
    error_message = "Cloud Run serves realtime at ${join(", ", google_cloud_run_v2_service.realtime.urls)}, and not at ${local.run_url} as was computed. Everything is set up, but the parts will not find each other: please report this."
  }
}

output "next_url" {
  description = "The newest revision of realtime under its own name, also while it takes no traffic."
  value       = local.next_url
}

output "serving_revision" {
  description = "Revision of realtime that takes the traffic, by its short name."
  value = one([for t in google_cloud_run_v2_service.realtime.traffic_statuses :
    t.type == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION" ? t.revision : basename(google_cloud_run_v2_service.realtime.latest_ready_revision)
  if t.percent == 100])
}
