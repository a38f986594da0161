# Alerts for the operator. A condition must hold for some time before an alert fires, so that one bad minute wakes
# nobody. Each alert has a section in infra/RUNBOOK.md that says what to do (runbook_test.go compares the two).

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = "Chat: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }

  # An address that is removed is deleted before the alerts are changed, and Google would refuse that.
  force_delete = true

  depends_on = [time_sleep.apis]
}

locals {
  function_names = [module.signup.name, module.users.name, module.conversations.name, module.messages.name,
  module.me.name, module.admin.name, module.persist.name, module.notify.name]

  # For each alert, by name: the condition, how long it must hold, and the text.
  threshold_alerts = {
    "Queue age" = {
      severity  = "ERROR"
      summary   = "Acknowledged messages have waited for more than 10 min to be saved, because persist or Firestore fails. No message is lost, but the history is late."
      filter    = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.persist.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      aligner   = "ALIGN_MAX"
      reducer   = null
      threshold = 600
      duration  = "300s"
    }
    "Dead letters" = {
      severity  = "ERROR"
      summary   = "Delivered messages could not be saved and are dead letters now. Pub/Sub keeps them for 31 days."
      filter    = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letters.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      aligner   = "ALIGN_MAX"
      reducer   = null
      threshold = 0
      duration  = "60s"
    }
    "Redis memory" = {
      severity  = "WARNING"
      summary   = "A Redis node is more than 80 % full. When it is full, new messages are refused and stay in the senders' outboxes."
      filter    = "resource.type = \"redis.googleapis.com/Cluster\" AND resource.labels.cluster_id = \"${google_redis_cluster.this.name}\" AND metric.type = \"redis.googleapis.com/cluster/memory/maximum_utilization\""
      aligner   = "ALIGN_MAX"
      reducer   = null
      threshold = 0.8
      duration  = "300s"
    }
    "Redis CPU" = {
      severity  = "WARNING"
      summary   = "The busiest Redis node has used more than 70 % of its CPU. Near 100 %, messages arrive late, and sends are refused and repeated."
      filter    = "resource.type = \"redis.googleapis.com/Cluster\" AND resource.labels.cluster_id = \"${google_redis_cluster.this.name}\" AND metric.type = \"redis.googleapis.com/cluster/cpu/maximum_utilization\""
      aligner   = "ALIGN_MAX"
      reducer   = null
      threshold = 0.7
      duration  = "600s"
    }
    # Cloud Run starts another instance when one handles about 60 % of its maximum. If half of the instances exceed 80
    # % of their sockets, it cannot start more.
    "Sockets near the limit" = {
      severity  = "WARNING"
      summary   = "Instances of realtime hold more than 80 % of their maximum number of sockets, because no more instances are allowed. At the maximum, new sockets are refused."
      filter    = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"${local.realtime_name}\" AND metric.type = \"run.googleapis.com/container/max_request_concurrencies\""
      aligner   = "ALIGN_PERCENTILE_50"
      reducer   = "REDUCE_MAX"
      threshold = 0.8 * local.sockets_per_instance
      duration  = "300s"
    }
    "Unreachable" = {
      severity  = "CRITICAL"
      summary   = "The chat cannot be reached from outside: no instance of realtime starts, or requests do not get through to it."
      filter    = "resource.type = \"uptime_url\" AND metric.type = \"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id = \"${google_monitoring_uptime_check_config.ready.uptime_check_id}\""
      aligner   = "ALIGN_NEXT_OLDER"
      reducer   = "REDUCE_COUNT_FALSE"
      threshold = 1 # more than one of at least three probing locations
      duration  = "300s"
    }
  }

  # These alerts fire on a share of failures, but only above a minimum number, so that one failure in a quiet night is
  # not an alert.
  error_alerts = {
    "Realtime errors" = {
      severity = "ERROR"
      summary  = "More than 5 % of the requests to realtime fail with a server error."
      services = local.realtime_name
      selector = "response_code_class=\"5xx\""
      least    = 5
    }
    "Function errors" = {
      severity = "ERROR"
      summary  = "More than 5 % of the calls of a function fail with a server error."
      services = join("|", local.function_names)
      selector = "response_code_class=\"5xx\""
      least    = 5
    }
    # A person beyond a limit gets a 429 too, so more of them are needed.
    "Refused requests" = {
      severity = "WARNING"
      summary  = "More than 5 % of the requests to a service are refused with status 429: it has no more instances, or people are beyond their limits."
      services = join("|", concat([local.realtime_name], local.function_names))
      selector = "response_code=\"429\""
      least    = 50
    }
  }
}

resource "google_monitoring_uptime_check_config" "ready" {
  display_name = "Chat: ready"
  timeout      = "30s" # enough for a cold start and 10 s of waiting for Redis

  # Every five minutes from three continents is often enough to notice an outage, and too rare to keep an instance
  # running.
  period           = "300s"
  selected_regions = ["EUROPE", "USA_OREGON", "ASIA_PACIFIC"]

  http_check {
    path         = "/health/ready"
    port         = 443
    use_ssl      = true
    validate_ssl = true
  }

  monitored_resource {
    type = "uptime_url"
    labels = {
      project_id = var.project
      host       = local.hosted_host
    }
  }

  # A check of another host is another check, and Google refuses to delete one that an alert still uses.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_cloud_run_v2_service.realtime]
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.threshold_alerts

  display_name          = "Chat: ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = each.key
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = each.value.duration

      aggregations {
        alignment_period     = each.key == "Unreachable" ? "600s" : "60s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }

      trigger {
        count = 1
      }
    }
  }

  alert_strategy {
    auto_close = "1800s"
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Chat (${var.project}): ${each.key}"
    content   = "${each.value.summary}\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: ${each.key}\"."
  }
}

resource "google_monitoring_alert_policy" "errors" {
  for_each = local.error_alerts

  display_name          = "Chat: ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = each.key
    condition_prometheus_query_language {
      query = trimspace(<<-EOT
        sum by (service_name) (rate(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",service_name=~"${each.value.services}",${each.value.selector}}[10m]))
        / sum by (service_name) (rate(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",service_name=~"${each.value.services}"}[10m])) > 0.05
        and sum by (service_name) (increase(run_googleapis_com:request_count{monitored_resource="cloud_run_revision",service_name=~"${each.value.services}",${each.value.selector}}[10m])) > ${each.value.least}
      EOT
      )
      duration            = "300s"
      evaluation_interval = "60s"

      # The metric exists only after the first request.
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "1800s"
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Chat (${var.project}): ${each.key}"
    content   = "${each.value.summary}\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: ${each.key}\"."
  }

  depends_on = [time_sleep.apis]
}

# A cluster that reports no metrics is down or unreachable. Realtime keeps running: sockets stay open, and messages
# wait in the senders' outboxes.
resource "google_monitoring_alert_policy" "redis_silent" {
  display_name          = "Chat: Redis silent"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = "Redis silent"
    condition_absent {
      filter   = "resource.type = \"redis.googleapis.com/Cluster\" AND resource.labels.cluster_id = \"${google_redis_cluster.this.name}\" AND metric.type = \"redis.googleapis.com/cluster/memory/maximum_utilization\""
      duration = "600s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  # This is how long an incident stays open without data, and a cluster that is down sends none.
  alert_strategy {
    auto_close = "604800s" # 7 days, the longest time
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Chat (${var.project}): Redis silent"
    content   = "Redis has reported no metrics for 10 min, so it is probably down. Sockets stay open, and messages wait in the senders' outboxes.\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: Redis silent\"."
  }
}
