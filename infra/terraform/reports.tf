# The alert of a wave of reports. The function me logs a line for each new report (functions/api/reports.go).

resource "google_logging_metric" "user_reports" {
  name        = "chat_user_reports"
  description = "Reports that people have made about others."
  filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${module.me.name}\" AND jsonPayload.message=\"user reported\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "user_reports" {
  display_name          = "Chat: Wave of reports"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = "Wave of reports"
    condition_prometheus_query_language {
      query               = "sum(increase(logging_googleapis_com:user_chat_user_reports{monitored_resource=\"cloud_run_revision\"}[1h])) > 20"
      duration            = "300s"
      evaluation_interval = "60s"

      # The metric exists only after the first line.
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "1800s"
  }

  documentation {
    mime_type = "text/markdown"
    subject   = "Chat (${var.project}): Wave of reports"
    content   = "For 5 minutes, people have made more than 20 reports about others within an hour. Somebody may be writing to many strangers, or many accounts may be reporting one person.\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: Wave of reports\"."
  }

  depends_on = [google_logging_metric.user_reports]
}
