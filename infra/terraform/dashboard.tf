# The dashboard for the operator. The charts are in the order of a message's path. After them are charts of counters.

locals {
  # Charts of counters per minute (metrics.tf).
  counter_charts = [
    { title = "Open sockets of all instances", counters = ["session.Open"] },
    { title = "Messages sent and saved per minute", counters = ["session.Sends", "settle.Messages"] },
    { title = "Messages to people who are connected, per minute: all, and later than 2 s", counters = ["session.Live", "session.LiveLate"] },
    { title = "Sends refused per minute: all, and for a failure of ours", counters = ["session.SendsRefused", "session.SendsFailed"] },
    { title = "Limits per minute: frames too fast, inboxes full", counters = ["session.RateLimited", "inbox.Full"] },
    { title = "Failures of Redis per minute: operations, gaps, connections lost", counters = ["inbox.Unavailable", "session.Gaps", "session.Lost"] },
    { title = "Failures of saving per minute: publishes, flushes; and panics", counters = ["settle.PublishFailed", "settle.Failed", "session.Panics"] },
  ]

  # Each chart shows one or more metrics. Each line is [label, filter, aligner, reducer, group by].
  charts = [
    { title = "Open sockets per instance (maximum)", unit = "1", lines = [
      ["p99", "resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${local.realtime_name}\" metric.type=\"run.googleapis.com/container/max_request_concurrencies\"", "ALIGN_PERCENTILE_99", "REDUCE_MAX", []],
    ] },
    { title = "Instances of realtime", unit = "1", lines = [
      ["instances", "resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${local.realtime_name}\" metric.type=\"run.googleapis.com/container/instance_count\"", "ALIGN_MAX", "REDUCE_SUM", ["metric.labels.state"]],
    ] },
    { title = "Redis: memory in use", unit = "1", lines = [
      ["fullest node", "resource.type=\"redis.googleapis.com/Cluster\" metric.type=\"redis.googleapis.com/cluster/memory/maximum_utilization\"", "ALIGN_MAX", "REDUCE_MAX", []],
    ] },
    { title = "Redis: CPU of the busiest node", unit = "1", lines = [
      ["busiest node", "resource.type=\"redis.googleapis.com/Cluster\" metric.type=\"redis.googleapis.com/cluster/cpu/maximum_utilization\"", "ALIGN_MAX", "REDUCE_MAX", []],
    ] },
    { title = "Messages published to Pub/Sub per second", unit = "1", lines = [
      ["published", "resource.type=\"pubsub_topic\" resource.labels.topic_id=\"${google_pubsub_topic.delivery_acks.name}\" metric.type=\"pubsub.googleapis.com/topic/send_request_count\"", "ALIGN_RATE", "REDUCE_SUM", []],
    ] },
    { title = "Age of the oldest unsaved acknowledgement (s)", unit = "s", lines = [
      ["oldest", "resource.type=\"pubsub_subscription\" resource.labels.subscription_id=\"${google_pubsub_subscription.persist.name}\" metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"", "ALIGN_MAX", "REDUCE_MAX", []],
    ] },
    { title = "Dead letters", unit = "1", lines = [
      ["waiting", "resource.type=\"pubsub_subscription\" resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\" metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"", "ALIGN_MAX", "REDUCE_MAX", []],
    ] },
    { title = "Function calls per second", unit = "1", lines = [
      ["calls", "resource.type=\"cloud_run_revision\" resource.labels.service_name!=\"${local.realtime_name}\" metric.type=\"run.googleapis.com/request_count\"", "ALIGN_RATE", "REDUCE_SUM", ["resource.labels.service_name"]],
    ] },
    { title = "Server errors per second", unit = "1", lines = [
      ["errors", "resource.type=\"cloud_run_revision\" metric.type=\"run.googleapis.com/request_count\" metric.labels.response_code_class=\"5xx\"", "ALIGN_RATE", "REDUCE_SUM", ["resource.labels.service_name"]],
    ] },
    { title = "Duration of function calls (p95, ms)", unit = "ms", lines = [
      ["p95", "resource.type=\"cloud_run_revision\" resource.labels.service_name!=\"${local.realtime_name}\" metric.type=\"run.googleapis.com/request_latencies\"", "ALIGN_PERCENTILE_95", "REDUCE_MAX", ["resource.labels.service_name"]],
    ] },
    { title = "Firestore: writes and reads per second", unit = "1", lines = [
      ["writes", "resource.type=\"firestore.googleapis.com/Database\" metric.type=\"firestore.googleapis.com/document/write_ops_count\"", "ALIGN_RATE", "REDUCE_SUM", []],
      ["reads", "resource.type=\"firestore.googleapis.com/Database\" metric.type=\"firestore.googleapis.com/document/read_ops_count\"", "ALIGN_RATE", "REDUCE_SUM", []],
    ] },
    { title = "Warnings and errors logged per second", unit = "1", lines = [
      ["log lines", "resource.type=\"cloud_run_revision\" metric.type=\"logging.googleapis.com/log_entry_count\" metric.labels.severity=monitoring.regex.full_match(\"WARNING|ERROR|CRITICAL\")", "ALIGN_RATE", "REDUCE_SUM", ["resource.labels.service_name"]],
    ] },
  ]
}

locals {
  # Charts of the figures, as the last line has them. A chart shows figures of about the same size.
  figure_charts = [
    { title = "People, and those who were active today (UTC)", figures = ["people", "active_today"] },
    { title = "Messages saved today (UTC)", figures = ["messages_today"] },
    { title = "Waiting messages, and open sockets", figures = ["queued", "sockets"] },
    { title = "Age of the oldest waiting message (ms)", figures = ["oldest_age_ms"] },
    { title = "Dead letters, as the admin panel shows them", figures = ["dead_letters"] },
  ]

  drawn = concat([for chart in local.charts : {
    title = chart.title
    dataSets = [for line in chart.lines : {
      plotType       = "LINE"
      legendTemplate = length(line[4]) == 0 ? line[0] : ""
      timeSeriesQuery = {
        unitOverride = chart.unit
        timeSeriesFilter = {
          filter = line[1]
          aggregation = {
            alignmentPeriod    = "60s"
            perSeriesAligner   = line[2]
            crossSeriesReducer = line[3]
            groupByFields      = line[4]
          }
        }
      }
    }]
    }], [for chart in local.counter_charts : {
    title = chart.title
    dataSets = [for c in chart.counters : {
      plotType        = "LINE"
      legendTemplate  = c
      timeSeriesQuery = { prometheusQuery = local.per_minute[c] }
    }]
    }], [for chart in local.figure_charts : {
    title = chart.title
    dataSets = [for f in chart.figures : {
      plotType       = "LINE"
      legendTemplate = f
      timeSeriesQuery = {
        prometheusQuery = join(" / ", [for part in ["sum", "count"] :
        "sum(increase(logging_googleapis_com:user_chat_figure_${f}_${part}{monitored_resource=\"cloud_run_revision\"}[35m]))"])
      }
    }]
  }])
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "Chat"
    mosaicLayout = {
      columns = 48
      tiles = [for i, chart in local.drawn : {
        xPos   = (i % 2) * 24
        yPos   = floor(i / 2) * 14
        width  = 24
        height = 14
        widget = {
          title = chart.title
          xyChart = {
            dataSets = chart.dataSets
            yAxis    = { scale = "LINEAR" }
          }
        }
      }]
    }
  })

  depends_on = [google_logging_metric.counter, google_logging_metric.figure]
}

output "operations_dashboard" {
  description = "Address of the chat's dashboard in the console."
  value       = "https://console.cloud.google.com/monitoring/dashboards?project=${var.project}"
}
