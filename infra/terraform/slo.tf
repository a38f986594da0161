# Service level objectives: what people notice, the share of it that must be good, and alerts that fire when failures use
# up the rest too fast. The prober measures them even while nobody is connected. "live" is measured on the messages of
# all people who are connected: a minute of an instance is good if 99 % of them were on time (realtime/server/metrics.go).

locals {
  objective      = 0.99 # of the probes, and of the minutes of instances
  objective_days = 28

  # By the label step of the metrics. The limits of time are in infra/pipeline/smoke.
  objectives = {
    sign_in   = { title = "Sign-in succeeds within 15 s", metric = "probes", resource = "cloud_run_job" }
    hello     = { title = "A socket is open within 15 s", metric = "probes", resource = "cloud_run_job" }
    delivered = { title = "A message is delivered within 2 s", metric = "probes", resource = "cloud_run_job" }
    saved     = { title = "A message is saved within a minute", metric = "probes", resource = "cloud_run_job" }
    live      = { title = "Messages to people who are connected arrive within 2 s", metric = "live", resource = "cloud_run_revision" }
  }

  # The shortest window has two runs of the prober, so that it is never empty.
  shortest = [for minutes in [15, 30] : "${max(minutes, 2 * var.prober_minutes)}m"]

  # For each alert: two windows in which failures must be too frequent (the short one ends the alert soon after the
  # failures end), how many times faster than allowed, and the number of failures above which it fires.
  burn_alerts = {
    "Error budget burns fast" = {
      severity = "CRITICAL"
      summary  = "In the last hour, failures that people notice were at least 14.4 times as frequent as the objective allows. At this rate, the error budget of 28 days is used up in two days."
      windows  = ["1h", local.shortest[0]]
      rate     = 14.4
      failures = 1
    }
    "Error budget burns slowly" = {
      severity = "WARNING"
      summary  = "In the last six hours, failures that people notice were at least 6 times as frequent as the objective allows. At this rate, the error budget of 28 days is used up in five days."
      windows  = ["6h", local.shortest[1]]
      rate     = 6
      failures = 3
    }
  }

  # The failures of each step in a window, and their share of all.
  bad = { for metric, resource in { probes = "cloud_run_job", live = "cloud_run_revision" } : metric =>
    "sum by (step) (increase(logging_googleapis_com:user_chat_${metric}{monitored_resource=\"${resource}\",outcome=\"bad\"}[WINDOW]))"
  }
  share = { for metric, bad in local.bad : metric => "${bad} / ${replace(bad, ",outcome=\"bad\"", "")}" }
}

resource "google_monitoring_custom_service" "chat" {
  service_id   = "chat"
  display_name = "Chat"

  depends_on = [time_sleep.apis]
}

# A metric can be used in an objective some minutes after it was created.
resource "time_sleep" "metrics" {
  create_duration = "300s"

  depends_on = [google_logging_metric.outcome]
}

resource "google_monitoring_slo" "this" {
  for_each = local.objectives

  service             = google_monitoring_custom_service.chat.service_id
  slo_id              = replace(each.key, "_", "-")
  display_name        = each.value.title
  goal                = local.objective
  rolling_period_days = local.objective_days

  request_based_sli {
    good_total_ratio {
      good_service_filter  = "metric.type=\"logging.googleapis.com/user/chat_${each.value.metric}\" resource.type=\"${each.value.resource}\" metric.labels.step=\"${each.key}\" metric.labels.outcome=\"good\""
      total_service_filter = "metric.type=\"logging.googleapis.com/user/chat_${each.value.metric}\" resource.type=\"${each.value.resource}\" metric.labels.step=\"${each.key}\""
    }
  }

  depends_on = [time_sleep.metrics]
}

# One condition for all objectives costs less than one for each.
resource "google_monitoring_alert_policy" "burn" {
  for_each = local.burn_alerts

  display_name          = "Chat: ${each.key}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = each.key
    condition_prometheus_query_language {
      query = join("\nor\n", [for metric in ["probes", "live"] : join("\nand ", concat(
        [for window in each.value.windows :
          "${replace(local.share[metric], "WINDOW", window)} > ${each.value.rate} * ${format("%.2f", 1 - local.objective)}"
        ],
        ["${replace(local.bad[metric], "WINDOW", each.value.windows[0])} > ${each.value.failures}.5"],
      ))])
      duration            = "60s"
      evaluation_interval = "60s"

      # The metrics exist only after the first line.
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

  depends_on = [google_logging_metric.outcome]
}

# Without it, a prober that does not run looks like a chat without failures.
resource "google_monitoring_alert_policy" "prober_silent" {
  count = var.prober_minutes == 0 ? 0 : 1

  display_name          = "Chat: Prober silent"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = "Prober silent"
    condition_prometheus_query_language {
      query                     = "absent_over_time(logging_googleapis_com:user_chat_probes{monitored_resource=\"cloud_run_job\"}[${max(30, 3 * var.prober_minutes)}m])"
      duration                  = "600s"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "604800s" # as for "Redis silent"
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Chat (${var.project}): Prober silent"
    content   = "The prober has reported nothing for three runs, so nobody notices if messages are not delivered.\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: Prober silent\"."
  }

  depends_on = [google_logging_metric.outcome]
}
