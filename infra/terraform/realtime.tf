# Realtime: the service that holds the WebSockets and serves the web client.

resource "google_service_account" "realtime" {
  account_id   = "chat-realtime"
  display_name = "Chat: realtime"

  depends_on = [time_sleep.apis]
}

# It connects to Redis with a token of its service account instead of a password.
resource "google_project_iam_member" "realtime_redis" {
  project = var.project
  role    = "roles/redis.dbConnectionUser"
  member  = google_service_account.realtime.member
}

# It reads a user's gate if Redis does not have it.
resource "google_project_iam_member" "realtime_firestore" {
  project = var.project
  role    = "roles/datastore.viewer"
  member  = google_service_account.realtime.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}

# It publishes acknowledged messages for persist.
resource "google_pubsub_topic_iam_member" "realtime_acks" {
  topic  = google_pubsub_topic.delivery_acks.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.realtime.member
}

# It publishes messages to people who are away for notify.
resource "google_pubsub_topic_iam_member" "realtime_notify" {
  topic  = google_pubsub_topic.notify.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.realtime.member
}

locals {
  # Cloud Run's limits for the requests of an instance and for the duration of a request. A socket is a request.
  requests_per_instance = 1000
  request_minutes       = 60

  # The web client and the calls from the functions need some of the requests.
  sockets_per_instance = local.requests_per_instance - 50

  # All settings that realtime/cmd/realtime reads (settings_test.go), except those that the image or Cloud Run sets.
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
    REPLICA_WAIT         = var.redis_wait_for_replica ? "1s" : "0s"
    TOPIC                = google_pubsub_topic.delivery_acks.name
    NOTIFY_TOPIC         = google_pubsub_topic.notify.name
    INTERNAL_CALLERS     = join(",", [module.me.account, module.admin.account, module.persist.account, module.notify.account])
    INTERNAL_AUDIENCE    = local.run_url
    LOG_LEVEL            = var.log_level
    MAX_SOCKETS          = tostring(local.sockets_per_instance)
    WATCHED_HOURLY       = tostring(var.watched_hourly)
    PROXIES              = tostring(local.proxies)
    PLACE_HEADER         = local.place_header
    STRANGER_MESSAGES    = tostring(var.stranger_messages)
    STRANGER_BYTES       = tostring(var.stranger_bytes)
    NEW_PEOPLE_PER_DAY   = tostring(var.new_people_per_day)

    NEW_PEOPLE_UNVERIFIED = tostring(var.new_people_unverified)

    # Clients move before Cloud Run ends their sockets, and not all at the same time.
    SOCKET_AGE_MIN = "${local.request_minutes - 15}m"
    SOCKET_AGE_MAX = "${local.request_minutes - 5}m"
  }
}

resource "google_cloud_run_v2_service" "realtime" {
  name        = local.realtime_name
  location    = var.region
  description = "WebSockets and web client of the chat."
  ingress     = local.domain_serves ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" : "INGRESS_TRAFFIC_ALL"

  # Browsers have no Google identity, so everyone may call the service. Realtime checks the ID tokens of users itself,
  # and those of the functions on its internal routes. A grant to allUsers is refused in organizations that were created
  # since May 2024 (iam.allowedPolicyMemberDomains).
  invoker_iam_disabled = true

  deletion_protection = var.protect
  deletion_policy     = local.deletion_policy

  template {
    service_account = google_service_account.realtime.email

    timeout = "${local.request_minutes * 60}s"

    # With the default of 80, the same number of sockets would cost twelve times as much.
    max_instance_request_concurrency = local.requests_per_instance

    scaling {
      min_instance_count = var.realtime_min_instances
      max_instance_count = var.realtime_max_instances
    }

    vpc_access {
      # Only Redis is in the network. Requests to Google's APIs do not use it.
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
        # Request-based billing: CPU is allocated and billed only while a request, such as a socket, is open.
        cpu_idle          = true
        startup_cpu_boost = true
      }

      ports {
        container_port = 8080
      }

      # Realtime listens immediately. It is ready when Redis answers, or 10 s after its start. In the second case it
      # serves the web client and answers hello with an error until Redis is available.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/health/ready"
        }
      }

      # It does not depend on Redis, because a restart would cut the sockets without helping.
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

  # How the service is created: each new revision gets all traffic. From then on, only gcloud changes the traffic. The
  # pipeline and a rollback pin a revision, which keeps all traffic until somebody promotes another one. The newest
  # revision is then reachable under its tag.
  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = 100
    tag     = "next"
  }

  lifecycle {
    # gcloud notes itself as the client of a service that it changed.
    ignore_changes = [traffic, client, client_version]
  }

  depends_on = [
    google_project_iam_member.realtime_redis,
    google_project_iam_member.realtime_firestore,
    google_pubsub_topic_iam_member.realtime_acks,
    google_pubsub_topic_iam_member.realtime_notify,
  ]
}

output "hosted_url" {
  description = "Address of the chat. Open it in a browser."
  value       = local.hosted_url

  # The address was computed (project.tf), so check that it is the one that Cloud Run assigned.
  precondition {
    condition     = contains(google_cloud_run_v2_service.realtime.urls, local.run_url)
    error_message = "Cloud Run serves realtime at ${join(", ", google_cloud_run_v2_service.realtime.urls)}, and not at ${local.run_url} as was computed. All resources exist, but they cannot reach each other. Please report this."
  }
}

output "next_url" {
  description = "Address of the newest revision of realtime, even while it gets no traffic. If it is hosted_url, a request also needs the header \"Chat-Revision: next\"."
  value       = local.next_url
}

locals {
  newest_revision = basename(google_cloud_run_v2_service.realtime.latest_ready_revision)

  # Null if somebody has split the traffic between several revisions.
  serving_revision = one([for t in google_cloud_run_v2_service.realtime.traffic_statuses :
    t.type == "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION" ? t.revision : local.newest_revision
  if t.percent == 100])
}

# A warning, with the command that promotes. It is expected while the pipeline tests a revision, and after a rollback.
check "newest_revision_serves" {
  assert {
    condition     = local.serving_revision == null || local.serving_revision == local.newest_revision
    error_message = "Revision ${local.serving_revision == null ? "" : local.serving_revision} of realtime is pinned and keeps all traffic. The newest revision ${local.newest_revision} gets none. To promote it, run:\n  gcloud run services update-traffic ${local.realtime_name} --to-revisions=${local.newest_revision}=100 --region=${var.region} --project=${var.project}\nTo let every apply serve its new revision, replace --to-revisions=… by --to-latest."
  }
}

output "region" {
  description = "Region of all resources."
  value       = var.region
}

output "serving_revision" {
  description = "Short name of the revision of realtime that got the traffic when the state was last refreshed."
  value       = local.serving_revision
}
