# Metrics that Cloud Logging makes of the lines that the programs write. An instance of realtime logs all its counters
# once a minute (realtime/server/metrics.go), and every line can be searched. A counter that is listed here is also a
# metric, for charts and alerts. Such metrics have no label for the instance, so their number does not grow with the
# traffic (infra/cost/bill.go).

locals {
  # Counters of realtime, as part.name (metrics_test.go compares them with the code).
  counters = toset([
    "away.Dropped",
    "inbox.Full",
    "inbox.Unavailable",
    "session.Gaps",
    "session.Live",
    "session.LiveLate",
    "session.Lost",
    "session.Open",
    "session.Panics",
    "session.RateLimited",
    "session.Sends",
    "session.SendsFailed",
    "session.SendsRefused",
    "settle.Failed",
    "settle.Messages",
    "settle.PublishFailed",
  ])
  counter_metric = { for c in local.counters : c => "chat_${replace(c, ".", "_")}" }

  # The sum of a counter per minute, for a chart.
  per_minute = { for c in local.counters : c =>
    "sum(increase(logging_googleapis_com:user_${local.counter_metric[c]}_sum{monitored_resource=\"cloud_run_revision\"}[5m])) / 5"
  }
}

# A line has the sum of a minute, and only a distribution can add up values of lines.
resource "google_logging_metric" "counter" {
  for_each = local.counters

  name            = local.counter_metric[each.key]
  description     = "The counter ${each.key} of realtime."
  filter          = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${local.realtime_name}\" AND jsonPayload.counters.${each.key}>0"
  value_extractor = "EXTRACT(jsonPayload.counters.${each.key})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  # Only the sum is used. Google would otherwise choose buckets, and every plan would remove them.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 16
      growth_factor      = 4
      scale              = 1
    }
  }

  depends_on = [time_sleep.apis]
}

locals {
  # Lines that say whether a step was good or bad (slo.tf).
  outcomes = {
    probes = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"prober\" AND jsonPayload.message=\"probe\""
    live   = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${local.realtime_name}\" AND jsonPayload.step=\"live\""
  }

  # Figures of the admin panel, which the function admin logs when the prober calls it (functions/api/probe.go).
  figures = toset(["active_today", "dead_letters", "messages_today", "oldest_age_ms", "people", "queued", "sockets"])
}

resource "google_logging_metric" "outcome" {
  for_each = local.outcomes

  name        = "chat_${each.key}"
  description = "Steps that were good or bad."
  filter      = each.value

  label_extractors = {
    step    = "EXTRACT(jsonPayload.step)"
    outcome = "EXTRACT(jsonPayload.outcome)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "step"
      value_type  = "STRING"
      description = "sign_in, hello, delivered, saved or live"
    }
    labels {
      key         = "outcome"
      value_type  = "STRING"
      description = "good or bad"
    }
  }

  depends_on = [time_sleep.apis]
}

resource "google_logging_metric" "figure" {
  for_each = local.figures

  name            = "chat_figure_${each.key}"
  description     = "The figure ${each.key} of the admin panel."
  filter          = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${module.admin.name}\" AND jsonPayload.message=\"figures\" AND jsonPayload.figures.${each.key}>=0"
  value_extractor = "EXTRACT(jsonPayload.figures.${each.key})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 16
      growth_factor      = 4
      scale              = 1
    }
  }

  depends_on = [time_sleep.apis]
}
