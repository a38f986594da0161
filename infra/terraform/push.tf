# Push (DESIGN §12): the key pair, and the function that sends. The key pair signs pushes. The function me adds the first
# version of the secret when the first browser asks for the key, so the pair is not in Terraform's state.

resource "google_secret_manager_secret" "push_key" {
  secret_id = "chat-push-key"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  deletion_protection = var.protect

  depends_on = [time_sleep.apis]
}

# Only a person with the role Owner can change who may use the key: the pipeline may not set the policy of a secret.
resource "google_secret_manager_secret_iam_member" "me_reads_push_key" {
  secret_id = google_secret_manager_secret.push_key.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = module.me.member
}

resource "google_secret_manager_secret_iam_member" "me_adds_push_key" {
  secret_id = google_secret_manager_secret.push_key.secret_id
  role      = "roles/secretmanager.secretVersionAdder"
  member    = module.me.member
}

# The function notify sends pushes. Only Pub/Sub's push may call it.
module "notify" {
  source = "./modules/function"

  name        = "notify"
  entry_point = "notify"
  description = "Sends pushes about messages that wait for somebody who is away."
  shared      = local.functions
  public      = false

  # Below the subscription's 60 s. A call may wait for 3 s, for a push service that asks for 5 s, and twice for an answer.
  timeout = 55

  depends_on = [time_sleep.apis]
}

resource "google_cloud_run_v2_service_iam_member" "notify_push" {
  name     = module.notify.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_project_iam_member" "notify_firestore" {
  project = var.project
  role    = "roles/datastore.user"
  member  = module.notify.member

  condition {
    title       = local.only_chat_database.title
    description = local.only_chat_database.description
    expression  = local.only_chat_database.expression
  }
}

resource "google_secret_manager_secret_iam_member" "notify_reads_push_key" {
  secret_id = google_secret_manager_secret.push_key.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = module.notify.member
}

# It publishes what some devices did not get.
resource "google_pubsub_topic_iam_member" "notify_rest" {
  topic  = google_pubsub_topic.notify.name
  role   = "roles/pubsub.publisher"
  member = module.notify.member
}

# Events have the text of messages that were not delivered yet. So the topic retains nothing, the subscription no event
# for longer than a push is of use, and there are no dead letters.
resource "google_pubsub_topic" "notify" {
  name = "notify"

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  deletion_policy = local.deletion_policy

  depends_on = [time_sleep.apis]
}

resource "google_pubsub_subscription" "notify" {
  name  = "notify"
  topic = google_pubsub_topic.notify.id

  ack_deadline_seconds       = 60
  message_retention_duration = "600s"

  push_config {
    push_endpoint = "${module.notify.uri}/${google_pubsub_topic.notify.id}"

    attributes = {
      x-goog-version = "v1" # as Google answers if it is not set, which the provider takes for a change
    }

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = module.notify.uri
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }

  deletion_policy = local.deletion_policy

  depends_on = [google_cloud_run_v2_service_iam_member.notify_push]
}

# Pushes that were not accepted, or were dropped. A subscription that has ended is none of them.
resource "google_logging_metric" "push_failures" {
  name        = "chat_push_failures"
  description = "Pushes that a push service did not accept, and events that were dropped."
  filter      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${module.notify.name}\" AND ((jsonPayload.message=\"push failed\" AND jsonPayload.outcome!=\"gone\") OR jsonPayload.message=\"push dropped\")"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [time_sleep.apis]
}

resource "google_monitoring_alert_policy" "push_failures" {
  display_name          = "Chat: Push failures"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = "Push failures"
    condition_prometheus_query_language {
      query               = "sum(increase(logging_googleapis_com:user_chat_push_failures{monitored_resource=\"cloud_run_revision\"}[30m])) > 50"
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
    subject   = "Chat (${var.project}): Push failures"
    content   = "Push services have not accepted more than 50 pushes within 30 min. People who closed the chat are not notified. No message is lost.\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: Push failures\"."
  }

  depends_on = [google_logging_metric.push_failures]
}

# Messages of which realtime could not notify anybody, since the topic did not accept their events. notify cannot log
# what it does not get.
resource "google_monitoring_alert_policy" "pushes_dropped" {
  display_name          = "Chat: Pushes dropped"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for c in google_monitoring_notification_channel.email : c.id]

  conditions {
    display_name = "Pushes dropped"
    condition_prometheus_query_language {
      query               = "sum(increase(logging_googleapis_com:user_${local.counter_metric["away.Dropped"]}_sum{monitored_resource=\"cloud_run_revision\"}[30m])) > 50"
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
    subject   = "Chat (${var.project}): Pushes dropped"
    content   = "Within 30 min, realtime has given up notifying people of more than 50 messages, because it could not publish to the topic notify. People who closed the chat are not notified. No message is lost.\n\nWhat to do: infra/RUNBOOK.md, section \"Alert: Pushes dropped\"."
  }

  depends_on = [google_logging_metric.counter]
}
